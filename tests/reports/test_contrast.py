"""Every pair of colours that a report's page puts together can be told apart, in both themes and on paper."""

import re
from importlib.resources import files

import pytest
import wcag_contrast_ratio as contrast

STYLE = (files("longctx.reports") / "templates" / "page.css").read_text("utf-8")
TEXT, GRAPHIC = 4.5, 3.0
# What stands on what, and how clearly.
PAIRS = [
    *((ink, ground, TEXT) for ink in ("text", "soft", "link", "sound", "doubt", "bad") for ground in ("page", "shade")),
    ("text", "warm", TEXT),
    ("ink", "marked", TEXT),
    *(("ink", f"heat{level}", TEXT) for level in (1, 2, 3, 4)),
    ("edge", "page", GRAPHIC),
    ("bar", "page", GRAPHIC),
    ("bar", "shade", GRAPHIC),
    ("doubt", "warm", GRAPHIC),
]
DECORATION = {"line"}  # rules between things that stand apart without them
PIECES = {"hollow"}  # within an outline of the colour of a bar


def themes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.S)
    named = [dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]+)", block)) for block in blocks]
    return dict(zip(["light", "dark", "paper"], named, strict=True))


def channels(color: str) -> tuple[float, float, float]:
    digits = color.removeprefix("#")
    red, green, blue = [digits[i : i + len(digits) // 3] for i in range(0, len(digits), len(digits) // 3)]
    return tuple(int(each * (2 // len(each)), 16) / 255 for each in (red, green, blue))  # type: ignore[return-value]


@pytest.mark.parametrize("theme", ["light", "dark", "paper"])
def test_pairs_are_clear(theme: str) -> None:
    colors = themes()[theme]
    ratios = {(a, b): contrast.rgb(channels(colors[a]), channels(colors[b])) for a, b, _ in PAIRS}
    assert {(a, b): round(ratios[a, b], 2) for a, b, least in PAIRS if ratios[a, b] < least} == {}


def test_every_theme_has_every_color_and_every_color_is_in_a_pair() -> None:
    light, dark, paper = themes().values()
    assert light.keys() == dark.keys() == paper.keys()
    assert light.keys() == {each for a, b, _ in PAIRS for each in (a, b)} | DECORATION | PIECES


def test_all_colors_of_the_sheet_are_named() -> None:
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.S)
    assert set(re.findall(r"#[0-9a-f]{3,6}\b(?=[ ;])", rules)) == {"#fff"}  # behind pictures of pages
    assert set(re.findall(r"var\(--([a-z0-9]+)\)", rules)) <= themes()["light"].keys() | {"prose", "plain", "fixed"}


def test_shades_of_the_matrix_grow() -> None:
    for colors in themes().values():
        far = [contrast.rgb(channels(colors[f"heat{n}"]), channels(colors["page"])) for n in (1, 2, 3, 4)]
        assert far == sorted(far)
