"""A page of a PDF as a picture, drawn in a worker process of its own that has the limits of every parser.

It refuses pictures of more than four megapixels, and pages that are not there; a file that hangs, bloats or crashes
its worker is a failure in one line.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from math import sqrt
from typing import Any

from ingest.document import Document, Kind
from ingest.guard import Guard
from ingest.outcome import ReadFailure, Status
from ingest.pool import BOOTSTRAP, WorkerPool
from ingest.worker import Limits, ReadContent, serve

MAX_PIXELS = 4_000_000
LIMITS = Limits(seconds=10)

_HEADER_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture: rows of RGB bytes, from the top."""

    width: int
    height: int
    rgb: bytes


def page_picture(path: str, page: int, width: int, height: int, password: str | None = None) -> Pixels:
    """Page `page`, counting from 1, of the PDF at `path`, at most so wide and high; raises ReadFailure."""
    program = f"{BOOTSTRAP}from ingest.picture import main\nmain({int(page)}, {int(width)}, {int(height)})\n"
    with WorkerPool(1, LIMITS, program=program) as pool:
        drawn = pool.read(path, "picture", password).document
    return Pixels(int(drawn.metadata["width"]), int(drawn.metadata["height"]), b64decode(drawn.text))


def main(page: int, width: int, height: int) -> None:
    """Serve one page until the parent closes the pipe."""

    def load(_limits: Limits, _guard: Guard) -> ReadContent:
        import pymupdf  # here: before the memory is measured, and never in the user's process

        library: Any = pymupdf
        library.TOOLS.mupdf_display_errors(on=False)
        library.TOOLS.mupdf_display_warnings(on=False)
        return lambda content, _name, password: _draw(library, content, password, page, (width, height))

    serve({"picture": load})


def _draw(library: Any, content: bytes, password: str | None, number: int, most: tuple[int, int]) -> Document:
    """The pixels as a document's text, since that is what a worker answers with."""
    if b"%PDF" not in content[:_HEADER_BYTES]:
        raise ReadFailure(Status.BROKEN, "only pages of a PDF can be drawn")
    with library.open(stream=content, filetype="pdf") as pdf:
        if pdf.needs_pass and not (password and pdf.authenticate(password)):
            raise ReadFailure(Status.PASSWORD, "the password is wrong" if password else "needs a password")
        if not 1 <= number <= pdf.page_count:
            raise ReadFailure(Status.BROKEN, f"there is no page {number}: it has {pdf.page_count}")
        page = pdf.load_page(number - 1)
        scale = fit(page.rect.width, page.rect.height, *most)
        drawn = page.get_pixmap(matrix=library.Matrix(scale, scale), colorspace=library.csRGB, alpha=False)
        if not (drawn.width and drawn.height):
            raise ReadFailure(Status.BROKEN, "the page is too thin to be drawn")
        size = {"width": str(drawn.width), "height": str(drawn.height)}
        return Document(b64encode(drawn.samples).decode(), Kind.PDF, metadata=size)


def fit(width: float, height: float, most_width: int, most_height: int) -> float:
    """By how much a page is scaled so that it is nowhere larger than asked, nor than MAX_PIXELS."""
    if min(width, height) <= 0 or min(most_width, most_height) < 1:
        raise ReadFailure(Status.BROKEN, "the page has no area")
    return min(most_width / width, most_height / height, sqrt(MAX_PIXELS / (width * height)))
