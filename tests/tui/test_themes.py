"""Themes can be read, and the choice of one is kept."""

import json
import os
from itertools import combinations
from math import dist
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

from tui import themes
from tui.marks import CITATION_COLORS
from tui.themes import (
    ANSI_DARK,
    ANSI_LIGHT,
    AUTO,
    COLOUR_BLIND,
    DARK,
    LIGHT,
    THEMES,
    chosen_theme,
    remember,
    remembered,
)

TEXTS = ("foreground", "text-muted", "text-success", "text-warning", "text-error", "text-accent", "text-primary")
BROWSER = {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}
GROUNDS = ("background", "surface", "panel")
TRUE_COLOURS = [theme for theme in THEMES if not theme.ansi]


def contrast(one: Color, other: Color) -> float:
    """As WCAG has it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", TRUE_COLOURS, ids=lambda theme: theme.name)
@pytest.mark.parametrize("ground", GROUNDS)
def test_every_text_can_be_read_on_every_ground(theme: Theme, ground: str) -> None:
    colors = theme.to_color_system().generate()
    below = Color.parse(colors[ground])
    for name in TEXTS:
        above = Color.parse(colors[name])
        assert above.a == 1
        assert contrast(above, below) >= 4.5, (name, colors[name])


@pytest.mark.parametrize("theme", TRUE_COLOURS, ids=lambda theme: theme.name)
def test_the_accent_and_the_footer_can_be_read(theme: Theme) -> None:
    colors = theme.to_color_system().generate()
    background = Color.parse(colors["background"])
    for name in ("accent", "footer-key-foreground", "footer-description-foreground"):
        assert contrast(Color.parse(colors[name]), background) >= 4.5, name
    assert contrast(Color.parse(colors["border"]), background) >= 1.5


# What is left of red, green and blue to people without the first or the second kind of cones (Vienot 1999).
BLIND = {"protan": ((0.112, 0.888, 0.0), (0.004, -0.004, 1.0)), "deutan": ((0.293, 0.707, 0.0), (-0.022, 0.022, 1.0))}


def seen(color: Color, kind: str) -> tuple[float, float]:
    """Yellow and blue, which is all there is then."""
    linear = [c**2.2 for c in color.normalized]
    yellow, blue = (sum(part * c for part, c in zip(row, linear, strict=True)) for row in BLIND[kind])
    return max(0.0, yellow) ** (1 / 2.2), max(0.0, blue) ** (1 / 2.2)


@pytest.mark.parametrize("kind", BLIND)
def test_states_differ_without_red_and_green(kind: str) -> None:
    theme = next(each for each in THEMES if each.name == COLOUR_BLIND)
    colors = theme.to_color_system().generate()
    states = {each: seen(Color.parse(colors[each.removeprefix("$")]), kind) for each in CITATION_COLORS.values()}
    for one, other in combinations(states, 2):
        assert dist(states[one], states[other]) > 0.12, (one, other)


def test_the_themes_of_the_terminal_use_its_colours_only() -> None:
    for theme in THEMES:
        if theme.ansi:
            assert theme.accent is not None and theme.accent != theme.success
            assert all("#" not in value for value in theme.variables.values())


@pytest.mark.parametrize(
    ("wanted", "before", "environ", "taken"),
    [
        (AUTO, None, {}, DARK),
        (AUTO, None, {"COLORFGBG": "0;15"}, LIGHT),
        (AUTO, None, {"COLORFGBG": "15;0"}, DARK),
        (AUTO, None, {"TERM": "linux"}, ANSI_DARK),
        (AUTO, "nord", {"COLORFGBG": "0;15"}, "nord"),
        (LIGHT, "nord", {}, LIGHT),
        (AUTO, None, {"TERM": "linux", **BROWSER}, DARK),
        (AUTO, ANSI_LIGHT, BROWSER, LIGHT),
        (ANSI_DARK, None, BROWSER, DARK),
        (AUTO, "nord", BROWSER, "nord"),
    ],
)
def test_which_theme_is_taken(wanted: str, before: str | None, environ: dict[str, str], taken: str) -> None:
    assert chosen_theme(wanted, before, environ) == taken


def test_a_theme_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tui.json"
    assert remembered(file) is None
    remember(file, "nord")
    assert remembered(file) == "nord"
    assert [each.name for each in file.parent.iterdir()] == ["tui.json"]


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"[]", b'{"theme": 3}', b"null", b"[" * 5000, b"{" * 70000])
def test_garbage_is_no_theme(tmp_path: Path, garbage: bytes) -> None:
    file = tmp_path / "tui.json"
    file.write_bytes(garbage)
    assert remembered(file) is None


def test_a_pipe_is_no_theme_and_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "tui.json"
    os.mkfifo(file)
    assert remembered(file) is None
    assert remembered(tmp_path) is None


def test_what_can_not_be_kept_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "tui.json"
    folder.mkdir()
    with pytest.raises(OSError):
        remember(folder, "nord")
    assert [each.name for each in tmp_path.iterdir()] == ["tui.json"]
    assert json.dumps(themes.NAMES)
