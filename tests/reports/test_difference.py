"""What differs between two reports, and what never counts."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from longctx.reports.difference import ABSENT, Change, Cited, Rechecked, changes, compare, to_json
from longctx.reports.difference_text import to_text
from longctx.reports.report import DocumentRow, Evidence, Item, Kind, Made, Report, State


def cited(place: str, quote: str, status: str = "verified", **more: Any) -> Evidence:
    return Evidence(
        item="a", n=1, status=status, path=place.split(":")[0], place=place, quote=quote, sha256="0", **more
    )


def answered(text: str, **more: Any) -> dict[str, Any]:
    return {"answer_markdown": text, "found": True, "timing": {"total_s": 1.0}, "tokens": {"cached": 3}, **more}


def item(identity: str = "a", text: str = "The wall is 3 m. It is old.", **more: Any) -> Item:
    fields = {"title": f"Title of {identity}", "text": "What?", "answer": answered(text), "state": State.DONE}
    return Item(id=identity, kind=Kind.QUESTION, **{**fields, **more})


def report(*items: Item, **more: Any) -> Report:
    fields: dict[str, Any] = {
        "title": "T",
        "manifest": "m.toml",
        "manifest_sha256": "1",
        "corpus": {"id": "c", "skipped": []},
        "documents": (DocumentRow(id="d1", path="a.md", kind="text", tokens=10, sha256="aa"),),
        "engine": {"kind": "evidence"},
        "settings": {"mode": "full"},
        "made": Made(program="longctx 1", begun="x", written="y"),
    }
    return Report(items=items or (item(),), **{**fields, **more})


def test_the_same_and_times_are_no_difference() -> None:
    later = Made(program="longctx 2", begun="later", written="later", runs=4, wall_s=9)
    slower = item(answer=answered("The wall is 3 m. It is old.", timing={}, tokens={"cached": 0}), wall_s=5.0, calls=3)
    found = compare(report(), report(slower, made=later))
    assert not found.is_any
    assert found.same == 1
    assert to_text(found) == "no differences\n"
    assert to_json(found)["is_same"] is True


def test_an_answer_is_compared_by_the_sentence() -> None:
    text = "The wall is 3 m. [^1] It is old."
    found = compare(report(item(text=text)), report(item(text=text.replace("3", "4").replace("] ", "]\n\n"))))
    assert found.items[0].answer == ("-The wall is 3 m. [^1]", "+The wall is 4 m. [^1]", " It is old.")
    assert to_text(found) == (
        "items: 1 changed, 0 the same\n\n"
        'item a "Title of a":\n  - The wall is 3 m. [^1]\n  + The wall is 4 m. [^1]\n    It is old.\n'
    )


def test_what_an_answer_has_between_two_changes_is_passed_over() -> None:
    rows = [f"Row {i}." for i in range(9)]
    found = compare(report(item(text=" ".join(["One.", *rows, "Two."]))), report(item(text=" ".join(rows))))
    assert found.items[0].answer == ("-One.", " Row 0.", "@@", " Row 8.", "-Two.")
    assert "    Row 0.\n  …\n    Row 8.\n" in to_text(found)


def test_of_two_long_texts_the_part_that_differs_is_shown() -> None:
    (change,) = compare(report(item(error="x" * 500 + "yes")), report(item(error="x" * 500 + "no"))).items
    text = to_text(compare(report(item(error="x" * 500 + "yes")), report(item(error="x" * 500 + "no"))))
    assert change.became[0].was == "x" * 500 + "yes"
    assert f'  error: "…{"x" * 20}yes" -> "…{"x" * 20}no"\n' in text


def test_a_very_long_answer_is_compared_as_a_whole() -> None:
    long = "One more. " * 5000
    found = compare(report(item(text=long)), report(item(text=long + "End.")))
    assert [line[0] for line in found.items[0].answer] == ["-", "+"]


def test_how_it_was_asked_and_what_became_of_it() -> None:
    failed = item(text="", state=State.FAILED, error="unreachable", answer=None)
    (change,) = compare(report(), report(msgspec.structs.replace(failed, text="Why?", schema={"type": "array"}))).items
    assert change.asked == (Change("/text", "What?", "Why?"), Change("/schema", None, {"type": "array"}))
    assert change.became == (
        Change("/state", "done", "failed"),
        Change("/error", "", "unreachable"),
        Change("/found", was=True, now=ABSENT),
    )
    assert change.answer == ("-The wall is 3 m.", "-It is old.")


def test_structured_values_by_pointer() -> None:
    old = item(value={"rows": [{"x/y": 1, "z": True}], "gone": None})
    new = item(value={"rows": [{"x/y": 2, "z": 1}, 5]})
    (change,) = compare(report(old), report(new)).items
    assert change.values == (
        Change("/rows/0/x~1y", 1, 2),
        Change("/rows/0/z", was=True, now=1),
        Change("/rows/1", ABSENT, 5),
        Change("/gone", None, ABSENT),
    )
    text = to_text(compare(report(old), report(new)))
    assert "  value: rows/0/x~1y: 1 -> 2\n" in text
    assert "  value: + rows/1: 5\n  value: - gone: null\n" in text


def test_citations_gained_lost_and_checked_otherwise() -> None:
    old = item(evidence=(cited("a.md:1", "kept"), cited("a.md:2", "lost"), cited("a.md:3", "older")))
    new = item(
        evidence=(
            cited("a.md:9", "gained", "near"),
            cited("a.md:1", "kept", "unverified"),
            cited("a.md:3", "older", is_current=False),
        )
    )
    (change,) = compare(report(old), report(new)).items
    assert change.gained == (Cited("a.md", "a.md:9", "gained", "near"),)
    assert change.lost == (Cited("a.md", "a.md:2", "lost", "verified"),)
    assert change.rechecked == (
        Rechecked("a.md", "a.md:1", "kept", "verified", "unverified"),
        Rechecked("a.md", "a.md:3", "older", "verified", "verified, in an earlier version of the file"),
    )
    text = to_text(compare(report(old), report(new)))
    assert '  + cites a.md:9 "gained": near\n  - cites a.md:2 "lost": verified\n' in text
    assert '  ~ cites a.md:1 "kept": verified -> unverified\n' in text


def test_items_that_come_go_and_change_places() -> None:
    found = compare(report(item("a"), item("b"), item("c")), report(item("b"), item("a"), item("d")))
    assert found.added == (("d", "Title of d"),)
    assert found.removed == (("c", "Title of c"),)
    assert found.order == (Change("order", ["a", "b"], ["b", "a"]),)
    assert to_text(found).startswith("items: 1 added, 1 removed, 2 the same; in another order\n")


def test_documents_and_what_was_left_out() -> None:
    rows = [DocumentRow(id="d2", path=name, kind="text", tokens=20, sha256="bb") for name in ("a.md", "b.md")]
    skipped = {"skipped": [{"path": "x.bin", "reason": "binary", "detail": "no text"}, "hostile", {}]}
    found = compare(report(), report(documents=tuple(rows), corpus=skipped))
    assert [change.name for change in found.documents] == ["a.md", "b.md"]
    assert found.documents[1].was is ABSENT
    text = to_text(found)
    assert "documents: 1 changed, 1 added\n" in text
    assert "  ~ a.md (10 -> 20 tokens; sha256 aa -> bb)\n  + b.md (20 tokens)\n" in text
    assert '  + x.bin: "binary: no text"\n' in text


def test_how_it_was_made() -> None:
    new = report(title="U", engine={"kind": "vllm", "model": "m"}, settings={"mode": "focus"}, wording="w")
    text = to_text(compare(report(), new))
    assert 'made differently:\n  title: "T" -> "U"\n' in text
    assert '  engine/kind: "evidence" -> "vllm"\n  + engine/model: "m"\n  settings/mode: "full" -> "focus"\n' in text


def test_hostile_words_are_shown_and_not_obeyed() -> None:
    bad = "\x1b[31m\u202eevil\r\n\x07"
    old = report(item(bad), item("b"))
    new = report(
        item("b", text=f"x {bad}. y\x1b[2J", title=bad, error=bad, value={bad: bad}, evidence=(cited(bad, bad, bad),)),
        title=bad,
        engine={bad: bad},
        documents=(DocumentRow(id="d1", path=bad, kind="text", tokens=10, sha256=bad, status=bad),),
        corpus={"skipped": [{"path": bad, "reason": bad}]},
    )
    text = to_text(compare(old, new))
    assert all(line.isprintable() for line in text.split("\n")), text
    json.dumps(to_json(compare(old, new)))


def test_long_lists_are_counted_in_the_text_and_whole_in_json() -> None:
    new = item(value={str(i): i for i in range(100)})
    found = compare(report(item(value={})), report(new))
    assert "  and 80 more\n" in to_text(found)
    assert len(to_json(found)["items"][0]["values"]) == 100
    assert to_json(found)["items"][0]["values"][0] == {"name": "/0", "now": 0}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "~/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "~", "/"]), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_changes_put_into_the_old_value_give_the_new_one(was: Any, now: Any) -> None:
    made = json.loads(json.dumps({"top": was}))
    # What goes from the end of a list goes from its end.
    for change in sorted(changes({"top": was}, {"top": now}), key=lambda each: each.now is ABSENT):
        put(made, change)
    assert json.dumps(made, sort_keys=True) == json.dumps({"top": now}, sort_keys=True)
    assert not list(changes(now, now))


def put(tree: Any, change: Change) -> None:
    *above, last = [part.replace("~1", "/").replace("~0", "~") for part in change.name.split("/")[1:]]
    for part in above:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    if isinstance(tree, list) and change.now is ABSENT:
        tree.pop()
    elif isinstance(tree, list) and int(last) == len(tree):
        tree.append(change.now)
    elif change.now is ABSENT:
        del tree[last]
    else:
        tree[int(last) if isinstance(tree, list) else last] = change.now
