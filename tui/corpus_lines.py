"""What the corpus pane says, in words that fit: a row, the lines about one, the line of its border, the legend.

Every name goes through `show`, every reason through one line of it: nothing here can be obeyed by a terminal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from ingest.naming import show
from longctx.backend.replies import CorpusOpened, FileIs, ReadingFiles, Sending
from tui.corpus_tree import Cached, Folder, Node, Row, is_excluded, sign_of, weight
from tui.fitting import fitted
from tui.marks import FileSign, short

WORDS = {
    FileSign.SENT: "sent",
    FileSign.CACHED: "cached",
    FileSign.PARTLY_CACHED: "partly cached",
    FileSign.NEW: "new",
    FileSign.TWIN: "twin",
    FileSign.LEFT_OUT: "left out",
    FileSign.EXCLUDED: "excluded",
}
_SHORT = WORDS | {FileSign.PARTLY_CACHED: "part", FileSign.LEFT_OUT: "out", FileSign.EXCLUDED: "off"}
MARK = "*"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TOKENS = 6  # cells, a blank before them included
_BAR = 28  # the narrowest row that has a bar
_WIDE = 56  # … that has more of everything
_NAME = 8  # cells that a name has at least


def bar(part: int, whole: int, width: int) -> str:
    """A share as a bar of so many cells; what is not nothing shows."""
    eighths = min(8 * width, max(round(8 * width * part / whole), 1)) if whole > 0 and part > 0 else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + _EIGHTHS[rest] * bool(rest)).ljust(width)


def percent(part: int, whole: int) -> str:
    """A share in at most five characters: `57 %`, `2.9 %`, `<.1 %`."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.05:
        return "<.1 %"
    return f"{share:.0f} %" if share >= 9.95 or not part else f"{share:.1f} %"


def reason(file: FileIs) -> str:
    """Why a file is as it is, in one line."""
    match file.sending:
        case Sending.TWIN:
            return f"= {show(file.why)}" if file.why else file.status
        case Sending.SENT if file.status == "read":
            return show(file.why)
    return f"{show(file.status)}: {show(file.why)}" if file.why else show(file.status)


def row_pieces(
    row: Row, width: int, *, sign: FileSign, opened: bool, marked: bool, unread: bool
) -> list[tuple[str, str]]:
    """A row: sign, mark, name, then why it is left out, or tokens and bar."""
    indent = row.depth * (2 if width >= _WIDE else 1)
    is_folder = isinstance(row.node, Folder)
    arrow = ("▾ " if opened else "▸ ") if is_folder else "  "
    name = " " * min(indent, max(0, width // 2 - 4)) + arrow + (show(row.name) or "(no name)")
    head = [(str(sign), sign_class(sign)), (MARK if marked else " ", "corpus--mark")]
    tail = _tail(row, width - 2)
    room = width - 2 - sum(cell_len(text) for text, _ in tail)
    look = "corpus--unread" if unread else "corpus--folder" if is_folder else ""
    return [*head, (fitted(name, room), look), *tail]


def _tail(row: Row, width: int) -> list[tuple[str, str]]:
    if isinstance(row.node, FileIs) and row.node.sending is not Sending.SENT:
        most = max(0, min(width // 2, width - _NAME) - 1)
        why = "excluded" if is_excluded(row.node) else _in_short(row.node)
        return [(" " + fitted(why, min(most, cell_len(why[: 4 * width]))), "corpus--why")]
    tokens = weight(row.node)
    tail = [(f"{short(tokens):>{_TOKENS}}", "corpus--tokens")]
    if width >= _WIDE:
        tail.append((f"{percent(tokens, row.among):>7}", "corpus--tokens"))
    if width >= _BAR - 2:
        cells = 10 if width >= _WIDE else 4
        tail.append((" " + bar(tokens, row.among, cells), "corpus--bar"))
    return tail


def _in_short(file: FileIs) -> str:
    return "twin" if file.sending is Sending.TWIN else show(file.status)


def sign_class(sign: FileSign) -> str:
    """The component class of a sign."""
    return f"corpus--{sign.name.lower().replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the last question leaves out or has in part."""

    unread: frozenset[str]
    partly: frozenset[str]


def detail(
    node: Node, cached: Cached | None, total: int, plan: Plan | None, width: int = _WIDE
) -> tuple[str, str, str]:
    """Three lines about a file or folder: where, how much, what becomes of it; the second as narrow as it can be."""
    sums = [short(weight(node)) + " tokens" * (width >= _BAR), percent(weight(node), total)]
    if isinstance(node, Folder):
        sums.append(f"{node.count:,} file" + "s" * (node.count != 1))
        return show(node.path), " · ".join(sums), " · ".join(_folder_state(node, cached))
    if node.sending is not Sending.SENT:
        sums = [f"{short(node.tokens)} tokens, not added"] if node.tokens else ["adds no tokens"]
    elif node.position is not None:
        sums.append(f"no. {node.position + 1:,}")
    sign = sign_of(node, cached)
    state = [f"{sign} {WORDS[sign]}", *_why(node), *_last(node, plan)]
    return show(node.path) or "(no name)", " · ".join(sums), " · ".join(state)


def _why(file: FileIs) -> list[str]:
    if is_excluded(file):
        return ["space takes it back"]
    why = reason(file)
    return [why] if why else []


def _last(file: FileIs, plan: Plan | None) -> list[str]:
    if plan is None or file.sending is not Sending.SENT:
        return []
    how = "not read" if file.path in plan.unread else "read in part" if file.path in plan.partly else "read in full"
    return [f"{how} for the last question"]


def _folder_state(folder: Folder, cached: Cached | None) -> list[str]:
    sign = sign_of(folder, cached)
    state = [f"{sign} {WORDS[sign]}"]
    if cached is not None and folder.sent:
        state[0] = f"{sign} {cached.counts.get(folder.path, 0):,} of {folder.sent:,} cached"
    for count, named in ((folder.twins, FileSign.TWIN), (folder.left_out, FileSign.LEFT_OUT)):
        if count and sign != named:
            state.append(f"{named} {count:,} {WORDS[named]}")
    if folder.excluded and sign != FileSign.EXCLUDED:
        state.append(f"{FileSign.EXCLUDED} some excluded")
    return state


def summary(corpus: CorpusOpened, width: int) -> str:
    """The corpus in one line: as much of it as fits in so many cells."""
    parts = [short(corpus.tokens) + " tokens" * (width >= 40), f"{corpus.files:,} file" + "s" * (corpus.files != 1)]
    if corpus.skipped:
        parts.append(f"{FileSign.LEFT_OUT} {corpus.skipped:,}" + " left out" * (width >= 48))
    if corpus.excluded:
        parts.append(f"{FileSign.EXCLUDED} {len(corpus.excluded):,}" + " excluded" * (width >= 64))
    if corpus.stale:
        parts.append(f"{short(corpus.stale)} stale")
    return _joined(parts, width, " · ")


def legend(signs: Collection[FileSign], width: int) -> str:
    """The signs that occur with their words: as many as fit in so many cells."""
    known = [sign for sign in WORDS if sign in signs]
    whole = "  ".join(f"{sign} {WORDS[sign]}" for sign in known)
    return whole if cell_len(whole) <= width else _joined([f"{sign}{_SHORT[sign]}" for sign in known], width, " ")


def _joined(parts: Sequence[str], width: int, between: str) -> str:
    while len(parts) > 1 and cell_len(between.join(parts)) > width:
        parts = parts[:-1]
    return between.join(parts)


def progress(reading: ReadingFiles, width: int) -> tuple[str, str, str]:
    """Three lines about how far reading is: how many files, a bar, where it is."""
    doing = show(reading.doing)
    if reading.total is None:
        return f"{doing} {reading.done:,} files", f"{short(reading.tokens)} tokens", show(reading.path)
    done = min(reading.done, reading.total)
    share = f"{percent(done, reading.total):>6}"
    return (
        _joined([f"{doing} {done:,} of {reading.total:,}", f"{short(reading.tokens)} tokens"], width, " · "),
        bar(done, reading.total, max(0, width - len(share))) + share,
        show(reading.path),
    )
