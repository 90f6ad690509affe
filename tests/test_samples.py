"""The sample corpora hold what their questions say, checked without any of the program's own readers."""

import email
import email.policy
import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SAMPLES = Path(__file__).parent.parent / "sample_corpora"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
ANSWERABLE = [row for row in ROWS if row.get("answerable", True)]


def one_line(text: str) -> str:
    return " ".join(text.replace("-\n", "").split())


def pdf_page(path: Path, number: int) -> str:
    import pymupdf

    with pymupdf.open(path) as document:
        return str(document[number - 1].get_text())


def word_text(path: Path) -> str:
    document = pytest.importorskip("docx").Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([paragraph.text for paragraph in document.paragraphs] + cells)


def sheet_text(path: Path, number: int) -> str:
    book = pytest.importorskip("openpyxl").load_workbook(path)
    rows = book.worksheets[number - 1].iter_rows(values_only=True)
    return "\n".join(" ".join(str(value) for value in row if value is not None) for row in rows)


def mail_text(path: Path) -> str:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    return str(message.get_content())


def cell_text(path: Path, number: int) -> str:
    cell = json.loads(path.read_text(encoding="utf-8"))["cells"][number - 1]
    printed = [line for output in cell.get("outputs", ()) for line in output.get("text", ())]
    return "".join([*cell["source"], "\n", *printed])


def cited_text(row: dict[str, Any]) -> str:
    """The text at the place that `row` names."""
    path = SAMPLES / row["corpus"] / row["path"]
    page = row["page"]
    match path.suffix:
        case ".pdf":
            return pdf_page(path, page)
        case ".docx":
            return word_text(path)
        case ".xlsx":
            return sheet_text(path, page)
        case ".eml":
            return mail_text(path)
        case ".ipynb":
            return cell_text(path, page)
        case _:
            first, last = row["lines"]
            return "\n".join(path.read_text(encoding="utf-8").split("\n")[first - 1 : last])


@pytest.mark.parametrize("row", ANSWERABLE, ids=lambda row: row["id"])
def test_the_answer_stands_where_the_question_says(row: dict[str, Any]) -> None:
    assert one_line(row["answer"]) in one_line(cited_text(row))


def test_there_are_enough_questions_of_each_sort() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len(ANSWERABLE) >= 40
    assert len(ROWS) - len(ANSWERABLE) >= 4
    languages = Counter(row["language"] for row in ANSWERABLE)
    assert set(languages) == {"en", "ar", "hi", "th", "vi", "de", "fr", "es", "pt", "it", "id"}


def test_every_document_is_asked_about() -> None:
    asked = {row["path"] for row in ANSWERABLE if row["corpus"] == "library"}
    library = SAMPLES / "library"
    assert asked == {p.relative_to(library).as_posix() for p in library.rglob("*") if p.is_file()}


def test_the_report_has_roman_and_arabic_labels_an_outline_and_a_broken_word() -> None:
    import pymupdf

    with pymupdf.open(SAMPLES / "library" / "annual-report-2024.pdf") as report:
        assert [page.get_label() for page in report] == ["i", "ii", "iii", "1", "2", "3", "4", "5", "6"]
        assert ["4  Silt", 7] in [[title, page] for _, title, page in report.get_toc()]
        assert "sedimenta-\ntion" in report[6].get_text()


def test_everything_is_small() -> None:
    listed = [p for p in SAMPLES.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(path.stat().st_size for path in listed) < 400_000


def test_the_binary_files_come_from_the_build_script(tmp_path: Path) -> None:
    pytest.importorskip("docx")
    pytest.importorskip("openpyxl")
    build = load_build_script()
    build.build(tmp_path)
    library = SAMPLES / "library"
    assert word_text(tmp_path / "keepers-handbook.docx") == word_text(library / "keepers-handbook.docx")
    for number in (1, 2):
        assert sheet_text(tmp_path / "maintenance.xlsx", number) == sheet_text(library / "maintenance.xlsx", number)
    for name, pages in (("annual-report-2024.pdf", 9), ("barnacles.pdf", 2)):
        for number in range(1, pages + 1):
            assert pdf_page(tmp_path / name, number) == pdf_page(library / name, number)


def load_build_script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("sample_build", SAMPLES / "build.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["sample_build"] = module  # dataclasses look their module up there
    specification.loader.exec_module(module)
    return module
