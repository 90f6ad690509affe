"""A report with something of everything, for tests of its forms; `say` makes what it says of each of its texts."""

from collections.abc import Callable
from typing import Any

from longctx.reports.report import DocumentRow, Evidence, Item, Kind, Made, Report, State, WindowRow

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x03\x00\x00\x00\x02\x08\x00\x00\x00\x00"
    b"\x1d\x9f\x9b\xd5\x00\x00\x00\x0bIDATx\xdac`\x80\x02\x00\x00\x08\x00\x01\x1f\x9e\xd5\xbd"
)
Say = Callable[[str], str]


def plainly(text: str) -> str:
    return text


def evidence(n: int, say: Say = plainly, status: str = "verified", **more: Any) -> Evidence:
    given: dict[str, Any] = {
        "path": say(f"a{n % 2}.py"),
        "item": say("item"),
        "place": say(f"a{n % 2}.py:3"),
        "quote": say(f"quote {n}"),
        "chars": (5, 12) if status == "verified" else None,
        "kind": "code",
        "name": say("function"),
        "claim": say("claim"),
        "before": say("line before"),
        "after": say("line after"),
    }
    return Evidence(n=n, status=status, sha256="0f" * 32, **{**given, **more})


def answer(said: str, **more: Any) -> dict[str, Any]:
    return {
        "schema": "longctx.answer/1",
        "answer_markdown": said,
        "engine": {"kind": "scout", "model": "Scout"},
        "tokens": {"prompt": 1000, "cached": 900, "output": 20},
        "coverage": {"sentences": 4, "cited": 3, "verified": 2},
        **more,
    }


def an_item(name: str, say: Say = plainly, **more: Any) -> Item:
    given: dict[str, Any] = {
        "kind": Kind.QUESTION,
        "title": say(f"what is {name}?"),
        "text": say(f"what is {name}?"),
        "state": State.DONE,
        "answer": answer("It is this [^1] and that [^2].", warnings=[say("a warning")], error=say("an error")),
        "evidence": (evidence(1, say), evidence(2, say)),
        "calls": 1,
        "wall_s": 2.5,
    }
    return Item(id=say(name), **{**given, **more})


def items(say: Say = plainly) -> tuple[Item, ...]:
    doubtful = (
        evidence(1, say, "near", share=0.9, chars=(1, 4)),
        evidence(2, say, "unverified", before="", after=""),
        evidence(3, say, is_current=False),
    )
    pdf = evidence(1, say, kind="pdf", page=3, picture="page.png", picture_note=say("a note"))
    return (
        an_item("summary", say, kind=Kind.SUMMARY, text=say("all of it")),
        an_item("first", say, text=say("what is first?\n\nSay it in two lines.")),
        an_item("second", say, evidence=doubtful, value={say("key"): [say("value"), 1]}, schema={}),
        an_item("third", say, evidence=(pdf, evidence(2, say, picture="page.png"))),
        an_item("fourth", say, state=State.FAILED, error=say("it broke"), answer=None, evidence=()),
        an_item("fifth", say, state=State.PENDING, answer=None, evidence=(), wall_s=0.0),
        an_item("a1.py", say, kind=Kind.DOCUMENT, path=say("a1.py")),
    )


def a_report(say: Say = plainly, **more: Any) -> Report:
    rows = [
        DocumentRow(
            id=f"d{n}", path=say(f"a{n}.py"), kind=say("code"), tokens=100 * n, sha256="0f" * 32, pages=n or None
        )
        for n in range(25)
    ]
    windows = [WindowRow(index=n, tokens=8000, first=say("a.py"), documents=2, cited=n % 3) for n in range(40)]
    skipped = [{"path": say(f"{n}.bin"), "reason": "binary", "detail": say("why")} for n in range(3)]
    given: dict[str, Any] = {
        "title": say("Tides"),
        "description": say("What is known."),
        "manifest": say("tides.toml"),
        "manifest_sha256": "ab" * 32,
        "sources": (say("src"), say("docs")),
        "corpus": {
            "id": "c0",
            "files": 25,
            "tokens": 30_000,
            "skipped": skipped,
            "partly_read": skipped,
            "remarks": [],
        },
        "documents": tuple(rows),
        "windows": tuple(windows),
        "engine": {"kind": "scout", "model": say("Scout"), "where": say("cuda:0"), "revision": say("r1")},
        "settings": {"mode": say("auto"), say("key"): [say("value")]},
        "wording": "0123",
        "items": items(say),
        "made": Made(program=say("longctx 1"), begun=say("monday"), written=say("tuesday"), runs=2, wall_s=20.0),
    }
    return Report(**{**given, **more})


def picture(name: str) -> bytes | None:
    return PNG if name == "page.png" else None
