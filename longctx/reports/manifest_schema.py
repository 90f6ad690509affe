"""The JSON schema of a manifest, for editors and for the reader of manifests.

It says what each key may hold. That ids are unique and that references lead somewhere, only the reader says. No value
is ever null: a key without one is left out.
"""

import json
from collections.abc import Sequence
from typing import Any

from longctx.reports.manifest import SCHEMA, Format
from longctx.settings import MODES
from longctx.summary_form import Length, Style

URN = "urn:longctx:manifest:1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
LINE_MOST, NAME_MOST, TEXT_MOST, LIST_MOST = 300, 4096, 50_000, 10_000
Rule = dict[str, Any]  # a JSON schema; its $comment is what a reader was to write


def schema() -> Rule:
    """The JSON schema of a manifest."""
    told = "What `longctx report` is to read, ask and write."
    keys = {
        "schema": _one_of("The form of this manifest.", [SCHEMA], default=SCHEMA),
        "title": _line("The report's title.", default="", examples=["Covenants in the quarterly filings"]),
        "description": _text("What stands below the title.", default=""),
        "corpus": _corpus(),
        "engine": _engine(),
        "summary": _summary(),
        "question": _questions(),
        "output": _output(),
    }
    asked = {"anyOf": [{"required": ["question"]}, {"required": ["summary"]}]}
    return {"$schema": DIALECT, "$id": URN, **_table("Manifest of a longctx report", told, keys), **asked}


def published() -> str:
    """The schema as it is printed, and kept among the documentation."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _corpus() -> Rule:
    start = "Folders, files, globs or git URLs; relative ones start at the manifest's folder."
    return _table(
        "Corpus",
        "What is read.",
        {
            "paths": _list(_path("A source."), start, examples=[["filings/**/*.pdf", "notes/"]]),
            "include": _names("Patterns as in .gitignore: read these although they are left out by default."),
            "exclude": _names("Patterns as in .gitignore: leave these out.", examples=[["**/drafts/**"]]),
            "only": _names("Patterns as in .gitignore: read nothing but these.", examples=[["*.pdf", "*.md"]]),
            "gitignore": _switch("Whether what .gitignore files name is left out.", default=True),
        },
    )


def _engine() -> Rule:
    return _table(
        "Engine",
        "Who answers and how; what is left out comes from the settings. Only they say which server, model and key.",
        {
            "name": _name("The engine.", examples=["vllm"]),
            "mode": _one_of("Send all of the corpus (full), or what bears most on each question (focus).", MODES),
            "max_tokens": _whole("What an answer may have at the most, in tokens.", 1, 1_000_000_000),
            "temperature": {**_whole("0 takes the likeliest words.", 0, 100), "type": "number"},
            "seed": _whole("Makes what chance decides repeatable.", 0, 2**63 - 1),
            "jobs": _whole("How many questions are asked at once.", 1, 256),
        },
    )


def _summary() -> Rule:
    heading = _line("A heading.", pattern=r"\S", comment="a heading")
    return _table(
        "Summary",
        "Summaries; there are none without this table.",
        {
            "corpus": _switch("A summary of all that was read.", default=True),
            "per_document": _switch("A summary of each document.", default=False),
            "length": _one_of("About 5, 12 or 30 statements.", list(Length), default=Length.MEDIUM),
            "style": _one_of("The form of summaries.", list(Style), default=Style.BULLETS),
            "sections": _list(heading, "Headings that summaries are to have, in this order.", most=50),
            "focus": _text("A question that summaries are written for.", default=""),
        },
    )


def _questions() -> Rule:
    question = _table(
        "Question",
        "A question.",
        {
            "id": _id("A short name that no other question has.", examples=["covenants"]),
            "text": _text("The question; {{answers.ID}} in it stands for the answer to another one.", pattern=r"\S"),
            "require_verified": _switch("Whether the item fails unless all its citations are verified.", default=False),
            "schema": _name("The file of a JSON schema that the answer must obey, from the manifest's folder on."),
            "depends_on": _list(_id("A question."), "The ids of questions that are asked before.", most=100),
        },
        required=("id", "text"),
    )
    return _list(question, "Questions, in the order in which they stand in the report.", title="Questions")


def _output() -> Rule:
    forms = _list(_one_of("A form.", list(Format)), "What the report is written as.", most=10)
    return _table(
        "Output",
        "Where the report goes and in what form.",
        {
            "folder": _name("The report's folder, from the manifest's folder on."),
            "formats": {**forms, "minItems": 1, "default": list(Format)},
            "pictures": _switch("Whether cited PDF pages are shown as pictures.", default=True),
        },
    )


def _table(title: str, description: str, keys: dict[str, Rule], required: Sequence[str] = ()) -> Rule:
    rule = {"title": title, "description": description, "type": "object", "properties": keys}
    return {**rule, "required": list(required), "additionalProperties": False}


def _list(items: Rule, description: str, *, most: int = LIST_MOST, **more: Any) -> Rule:
    rule = {"type": "array", "description": description, "items": items, "maxItems": most}
    return {**rule, **({} if "required" in items else {"default": []}), **more}


def _text(description: str, *, pattern: str = "", comment: str = "a text that says something", **more: Any) -> Rule:
    told = {"pattern": pattern, "$comment": comment} if pattern else {}
    return {"type": "string", "description": description, "maxLength": TEXT_MOST, **told, **more}


def _line(description: str, **more: Any) -> Rule:
    return _text(description, **{"pattern": r"^[^\r\n]*$", "comment": "one line", "maxLength": LINE_MOST, **more})


def _name(description: str, **more: Any) -> Rule:
    return _line(description, pattern=r"^(?=[^\r\n]*\S)[^\r\n]*$", comment="a name", maxLength=NAME_MOST, **more)


def _path(description: str) -> Rule:
    """Not `-`: what is piped in is not there when the same command goes on."""
    pattern, comment = r"^(?!\s*-\s*$)(?=[^\r\n]*\S)[^\r\n]*$", "a folder, file, glob or git URL"
    return _line(description, pattern=pattern, comment=comment, maxLength=NAME_MOST)


def _names(description: str, **more: Any) -> Rule:
    return _list(_name("A name."), description, **more)


def _id(description: str, **more: Any) -> Rule:
    wanted = '1 to 64 letters, digits, ".", "_" or "-", no mark first'
    return _line(description, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", comment=wanted, **more)


def _switch(description: str, *, default: bool) -> Rule:
    return {"type": "boolean", "description": description, "default": default}


def _whole(description: str, least: int, most: int) -> Rule:
    return {"type": "integer", "description": description, "minimum": least, "maximum": most}


def _one_of(description: str, choices: Sequence[str], **more: Any) -> Rule:
    return {"type": "string", "description": description, "enum": list(choices), **more}
