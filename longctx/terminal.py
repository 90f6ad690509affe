"""Answers, plans and corpora as a person reads them on stdout. Document text can't paint the screen from here.

Everything that comes from a document or a file name passes `safe_text` or `show`, and is put into rich as text,
never as markup. Where stdout is no terminal the plain Markdown is written.
"""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from ingest.document import Kind
from ingest.naming import safe_text, show
from longctx.answer import Answer
from longctx.citations import Citation

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    from longctx.estimate import Estimate
    from longctx.plan import Branch

MARKS = {"verified": "✓", "relocated": "↷", "near": "≈", "unverified": "?", "unknown": "✗"}
BRANCHES_SHOWN = 12
INDENT = (0, 0, 0, 4)


def plain_answer(answer: Answer) -> str:
    """The answer as Markdown with footnotes, safe to show anywhere."""
    return f"{safe_text(answer.answer_markdown)}\n{plain_footnotes(answer)}"


def plain_footnotes(answer: Answer, *, show_quotes: bool = False) -> str:
    """The footnotes of an answer as Markdown, after a blank line, as they are read; nothing where it has none."""
    notes = "".join(f"{_footnote(c)}\n{_quoted(c) if show_quotes else ''}" for c in answer.citations)
    return f"\n{notes}" if notes else ""


def _footnote(citation: Citation) -> str:
    return f"[^{citation.n}]: {show(citation.place)} ({state(citation)})"


def _quoted(citation: Citation) -> str:
    return "".join(f"    > {line}\n" for line in safe_text(citation.quote).splitlines())


def file_footnotes(answer: Answer, *, show_quotes: bool = False) -> str:
    """The footnotes of an answer for a file that viewers render: places and quotes are code, which means nothing. The
    full stop keeps viewers that know no footnotes from taking one for a link's definition."""
    notes = "".join(
        f"[^{c.n}]: {_code_span(show(c.place))} ({state(c)}).\n{_fenced(c.quote) if show_quotes else ''}"
        for c in answer.citations
    )
    return f"\n{notes.rstrip()}\n" if notes else ""


def _code_span(line: str) -> str:
    ticks = _ticks(line, 1)
    pad = " " if line.startswith(("`", " ")) or line.endswith(("`", " ")) else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _fenced(quote: str) -> str:
    """A block of code that belongs to the footnote above it, and where there are no footnotes is one all the same."""
    text = safe_text(quote)
    fence = _ticks(text, 3)
    lines = [f"    {line}".rstrip() for line in (fence, *text.splitlines(), fence)]
    return "\n".join(["", *lines, ""]) + "\n"


def _ticks(text: str, least: int) -> str:
    """More backticks than stand together anywhere in it."""
    return "`" * max(least, *(len(run) + 1 for run in re.findall("`+", text)), 0)


def state(citation: Citation) -> str:
    """What the check of a citation gave, in words: `verified`, `near: 91 % of it`, `verified, out of date`."""
    share = f": {int(citation.share * 100)}% of it stands there" if citation.status == "near" else ""
    return f"{citation.status}{share}{'' if citation.is_current else ', out of date'}"


def print_footnotes(
    answer: Answer, location: Callable[[str], str | None], color: str = "auto", *, show_quotes: bool = False
) -> None:
    """The footnotes of an answer on a terminal, each with its place, linked where the terminal can follow links."""
    console = new_console(color)
    if answer.citations:
        console.print()
    for citation in answer.citations:
        console.print(
            _heading(citation, location(citation.path) if citation.chars and citation.is_current else None),
            soft_wrap=True,
        )
        if show_quotes:
            console.print(_body(citation))


def new_console(color: str = "auto") -> "Console":
    """A console on stdout that colours nothing by guessing; `color` is auto, always or never."""
    from rich.console import Console

    force = True if color == "always" else None
    return Console(highlight=False, force_terminal=force, no_color=True if color == "never" else None)


def print_answer(answer: Answer, location: Callable[[str], str | None], color: str = "auto") -> None:
    """The answer on a terminal: each quote under the place where it stands; `location` gives the file of a path."""
    from rich.text import Text

    console = new_console(color)
    if not answer.found:
        console.print(Text(answer.answer_markdown))
    for citation in answer.citations:
        console.print(_heading(citation, location(citation.path)))
        console.print(_body(citation))
        console.print()


def _heading(citation: Citation, location: str | None) -> "Text":
    """`history.md:13-16  ✓ verified`, linked to the file where the terminal can follow links."""
    from rich.text import Text

    line = Text(f"[{citation.n}] ", "bold")
    line.append(show(citation.place), f"bold link {_link(location, citation)}" if location else "bold")
    if citation.name and citation.kind is Kind.CODE:
        line.append(f"  {show(citation.name)}", "cyan")
    line.append(f"  {MARKS[citation.status]} {state(citation)}", "green" if citation.status == "verified" else "yellow")
    if citation.also:
        line.append(f"  also {', '.join(map(show, citation.also[:3]))}", "dim")
    return line


def _body(citation: Citation) -> "RenderableType":
    """The quote as it stands, code in its colours."""
    from rich.padding import Padding
    from rich.syntax import Syntax
    from rich.text import Text

    text = safe_text(citation.quote).strip("\n").expandtabs(4)
    if citation.kind is not Kind.CODE:
        return Padding(Text(text), INDENT, expand=False)
    lexer = Syntax.guess_lexer(show(citation.path), code=text)
    return Padding(Syntax(dedent(text), lexer, theme="ansi_dark", background_color="default"), INDENT, expand=False)


def _link(location: str, citation: Citation) -> str:
    fragment = f"#L{citation.lines[0]}" if citation.lines else f"#page={citation.page}" if citation.page else ""
    return Path(location).as_uri() + fragment


def token_tree(branch: "Branch", depth: int) -> "Tree":
    """The folders and files of a plan with their tokens and share, the heaviest first."""
    from rich.tree import Tree

    root = Tree(_weighed(branch, branch.tokens), guide_style="dim")
    _grow(root, branch, branch.tokens, depth)
    return root


def _grow(node: "Tree", branch: "Branch", total: int, depth: int) -> None:
    from rich.text import Text

    if depth == 0:
        return
    for child in branch.children[:BRANCHES_SHOWN]:
        _grow(node.add(_weighed(child, total)), child, total, depth - 1)
    rest = branch.children[BRANCHES_SHOWN:]
    if rest:
        tokens = sum(child.tokens for child in rest)
        node.add(Text(f"{tokens:>11,}  {tokens / max(1, total):5.1%}  {len(rest)} more", "dim"))


def _weighed(branch: "Branch", total: int) -> "Text":
    from rich.text import Text

    line = Text(f"{branch.tokens:>11,}  {branch.tokens / max(1, total):5.1%}  ")
    line.append(show(branch.name), "bold" if branch.children else "")
    if branch.children:
        line.append(f"  {branch.files:,} file{'s' * (branch.files != 1)}", "dim")
    return line


def estimates_table(tokens: int) -> "Table":
    """What a prompt of `tokens` needs on each machine with each model."""
    from rich.table import Table

    from longctx.estimate import MACHINES, MODELS, estimate

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("model", "machine", "weights", "KV", "fits", "prefill", "per token"):
        table.add_column(heading, no_wrap=True)
    for model in MODELS.values():
        for machine in MACHINES.values():
            needs = estimate(model, machine, tokens)
            name = f"{model.name}*" if model.planned else model.name
            decode = needs.decode_seconds_per_token
            table.add_row(
                name,
                machine.name,
                _held(needs.weight_bytes, needs.weights_in),
                _held(needs.kv_bytes, needs.kv_in),
                _fits(needs),
                _duration(needs.prefill_seconds),
                "-" if decode is None else _duration(decode),
            )
    return table


def _held(count: float, tier: str) -> str:
    return f"{readable_bytes(count)} {'-' if tier == 'nowhere' else tier}"


def _fits(needs: "Estimate") -> str:
    if not needs.in_window:
        return "over window"
    return "yes" if needs.fits else "too large"


def readable_bytes(count: float) -> str:
    """A size in three digits and a decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("y", 31_557_600), ("days", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms"
