"""The main screen as a person sees it, in three sizes and three themes, and each of its states once."""

from typing import Any

import pytest

from ingest.document import Kind
from longctx.backend import replies, requests
from longctx.citations import Citation, CitationStatus

PATHS = (
    ("docs/operations.md", 2_140),
    ("docs/stations/gannet-rock.md", 980),
    ("docs/stations/skerry.md", 1_310),
    ("tidewatch/alerts.py", 4_120),
    ("tidewatch/filters.py", 3_870),
    ("tidewatch/harmonics.py", 21_400),
    ("tidewatch/readings.py", 5_020),
    ("tests/test_alerts.py", 2_650),
    ("README.md", 760),
)
ALERTS = "\n".join(
    [
        '"""When a warning is raised, and when it is lowered."""',
        "",
        "from dataclasses import dataclass",
        "",
        "CALM_MINUTES = 60",
        "",
        "",
        "@dataclass(frozen=True)",
        "class Marks:",
        '    """Levels in millimetres above chart datum."""',
        "",
        "    raised_mm: int",
        "    slack_mm: int = 100",
        "",
        "",
        "def lowered(levels: list[int], marks: Marks) -> bool:",
        '    """Whether the water was calm for long enough."""',
        "    calm = [level < marks.raised_mm - marks.slack_mm for level in levels]",
        "    return len(calm) >= CALM_MINUTES and all(calm[-CALM_MINUTES:])",
        "",
    ]
)
ANSWER = """\
A warning is lowered only when the water was **calm for a whole hour**[^1], and the marks for that lie
100 mm lower[^2].

| step | after |
|---|---|
| raised | at once |
| lowered | 60 minutes[^3] |

Stations may use other marks[^4], said to be listed in the handbook[^5].
"""


def cited(n: int, status: CitationStatus, quote: str, path: str = "tidewatch/alerts.py") -> Citation:
    at = ALERTS.find(quote)
    found = status not in (CitationStatus.UNVERIFIED, CitationStatus.UNKNOWN)
    line = ALERTS.count("\n", 0, at) + 1
    return Citation(
        n=n,
        status=status,
        path=path,
        page=None,
        lines=(line, line) if found else None,
        chars=(at, at + len(quote)) if found else None,
        quote=quote,
        sha256="a" * 64,
        place=f"{path}:{line}" if found else path,
        kind=Kind.CODE,
        claim="",
    )


CITATIONS = (
    cited(1, CitationStatus.VERIFIED, "CALM_MINUTES = 60"),
    cited(2, CitationStatus.RELOCATED, "slack_mm: int = 100"),
    cited(3, CitationStatus.NEAR, "all(calm[-CALM_MINUTES:])"),
    cited(4, CitationStatus.UNVERIFIED, "marks may differ by station"),
    cited(5, CitationStatus.UNKNOWN, "see the handbook", "handbook.md"),
)


def answer_json(**changes: Any) -> dict[str, Any]:
    from longctx.answer import citation_json

    return {
        "schema": "longctx.answer/1",
        "id": "0123456789abcdef",
        "question": "When is a warning lowered?",
        "found": True,
        "answer_markdown": ANSWER,
        "citations": [citation_json(each) for each in CITATIONS],
        "notice": "",
        "tokens": {"prompt": 43_210, "cached": 40_960, "output": 96},
        "timing": {"ttft_s": 1.4, "prefill_s": 1.4, "decode_s": 3.1, "decode_tokens_per_s": 31.0, "total_s": 4.5},
        "engine": {"kind": "scout", "model": "Llama-4-Scout"},
        "corpus": {"id": "c0ffee", "files": 9, "tokens": 42_250, "skipped": [], "partly_read": [], "remarks": []},
        "ending": "stop",
        "coverage": {"sentences": 4, "cited": 4, "verified": 2},
        "reading": {"mode": "full", "read_tokens": 42_250, "corpus_tokens": 42_250, "unread": [], "partly": []},
        "warnings": [],
        "session": "7f3c9a10",
        "raw": "…",
        **changes,
    }


SESSION = replies.SessionIs(
    id="7f3c9a10",
    title="When is a warning lowered?",
    corpus="c0ffee",
    sources=("tidewatch",),
    turns=1,
    created_s=1_790_000_000.0,
    used_s=1_790_000_000.0,
)
TURN = replies.TurnIs(
    id="00112233aabbccdd", question="When is a warning lowered?", answer=answer_json(), created_s=1_790_000_000.0
)
CORPUS = replies.CorpusOpened(
    id="c0ffee",
    name="tidewatch",
    folder="/home/ada/src",
    sources=("tidewatch",),
    files=10,
    skipped=1,
    tokens=42_250,
    stale=0,
    changed=0,
)
ENGINE = replies.EngineOpened(
    name="scout", model="Llama-4-Scout", why="engine: scout (Llama-4-Scout): it was named", context_tokens=2_000_000
)
FILES = (
    *(
        replies.FileIs(path=path, tokens=tokens, sending=replies.Sending.SENT, status="read", position=i)
        for i, (path, tokens) in enumerate(PATHS)
    ),
    replies.FileIs(
        path="docs/scan_07.pdf", tokens=0, sending=replies.Sending.LEFT_OUT, status="no text", why="3 pages, no text"
    ),
)
WINDOWS = replies.WindowsAre(
    windows=tuple(replies.WindowIs(7_000 + 100 * i, (replies.PieceIs(i), replies.PieceIs(i + 1))) for i in range(6)),
    texts=tuple(
        replies.TextIs(path=path, sha256=("a" if "alerts.py" in path else "b") * 64, tokens=tokens)
        for path, tokens in PATHS
    ),
    cached=5,
)
PLANNED = replies.Planned(
    prompt_tokens=43_210,
    limit_tokens=2_000_000,
    mode="full",  # type: ignore[arg-type]
    read_tokens=42_250,
    corpus_tokens=42_250,
    recap_tokens=2_900,
    conversation_tokens=0,
)


async def settled(pilot: Any) -> None:
    """Until nothing changes on the screen any more: colours of a source come a moment after its words."""
    before, same = "", 0
    for _ in range(100):
        await pilot.pause(0.05)
        now = pilot.app.export_screenshot(simplify=True)
        before, same = now, same + 1 if now == before else 0
        if same == 3:
            return
    raise AssertionError("the screen never came to rest")


async def opened(pilot: Any, listener: Any, *turns: replies.TurnIs) -> None:
    """A corpus, its engine and a conversation are there."""
    listener.tell(requests.Open, CORPUS, ENGINE, replies.SessionOpened(SESSION if turns else None, turns))
    await pilot.pause()
    listener.tell(requests.Files, replies.FilesAre(FILES, is_last=True))
    listener.tell(requests.Windows, WINDOWS)
    await pilot.pause()


async def with_source(pilot: Any, listener: Any) -> None:
    """The first citation is opened."""
    from tui.messages import CitationChosen

    pilot.app.workspace.post_message(CitationChosen(CITATIONS[0]))
    await pilot.pause()
    listener.tell(requests.Text, replies.TextPart(path="tidewatch/alerts.py", text=ALERTS, is_last=True, kind="code"))
    await pilot.pause()


@pytest.mark.parametrize("theme", ["longctx-dark", "longctx-light", "ansi-dark"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 50)])
async def test_main_screen(run_app, listener, picture, size, theme) -> None:
    async with run_app(size=size, theme=theme) as pilot:
        await opened(pilot, listener, TURN)
        await with_source(pilot, listener)
        await settled(pilot)
        picture(pilot)


async def test_nothing_was_asked_yet(run_app, listener, picture) -> None:
    async with run_app() as pilot:
        await opened(pilot, listener)
        picture(pilot)


async def test_in_the_colours_for_the_colour_blind(run_app, listener, picture) -> None:
    async with run_app(theme="longctx-colour-blind") as pilot:
        await opened(pilot, listener, TURN)
        await with_source(pilot, listener)
        await settled(pilot)
        picture(pilot)


async def test_no_word_of_a_cache(run_app, listener, picture) -> None:
    turn = replies.TurnIs(
        id=TURN.id,
        question=TURN.question,
        answer=answer_json(tokens={"prompt": 43_210, "output": 96}),
        created_s=TURN.created_s,
    )
    async with run_app() as pilot:
        await opened(pilot, listener, turn)
        picture(pilot)


async def test_an_engine_that_fails(run_app, listener, picture) -> None:
    from tui.messages import QuestionAsked

    async with run_app() as pilot:
        await opened(pilot, listener)
        pilot.app.workspace.post_message(QuestionAsked("When is a warning lowered?"))
        await pilot.pause()
        failed = replies.Failed("vllm: the model died: out of memory", "take less context with --context", 5)
        listener.tell(requests.Ask, PLANNED, failed, done=False)
        await pilot.pause()
        picture(pilot)


async def test_an_answer_that_streams(run_app, listener, picture) -> None:
    from tui.messages import QuestionAsked

    async with run_app() as pilot:
        await opened(pilot, listener)
        pilot.app.workspace.post_message(QuestionAsked("When is a warning lowered?"))
        await pilot.pause()
        begun = ANSWER[: ANSWER.index("[^2]")]
        listener.tell(requests.Ask, PLANNED, replies.Cited(CITATIONS[0]), replies.Delta(begun), done=False)
        await settled(pilot)
        picture(pilot)
