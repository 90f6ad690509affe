from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from longctx.manifest import Entry, Present, State, repack, stale_tokens, total_tokens, update


def text(path: str, content: str, heat: int = 0) -> Present:
    return Present(path, f"digest-{content}", "text/1", len(content), heat)


def prompt(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.digest for entry in entries]


A, B, C = text("a", "aaa", heat=3), text("b", "bb", heat=1), text("c", "c", heat=2)


def test_the_first_order_is_coldest_first() -> None:
    assert [entry.path for entry in update((), [A, B, C])] == ["b", "c", "a"]


def test_nothing_changes_when_nothing_changed() -> None:
    before = update((), [A, B, C])
    assert update(before, [C, A, B]) == before


def test_an_edit_appends_and_marks_the_old_text() -> None:
    before = update((), [A, B, C])
    after = update(before, [A, text("b", "new"), C])
    assert prompt(after) == [*prompt(before), "digest-new"]
    assert after[0].state is State.SUPERSEDED
    assert stale_tokens(after) == 2
    assert total_tokens(after) == total_tokens(before) + 3


def test_a_deleted_file_stays_in_place() -> None:
    after = update(update((), [A, B]), [A])
    assert [(entry.path, entry.state) for entry in after] == [("b", State.DELETED), ("a", State.CURRENT)]


def test_an_undone_edit_costs_nothing() -> None:
    before = update((), [A, B])
    edited = update(before, [A, text("b", "new")])
    undone = update(edited, [A, B])
    assert undone == (*before, replace(edited[2], state=State.SUPERSEDED))


def test_a_renamed_file_stays_where_it_is() -> None:
    before = update((), [A, B])
    assert update(before, [A, replace(B, path="z")]) == before


def test_a_repack_drops_what_is_stale() -> None:
    entries = update(update((), [A, B, C]), [A, C])
    assert stale_tokens(entries) > 0
    assert prompt(repack([A, C])) == ["digest-c", "digest-aaa"]


PRESENT = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["x", "yy", "zzz", "wwww"]), min_size=1)


@given(st.lists(PRESENT, min_size=1, max_size=6))
def test_the_prompt_only_ever_grows_at_its_end(versions: list[dict[str, str]]) -> None:
    entries: tuple[Entry, ...] = ()
    for version in versions:
        present = [text(path, content) for path, content in version.items()]
        after = update(entries, present)
        assert prompt(after)[: len(entries)] == prompt(entries)
        assert [entry.position for entry in after] == list(range(len(after)))
        current = {entry.digest for entry in after if entry.state is State.CURRENT}
        assert current == {each.digest for each in present}
        entries = after
