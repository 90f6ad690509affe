import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import notebook as notebook_module
from ingest.document import Kind, PageKind
from ingest.notebook import MOST_BRACKETS, OUTPUT_LIMIT, read_notebook
from ingest.outcome import ReadFailure, Status


def code(source: Any, outputs: list[Any], count: int | None = None) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": outputs, "execution_count": count}


def markdown(source: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source}


def notebook(*cells: Any) -> str:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


def test_cells_are_pages() -> None:
    source = notebook(
        markdown(["# Ovens\n", "\n", "About them."]),
        code("bake()", [{"output_type": "stream", "name": "stdout", "text": ["hot\n", "bread\n"]}], 7),
        code(
            ["1 + 1"],
            [{"output_type": "execute_result", "data": {"text/plain": ["2"], "image/png": "iVBOR"}}],
        ),
    )
    document = read_notebook(source)
    assert document.kind is Kind.NOTEBOOK and document.title == "Ovens" and document.source_lines == ()
    assert [(page.number, page.label, page.kind) for page in document.pages] == [
        (1, "1", PageKind.CELL),
        (2, "[7]", PageKind.CELL),
        (3, "3", PageKind.CELL),
    ]
    texts = [document.text[page.start : page.end].strip() for page in document.pages]
    assert texts == ["# Ovens\n\nAbout them.", "bake()\n\nOutput:\nhot\nbread", "1 + 1\n\nOutput:\n2"]
    assert "iVBOR" not in document.text


def test_headings_but_not_in_code() -> None:
    document = read_notebook(
        notebook(code("# no heading", []), markdown("intro\n## Two ##\n```\n# shell\n```\n### Three"))
    )
    assert [(h.level, h.title) for h in document.headings] == [(2, "Two"), (3, "Three")]
    assert all(document.text.startswith("#" * h.level + " " + h.title, h.start) for h in document.headings)


def test_format_three() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Old"]},
        {
            "cell_type": "code",
            "input": ["x"],
            "prompt_number": 4,
            "outputs": [{"output_type": "pyout", "text": ["5"]}],
        },
    ]
    document = read_notebook(json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]}))
    assert document.text == "## Old\n\nx\n\nOutput:\n5"
    assert document.headings[0].title == "Old" and document.pages[1].label == "[4]"


def test_long_outputs_are_shortened_and_said_so() -> None:
    document = read_notebook(notebook(code("x", [{"output_type": "stream", "text": "y" * (OUTPUT_LIMIT + 500)}])))
    assert document.text.count("y") == OUTPUT_LIMIT
    assert "500 more characters not read" in document.text
    assert document.notes == ("1 outputs shortened to 2,000 characters",)


def test_errors_and_colours() -> None:
    outputs = [
        {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[31mlong\x1b[0m"]},
        {"output_type": "stream", "text": "\x1b[1;32mgreen\x1b[0m"},
    ]
    assert read_notebook(notebook(code("f()", outputs))).text == "f()\n\nOutput:\nKeyError: 'x'\n\nOutput:\ngreen"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_pages_tile_the_text(sources: list[str]) -> None:
    document = read_notebook(notebook(*map(markdown, sources)))
    written = [(number, source) for number, source in enumerate(sources, 1) if source.strip()]
    document.text.encode()
    assert "".join(document.text[page.start : page.end] for page in document.pages) == document.text
    for page, (number, source) in zip(document.pages, written, strict=True):
        assert page.number == number and document.text.startswith(source, page.start)


def test_lone_surrogates_are_replaced() -> None:
    assert read_notebook('{"cells": [{"source": "a\\ud800b"}]}').text == "a\ufffdb"


@pytest.mark.parametrize(
    "source", ["{", "[]", "{}", '{"cells": 3}', "[" * 100_000, '{"cells": [' + "9" * 5000 + "]}", "null"]
)
def test_what_is_no_notebook_is_said_to_be_none(source: str) -> None:
    with pytest.raises(ReadFailure, match="not a notebook") as raised:
        read_notebook(source)
    assert raised.value.status is Status.BROKEN


@pytest.mark.parametrize(
    "cell", [3, None, {}, {"source": 3}, {"source": [1]}, {"outputs": 3}, {"outputs": [3, {"data": 1}]}]
)
def test_odd_cells_do_no_harm(cell: Any) -> None:
    assert read_notebook(notebook(cell, markdown("fine"))).text.endswith("fine")


def test_the_line_of_the_mistake_is_named() -> None:
    with pytest.raises(ReadFailure, match="line 3"):
        read_notebook('{\n"cells":\n}')


def test_empty_cells_count_and_leave_nothing() -> None:
    document = read_notebook(notebook(markdown("a"), code("", []), {}, markdown([" ", "\n"]), markdown("b")))
    assert document.text == "a\n\nb"
    assert [(page.number, page.label) for page in document.pages] == [(1, "1"), (5, "5")]


def test_of_very_many_cells_the_first_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_module, "MOST_CELLS", 3)
    assert "partly" not in read_notebook(notebook(*[markdown("a")] * 3)).metadata
    document = read_notebook(notebook(*map(markdown, "abcde")))
    assert document.text == "a\n\nb\n\nc"
    assert document.metadata["partly"] == "first 3 of 5 cells"


@pytest.mark.parametrize("cell", ["{}", "[]", '{"":{}}'])
def test_more_objects_than_memory_should_hold_are_refused_before_they_are_made(cell: str) -> None:
    source = '{"cells": [' + f"{cell}," * MOST_BRACKETS + "{}]}"
    began = time.process_time()
    with pytest.raises(ReadFailure, match="objects and lists, limit 2,000,000") as raised:
        read_notebook(source)
    assert raised.value.status is Status.TOO_LARGE
    assert time.process_time() - began < 1


@pytest.mark.parametrize("line", ["# a" + " " * 300_000 + "b", "# a" + " #" * 150_000 + "b", "#" + "\t" * 300_000])
def test_a_long_heading_takes_no_long_time(line: str) -> None:
    began = time.process_time()
    read_notebook(notebook(markdown(line)))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "fields",
    [
        {"cells": [markdown("fine")], "worksheets": 3},
        {"worksheets": [{"cells": 3}, {"cells": None}, {"cells": [markdown("fine")]}]},
    ],
)
def test_odd_sheets_do_no_harm(fields: Any) -> None:
    assert read_notebook(json.dumps(fields)).text == "fine"
