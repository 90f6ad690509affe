"""Themes: ours and the terminal's own colours; which one is taken, and the word about it that is kept.

States are told by signs and words (`tui.marks`); colours only repeat them.
"""

import errno
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from textual.theme import BUILTIN_THEMES, Theme

AUTO = "auto"
DARK, LIGHT, COLOUR_BLIND = "longctx-dark", "longctx-light", "longctx-colour-blind"
ANSI_DARK, ANSI_LIGHT = "ansi-dark", "ansi-light"
IN_BROWSER = {ANSI_DARK: DARK, ANSI_LIGHT: LIGHT}  # a page has no sixteen colours of its own
LARGEST_MEMORY = 64 * 1024  # bytes; ours has fewer than a hundred


def _ours(name: str, *, border: str, muted: str, **colors: object) -> Theme:
    variables = {
        "border": border,
        "border-blurred": border,
        "text-muted": muted,
        "footer-background": str(colors["background"]),
        "footer-description-foreground": muted,
        "footer-key-foreground": str(colors["accent"]),
        "scrollbar": border,
        "scrollbar-background": str(colors["background"]),
        "scrollbar-corner-color": str(colors["background"]),
        "block-cursor-text-style": "none",
    }
    return Theme(name=name, variables=variables, **colors)  # type: ignore[arg-type]  # colours and a switch


def _terminal(name: str, accent: str) -> Theme:
    """Textual's theme of the terminal's sixteen colours: a border that keeps in the background, an accent that is
    not the colour of success."""
    theme = BUILTIN_THEMES[name]
    grey = "ansi_bright_black"
    variables = {"border": grey, "border-blurred": grey, "footer-key-foreground": accent}
    return replace(theme, accent=accent, variables={**theme.variables, **variables})


THEMES: tuple[Theme, ...] = (
    _ours(
        DARK,
        primary="#5c8fd6",
        secondary="#7d8fa8",
        accent="#82aaff",
        success="#7fc77f",
        warning="#e5b567",
        error="#f07178",
        foreground="#d7dce4",
        background="#10141b",
        surface="#161c25",
        panel="#1f2733",
        border="#3b475a",
        muted="#98a3b3",
    ),
    _ours(
        LIGHT,
        primary="#2a62b5",
        secondary="#5d6b7e",
        accent="#1f5fbf",
        success="#1a7f37",
        warning="#8a5a00",
        error="#b3261e",
        foreground="#22272e",
        background="#fbfaf7",
        surface="#f3f1ea",
        panel="#e8e5db",
        border="#b5b0a2",
        muted="#5b6169",
        dark=False,
    ),
    # Okabe and Ito's colours: blue, yellow and vermilion are told apart by everybody.
    _ours(
        COLOUR_BLIND,
        primary="#0072b2",
        secondary="#999999",
        accent="#cc79a7",
        success="#56b4e9",
        warning="#f0e442",
        error="#d55e00",
        foreground="#e6e6e6",
        background="#101010",
        surface="#181818",
        panel="#242424",
        border="#4a4a4a",
        muted="#a6a6a6",
    ),
    _terminal(ANSI_DARK, "ansi_cyan"),
    _terminal(ANSI_LIGHT, "ansi_blue"),
)
NAMES: tuple[str, ...] = tuple(theme.name for theme in THEMES)


def chosen_theme(wanted: str, remembered: str | None, environ: Mapping[str, str]) -> str:
    """The theme to begin with: what is set, else what was taken last time, else what the terminal says of itself."""
    theme = _chosen(wanted, remembered, environ)
    return IN_BROWSER.get(theme, theme) if environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver") else theme


def _chosen(wanted: str, remembered: str | None, environ: Mapping[str, str]) -> str:
    if wanted != AUTO:
        return wanted
    if remembered is not None:
        return remembered
    if environ.get("TERM") in ("linux", "vt100", "vt220"):
        return ANSI_DARK
    return LIGHT if _is_light(environ.get("COLORFGBG", "")) else DARK


def _is_light(colors: str) -> bool:
    """Whether a terminal that says so (`foreground;background`) is light."""
    return colors.rpartition(";")[2] in ("7", "15")


def remembered(file: Path) -> str | None:
    """The theme that was taken last time; None where nothing readable says so."""
    try:
        with open(file, "rb", opener=_opened) as stream:
            told = json.loads(stream.read(LARGEST_MEMORY))
    except (OSError, ValueError, RecursionError):
        return None
    theme = told.get("theme") if isinstance(told, dict) else None
    return theme if isinstance(theme, str) else None


def _opened(path: str, flags: int) -> int:
    """A regular file only; a pipe under its name is not waited for."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no regular file", path)
    return descriptor


def remember(file: Path, theme: str) -> None:
    """Keep it for the next time; the file changes as a whole. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump({"theme": theme}, stream)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
