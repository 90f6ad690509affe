"""A document as it was read: virtual, however long, with what is cited highlighted."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ingest.document import Kind, PageKind
from ingest.naming import safe_text, show
from longctx.backend.replies import Failed, PageIs, PictureIs, TextPart
from longctx.citations import Citation, CitationStatus
from tui.fitting import end_of, one_line
from tui.marks import CITATION_COLORS, CITATION_SIGNS, superscript
from tui.messages import CitationChosen, CitationStep, CopyWanted, FileChosen, OpenOutside, PictureWanted
from tui.screens.picture import PictureScreen
from tui.widgets.find_bar import FindBar
from tui.widgets.source_text import Shape, SourceText

EMPTY = "choose a file (f2) or a citation"
NOTHING_OPEN = "nothing is open here: f2 goes to the files"
QUOTE_CHARS = 160
MOST_VISITS = 200
Parts = list[Content | str | tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Visit:
    """Where one has been."""

    path: str
    citation: Citation | None
    offset: int = 0


class Instead(Static, can_focus=True):
    """What is said while there is no text."""


class SourcePane(Vertical):
    """Says PictureWanted, OpenOutside, CitationStep and CopyWanted; FileChosen and CitationChosen to go back."""

    HELP = """
# Source

The document as it was read and sent; `▌` and colour show the very characters that are cited. Nothing is highlighted
that was not found.

- **n** / **N** next, previous citation; while finding: next, previous match
- **/** or **ctrl+f** find (small letters match capitals too): **enter** ends typing, **esc** ends finding
- **:** or **ctrl+g** go to a line or page
- **alt+←** / **alt+→** back to where you were, and forward again
- **y** copy the reference · **Y** copy the quote · select with the mouse, **ctrl+c** copies
- **w** wrap long lines · **p** the page as a picture · **o** open in your editor or viewer
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next", "Next citation", id="source.next"),
        Binding("N", "previous", "Previous citation", show=False, id="source.previous"),
        Binding("slash,ctrl+f", "find", "Find", id="source.find"),
        Binding("f3,enter", "next_match", "Next match", show=False, id="source.next_match"),
        Binding("shift+f3", "previous_match", "Previous match", show=False, id="source.previous_match"),
        Binding("escape", "stop_finding", "Stop finding", show=False, id="source.stop_finding"),
        Binding("colon,ctrl+g", "go_to", "Go to", id="source.go_to"),
        Binding("alt+left", "back", "Back", show=False, id="source.back"),
        Binding("alt+right", "forward", "Forward", show=False, id="source.forward"),
        Binding("o", "open_outside", "Open", id="source.open"),
        Binding("y", "copy_reference", "Copy reference", id="source.copy_reference"),
        Binding("Y", "copy_quote", "Copy quote", show=False, id="source.copy_quote"),
        Binding("p", "picture", "Page picture", id="source.picture"),
        Binding("w", "wrap", "Wrap", show=False, id="source.wrap"),
    ]
    DEFAULT_CSS = """
    SourcePane {
        border: round $border;
        border-title-color: $text;
        border-subtitle-color: $text-muted;
        &:focus-within { border: round $accent; }
        & > #source-place { height: auto; max-height: 2; padding: 0 1; display: none; }
        & > #source-banner { height: auto; max-height: 6; padding: 0 1; display: none; background: $panel; }
        & > #source-empty { height: 1fr; content-align: center middle; color: $text-muted; padding: 0 1; }
        & > SourceText { display: none; }
        &.-open > SourceText { display: block; }
        &.-open > #source-empty { display: none; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.can_focus = False
        self._path = ""
        self._sha256 = ""
        self._citation: Citation | None = None
        self._of = 0
        self._first: TextPart | None = None
        self._is_whole = False
        self._visits: list[Visit] = []
        self._visit = -1
        self._returning: Visit | None = None
        self._picture_page = 0
        self._pictures: PictureScreen | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="source-place", markup=False)
        yield Static(id="source-banner", markup=False)
        yield Instead(EMPTY, id="source-empty", markup=False)
        yield SourceText(id="source-text")
        yield FindBar(id="source-find")

    def on_mount(self) -> None:
        self._show_titles()

    # --- what others say ------------------------------------------------------------------------------------------

    def expect(self, path: str, citation: Citation | None = None, *, of: int = 0) -> None:
        """This document is coming, and this citation (one `of` so many) is to be seen; nothing is highlighted that
        was not found."""
        self._remember(path, citation)
        sha256 = citation.sha256 if citation else ""
        if citation is None or not self.holds(path, sha256):
            self._path, self._sha256, self._first = path, sha256, None
            self._say(f"reading {show(path)}…")
        self._citation, self._of = citation, of
        self._show_citation()

    def add_text(self, part: TextPart) -> None:
        """Some of the document; the first part is shown at once."""
        if part.path != self._path or (self._first is None and not part.kind):
            return
        if part.kind:
            self._begin(part)
        self._is_whole = part.is_last
        self._text.add(part.text)
        self._show_titles()

    def holds(self, path: str, sha256: str) -> bool:
        """Whether that text is shown, so that it need not come again."""
        return self._first is not None and bool(sha256) and (path, sha256) == (self._path, self._sha256)

    def show_picture(self, picture: PictureIs) -> None:
        """The page that was asked for."""
        if not self._picture_page or picture.path != self._path:
            return
        self._picture_page = 0
        self._show_titles()
        if self._pictures is None:
            self._pictures = PictureScreen(self._last_page, self._ask_picture, self._open_page)
            self.app.push_screen(self._pictures, self._picture_closed)
        self._pictures.show_picture(picture)

    def fail(self, failed: Failed) -> None:
        """It can't be shown."""
        words = safe_text(f"{failed.message}: {failed.hint}" if failed.hint else failed.message)
        if self._picture_page:
            self._picture_page = 0
            self._fail_picture(words)
        elif self._first is None:
            self._say(words)
        else:
            self.notify(words, severity="error", markup=False)

    # --- showing --------------------------------------------------------------------------------------------------

    @property
    def _text(self) -> SourceText:
        return self.query_one(SourceText)

    @property
    def _instead(self) -> Instead:
        return self.query_one(Instead)

    @property
    def _find(self) -> FindBar:
        return self.query_one(FindBar)

    def _begin(self, first: TextPart) -> None:
        self._first = first
        self._text.begin(
            Shape(path=first.path, kind=first.kind, pages=first.pages, first_lines=first.first_lines),
        )
        self._open(self._instead, self._text)
        if self._find.is_finding:
            self._find.action_close()
        self._show_citation()

    def _show_citation(self) -> None:
        """What the citation says, and where it stands if it was found."""
        self._show_line()
        self._show_banner()
        self._show_titles()
        if self._first is None:
            return
        if self._citation is not None:
            self._text.show_cited(self._citation.chars)
        if self._returning is not None:
            self._text.show_offset(self._returning.offset, down=0)
            self._returning = None

    def _show_line(self) -> None:
        place = self.query_one("#source-place", Static)
        place.display = self._citation is not None
        if self._citation is not None:
            place.update(citation_line(self._citation, self._of))

    def _show_banner(self) -> None:
        banner = self.query_one("#source-banner", Static)
        lines = banner_lines(self._citation, self._first)
        banner.display = bool(lines)
        banner.update(Content("\n").join(lines))

    def _show_titles(self) -> None:
        name = show(self._path) if self._path else "Source"
        self.border_title = Content(end_of(name, self.size.width - 4))
        self.border_subtitle = Content(self._measures())
        self.refresh_bindings()

    def _measures(self) -> str:
        """`1,234 lines · code`."""
        if self._first is None:
            return ""
        if self._picture_page:
            return f"drawing page {self._picture_page}…"
        pages = self._first.pages
        count = len(pages) or self._text.lines
        kind = pages[0].kind if pages else "line"
        counted = f"{count:,} {kind}" if count == 1 else f"{count:,} {kind}s"
        return f"{counted} · {self._first.kind}" if self._is_whole else f"reading… {counted}"

    def _say(self, words: str) -> None:
        """Something instead of a text."""
        self._instead.update(Content(words))
        self._open(self._text, self._instead)

    def _open(self, before: Widget, after: Widget) -> None:
        """Show one for the other; who had the focus of one has that of the other."""
        had_focus = before.has_focus
        self.set_class(after is self._text, "-open")
        if had_focus:
            self.call_after_refresh(self.screen.set_focus, after)

    def on_resize(self, _event: events.Resize) -> None:
        self._show_titles()

    # --- where one has been ---------------------------------------------------------------------------------------

    def _remember(self, path: str, citation: Citation | None) -> None:
        if self._returning is not None and (self._returning.path, self._returning.citation) == (path, citation):
            return
        self._returning = None
        self._keep_offset()
        self._visits[self._visit + 1 :] = [Visit(path, citation)]
        self._visits = self._visits[-MOST_VISITS:]
        self._visit = len(self._visits) - 1

    def _keep_offset(self) -> None:
        if self._visit >= 0 and self._first is not None:
            visit = self._visits[self._visit]
            self._visits[self._visit] = Visit(visit.path, visit.citation, self._text.top)

    def action_back(self) -> None:
        self._go(-1)

    def action_forward(self) -> None:
        self._go(1)

    def _go(self, by: int) -> None:
        if not 0 <= self._visit + by < len(self._visits):
            return
        self._keep_offset()
        self._visit += by
        visit = self._returning = self._visits[self._visit]
        chosen = FileChosen(visit.path) if visit.citation is None else CitationChosen(visit.citation)
        self.post_message(chosen)

    # --- finding and going ----------------------------------------------------------------------------------------

    def action_find(self) -> None:
        if self._first is not None:
            self._find.open_find()

    def action_go_to(self) -> None:
        if self._first is not None:
            pages = self._first.pages
            self._find.open_place(pages[0].kind if pages else "line", pages[-1].number if pages else self._last_line)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Escape and enter are others' while nothing is being found; a key that can't do anything is not shown."""
        if action in ("stop_finding", "next_match", "previous_match"):
            return self.is_mounted and self._find.display
        return not self._why_not(action)

    def _why_not(self, action: str) -> str:
        """Why there is nothing to do for an action; empty where there is."""
        match action:
            case "back" if self._visit <= 0:
                return "nothing was looked at before this"
            case "forward" if self._visit + 1 >= len(self._visits):
                return "nothing was looked at after this"
            case "find" | "go_to" | "open_outside" | "copy_reference" | "copy_quote" | "picture" | "wrap":
                return NOTHING_OPEN if self._first is None else self._why_not_here(self._first, action)
        return ""

    def _why_not_here(self, first: TextPart, action: str) -> str:
        if action == "picture" and (first.kind != Kind.PDF or not first.pages):
            return "only pages of a PDF can be shown as pictures"
        is_quoted = self._citation is not None or self._text.text_selection is not None
        if action == "copy_quote" and not is_quoted:
            return "no citation is shown and nothing is selected: there is no quote to copy"
        return ""

    def on_key(self, event: events.Key) -> None:
        """Say why a key does nothing."""
        found = self._bindings.key_to_bindings.get(event.key, [])
        if words := next((words for binding in found if (words := self._why_not(binding.action))), ""):
            event.stop()
            event.prevent_default()
            self.notify(words, severity="warning", markup=False)

    def action_stop_finding(self) -> None:
        self._find.action_close()

    def action_next(self) -> None:
        self._step(1)

    def action_previous(self) -> None:
        self._step(-1)

    def action_next_match(self) -> None:
        self._text.step(1)

    def action_previous_match(self) -> None:
        self._text.step(-1)

    def action_wrap(self) -> None:
        self._text.toggle_wrap()

    def _step(self, by: int) -> None:
        if self._text.search is not None:
            self._text.step(by)
        else:
            self.post_message(CitationStep(by))

    @on(FindBar.Typed)
    def _typed(self, event: FindBar.Typed) -> None:
        self._text.find(event.words)

    @on(FindBar.Stepped)
    def _stepped(self, event: FindBar.Stepped) -> None:
        self._text.step(event.by)

    @on(FindBar.Entered)
    def _entered(self, event: FindBar.Entered) -> None:
        if event.place is None:
            self._text.focus()
            return
        self._go_to(event.place)
        self._find.action_close()

    @on(FindBar.Closed)
    def _stop_finding(self) -> None:
        self._text.find("")
        self._text.focus()

    @on(SourceText.Moved)
    def _moved(self, event: SourceText.Moved) -> None:
        event.stop()
        if self._find.is_finding:
            self._find.show_count(self._found())

    def _found(self) -> str:
        """`3 of 41`."""
        search = self._text.search
        if search is None:
            return ""
        more = "+" if search.is_full else "" if search.is_done else "…"
        if not search.places:
            return "not found" if search.is_done else "looking…"
        number = f"{self._text.match + 1:,} of " if self._text.match is not None else ""
        return f"{number}{len(search.places):,}{more}"

    def _go_to(self, number: int) -> None:
        self._keep_offset()
        self._visits[self._visit + 1 :] = [Visit(self._path, self._citation)]
        self._visit = len(self._visits) - 1
        if self._first is not None and self._first.pages:
            self._text.show_page(number)
        else:
            self._text.show_line(number)

    @property
    def _last_line(self) -> int:
        firsts = self._first.first_lines if self._first is not None else None
        return firsts[-1][1] if firsts else self._text.lines

    # --- to other places ------------------------------------------------------------------------------------------

    def action_open_outside(self) -> None:
        if self._first is not None:
            self._open_at(*self._where())

    def action_copy_reference(self) -> None:
        if self._first is not None:
            self.post_message(CopyWanted(self._reference(), "reference"))

    def action_copy_quote(self) -> None:
        quote = self._citation.quote if self._citation is not None else self._selected()
        if quote:
            self.post_message(CopyWanted(safe_text(quote), "quote"))

    def action_picture(self) -> None:
        pages = self._first.pages if self._first is not None else ()
        number = self._where()[1]
        if number is not None and pages:
            self._ask_picture(number, *PictureScreen.room(self.app.size))

    def _open_page(self, page: int) -> None:
        self._open_at(None, page)

    def _open_at(self, line: int | None, page: int | None) -> None:
        location = self._first.location if self._first is not None else None
        if location is None:
            self.notify("the file is not there any more", severity="warning", markup=False)
        else:
            self.post_message(OpenOutside(location, line, page))

    def _ask_picture(self, page: int, width: int, height: int) -> None:
        self._picture_page = page
        self._show_titles()
        self.post_message(PictureWanted(self._path, page, width, height))

    def _picture_closed(self, _: None) -> None:
        """One that is still being drawn is not wanted any more."""
        self._pictures, self._picture_page = None, 0

    def _fail_picture(self, words: str) -> None:
        self._show_titles()
        if self._pictures is not None:
            self._pictures.fail(words)
        else:
            self.notify(words, severity="error", markup=False)

    @property
    def _last_page(self) -> int:
        return self._first.pages[-1].number if self._first is not None and self._first.pages else 1

    def _where(self) -> tuple[int | None, int | None]:
        """The line and page that are looked at: of the citation, while it is in sight, else of the top."""
        text = self._text
        chars = self._citation.chars if self._citation is not None else None
        is_cited = chars is not None and text.is_seen(chars[0])
        at = chars[0] if chars is not None and is_cited else text.top
        page = text.page_at(at) if is_cited else text.page
        return text.line_at(at), page.number if page is not None else None

    def _reference(self) -> str:
        selection = self._text.text_selection
        if selection is None:
            if self._citation is not None and self._citation.chars is not None:
                return show(self._citation.place)
            line, page = self._where()
            return reference(show(self._path), (line, line), self._page(page))
        start, end = self._text.selected_range(selection)
        lines = self._text.line_at(start), self._text.line_at(max(start, end - 1))
        return reference(show(self._path), lines, self._text.page_at(start))

    def _page(self, number: int | None) -> PageIs | None:
        pages = self._first.pages if self._first is not None else ()
        return next((page for page in pages if page.number == number), None)

    def _selected(self) -> str:
        selection = self._text.text_selection
        found = self._text.get_selection(selection) if selection is not None else None
        return found[0] if found else ""


def reference(name: str, lines: tuple[int | None, int | None], page: PageIs | None) -> str:
    """`path:41-88`, `path, p. 4`, `path, slide 2`, `path`."""
    first, last = lines
    if page is not None:
        return f"{name}, {'p.' if page.kind == PageKind.PAGE else page.kind} {page.number}"
    if first is None:
        return name
    return f"{name}:{first}" if last in (first, None) else f"{name}:{first}-{last}"


def citation_line(citation: Citation, of: int = 0) -> Content:
    """`¹² ✓ verified  path:41-43  12/31`."""
    status = citation.status
    parts: Parts = [
        superscript(citation.n),
        " ",
        (f"{CITATION_SIGNS[status]} {status}", CITATION_COLORS[status]),
        f"  {show(citation.place)}",
    ]
    if of:
        parts.append((f"  {citation.n}/{of}", "$text-muted"))
    return Content.assemble(*parts)


def banner_lines(citation: Citation | None, first: TextPart | None) -> list[Content]:
    """What must be known about what is shown, or is not."""
    lines: list[Content] = []
    if citation is not None:
        lines += _not_found(citation)
        if citation.status is CitationStatus.NEAR:
            lines.append(Content.styled(f"{citation.share:.0%} of the quote stands here", "$text-warning"))
    if (citation is not None and not citation.is_current) or (first is not None and not first.is_current):
        lines.append(Content.styled("the file has changed since this was read", "$text-warning"))
    if first is not None:
        lines += [Content.styled(one_line(note, QUOTE_CHARS), "$text-muted") for note in first.notes[:2]]
    return lines


def _not_found(citation: Citation) -> list[Content]:
    if citation.chars is not None:
        return []
    name = show(PurePath(citation.path).name or citation.document_id or "any document")
    said = f"not found in {name[:100]}: nothing is highlighted"
    return [
        Content.styled(said, "$text-error"),
        Content.styled(f"“{one_line(citation.quote, QUOTE_CHARS)}”", "$text-muted"),
    ]
