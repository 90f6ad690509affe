"""Text made to fit: on one line, safe to show, and no longer than there is room for."""

from rich.cells import cell_len, set_cell_size

from ingest.naming import safe_text

LINE_MOST = 400  # characters
_UNSURE = {0xFE0E: None, 0xFE0F: None}  # terminals don't agree on how wide these make what they follow


def one_line(text: object, most: int = LINE_MOST) -> str:
    """A text on one line that nothing obeys, cut where it is too long to be read."""
    whole = str(text)
    line = " ".join(safe_text(whole[: 2 * most]).split())
    return line if len(line) <= most and len(whole) <= 2 * most else f"{line[:most]}…"


def end_of(name: str, most: int) -> str:
    """The end of a name, which tells most, in at most so many characters."""
    return name if len(name) <= most or most < 2 else f"…{name[1 - most :]}"


def fitted(text: str, width: int) -> str:
    """The text in just so many cells, its end cut off where it must be."""
    text = text[: 4 * max(width, 0)].translate(_UNSURE)  # marks that take no cell could go on for ever
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def fitted_end(text: str, width: int) -> str:
    """The text in at most so many cells, its beginning cut off where it must be."""
    text = text[-4 * width :]
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) >= width:
        text = text[1:]
    return "…" + text
