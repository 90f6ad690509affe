"""Makes the binary files of the sample library again, with the same bytes each time.

`python build.py [FOLDER]` writes two PDFs, a Word file and a workbook into FOLDER (default: `library` beside this
file). It needs pymupdf, python-docx and openpyxl, and refuses nothing: existing files are replaced.
"""

import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pymupdf

WIDTH, HEIGHT = 420.0, 595.0  # A5
LEFT, RIGHT, TOP, BOTTOM = 54.0, 54.0, 72.0, 64.0
SIZE, LEADING = 9.5, 13.0
ROMAN, BOLD, ITALIC = "tiro", "tibo", "tiit"
SOFT = "\u00ad"
WRITTEN = datetime(2025, 2, 3, 9, 0, 0)
PDF_DATE = "D:20250203090000Z"

# A soft hyphen says where a word may be broken at the end of a line.
FOREWORD = """\
This is the twenty-third report of the tide office and the first that has been written since the loggers
were replaced. It is shorter than the reports before it. The harbour council asked for fewer diagrams and
more reasons, and we have tried to oblige.

The year was calm until October and wild afterwards. Nobody was hurt on the quay, the gates at Pell were
closed twice, and for the first time since 1901 no month of the long series has a gap.

I thank Ines Calloway at the lock, Tobias Renwick and the crew of the dredger, and the keepers at Gannet
Rock who are no longer keepers but climb the tower all the same.

Marguerite Osei, head of the tide office"""

YEAR = """\
The mean sea level at Saltmere Quay was 3.352 metres above chart datum, twelve milli\u00admetres above the
mean of the nineteen years from which the harmonic constants were derived. The trend over the whole long
series is 1.9 millimetres a year; over the last thirty years it is 3.4.

The highest water of the year stood at 7.31 metres on 18 November at 06:50 UTC, with a surge of 1.12 metres
on a tide that was not quite a spring. The lowest was 0.09 metres on 11 March. A level below chart datum was
not observed, which happens in about one year in four.

Of the 527,040 minutes of the leap year the quay gauge delivered 526,411, that is 99.88 per cent. Most of
the missing minutes belong to a single afternoon in June when a swan nested on the vent of the stilling well
and the water in it could no longer follow the tide."""

STATIONS = """\
Three gauges were in service all year. Their positions and their bench marks are given below; the heights
are those of the levelling of September 2022, and they will be determined anew in 2027.

The gauge at Gannet Rock was fitted with a second encoder in May. The two encoders agree within three
millimetres, except in heavy swell from the west, when the older one reads low. We publish the newer."""

STATION_TABLE = (
    ("Code", "Station", "Bench mark", "Height above datum", "Delivered"),
    ("SALT", "Saltmere Quay", "brass bolt 17", "9.284 m", "99.88 %"),
    ("GANN", "Gannet Rock", "cross in granite", "14.902 m", "98.41 %"),
    ("PELL", "Pell Sluice", "plate 3, east pier", "8.117 m", "99.02 %"),
)

STATIONS_AFTER = """\
The levelling between the quay and the sluice was repeated by bicycle, since the towpath is closed to cars.
It took two people four days and closed to 2.1 millimetres."""

SURGES = """\
Nine surges reached the mark for a watch, four the mark for a warning, and two the mark for closing the
gates. The gates at Pell were closed on 18 November for five hours and on 22 December for seven and a half.

The forecast of the weather service was good for the first of these and poor for the second: it gave 0.9
metres where 1.46 were measured. The difference came from a squall line that crossed the bay within forty
minutes. We have asked whether the ten-minute winds of the lightship can be used, and the answer was that
the lightship has been a restaurant since 1998."""

SURGE_TABLE = (
    ("Date", "Surge", "Water level", "Flag", "Gates"),
    ("7 October", "0.74 m", "6.12 m", "watch", "open"),
    ("29 October", "0.97 m", "6.40 m", "warning", "open"),
    ("18 November", "1.12 m", "7.31 m", "close gates", "closed 5 h"),
    ("22 December", "1.46 m", "6.98 m", "close gates", "closed 7.5 h"),
)

SILT = """\
Each quarter the office has surveyed with an echo sounder how far the sedi\u00admen\u00adta\u00adtion of the
basin had gone. On average 31 centimetres were deposited during the year, against 24 in the year before. The
greatest deposit, 58 centimetres, lies in the corner between Saturday Bay and the lock, where the eddy of
the flood turns.

Flushing through the sluice removes about a third of what arrives. A flushing is worth its water only when
the ebb runs for more than four hours; below that, the silt is carried from the basin into the approach and
settles there, and the dredger has to lift it a second time.

A trial with a curtain of air bubbles across the lock ran from April to July. It kept back one part in five
of the silt and cost 1,900 crowns in electricity. We recommend that it be repeated with half the air."""

MAINTENANCE = """\
Each gauge was calibrated four times. The largest correction was eleven millimetres, at Pell, after a barge
had leaned against the pier. The float of the quay gauge was replaced on 6 February, after 14 years; the old
one weighed 212 grams more than when it was new, all of it water.

The loggers of 2009 were replaced in March by fanless computers. During the change both generations ran side
by side for 33 days and wrote the same minute in all but 71 cases; in each of these the old logger had
rounded a half downwards.

The uninterruptible supply was tested by switching off the cellar's main breaker. It lasted 74 minutes, four
more than promised."""

OUTLOOK = """\
In 2025 the office will recompute its harmonic constants, for the first time with nodal corrections; we
expect the predictions at springs to change by up to six centimetres.

A fourth gauge is planned at Osier Ferry. The landowner has agreed, the eels have been counted, and the
council has set aside 46,500 crowns. The exchange of data in the ring of eleven harbours goes on; we now
receive Nordersiel and Punta Cormor\u00e1n with a delay of less than ten seconds.

The report of 2025 will appear in February 2026. Remarks are welcome at the customs house, second floor, the
door with the brass fish."""

GROWTH = """\
The stilling well at Pell Sluice is a steel tube 40 centimetres wide with an inlet of 38 millimetres. In
warm years the inlet is narrowed by barnacles until the water in the well lags behind the tide. We wanted to
know how fast, and what can be done without a diver.

Five short tubes of different materials were hung beside the well on 4 May 2024 and lifted every fortnight
until 19 October. Each was weighed wet, photographed and put back. The bare steel tube carried 1,140 grams
at the end, the tube painted with an anti\u00adfouling coat 420 grams, and the copper tube 15 grams, nearly
all of it weed.

The lag was computed from a pumping test: the well is pumped down by half a metre, and the time until half
of the difference is made good is taken. For a clean inlet it is 22 seconds. In the middle of August it was
95 seconds, and by October 160. At the fastest rise of the tide a lag of 160 seconds lowers the reading by
five centimetres.

A copper ring in the inlet costs 85 crowns and takes an hour to fit at low water. One was fitted on 2
November; half a year later the pumping test still gave 23 seconds. Copper and steel must not touch, since
the steel would corrode, and the ring is therefore seated in a sleeve of nylon.

We recommend copper rings for all three wells, a pumping test in each April and August, and no more paint.
The wells at Gannet Rock stand in colder water, and the growth there is a third of that at Pell.

The tubes are kept in the customs house. Visitors may touch them, but the copper one has twice been taken
for an umbrella stand."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where lines of text may stand on a page."""

    left: float
    right: float
    top: float
    bottom: float


PAGE_COLUMN = Column(LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM)


def build(folder: Path) -> None:
    """Writes the four files into `folder`."""
    makers: dict[str, Callable[[], bytes]] = {
        "annual-report-2024.pdf": annual_report,
        "barnacles.pdf": field_note,
        "keepers-handbook.docx": handbook,
        "maintenance.xlsx": workbook,
    }
    for name, make in makers.items():
        (folder / name).write_bytes(make())


def annual_report() -> bytes:
    """Nine pages: three of front matter numbered i to iii, six of text numbered 1 to 6."""
    report = pymupdf.open()
    _title_page(report)
    _contents_page(report)
    chapters: tuple[tuple[str, str, Sequence[Sequence[str]], str], ...] = (
        ("Foreword", FOREWORD, (), ""),
        ("1  The water of the year", YEAR, (), ""),
        ("2  Stations", STATIONS, STATION_TABLE, STATIONS_AFTER),
        ("3  Surges", SURGES, SURGE_TABLE, ""),
        ("4  Silt", SILT, (), ""),
        ("5  Maintenance", MAINTENANCE, (), ""),
        ("6  Outlook", OUTLOOK, (), ""),
    )
    for title, before, table, after in chapters:
        _chapter(report, title, before, table, after)
    report.set_page_labels([{"startpage": 0, "style": "r"}, {"startpage": 3, "style": "D"}])
    report.set_toc([[1, title, number] for number, (title, *_) in enumerate(chapters, start=3)])
    return _pdf_bytes(report, "Report of the Tide Office for 2024")


def field_note() -> bytes:
    """Two pages in two columns."""
    note = pymupdf.open()
    middle, gutter = WIDTH / 2, 9.0
    lower = Column(LEFT, middle - gutter, TOP + 60, HEIGHT - BOTTOM - 130)
    first = (lower, Column(middle + gutter, WIDTH - RIGHT, lower.top, lower.bottom))
    second = tuple(Column(column.left, column.right, TOP, HEIGHT - BOTTOM - 190) for column in first)
    page = note.new_page(width=WIDTH, height=HEIGHT)
    page.insert_text((LEFT, TOP), "Barnacles in a stilling well", fontname=BOLD, fontsize=15)
    page.insert_text(
        (LEFT, TOP + 22),
        "Field note 7 of the tide office, Saltmere, May 2025",
        fontname=ITALIC,
        fontsize=SIZE,
    )
    lines = _flow(note, GROWTH, first)
    note.new_page(width=WIDTH, height=HEIGHT)
    left_over = list(_set_lines(note[1], lines, second))
    assert not left_over, f"{len(left_over)} lines do not fit"
    return _pdf_bytes(note, "Barnacles in a stilling well")


def handbook() -> bytes:
    """A short manual with headings, a list and a table."""
    import docx

    document = docx.Document()
    document.core_properties.author = "Tide office, Saltmere"
    document.core_properties.title = "Handbook for gauge keepers"
    document.core_properties.created = document.core_properties.modified = WRITTEN
    document.add_heading("Handbook for gauge keepers", level=1)
    document.add_paragraph(
        "This handbook is for the volunteers who visit a gauge once a week. It needs no knowledge of tides. "
        "A visit takes about forty minutes, most of them spent walking."
    )
    document.add_heading("Before you go", level=2)
    for item in (
        "Take the steel tape, the station book, a pencil (never a pen) and the key with the green tag.",
        "Ring the duty officer on extension 31 and say which gauge you visit.",
        "Do not go when the flag shows a warning, or when you would have to come back in the dark.",
    ):
        document.add_paragraph(item, style="List Bullet")
    document.add_heading("At the gauge", level=2)
    document.add_paragraph(
        "Listen first. A healthy float gauge ticks softly; a scraping sound means that the wire has left the "
        "pulley, and then nothing must be touched. Read the tape at the same moment as the display, three times, "
        "and write down all six numbers, including the ones you don't like."
    )
    document.add_heading("What the differences mean", level=2)
    rows = (
        ("Difference", "Likely cause", "What to do"),
        ("under 5 mm", "none", "write it down"),
        ("5 to 20 mm", "weed on the float", "rinse the float with fresh water"),
        ("20 to 60 mm", "blocked inlet", "report for a pumping test"),
        ("over 60 mm", "slipped wire", "call the technician, Bram Oduya"),
    )
    table = document.add_table(rows=len(rows), cols=3, style="Table Grid")
    for row, values in zip(table.rows, rows, strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    document.add_heading("Afterwards", level=2)
    document.add_paragraph(
        "Hang the key back, and sign the book with your initials and the time in UTC. Keepers are paid 18 "
        "crowns a visit, and a pot of the lock keeper's quince jelly at the end of the year."
    )
    return _zip_bytes(document.save)


def workbook() -> bytes:
    """Two sheets: what there is, and who looked after it when."""
    import openpyxl

    book = openpyxl.Workbook()
    book.properties.creator = "Tide office, Saltmere"
    book.properties.created = WRITTEN
    inventory = book.active
    assert inventory is not None
    inventory.title = "Inventory"
    for row in (
        ("Item", "Serial", "Station", "Bought", "Price (crowns)"),
        ("Shaft encoder", "E-2207", "SALT", 2022, 1340),
        ("Shaft encoder", "E-2411", "GANN", 2024, 1485),
        ("Radar sensor", "R-1903", "PELL", 2019, 2260),
        ("Steel tape, 20 m", "T-08", "all", 2011, 96),
        ("Logger computer", "L-31", "SALT", 2024, 515),
        ("Submersible pump", "P-4", "all", 2023, 388),
    ):
        inventory.append(row)
    visits = book.create_sheet("Visits")
    for visit in (
        ("Date", "Station", "Keeper", "Tape minus display (mm)", "Remark"),
        ("2025-01-08", "SALT", "Nell Abara", 3, ""),
        ("2025-01-15", "SALT", "Nell Abara", 4, "gull on the vent"),
        ("2025-01-16", "PELL", "Jorun Pike", 27, "inlet blocked, pumped"),
        ("2025-01-29", "GANN", "Col Fennimore", -2, "cat in the hut"),
        ("2025-02-05", "PELL", "Jorun Pike", 1, "copper ring inspected"),
    ):
        visits.append(visit)
    return _zip_bytes(book.save)


def _title_page(report: pymupdf.Document) -> None:
    page = report.new_page(width=WIDTH, height=HEIGHT)
    lines = (
        ("Harbour of Saltmere", ITALIC, 12),
        ("Report of the Tide Office", BOLD, 20),
        ("for the year 2024", ROMAN, 14),
    )
    for index, (text, font, size) in enumerate(lines):
        left = (WIDTH - pymupdf.get_text_length(text, font, size)) / 2
        page.insert_text((left, 200 + 36 * index), text, fontname=font, fontsize=size)


def _contents_page(report: pymupdf.Document) -> None:
    page = _page(report, "ii")
    page.insert_text((LEFT, TOP + 20), "Contents", fontname=BOLD, fontsize=14)
    entries = (
        ("Foreword", "iii"),
        ("The water of the year", "1"),
        ("Stations", "2"),
        ("Surges", "3"),
        ("Silt", "4"),
        ("Maintenance", "5"),
        ("Outlook", "6"),
    )
    for index, (title, label) in enumerate(entries):
        height = TOP + 50 + LEADING * 1.4 * index
        page.insert_text((LEFT, height), title, fontname=ROMAN, fontsize=SIZE)
        page.insert_text((WIDTH - RIGHT - 14, height), label, fontname=ROMAN, fontsize=SIZE)


def _chapter(
    report: pymupdf.Document, title: str, before: str, table: Sequence[Sequence[str]], after: str
) -> None:
    label = "iii" if len(report) == 2 else str(len(report) - 2)
    page = _page(report, label)
    page.insert_text((LEFT, TOP + 20), title, fontname=BOLD, fontsize=14)
    height = _text(page, before, TOP + 48)
    if table:
        height = _table(page, table, height + 6)
    if after:
        _text(page, after, height + LEADING * 1.5)


def _page(report: pymupdf.Document, label: str) -> pymupdf.Page:
    """A page with the running head and its printed number."""
    page = report.new_page(width=WIDTH, height=HEIGHT)
    page.insert_text((LEFT, 42), "Harbour of Saltmere", fontname=ITALIC, fontsize=8)
    head = "Report of the Tide Office 2024"
    page.insert_text(
        (WIDTH - RIGHT - pymupdf.get_text_length(head, ITALIC, 8), 42), head, fontname=ITALIC, fontsize=8
    )
    page.insert_text(
        (WIDTH / 2 - pymupdf.get_text_length(label, ROMAN, 8) / 2, HEIGHT - 34),
        label,
        fontname=ROMAN,
        fontsize=8,
    )
    return page


def _text(page: pymupdf.Page, text: str, top: float) -> float:
    column = Column(PAGE_COLUMN.left, PAGE_COLUMN.right, top, PAGE_COLUMN.bottom)
    lines = list(_lines(text, column.right - column.left))
    left_over = list(_set_lines(page, lines, (column,)))
    assert not left_over, f"{len(left_over)} lines do not fit"
    return top + LEADING * len(lines)


def _flow(document: pymupdf.Document, text: str, columns: Sequence[Column]) -> list[str]:
    """Sets `text` into the columns of the last page and returns the lines that did not fit."""
    lines = list(_lines(text, columns[0].right - columns[0].left))
    return list(_set_lines(document[-1], lines, columns))


def _set_lines(page: pymupdf.Page, lines: Sequence[str], columns: Sequence[Column]) -> Iterator[str]:
    pending = list(lines)
    for column in columns:
        height = column.top
        while pending and height <= column.bottom:
            line = pending.pop(0)
            page.insert_text((column.left, height), line, fontname=ROMAN, fontsize=SIZE)
            height += LEADING
    yield from pending


def _lines(text: str, width: float) -> Iterator[str]:
    """The lines of `text` at `width`, with an empty line between paragraphs."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        line = ""
        for word in paragraph.split():
            whole = f"{line} {word.replace(SOFT, '')}".lstrip()
            if _length(whole) <= width:
                line = whole
                continue
            head, rest = _broken(line, word, width)
            yield head
            line = rest
        yield line


def _broken(line: str, word: str, width: float) -> tuple[str, str]:
    """`line` with as much of `word` as fits before one of its soft hyphens, and the rest of the word."""
    parts = word.split(SOFT)
    for count in range(len(parts) - 1, 0, -1):
        head = f"{line} {''.join(parts[:count])}-"
        if _length(head) <= width:
            return head, "".join(parts[count:])
    return line, "".join(parts)


def _length(text: str) -> float:
    return float(pymupdf.get_text_length(text, ROMAN, SIZE))


def _table(page: pymupdf.Page, rows: Sequence[Sequence[str]], top: float) -> float:
    """Draws `rows` with rules between them; the first is the head. Returns the height below the table."""
    widths = [max(pymupdf.get_text_length(row[i], BOLD, 8) for row in rows) for i in range(len(rows[0]))]
    gap = (WIDTH - LEFT - RIGHT - sum(widths)) / len(widths)
    height = top
    for number, row in enumerate(rows):
        left = LEFT
        for cell, width in zip(row, widths, strict=True):
            page.insert_text((left, height + 11), cell, fontname=ROMAN if number else BOLD, fontsize=8)
            left += width + gap
        height += 16
        page.draw_line((LEFT, height), (WIDTH - RIGHT, height), width=0.4 if number else 0.9)
    return height


def _pdf_bytes(document: pymupdf.Document, title: str) -> bytes:
    document.set_metadata(
        {
            "title": title,
            "author": "Tide office, Saltmere",
            "creationDate": PDF_DATE,
            "modDate": PDF_DATE,
            "producer": "",
            "creator": "",
        }
    )
    content: bytes = document.tobytes(garbage=3, deflate=True, no_new_id=True)
    return content


def _zip_bytes(save: Callable[[io.BytesIO], object]) -> bytes:
    """What `save` writes, with the clock taken out of it."""
    buffer, fixed = io.BytesIO(), io.BytesIO()
    save(buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(fixed, "w") as target:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _fixed_dates(content)
            target.writestr(entry, content)
    return fixed.getvalue()


def _fixed_dates(core: bytes) -> bytes:
    written = WRITTEN.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return re.sub(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*", rb"\g<1>" + written, core)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "library")
