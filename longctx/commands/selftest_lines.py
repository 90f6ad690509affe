"""A selftest's result on a terminal: the heat map, times and totals. It reads without colour, too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.naming import safe_text, show
from longctx.durations import duration
from longctx.needle.heat_map import HeatMap, Row, Sign, cut_sentence, heat_map, legend
from longctx.needle.result import Column, Result

if TYPE_CHECKING:
    from rich.text import Text

LEFT, WIDTH = 17, 8
STYLES = {
    Sign.FOUND: "black on cyan",
    Sign.PART: "black on yellow",
    Sign.MISSING: "bold white on red",
    Sign.CROSSED: "bold white on red",
    Sign.NOT_EXPECTED: "",
    Sign.UNASKED: "dim",
}


def print_result(result: Result, color: str) -> None:
    """Write it to stdout; colours where that is a terminal, or `color` is always."""
    from longctx.terminal import new_console

    console = new_console(color)
    for line in lines(result):
        console.print(line, soft_wrap=True)


def lines(result: Result) -> "Iterator[Text]":
    """Who was tested on what, the map, what it took, what it comes to."""
    drawn = heat_map(result)
    yield _plain(safe_text(result.subject.description))
    yield _plain(f"text: {source(result)}")
    yield _plain("")
    yield from _map(drawn)
    yield _plain("")
    yield from _figures(result)
    yield _plain("")
    yield from (_plain(each) for each in (drawn.title, cut_sentence(result), doubt(result)) if each)
    if result.stopped:
        yield _plain(f"stopped: {safe_text(result.stopped)}")


def doubt(result: Result) -> str:
    """What may be the matter where nothing at all was found."""
    if result.found or not result.inside or result.subject.identity.kind != "openai":
        return ""
    return "none was found: is the checkpoint of --write what the server serves?"


def source(result: Result) -> str:
    """What the text is made of, and whether some of it stands there more than once."""
    subject = result.subject
    tokens = subject.grid.tokens
    again = f", {subject.own_tokens:,} of its own and then again from elsewhere" if tokens > subject.own_tokens else ""
    return f"{tokens:,} tokens of {show(subject.source)}{again}"


def _map(drawn: HeatMap) -> "Iterator[Text]":
    yield _plain(f"{drawn.down:<{LEFT}}  {drawn.across}")
    yield _plain(" " * LEFT + "".join(f" {name:^{WIDTH}}" for name in drawn.columns))
    for row in (*drawn.rows, *drawn.apart):
        yield _row(row)
    yield _plain(" " * (LEFT + 2) + legend(drawn))


def _row(row: Row) -> "Text":
    line = _plain(f"{row.name:>{LEFT}}")
    for square in row.squares:
        line.append(" ")
        line.append(f"{square.sign:^{WIDTH}}", STYLES[square.sign])
    return line


def _figures(result: Result) -> "Iterator[Text]":
    columns = result.columns
    yield _figure("found", [f"{column.found}/{column.inside}" for column in columns])
    yield _figure("first, reads new", [_seconds(column.first_s) for column in columns])
    yield _figure("others, stored", [_seconds(column.again_s) for column in columns])
    yield _figure("prefill tokens/s", [_speed(column) for column in columns])
    if any(column.skipped_mass for column in columns):
        yield _figure("skipped at most", [f"{column.skipped_mass:.1%}" for column in columns])
    yield _plain("(first, others: time to the first token of a length's first question, which reads only what the")
    yield _plain(" shorter ones had not, and of those after it)")


def _figure(name: str, values: list[str]) -> "Text":
    return _plain(f"{name:<{LEFT}}" + "".join(f" {value:^{WIDTH}}" for value in values))


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else duration(seconds)


def _speed(column: Column) -> str:
    speed = column.prefill_tokens_per_s
    return "-" if speed is None else f"{speed:,.0f}"


def _plain(text: str) -> "Text":
    from rich.text import Text

    return Text(text)
