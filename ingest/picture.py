"""A page of a PDF as a picture, drawn in a worker process of its own that has the limits of every parser.

It refuses pictures of more than four megapixels, and pages that are not there; a file that hangs, bloats or crashes
its worker is a failure in one line.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil, floor, sqrt
from types import TracebackType
from typing import Any

from ingest.document import Document, Kind
from ingest.guard import Guard
from ingest.layout import in_reading_order
from ingest.marks import Box, Glyph, Passage, boxes_of
from ingest.outcome import ReadFailure, Status
from ingest.pool import BOOTSTRAP, WorkerPool
from ingest.worker import Limits, ReadContent, serve

MAX_PIXELS = 4_000_000
LIMITS = Limits(seconds=10)
JPEG_QUALITY = 60
LONGEST_SHAPE = 3  # a page that is longer than so many times its width gets narrower

_PROGRAM = f"{BOOTSTRAP}from ingest.picture import main\nmain()\n"
_HEADER_BYTES = 1024
# A mark lets what is dark shine through, and has a rim, so that it is seen in grey too.
_MARK_GREEN = bytes(value * 236 // 255 for value in range(256))
_MARK_BLUE = bytes(value * 110 // 255 for value in range(256))
_RIM = bytes((120, 60, 0))
_RIM_PIXELS = 1
_PADDING = (-1, -1, 1, 1)  # pixels, so that the lines of a passage are one mark


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture: rows of RGB bytes, from the top."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class MarkedPage:
    """A page as a JPEG, which of the passages are marked on it, and the SHA-256 of the file that was drawn."""

    jpeg: bytes
    marked: tuple[bool, ...]
    digest: str


def page_picture(path: str, page: int, width: int, height: int, password: str | None = None) -> Pixels:
    """Page `page`, counting from 1, of the PDF at `path`, at most so wide and high; raises ReadFailure."""
    with WorkerPool(1, LIMITS, program=_PROGRAM) as pool:
        drawn = pool.read(path, "picture", password, {"number": page, "most": (width, height)}).document
    return Pixels(int(drawn.metadata["width"]), int(drawn.metadata["height"]), b64decode(drawn.text))


class MarkedPages(AbstractContextManager["MarkedPages"]):
    """Draws pages with passages marked, one after another, all in one process; use it in a `with`."""

    def __init__(self) -> None:
        self._pool = WorkerPool(1, LIMITS, program=_PROGRAM)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def draw(
        self,
        path: str,
        page: int,
        passages: Sequence[Passage],
        width: int,
        password: str | None = None,
        share: float = 1.0,
    ) -> MarkedPage:
        """Page `page`, counting from 1, of the PDF at `path`, so wide; raises ReadFailure.

        Of its height only the part with the marks is drawn, and at least that `share`; all where nothing is marked.
        """
        asked = [asdict(passage) for passage in passages]
        wanted = {"number": page, "width": width, "passages": asked, "share": share}
        result = self._pool.read(path, "marked", password, wanted)
        marked = tuple(sign == "1" for sign in result.document.metadata["marked"])
        return MarkedPage(b64decode(result.document.text), marked, result.digest)


def main() -> None:
    """Serve pages until the parent closes the pipe."""
    serve({"picture": partial(_load, _draw), "marked": partial(_load, _draw_marked)})


def _load(draw: Any, _limits: Limits, _guard: Guard) -> ReadContent:
    import pymupdf  # here: before the memory is measured, and never in the user's process

    library: Any = pymupdf
    library.TOOLS.mupdf_display_errors(on=False)
    library.TOOLS.mupdf_display_warnings(on=False)

    def read(content: bytes, _name: str, password: str | None, *, number: int, **wanted: Any) -> Document:
        with _page(library, content, password, number) as page:
            drawn: Document = draw(library, page, **wanted)
            return drawn

    return read


@contextmanager
def _page(library: Any, content: bytes, password: str | None, number: int) -> Iterator[Any]:
    if b"%PDF" not in content[:_HEADER_BYTES]:
        raise ReadFailure(Status.BROKEN, "only pages of a PDF can be drawn")
    with library.open(stream=content, filetype="pdf") as pdf:
        if pdf.needs_pass and not (password and pdf.authenticate(password)):
            raise ReadFailure(Status.PASSWORD, "the password is wrong" if password else "needs a password")
        if not 1 <= number <= pdf.page_count:
            raise ReadFailure(Status.BROKEN, f"there is no page {number}: it has {pdf.page_count}")
        yield pdf.load_page(number - 1)


def _draw(library: Any, page: Any, most: tuple[int, int]) -> Document:
    """The pixels as a document's text, since that is what a worker answers with."""
    drawn = _pixmap(library, page, _matrix(library, page, *most))
    size = {"width": str(drawn.width), "height": str(drawn.height)}
    return Document(b64encode(drawn.samples).decode(), Kind.PDF, metadata=size)


def _draw_marked(library: Any, page: Any, width: int, passages: Sequence[Mapping[str, Any]], share: float) -> Document:
    matrix = _matrix(library, page, width, width * LONGEST_SHAPE)
    glyphs = _glyphs(library, page)
    found = [boxes_of(Passage(**passage), glyphs, page.rect.height) for passage in passages]
    top, bottom = part_with([(box[1], box[3]) for each in found for box in each], page.rect.height, share)
    drawn = _pixmap(library, page, matrix, library.Rect(0, top, page.rect.width, bottom))
    moved = matrix * library.Matrix(1, 0, 0, 1, 0, -drawn.y)
    boxes = [library.Rect(box) * moved + _PADDING for each in found for box in each]
    size = drawn.width, drawn.height
    rgb = marked(Pixels(*size, drawn.samples), boxes)
    jpeg = library.Pixmap(library.csRGB, *size, rgb, 0).tobytes("jpg", jpg_quality=JPEG_QUALITY)
    signs = "".join("1" if each else "0" for each in found)
    return Document(b64encode(jpeg).decode(), Kind.PDF, metadata={"marked": signs})


def _matrix(library: Any, page: Any, most_width: int, most_height: int) -> Any:
    scale = fit(page.rect.width, page.rect.height, most_width, most_height)
    return library.Matrix(scale, scale)


def part_with(marks: Sequence[tuple[float, float]], height: float, share: float) -> tuple[float, float]:
    """From where to where a page is drawn so that its marks are seen with what is around them."""
    if not marks:
        return 0.0, height
    around = height * share / 4
    top, bottom = min(top for top, _ in marks) - around, max(bottom for _, bottom in marks) + around
    lacking = max(0.0, height * share - (bottom - top))
    top, bottom = top - lacking / 2, bottom + lacking / 2
    moved = max(0.0, -top) - max(0.0, bottom - height)
    return max(0.0, top + moved), min(height, bottom + moved)


def _pixmap(library: Any, page: Any, matrix: Any, part: Any = None) -> Any:
    drawn = page.get_pixmap(matrix=matrix, colorspace=library.csRGB, alpha=False, clip=part)
    if not (drawn.width and drawn.height):
        raise ReadFailure(Status.BROKEN, "the page is too thin to be drawn")
    return drawn


def _glyphs(library: Any, page: Any) -> list[Glyph]:
    """What the text of the page was made of, in the order of that text."""
    textpage = page.get_textpage(flags=library.TEXTFLAGS_BLOCKS)
    turn = page.rotation_matrix  # also where it turns nothing
    blocks = [(*(library.Rect(block[:4]) * turn), *block[4:]) for block in textpage.extractBLOCKS()]
    lines = {block["number"]: block.get("lines", ()) for block in textpage.extractRAWDICT()["blocks"]}
    ordered = [line for block in in_reading_order(blocks) for line in lines.get(block[5], ())]
    return [
        Glyph(char["c"], tuple(library.Rect(char["bbox"]) * turn), number)
        for number, line in enumerate(ordered)
        for span in line["spans"]
        for char in span["chars"]
    ]


def marked(picture: Pixels, boxes: Sequence[Box]) -> bytes:
    """The picture's pixels with the boxes marked; where marks meet they are one."""
    marks = [_within(picture, box) for box in boxes]
    rgb = bytearray(picture.rgb)
    for left, top, right, bottom in marks:
        rim = (left - _RIM_PIXELS, top - _RIM_PIXELS, right + _RIM_PIXELS, bottom + _RIM_PIXELS)
        for row in _rows(picture, _within(picture, rim)):
            rgb[row] = _RIM * (len(range(*row.indices(len(rgb)))) // 3)
    for mark in marks:
        for row in _rows(picture, mark):
            here = picture.rgb[row]
            rgb[row] = here
            rgb[row.start + 1 : row.stop : 3] = here[1::3].translate(_MARK_GREEN)
            rgb[row.start + 2 : row.stop : 3] = here[2::3].translate(_MARK_BLUE)
    return bytes(rgb)


def _within(picture: Pixels, box: Box) -> tuple[int, int, int, int]:
    """The whole pixels of a box, as far as they are in the picture."""
    left, right = (min(picture.width, max(0, value)) for value in (box[0], box[2]))
    top, bottom = (min(picture.height, max(0, value)) for value in (box[1], box[3]))
    return floor(left), floor(top), ceil(right), ceil(bottom)


def _rows(picture: Pixels, box: tuple[int, int, int, int]) -> Iterator[slice]:
    """The bytes of each row of a box."""
    left, top, right, bottom = box
    for y in range(top, bottom):
        yield slice((y * picture.width + left) * 3, (y * picture.width + max(left, right)) * 3)


def fit(width: float, height: float, most_width: int, most_height: int) -> float:
    """By how much a page is scaled so that it is nowhere larger than asked, nor than MAX_PIXELS."""
    if min(width, height) <= 0 or min(most_width, most_height) < 1:
        raise ReadFailure(Status.BROKEN, "the page has no area")
    return min(most_width / width, most_height / height, sqrt(MAX_PIXELS / (width * height)))
