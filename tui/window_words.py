"""Windows in words: what one holds, the legend of the map, and how long reading is going to take."""

from collections.abc import Mapping, Sequence

from textual.content import Content

from ingest.naming import show
from longctx.backend.replies import Planned
from longctx.durations import duration
from tui.fitting import end_of
from tui.window_states import CorpusMap, WindowState, counts

NAMED = 5
LONGEST_NAME = 60
SEPARATOR = " · "
# As the map has them: two in a cell, and each in its own.
COLORS: Mapping[WindowState, tuple[str, str]] = {
    WindowState.EMPTY: ("$text-muted", "$text-muted"),
    WindowState.NEW: ("$secondary", "$text"),
    WindowState.PREFILLED: ("$primary", "$text-primary"),
    WindowState.CACHED: ("$success", "$text-success"),
    WindowState.STALE: ("$error", "$text-error"),
    WindowState.PASSAGE: ("$warning", "$text-warning"),
    WindowState.CITED: ("$foreground", "bold reverse"),
}


def expected(planned: Planned) -> list[str]:
    """How long reading will take at the speed of before, where that is known."""
    if not planned.prefill_tokens_per_s or planned.prefill_tokens_per_s <= 0:
        return []
    return [f"about {duration(planned.prompt_tokens / planned.prefill_tokens_per_s)} if nothing is cached"]


def describe(corpus: CorpusMap, known: Sequence[WindowState], window: int, *, is_read: bool = True) -> str:
    """A window in a line: its number, tokens, state, and the first files in it; with `is_read` a model reads it."""
    phrases = [f"window {window + 1:,} of {len(known):,}"]
    if window < len(corpus.ends):
        phrases.append(f"{corpus.size(window):,} tokens")
    paths = list(dict.fromkeys(corpus.paths[window])) if window < len(corpus.paths) else []
    names = ", ".join(end_of(show(path), LONGEST_NAME) for path in paths[:NAMED])
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return SEPARATOR.join([*phrases, *_state(known[window], is_read=is_read), *([names + more] if names else [])])


def legend(
    known: Sequence[WindowState], *, has_signs: bool, width: int, share: int = 1, is_read: bool = True
) -> Content:
    """The states that there are in words and numbers, the strongest first, in lines of that width. A cell, or half of
    one, stands for `share` windows."""
    entries = [_entry(state, count, has_signs=has_signs, is_read=is_read) for state, count in counts(known)]
    if share > 1:
        entries.append(Content(f"1 of {share} shown, the strongest"))
    lines = entries[:1]
    for entry in entries[1:]:
        if lines[-1].cell_length + 3 + entry.cell_length <= width:
            lines[-1] = Content.assemble(lines[-1], "   ", entry)
        else:
            lines.append(entry)
    return Content("\n").join(lines)


def _entry(state: WindowState, count: int, *, has_signs: bool, is_read: bool) -> Content:
    sign = state.sign if has_signs else state.block
    word = "".join(_state(state, is_read=is_read)) or "corpus"
    return Content.assemble((sign, COLORS[state][has_signs]), f" {word} {count:,}")


def _state(state: WindowState, *, is_read: bool) -> list[str]:
    """Its word; none for one that is only there, where no model reads any."""
    return [state.word] if is_read or state is not WindowState.NEW else []
