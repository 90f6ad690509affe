"""What each job makes of what is open, and what is told of it: over real corpora, stores and the scripted engine."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ingest.rules import Selection
from longctx import opening, paths
from longctx.analysis import Asking
from longctx.answer import Mode
from longctx.backend.corpus_reading import name_of
from longctx.backend.desk import Desk, Shown
from longctx.backend.jobs import WHOLE_UNKNOWN, Jobs
from longctx.backend.kept import SOURCES_MOST, session_is
from longctx.backend.replies import (
    Answered,
    Cited,
    CorpusOpened,
    Delta,
    EngineOpened,
    Evidence,
    Notice,
    Planned,
    Prefill,
    ReadingFiles,
    Reply,
    SessionOpened,
)
from longctx.backend.requests import (
    Ask,
    Exclude,
    Job,
    NewSession,
    Open,
    Repack,
    Reread,
    Resume,
    Summarise,
    UseEngine,
)
from longctx.corpora import CorporaStore
from longctx.corpus import Corpus
from longctx.errors import CorpusError, EngineError, LongctxError, StoreError, UsageError
from longctx.history import History
from longctx.request import Request
from longctx.session import Session, Turn
from longctx.settings import Settings

MakeTree = Callable[[dict[str, str | bytes]], Path]
Kind = TypeVar("Kind")
FILES: dict[str, str | bytes] = {
    "tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n",
    "docs/light.md": "# Light\n\nThe lighthouse on Gannet Rock stands 38 metres high.\n",
    "docs/[x] *.md": "# Odd\n\nThis file has an odd name and holds a walrus.\n",
}
SCRIPT = """
[[answer]]
match = "tide"
text = 'It reaches seven metres [{id:tides.md}: "The spring tide at the north mole reaches seven metres."]. Indeed.'
cut = 3

[[answer]]
match = "breaks"
text = 'It reaches seven [{id:tides.md}: "reaches seven metres"] and then'
fail = "the server died"

[[answer]]
text = 'It is 38 metres high [{id:light.md}: "The lighthouse on Gannet Rock stands 38 metres high."].'
"""


class Scene:
    """Jobs over a tree, with all that was told."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.folder = folder
        self.settings = Settings(engine="scripted", model=str(script))
        self.paths = paths.locate(os.environ)
        self.desk = Desk(Path("backend.log"))
        self.jobs = Jobs(self.paths, self.desk)
        self.told: list[Reply] = []

    def do(self, job: Job) -> list[Reply]:
        """What a job tells."""
        self.told = []
        self.jobs.do(job, self.told.append)
        return self.told

    def open(self, **more: Any) -> list[Reply]:
        """Open the tree."""
        given = {"request": Request((str(self.folder),)), "settings": self.settings, "asking": Asking(), **more}
        return self.do(Open(**given))

    def one(self, kind: type[Kind]) -> Kind:
        """The only one of a kind that was told last."""
        (found,) = (reply for reply in self.told if isinstance(reply, kind))
        return found

    @property
    def kinds(self) -> list[str]:
        """What was told, without how often."""
        names = [type(reply).__name__ for reply in self.told]
        return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]

    @property
    def shown(self) -> Shown:
        """What the other threads see."""
        assert self.desk.shown is not None
        return self.desk.shown


@pytest.fixture
def scene(make_tree: MakeTree, tmp_path: Path) -> Iterator[Scene]:
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    scene = Scene(make_tree(FILES), script)
    yield scene
    scene.jobs.close()


def test_opening_tells_how_far_it_is_then_what_there_is(scene: Scene) -> None:
    scene.open()
    assert scene.kinds == ["ReadingFiles", "CorpusOpened", "EngineOpened", "SessionOpened"]
    reading = [reply for reply in scene.told if isinstance(reply, ReadingFiles)]
    assert (reading[0].total, reading[-1].done, reading[-1].total) == (3, 3, 3)
    corpus = scene.one(CorpusOpened)
    assert (corpus.files, corpus.skipped, corpus.stale, corpus.changed, corpus.name) == (3, 0, 0, 0, "tree")
    assert corpus.tokens == max(each.tokens for each in reading)
    assert scene.one(EngineOpened).why.startswith("engine: scripted")
    assert scene.one(SessionOpened) == SessionOpened(None, ())
    assert (scene.shown.engine, scene.shown.limits.context_tokens) == ("scripted", 10_485_760)


def test_an_answer_is_told_in_order_and_kept(scene: Scene) -> None:
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    planned = scene.one(Planned)
    assert scene.kinds[:3] == ["Planned", "Evidence", "Prefill"]
    assert scene.kinds[-1] == "Answered"
    assert planned.mode is Mode.FULL
    assert planned.recap_tokens > 0
    assert planned.conversation_tokens == 0
    assert scene.one(Evidence).places
    prefill = [reply for reply in scene.told if isinstance(reply, Prefill)]
    assert prefill[-1].done == prefill[-1].total == planned.prompt_tokens
    answered = scene.one(Answered)
    text = "".join(reply.text for reply in scene.told if isinstance(reply, Delta))
    assert text == answered.turn.answer["answer_markdown"]
    assert "[^1]" in text
    before = scene.told[: scene.told.index(scene.one(Cited))]
    assert "[^1]" not in "".join(reply.text for reply in before if isinstance(reply, Delta)), "cited before its mark"
    assert answered.session is not None
    assert answered.session.turns == 1
    assert scene.shown.session is not None
    with History(scene.paths.data / "sessions.db") as history:
        (turn,) = history.turns(history.find(answered.session.id))
    assert turn.id == answered.turn.id


def test_a_second_question_goes_on(scene: Scene) -> None:
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    scene.do(Ask(question="And the lighthouse?"))
    assert scene.one(Planned).conversation_tokens > 0
    assert scene.one(Answered).session.turns == 2  # type: ignore[union-attr]


def test_without_a_model_the_answer_comes_whole(scene: Scene) -> None:
    scene.open(settings=Settings(engine="evidence"))
    scene.do(Ask(question="How high does the spring tide reach?"))
    assert scene.kinds == ["Evidence", "Cited", "Delta", "Answered"]
    assert scene.one(Delta).text == scene.one(Answered).turn.answer["answer_markdown"]
    assert scene.shown.identity is None


def test_an_answer_that_breaks_off_is_kept(scene: Scene) -> None:
    scene.open()
    with pytest.raises(EngineError, match="the server died"):
        scene.do(Ask(question="What breaks?"))
    turn = scene.one(Answered).turn
    assert turn.answer["ending"] == "failed"
    text = "".join(reply.text for reply in scene.told if isinstance(reply, Delta))
    assert text == turn.answer["answer_markdown"]


def test_an_engine_that_is_not_there_is_a_notice(scene: Scene) -> None:
    for settings in (Settings(engine="scripted", model="/nowhere.toml"), Settings(engine="no-such")):
        scene.open(settings=settings)
        assert scene.kinds[-4:] == ["CorpusOpened", "Notice", "EngineOpened", "SessionOpened"]
        assert "\n" not in scene.one(Notice).message
        assert scene.one(EngineOpened).name == "evidence"
        scene.do(Ask(question="How high is the lighthouse?"))
        assert scene.one(Answered).turn.answer["found"]


def test_another_engine_takes_over_the_conversation(scene: Scene) -> None:
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    scene.do(UseEngine(name="evidence"))
    assert scene.kinds == ["EngineOpened"]
    scene.do(Ask(question="Where does the lighthouse stand?"))
    assert scene.one(Answered).session.turns == 2  # type: ignore[union-attr]
    scene.do(UseEngine(name="scripted", model=scene.settings.model))
    assert scene.one(EngineOpened).name == "scripted"
    scene.do(UseEngine(name="scripted"))
    assert scene.one(EngineOpened).name == "scripted"
    scene.do(UseEngine(name="scripted", model="/nowhere.toml"))
    assert (scene.kinds, scene.shown.engine) == (["Notice", "EngineOpened"], "evidence")


def test_a_key_goes_to_its_own_server_only(scene: Scene) -> None:
    scene.open(settings=Settings(engine="evidence", base_url="http://127.0.0.1:1/v1", api_key="sk-secret"))
    scene.do(UseEngine(name="openai", base_url="http://127.0.0.1:9/v1", model="m"))
    assert scene.shown.engine == "evidence"  # nothing listens there
    assert "sk-secret" not in repr(scene.told) + repr(scene.shown)
    from longctx.backend.seat import Seat
    from longctx.setup import engine_setup

    configured = engine_setup(Settings(base_url="http://127.0.0.1:1/v1", api_key="sk-secret"))
    seat = Seat(configured)
    assert seat.setup_of(UseEngine(name="openai", base_url="http://127.0.0.1:9/v1"), configured).api_key is None
    assert seat.setup_of(UseEngine(name="openai", base_url="http://127.0.0.1:1/v1"), configured).api_key == "sk-secret"


def test_what_changed_is_read_again(scene: Scene) -> None:
    scene.open()
    before = scene.shown.generation
    (scene.folder / "tides.md").write_text("# Tides\n\nThe neap tide reaches three metres, no more than that.\n")
    scene.do(Reread())
    corpus = scene.one(CorpusOpened)
    assert (corpus.changed, corpus.files) == (1, 3)
    assert corpus.stale > 0
    assert scene.shown.generation > before
    scene.do(Repack())
    assert scene.one(CorpusOpened).stale == 0


def test_reading_keeps_the_conversation(scene: Scene) -> None:
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    scene.do(Reread())
    scene.do(Repack())
    scene.do(Ask(question="And the lighthouse?"))
    assert scene.one(Answered).session.turns == 2  # type: ignore[union-attr]


def test_leaving_out_and_bringing_back(scene: Scene) -> None:
    scene.open()
    whole = scene.one(CorpusOpened)
    scene.do(Ask(question="How high is the tide?"))
    scene.do(Exclude(("docs/[x] *.md", "tides.md")))
    corpus = scene.one(CorpusOpened)
    assert (corpus.files, corpus.excluded) == (1, ("docs/[x] *.md", "tides.md"))
    assert corpus.id != whole.id
    assert scene.one(SessionOpened) == SessionOpened(None, ())
    assert scene.shown.whole.selection == Selection()
    scene.do(Exclude(("docs/",)))
    assert (scene.one(CorpusOpened).files, scene.one(CorpusOpened).excluded) == (1, ("docs/",))
    scene.do(Exclude(()))
    assert scene.one(CorpusOpened).id == whole.id


def test_a_session_over_a_part_goes_on_with_the_same_windows(scene: Scene) -> None:
    scene.open()
    scene.do(Exclude(("docs/light.md",)))
    scene.do(Ask(question="How high is the tide?"))
    session = scene.one(Answered).session
    assert session is not None
    with Corpus(Request((str(scene.folder),)), scene.paths) as whole, Corpus(scene.shown.request, scene.paths) as part:
        assert part.record.id == session.corpus != whole.record.id
        assert part.record.tag == whole.record.tag
        entries = part.entries
        assert set(entries) < set(whole.entries)
    scene.jobs.close()
    scene.jobs = Jobs(scene.paths, scene.desk)
    scene.open(request=None, resume=session.id)
    with Corpus(scene.shown.request, scene.paths) as again:
        assert (again.record.tag, again.entries) == (whole.record.tag, entries)
    scene.do(Ask(question="And the neap tide?"))
    assert scene.one(Planned).conversation_tokens > 0


def test_leaving_out_everything_changes_nothing(scene: Scene) -> None:
    scene.open()
    with pytest.raises(CorpusError, match="nothing readable"):
        scene.do(Exclude(("docs/", "tides.md")))
    assert scene.shown.excluded == ()
    scene.do(Ask(question="How high is the tide?"))
    assert scene.one(Answered).turn.answer["found"]


def test_a_question_asked_anew_makes_a_branch(scene: Scene) -> None:
    scene.open()
    first = scene.do(Ask(question="How high is the tide?"))[-1]
    scene.do(Ask(question="And the lighthouse?"))
    assert isinstance(first, Answered)
    scene.do(Ask(question="How low is the tide?", instead_of=first.turn.id))
    answered = scene.one(Answered)
    assert answered.session.turns == 1  # type: ignore[union-attr]
    with History(scene.paths.data / "sessions.db") as history:
        session = history.find("last")
        assert [turn.question for turn in history.turns(session)] == ["How low is the tide?"]
        assert len(history.aside(session)) == 2
    with pytest.raises(UsageError, match="not in this conversation"):
        scene.do(Ask(question="Again?", instead_of=first.turn.id))
    with pytest.raises(UsageError, match="empty"):
        scene.do(Ask(question=" ", instead_of=answered.turn.id))
    scene.do(Ask(question="And now?"))
    assert scene.one(Answered).session.turns == 2  # type: ignore[union-attr]


def test_sessions_go_on(scene: Scene) -> None:
    scene.open(title="Of tides")
    scene.do(Ask(question="How high is the tide?"))
    session = scene.one(Answered).session
    assert session is not None
    assert session.title == "Of tides"
    scene.do(NewSession())
    assert scene.one(SessionOpened) == SessionOpened(None, ())
    scene.do(Resume(session.id))
    opened = scene.one(SessionOpened)
    assert scene.kinds == ["SessionOpened"]
    assert [turn.question for turn in opened.turns] == ["How high is the tide?"]
    assert opened.session is not None
    assert opened.session.id == session.id
    scene.do(Ask(question="And the lighthouse?"))
    assert scene.one(Planned).conversation_tokens > 0


def test_a_session_over_other_sources_brings_them(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene.folder)
    scene.do(Open(request=Request(("docs",)), settings=scene.settings, asking=Asking()))
    scene.do(Ask(question="How high is the lighthouse?"))
    session = scene.one(Answered).session
    assert session is not None
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.md").write_text("A note about herrings.\n")
    monkeypatch.chdir(other)
    scene.do(Open(request=Request((".",)), settings=scene.settings, asking=Asking()))
    assert scene.one(CorpusOpened).files == 1
    scene.do(Resume(session.id))
    assert scene.kinds[-3:] == ["CorpusOpened", "EngineOpened", "SessionOpened"]
    assert (scene.one(CorpusOpened).files, scene.one(CorpusOpened).id) == (2, session.corpus)
    assert os.getcwd() == str(other)
    with pytest.raises(UsageError, match="is over other sources"):
        scene.do(Open(request=Request((".",)), settings=scene.settings, asking=Asking(), resume=session.id))
    assert scene.shown.session is not None, "what was open is open"


def test_the_last_session_goes_on(scene: Scene) -> None:
    with pytest.raises(UsageError, match="no session"):
        scene.open(request=None, goes_on=True)
    with pytest.raises(UsageError, match="nothing to read"):
        scene.open(request=None)
    with pytest.raises(UsageError, match="no corpus is open"):
        scene.do(Ask(question="Who?"))
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    scene.open(request=None, goes_on=True, title="Again")
    opened = scene.one(SessionOpened)
    assert opened.session is not None
    assert (opened.session.title, len(opened.turns)) == ("Again", 1)


def test_a_session_whose_sources_are_gone(scene: Scene) -> None:
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    session = scene.one(Answered).session
    assert session is not None
    shutil.rmtree(scene.folder)
    scene.jobs.close()
    scene.jobs = Jobs(scene.paths, scene.desk)
    with pytest.raises(LongctxError, match="no such file or folder"):
        scene.open(request=None, resume=session.id)
    store = CorporaStore(scene.paths.data / "longctx.db")
    store.remove(session.corpus)
    store.close()
    with pytest.raises(StoreError, match="no longer known"):
        scene.open(request=None, resume=session.id)


def test_nothing_is_kept_where_nothing_is_to_be(scene: Scene) -> None:
    scene.open(is_kept=False)
    scene.do(Ask(question="How high is the tide?"))
    assert scene.one(Answered).session is None
    scene.do(Ask(question="And the lighthouse?"))
    assert scene.one(Planned).conversation_tokens > 0
    scene.do(UseEngine(name="evidence"))
    scene.do(Ask(question="And who?"))
    with History(scene.paths.data / "sessions.db") as history:
        assert history.all() == []


def test_a_summary_is_a_turn_that_says_what_it_is_of(scene: Scene) -> None:
    scene.open(settings=Settings(engine="evidence"))
    scene.do(Summarise(paths=("docs/",)))
    answered = scene.one(Answered)
    assert "docs/" in answered.turn.summary_of
    assert answered.session is not None
    scene.do(Resume(answered.session.id))
    assert scene.one(SessionOpened).turns == (answered.turn,)


def test_a_stop_while_an_answer_is_told_keeps_what_there_is(scene: Scene) -> None:
    scene.open()
    told = list[Reply]()

    def tell(reply: Reply) -> None:
        told.append(reply)
        if isinstance(reply, Delta):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.jobs.do(Ask(question="How high is the tide?"), tell)
    answered = told[-1]
    assert isinstance(answered, Answered)
    assert answered.turn.answer["ending"] == "interrupted"
    assert answered.session is not None


def test_a_stop_while_reading_leaves_what_was_open(scene: Scene) -> None:
    scene.open()

    def tell(_reply: Reply) -> None:
        raise KeyboardInterrupt

    (scene.folder / "new.md").write_text("The new pier is 90 metres long.\n")
    for job in (Reread(), Exclude(("tides.md",)), Repack()):
        with pytest.raises(KeyboardInterrupt):
            scene.jobs.do(job, tell)
    scene.do(Ask(question="How high is the tide?"))
    assert scene.one(Answered).turn.answer["found"]
    scene.do(Reread())
    assert scene.one(CorpusOpened).files == 4


def test_hostile_names_stay_what_they_are(make_tree: MakeTree, scene: Scene) -> None:
    names: dict[str, str | bytes] = {
        f"{name}.md": "words of it\n" for name in ("[/red]", "\x1b[31m", "\u202etxt", os.fsdecode(b"\xff"))
    }
    scene.do(Open(request=Request((str(make_tree(names)),)), settings=Settings(engine="evidence"), asking=Asking()))
    total = scene.one(CorpusOpened).files
    for left_out, name in enumerate(names, start=1):
        scene.do(Exclude(tuple(list(names)[:left_out])))
        assert scene.one(CorpusOpened).files == total - left_out, name


def test_the_name_of_a_corpus_is_short() -> None:
    assert name_of((".",), "/home/me/repo") == "repo"
    assert name_of(("docs", "src/a.py"), "/home/me/repo") == "docs and 1 more"
    assert name_of(("https://me:pw@github.com/pallets/flask.git",), "/x") == "github.com/pallets/flask"
    assert name_of((), "/home/me/repo") == "repo"
    assert name_of(("/",), "/x") == "/"


def test_replies_say_nothing_of_a_key(scene: Scene) -> None:
    scene.open(settings=replace(scene.settings, api_key="sk-secret"))
    scene.do(Ask(question="How high is the tide?"))
    assert "sk-secret" not in repr(scene.told) + repr(scene.shown)


def test_what_was_left_out_is_told_in_part_with_each_turn(make_tree: MakeTree, scene: Scene) -> None:
    make_tree({f"blobs/{n}.bin": b"\0\1\2" + bytes([n % 256, n // 256]) for n in range(300)})
    scene.open(settings=Settings(engine="evidence"))
    skipped = scene.one(CorpusOpened).skipped
    assert skipped >= 300
    scene.do(Ask(question="How high is the tide?"))
    assert len(scene.one(Answered).turn.answer["corpus"]["skipped"]) == 200


def test_a_stop_while_a_turn_is_kept_comes_after_it_was_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.open()
    keep = History.append

    def stopped(history: History, session: str, turn: Turn) -> Session:
        signal.raise_signal(signal.SIGINT)
        return keep(history, session, turn)

    monkeypatch.setattr(History, "append", stopped)
    with pytest.raises(KeyboardInterrupt):
        scene.do(Ask(question="How high is the tide?"))
    assert scene.one(Answered).session.turns == 1  # type: ignore[union-attr]
    monkeypatch.undo()
    scene.do(Ask(question="And the lighthouse?"))
    assert scene.one(Answered).session.turns == 2  # type: ignore[union-attr]


def test_turns_stay_until_there_is_an_answer_in_their_place(scene: Scene) -> None:
    scene.open()
    first = scene.do(Ask(question="How high is the tide?"))[-1]
    scene.do(Ask(question="And the lighthouse?"))
    before = scene.one(Answered)
    assert isinstance(first, Answered)

    def tell(reply: Reply) -> None:
        scene.told.append(reply)
        if isinstance(reply, Planned):
            raise KeyboardInterrupt

    scene.told = []
    with pytest.raises(KeyboardInterrupt):
        scene.jobs.do(Ask(question="How low is the tide?", instead_of=first.turn.id), tell)
    assert not any(isinstance(reply, Answered) for reply in scene.told)
    assert scene.told[-1] == SessionOpened(before.session, (first.turn, before.turn))
    scene.do(Ask(question="How low is the tide?", instead_of=first.turn.id))
    assert scene.kinds[-1] == "Answered"
    assert scene.one(Answered).session.turns == 1  # type: ignore[union-attr]


def test_what_a_session_leaves_out_can_be_taken_back(scene: Scene) -> None:
    scene.open()
    whole = scene.one(CorpusOpened)
    scene.do(Exclude(("docs/light.md", "tides.md")))
    part = scene.one(CorpusOpened)
    scene.do(Ask(question="What is odd?"))
    session = scene.one(Answered).session
    assert session is not None
    scene.jobs.close()
    scene.jobs = Jobs(scene.paths, scene.desk)
    scene.open(request=None, resume=session.id)
    assert (scene.one(CorpusOpened).id, scene.one(CorpusOpened).excluded) == (part.id, part.excluded)
    scene.do(Exclude(("tides.md",)))
    assert (scene.one(CorpusOpened).files, scene.one(CorpusOpened).excluded) == (2, ("tides.md",))
    scene.do(Exclude(()))
    assert (scene.one(CorpusOpened).id, scene.one(CorpusOpened).excluded) == (whole.id, ())
    store = CorporaStore(scene.paths.data / "longctx.db")
    store.remove(whole.id)
    store.close()
    scene.do(Resume(session.id))
    assert (scene.one(CorpusOpened).id, scene.one(CorpusOpened).excluded) == (part.id, part.excluded)
    assert scene.one(Notice).message == WHOLE_UNKNOWN
    scene.do(Exclude(("tides.md",)))
    assert (scene.one(CorpusOpened).files, scene.one(CorpusOpened).excluded) == (1, part.excluded)
    assert scene.one(Notice).message == WHOLE_UNKNOWN
    scene.jobs.close()
    scene.jobs = Jobs(scene.paths, scene.desk)
    scene.open()
    assert (scene.one(CorpusOpened).files, scene.one(CorpusOpened).excluded) == (3, ())
    assert "Notice" not in scene.kinds


def test_a_cache_that_was_emptied_is_filled_again(scene: Scene) -> None:
    scene.open()
    for job in (Reread(), Repack()):
        shutil.rmtree(scene.paths.cache)
        scene.do(job)
        assert scene.one(CorpusOpened).files == 3
        assert (scene.paths.cache / "shelf.db").exists()
    scene.do(Ask(question="How high is the tide?"))
    assert scene.one(Answered).turn.answer["found"]


def test_a_stop_while_another_corpus_opens_says_what_is_open_now(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.open()
    scene.do(Ask(question="How high is the tide?"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.md").write_text("A note about herrings.\n")

    def pick(*_given: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(opening, "pick", pick)
    with pytest.raises(KeyboardInterrupt):
        scene.open(request=Request((str(other),)))
    assert scene.kinds[-3:] == ["CorpusOpened", "EngineOpened", "SessionOpened"]
    assert scene.one(SessionOpened) == SessionOpened(None, ())
    monkeypatch.undo()

    def settled(reply: Reply) -> None:
        scene.told.append(reply)
        if isinstance(reply, CorpusOpened):
            signal.raise_signal(signal.SIGINT)

    scene.do(Ask(question="How long is a herring?"))
    (other / "more.md").write_text("Another note.\n")
    scene.told = []
    with pytest.raises(KeyboardInterrupt):
        scene.jobs.do(Exclude(("more.md",)), settled)
    assert scene.kinds[-2:] == ["CorpusOpened", "SessionOpened"]
    assert scene.one(SessionOpened) == SessionOpened(None, ())


def test_the_engine_that_was_chosen_stays_over_another_corpus(scene: Scene, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.md").write_text("A note about herrings.\n")
    scene.open(request=Request((str(other),)), settings=Settings(engine="evidence"))
    scene.do(Ask(question="What of herrings?"))
    session = scene.one(Answered).session
    assert session is not None
    scene.open(settings=Settings(engine="evidence"))
    scene.do(UseEngine(name="scripted", model=scene.settings.model))
    scene.do(Exclude(("tides.md",)))
    scene.do(Resume(session.id))
    assert scene.one(EngineOpened).name == "scripted"
    scene.open(settings=Settings(engine="evidence"))
    assert scene.one(EngineOpened).name == "scripted"


def test_a_title_is_that_of_the_first_session(scene: Scene) -> None:
    scene.open(title="Of tides")
    scene.do(Exclude(("docs/",)))
    scene.do(Ask(question="How high is the tide?"))
    assert scene.one(Answered).session.title == "Of tides"  # type: ignore[union-attr]
    for job in (NewSession(), Exclude(())):
        scene.do(job)
        scene.do(Ask(question="How high is the lighthouse?"))
        assert scene.one(Answered).session.title == "How high is the lighthouse?"  # type: ignore[union-attr]


def test_an_engine_is_closed_to_the_end(scene: Scene) -> None:
    scene.open()
    seat, closed = scene.jobs._seat, list[str]()
    assert seat is not None

    def end() -> None:
        signal.raise_signal(signal.SIGINT)
        closed.append("whole")

    seat._open.callback(end)
    with pytest.raises(KeyboardInterrupt):
        scene.do(UseEngine(name="evidence"))
    assert (closed, scene.one(EngineOpened).name) == (["whole"], "evidence")


def test_a_session_names_some_of_many_sources() -> None:
    session = Session(id="s", title="t", corpus="c", tip=None, turns=0, created_s=0.0, used_s=0.0)
    told = session_is(session, {"c": [f"/{n}" for n in range(3000)]})
    assert (len(told.sources), told.more_sources) == (SOURCES_MOST, 3000 - SOURCES_MOST)
