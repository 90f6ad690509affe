"""The states of windows, from what the backend tells."""

import time

import pytest

from ingest.document import Kind
from longctx.answer import Mode
from longctx.backend.replies import Evidence, PieceIs, Place, Planned, Prefill, TextIs, WindowIs, WindowsAre
from longctx.citations import Citation, CitationStatus
from tui.window_states import (
    MODEL_TOKENS,
    CorpusMap,
    Course,
    WindowState,
    bearing,
    begun,
    citing,
    counts,
    map_of,
    read,
    states,
    windows_shown,
)

LETTERS = {state.sign: state for state in WindowState}


def told(*, cached: int | None = None, stale: str = "") -> WindowsAre:
    """Five windows: `a` in the first, `b` from the first into the third, `c` in the fourth, `d` in the last two."""
    texts = tuple(TextIs(path=f"{name}.py", sha256=name, tokens=100, is_stale=name in stale) for name in "abcd")
    pieces = [
        (PieceIs(0), PieceIs(1, 0, 100)),
        (PieceIs(1, 100, 200),),
        (PieceIs(1, 200, None),),
        (PieceIs(2), PieceIs(3, 0, 50)),
        (PieceIs(3, 50, None),),
    ]
    return WindowsAre(windows=tuple(WindowIs(100, held) for held in pieces), texts=texts, cached=cached)


def planned(mode: Mode = Mode.FULL) -> Planned:
    return Planned(
        prompt_tokens=600,
        limit_tokens=None,
        mode=mode,
        read_tokens=500,
        corpus_tokens=500,
        recap_tokens=0,
        conversation_tokens=0,
    )


def citation(sha256: str, chars: tuple[int, int] | None) -> Citation:
    return Citation(1, CitationStatus.VERIFIED, "a.py", None, None, chars, "q", sha256, "a.py", Kind.CODE)


def signs(corpus: CorpusMap, course: Course, shown: int = 6) -> str:
    return "".join(state.sign for state in states(corpus, course, shown))


def test_what_was_only_packed_is_new_and_the_rest_is_empty() -> None:
    assert signs(map_of(told()), Course()) == "░░░░░·"


def test_stored_windows_are_cached() -> None:
    assert signs(map_of(told(cached=2)), Course()) == "●●░░░·"


def test_windows_are_prefilled_once_all_of_their_tokens_are_read() -> None:
    corpus, course = map_of(told()), begun(planned())
    assert [signs(corpus, read(course, Prefill(done=n, total=600, cached=0))) for n in (99, 100, 399, 600)] == [
        "░░░░░·",
        "▓░░░░·",
        "▓▓▓░░·",
        "▓▓▓▓▓·",
    ]


def test_what_the_engine_had_kept_is_cached_and_the_rest_prefilled() -> None:
    course = read(begun(planned()), Prefill(done=300, total=600, cached=199))
    assert signs(map_of(told()), course) == "●▓▓░░·"


def test_the_store_knows_more_than_the_engine_has_read_so_far() -> None:
    course = read(begun(planned()), Prefill(done=100, total=600, cached=100))
    assert signs(map_of(told(cached=3)), course) == "●●●░░·"


def test_a_focused_prompt_is_not_made_of_these_windows() -> None:
    course = read(begun(planned(Mode.FOCUS)), Prefill(done=600, total=600, cached=600))
    assert signs(map_of(told()), course) == "░░░░░·"


def test_evidence_marks_each_window_its_characters_stand_in() -> None:
    course = bearing(Course(), Evidence((Place("b", 150, 201), Place("nobody's", 0, 9))))
    assert signs(map_of(told()), course) == "░PP░░·"


def test_evidence_at_a_window_s_edge_is_in_one_window() -> None:
    assert signs(map_of(told()), bearing(Course(), Evidence((Place("b", 0, 100),)))) == "P░░░░·"
    assert signs(map_of(told()), bearing(Course(), Evidence((Place("b", 100, 100),)))) == "░P░░░·"


def test_the_strongest_state_wins() -> None:
    corpus = map_of(told(cached=2, stale="abcd"))
    course = citing(bearing(Course(), Evidence((Place("b", 0, 300),))), citation("b", (120, 130)))
    assert signs(corpus, course) == "PCPSS·"


def test_a_citation_that_was_not_found_marks_nothing() -> None:
    assert citing(Course(), citation("b", None)) == Course()


def test_a_new_question_forgets_the_one_before() -> None:
    assert begun(planned()) == Course()


@pytest.mark.parametrize(
    ("limit", "shown"),
    [(None, 5), (0, 5), (-8, 5), (8192, 5), (8192 * 7, 7), (8192 * 7 + 1, 8), (10**15, MODEL_TOKENS // 8192)],
)
def test_a_map_has_what_the_engine_takes_and_all_of_the_corpus(limit: int | None, shown: int) -> None:
    assert windows_shown(map_of(told()), limit) == shown


def test_a_map_of_nothing_has_a_window() -> None:
    assert windows_shown(CorpusMap(), None) == 1
    assert states(CorpusMap(), Course(), 1) == [WindowState.EMPTY]


def test_tokens_of_a_window_behind_the_corpus_are_none() -> None:
    corpus = map_of(told())
    assert [corpus.size(n) for n in (0, 4, 5, 1279)] == [100, 100, 0, 0]
    assert corpus.tokens == 500


def test_counts_name_what_there_is_the_strongest_first() -> None:
    known = [LETTERS[sign] for sign in "·░░C"]
    assert counts(known) == [(WindowState.CITED, 1), (WindowState.NEW, 2), (WindowState.EMPTY, 1)]


def test_a_full_context_takes_a_few_milliseconds() -> None:
    """One text through all 1,280 windows, and forty places that bear on the question."""
    size = MODEL_TOKENS // 8192
    windows = tuple(WindowIs(8192, (PieceIs(0, n * 1000, (n + 1) * 1000),)) for n in range(size))
    corpus = map_of(WindowsAre(windows=windows, texts=(TextIs(path="a", sha256="a", tokens=MODEL_TOKENS),)))
    course = Course(done=MODEL_TOKENS // 2, evidence=tuple(Place("a", n * 30_000, n * 30_000 + 9) for n in range(40)))
    began = time.process_time()
    for _ in range(20):
        known = states(corpus, course, size)
    assert (time.process_time() - began) / 20 < 0.005
    assert counts(known)[0] == (WindowState.PASSAGE, 40)
