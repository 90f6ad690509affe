"""The file that a session is exported to: a name proposed for it, and the form that a name asks for."""

import os
import re
import unicodedata

from longctx.backend.requests import Form

LONGEST = 60
ENDINGS = {"md": Form.MARKDOWN, "markdown": Form.MARKDOWN, "html": Form.HTML, "htm": Form.HTML, "json": Form.JSON}


def proposed_name(title: str) -> str:
    """A file name made of a title: letters and digits of any script, all else a dash."""
    words = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFKC", title).encode("utf-8", "replace").decode()).strip("-_")
    return f"{words[:LONGEST].rstrip('-_').lower() or 'session'}.md"


def form_of(name: str) -> Form | None:
    """The form that a name's ending asks for; None where it asks for one that there is not."""
    ending = os.path.splitext(name)[1].removeprefix(".").lower()
    return ENDINGS.get(ending) if ending else Form.MARKDOWN


def problem(name: str) -> str:
    """What is wrong with a name; empty where nothing is."""
    if form_of(name) is None:
        return "name it .md, .html or .json"
    try:
        path = absolute(name)
    except OSError:
        return "the folder you are in is gone: name the file from the root"
    if os.path.isdir(path):
        return "that is a folder: add a file's name"
    return "" if os.path.isdir(os.path.dirname(path)) else "there is no such folder"


def absolute(name: str) -> str:
    """The file that is meant, from the root. Raises OSError where the folder that it stands in is gone."""
    return os.path.abspath(os.path.expanduser(name))
