"""What a file of source code says of itself."""

import pytest

from ingest.document import Document, Kind
from longctx import modules


def purpose(text: str) -> str | None:
    span = modules.purpose(Document(text, Kind.CODE))
    return modules.without_marks(text[slice(*span)]) if span else None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"""Draws tides.\n\nMore."""\nimport os\n', "Draws tides."),
        ("#!/usr/bin/env python\n# coding: x\n'''Draws\ntides, e.g. May. More.'''\n", "Draws tides, e.g. May."),
        ("// Copyright 2024 Someone\n\n// Package tides draws tides.\npackage tides\n", "Package tides draws tides."),
        ("//! Draws tides of all kinds.\n//! And more.\nuse std::fs;\n", "Draws tides of all kinds."),
        ("/*\n * MIT license.\n */\n/* Draws tides for a\n * mole. */\n#include <x.h>\n", "Draws tides for a mole."),
        ("#!/bin/sh\n# Draws the tides of today.\nset -e\n", "Draws the tides of today."),
        ("<!-- Draws tides on a page. -->\n<template>\n", "Draws tides on a page."),
        ("import os\n\nx = 1\n", None),
        ('"""x = tides.draw(1)"""\n', None),
        ("# isort:skip_file\nfrom a import b\n", None),
        ("# flake8: noqa\n\"\"\"Draws tides.\"\"\"\n", "Draws tides."),
        ("", None),
        ('"""', None),
        ("/* never closed", None),
    ],
)  # fmt: skip
def test_a_file_says_what_it_is_for(text: str, said: str | None) -> None:
    assert purpose(text) == said


def test_what_others_may_use_is_found_with_what_it_says() -> None:
    text = (
        "class Tide(Base):\n    \"\"\"A tide at a mole. It rises.\"\"\"\n\n"
        "    def rise(self):\n        \"\"\"Rise.\"\"\"\n\n"
        "def _hidden():\n    pass\n\ndef draw(\n    station,\n    day,\n):\n    "
        "\"\"\"Draw the tide of a day.\"\"\"\n    return 1\n\n"
        "def bare():\n    return 2\n"
    )  # fmt: skip
    found = list(modules.defined(Document(text, Kind.CODE)))
    assert [each.name for each in found] == ["Tide", "draw", "bare"]
    assert [text[slice(*each.says)] if each.says else None for each in found] == [
        "A tide at a mole.",
        "Draw the tide of a day.",
        None,
    ]
    assert text[slice(*found[1].whole)].startswith("def draw(\n") and text[slice(*found[1].whole)].endswith("of a day.")
    assert text[slice(*found[2].whole)] == "def bare():"


def test_what_is_said_of_a_definition_stands_in_what_is_quoted_of_it() -> None:
    many = "".join(f"    parameter_{n}: 'A very long name of what one of {n} kinds is',\n" for n in range(10))
    texts = (
        f'def draw(\n{many}) -> None:\n    """Draws the tide of a day."""\n',
        '@cache\ndef draw(day):\n    """Draws the tide of a day."""\n',
        "// Draws the tide of a day.\nfunc Draw(day int) int {\n\treturn 1\n}\n",
        f"// Draws the tide of a day.\n//{' -' * 400}\nfunc Draw(day int) int {{\n}}\n",
    )
    for text in texts:
        (found,) = modules.defined(Document(text, Kind.CODE))
        start, end = found.whole
        assert "Draws the tide of a day." in text[start:end] and end - start <= modules.LONGEST


def test_a_comment_above_a_definition_says_what_it_is() -> None:
    text = "package tides\n\n// Draw draws the tide of a day.\nfunc Draw(day int) int {\n\treturn 1\n}\n"
    (found,) = modules.defined(Document(text, Kind.CODE))
    assert found.says and modules.without_marks(text[slice(*found.says)]) == "Draw draws the tide of a day."


@pytest.mark.parametrize(
    ("line", "used"),
    [
        ("from longctx.index import Match, Index", {("longctx", "index"), ("index", "Match"), ("index", "Index")}),
        ("from . import plan", {("", "plan")}),
        ("import os.path", {("os", "path")}),
        ('#include "tides/gauge.h"', {("tides", "gauge")}),
        ("import { draw } from './chart/draw.js'", {("chart", "draw")}),
        ("use crate::tides::gauge;", {("tides", "gauge")}),
    ],
)
def test_what_a_file_imports_is_named_with_where_it_is(line: str, used: set[tuple[str, str]]) -> None:
    assert used <= modules.uses(f"{line}\n")


@pytest.mark.parametrize(
    ("path", "text", "begins"),
    [
        ("pyproject.toml", '[project.scripts]\nx = "x.cli:main"\n\n[tool.x]\na = "b"\n', ['x = "x.cli:main"']),
        ("web/package.json", '{"main": "a.js", "scripts": {"start": "b"}}', ['"main": "a.js"', '"start": "b"']),
        ("x.py", 'x\n\nif __name__ == "__main__":\n    m()\n', ['if __name__ == "__main__":\n    m()']),
        ("main.go", "package main\n\nfunc main() {\n}\n", ["func main()"]),
        ("Dockerfile", "FROM x\nENTRYPOINT [\"tides\"]\n", ['ENTRYPOINT ["tides"]']),
        ("notes.md", "func main()\n", []),
    ],
)  # fmt: skip
def test_where_a_program_begins(path: str, text: str, begins: list[str]) -> None:
    assert [text[slice(*span)] for span in modules.starts(path, text)] == begins


def test_a_manifest_says_what_its_project_is() -> None:
    text = '[project]\ndescription = "Logs tides and predicts them."\n'
    span = modules.described("a/pyproject.toml", text)
    assert span and text[slice(*span)] == "Logs tides and predicts them."
    assert modules.described("a/other.toml", text) is None


def test_what_a_command_of_a_setup_file_is_for_is_not_what_the_project_is() -> None:
    text = 'class Test(Command):\n    description = "run all tests"\n\nsetup(\n    description="Logs tides.",\n)\n'
    span = modules.described("setup.py", text)
    assert span and text[slice(*span)] == "Logs tides."
