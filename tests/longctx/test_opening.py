"""Which session goes on, over what, and who answers: as every face decides it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from longctx import opening
from longctx.corpora import CorporaStore, CorpusRecord
from longctx.engines.choice import Chosen as Picked
from longctx.engines.opening import EngineSetup
from longctx.errors import EngineError, StoreError, UsageError
from longctx.history import History
from longctx.opening import Wanted
from longctx.paths import Paths, ensure
from longctx.session import Order, Session, Turn

SETUP = EngineSetup(logs=Path("/nowhere"))
Begin = Callable[..., Session]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "sessions.db") as history:
        yield history


@pytest.fixture
def begin(history: History) -> Begin:
    def begun(corpus: str, **settings: Any) -> Session:
        session = history.begin(corpus, f"about {corpus}")
        turn = Turn(
            parent=None,
            question="q",
            answer={"answer_markdown": "a"},
            corpus=corpus,
            order=Order(0, ""),
            plan="",
            settings=settings,
        )
        return history.append(session.id, turn)

    return begun


def test_no_session_goes_on_unless_one_is_wanted(history: History, begin: Begin) -> None:
    begin("c1")
    assert opening.session_of(Wanted(), history, has_sources=True) is None
    assert opening.session_of(Wanted(), history, has_sources=False) is None
    assert opening.session_over("c1", None, Wanted(), history) is None


def test_the_last_session_goes_on_where_no_sources_are_named(history: History, begin: Begin) -> None:
    with pytest.raises(UsageError, match="no session to go on with"):
        opening.session_of(Wanted(goes_on=True), history, has_sources=False)
    begin("c1")
    last = begin("c2")
    assert opening.session_of(Wanted(goes_on=True), history, has_sources=False) == last


def test_with_sources_the_last_one_over_them_goes_on(history: History, begin: Begin) -> None:
    first = begin("c1")
    begin("c2")
    wanted = Wanted(goes_on=True)
    assert opening.session_of(wanted, history, has_sources=True) is None
    assert opening.session_over("c1", None, wanted, history) == first
    with pytest.raises(UsageError, match="no session over these sources"):
        opening.session_over("c3", None, wanted, history)


def test_a_session_that_is_named_goes_on_over_its_own_sources_only(history: History, begin: Begin) -> None:
    first = begin("c1")
    wanted = Wanted(resume=first.id[:6])
    assert opening.session_of(wanted, history, has_sources=True) == first
    assert opening.session_of(wanted, history, has_sources=False) == first
    assert opening.session_over("c1", first, wanted, history) == first
    with pytest.raises(UsageError, match="is over other sources"):
        opening.session_over("c2", first, wanted, history)
    with pytest.raises(StoreError):
        opening.session_of(Wanted(resume="nowhere"), history, has_sources=True)


def test_the_sources_of_a_session(tmp_path: Path, begin: Begin) -> None:
    places = Paths(*(tmp_path / name for name in ("config", "data", "cache", "state")))
    ensure(places.data)
    session = begin("c1")
    with pytest.raises(StoreError, match="are no longer known"):
        opening.sources_of(session, places)
    store = CorporaStore(places.data / opening.CORPORA)
    selection = '{"include": [], "exclude": ["/a"], "only": [], "gitignore": true, "secrets": false}'
    store.touch(CorpusRecord("c1", ("docs", "a.md"), "/home/me", selection, "tag", 0.0, 0.0))
    store.close()
    request = opening.sources_of(session, places)
    assert (request.inputs, request.folder, request.selection.exclude) == (("docs", "a.md"), "/home/me", ("/a",))


def test_an_engine_that_is_named_is_taken_or_refused(history: History, begin: Begin) -> None:
    session = begin("c1", engine="openai", model="m", base_url="http://127.0.0.1:1/v1")
    assert opening.pick("evidence", SETUP, history, session).name == "evidence"
    with pytest.raises(EngineError, match="no engine 'nonsense'"):
        opening.pick("nonsense", SETUP, history, session)


def test_a_session_goes_on_with_its_engine_where_none_is_named(history: History, begin: Begin) -> None:
    session = begin("c1", engine="openai", model="m", base_url="http://127.0.0.1:1/v1")
    picked = opening.pick("auto", SETUP, history, session)
    assert (picked.name, picked.setup.base_url, picked.setup.model) == ("openai", "http://127.0.0.1:1/v1", "m")
    assert "this session's" in picked.why
    named = opening.pick("auto", replace(SETUP, base_url="http://127.0.0.1:2/v1"), history, session)
    assert named.setup.base_url == "http://127.0.0.1:2/v1"


@pytest.mark.parametrize("settings", [{}, {"engine": "evidence"}, {"engine": 7, "model": "m"}, {"model": "m"}])
def test_a_session_that_does_not_say_has_no_engine_of_its_own(
    history: History, begin: Begin, settings: dict[str, Any]
) -> None:
    assert opening.as_before(history, begin("c1", **settings), SETUP) is None


def test_what_a_later_question_needs_holds_no_key() -> None:
    setup = replace(SETUP, model="m", base_url="http://127.0.0.1:1/v1", api_key="sk-secret", found_port=1)
    origin = opening.origin(Picked("openai", setup, "why"))
    assert origin == {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "found_port": 1}
    assert opening.origin(Picked("evidence", SETUP, "why")) == {"engine": "evidence"}


def test_what_only_quotes_is_no_engine() -> None:
    with opening.opened(Picked("evidence", SETUP, "why")) as engine:
        assert engine is None
