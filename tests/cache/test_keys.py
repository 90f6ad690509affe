from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.keys import BlockKey, Fingerprint, child_key, from_little_endian, is_key, little_endian

IDS = st.lists(st.integers(0, 2**32 - 1), max_size=40).map(lambda ids: array("I", ids))


def test_keys_are_the_same_in_every_version(fingerprint: Fingerprint) -> None:
    root = fingerprint.root()
    assert root == "70c72bfe4fd676a04324413c7dd9a106f09d6a95a2a98b06508469b83b2c637e"
    assert (
        child_key(root, array("I", [1, 2, 2**32 - 1]))
        == "b008a2276a18ba22dba911ff7c3813781258593243ac79665992576006127b87"
    )


@pytest.mark.parametrize(
    "change",
    [{"model": "n"}, {"dtype": "bfloat16"}, {"layout": "2"}, {"tokenizer": "u"}, {"window_tokens": 17}],
    ids=str,
)
def test_whatever_changes_the_bytes_changes_the_root(fingerprint: Fingerprint, change: dict[str, Any]) -> None:
    assert replace(fingerprint, **change).root() != fingerprint.root()


def test_fields_do_not_run_into_each_other(fingerprint: Fingerprint) -> None:
    one, two = replace(fingerprint, model="ab", dtype="c"), replace(fingerprint, model="a", dtype="bc")
    assert one.root() != two.root()


@given(IDS, IDS)
def test_a_key_tells_ids_apart(one: "array[int]", two: "array[int]") -> None:
    parent = BlockKey("0" * 64)
    assert (child_key(parent, one) == child_key(parent, two)) == (one == two)


def test_a_key_tells_parents_apart() -> None:
    ids = array("I", [7])
    assert child_key(BlockKey("0" * 64), ids) != child_key(BlockKey("1" * 64), ids)


@given(IDS)
def test_ids_come_back_from_their_bytes(ids: "array[int]") -> None:
    assert from_little_endian(little_endian(ids)) == ids
    assert little_endian(ids) == b"".join(each.to_bytes(4, "little") for each in ids)


@pytest.mark.parametrize(
    ("text", "good"), [("a" * 64, True), ("a" * 63, False), ("A" * 64, False), ("../" * 21 + "a", False)]
)
def test_only_a_key_is_a_key(text: str, good: bool) -> None:
    assert is_key(text) is good
