"""A session in one of the forms that it can be written down in, and which form a file's name asks for."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.naming import show
from longctx.errors import UsageError

if TYPE_CHECKING:
    from longctx.session import Session, Turn


class Form(StrEnum):
    """What a session is exported as; also the ending of its file."""

    MARKDOWN = "md"
    JSON = "json"
    HTML = "html"


def exported(session: "Session", turns: "Sequence[Turn]", sources: Sequence[str], form: Form) -> str:
    """A session in that form; `sources` is what it is about."""
    from longctx import export

    if form is Form.JSON:
        return json.dumps(export.to_json(session, turns, sources), indent=2) + "\n"
    if form is Form.MARKDOWN:
        return export.to_markdown(session, turns, sources)
    from longctx.web_page import to_html

    return to_html(session, turns, sources)


def form_of(output: Path | None) -> Form:
    """The form that a file's name asks for; Markdown where it asks for none. Raises UsageError for an unknown one."""
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    others = {"": Form.MARKDOWN, "markdown": Form.MARKDOWN, "txt": Form.MARKDOWN, "htm": Form.HTML}
    named = {**others, **{form.value: form for form in Form}}
    if suffix not in named:
        raise UsageError(f"{show(str(output))}: no form is called .{show(suffix)}", "name it .md, .json or .html")
    return named[suffix]
