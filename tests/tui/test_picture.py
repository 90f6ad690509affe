"""The line of keys below a page's picture."""

from tui.screens.picture import KEYS, POOR


def test_where_colours_are_few_the_keys_are_told_too() -> None:
    assert POOR.startswith("few colours") and POOR.endswith(KEYS)
    assert len(KEYS) <= 58
    assert len(POOR) <= 78
