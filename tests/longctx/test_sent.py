from hypothesis import given
from hypothesis import strategies as st

from longctx.sent import merged, outside

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)).map(lambda pair: (pair[0], sum(pair)))).map(merged)


def characters(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {n for start, end in ranges for n in range(start, end)}


@given(RANGES, RANGES)
def test_outside_is_what_of_some_ranges_stands_in_no_other(
    places: tuple[tuple[int, int], ...], within: tuple[tuple[int, int], ...]
) -> None:
    found = tuple(outside(places, within))
    assert characters(found) == characters(within) - characters(places)
    assert all(start < end for start, end in found)
    assert list(found) == sorted(found)
