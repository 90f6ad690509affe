"""How much a body would hold: found without reading it, and texts do not count."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.serving import structure
from longctx.serving.refusal import Refused
from longctx.serving.structure import _marks, _outside, check_structure

VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\[]{},é\n')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('"[,x'), max_size=3), inner),
    max_leaves=30,
)


def marks(value: Any) -> tuple[int, int]:
    """The lists and objects of a value, and the commas between what they hold."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [marks(each) for each in (value.values() if isinstance(value, dict) else value)]
    return 1 + sum(each[0] for each in inner), max(len(value) - 1, 0) + sum(each[1] for each in inner)


@given(VALUES, st.booleans())
def test_only_what_is_outside_of_texts_is_counted(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    found = [_marks(body, *part) for part in _outside(body)]
    assert (sum(each[0] for each in found), sum(each[1] for each in found)) == marks(value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":[' + b"[]," * 200_000 + b"[]]}",
        b'{"prompt":' + b"{" * 200_000,
        b'{"prompt":[' + b"1," * 200_000 + b"1]}",
        b'{"prompt":[' + b'"a" ' * (1 << 21) + b"]}",
        b'{"x":"' + b"[" * 200_000 + b'","prompt":[' + b"[]," * 200_000,
        b"[]," * 200_000 + b'"' + b'\\"' * 1_000_000,
    ],
)
def test_too_many_values_are_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="more values"):
        check_structure(body, 100_000)


def test_a_prompt_may_be_any_program() -> None:
    program = 'a = [{"x": [1, 2]}, {}, \'"\']\n' * 400_000
    check_structure(json.dumps({"prompt": program}).encode(), 1000)
    check_structure(b'{"prompt":"' + b'\\"[' * 2_000_000, 1000)  # a text that does not end: what reads it says so


def test_what_is_few_is_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "_outside", None)
    check_structure(b'{"prompt":[' + b"123456, " * 1_000_000 + b"1]}", 1 << 20)
