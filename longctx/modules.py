"""What a file of source code says of itself: what it is for, what it defines, what it uses, where a program begins.

Read from docstrings, comments and the look of lines, in whatever language; no code is parsed and none is run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.document import Document
from ingest.segments import Definition, definitions

HEAD = 6000  # characters within which a file says what it is for, and imports
REACH = 20_000  # of a block of comment
LONGEST = 400  # characters of what is quoted for one thing

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Defined:
    """A function or class that others may use: its name, what is to be quoted of it, and what it says of itself.

    The `whole` is its first line with what it says; that alone where both are too long, so that it always holds it.
    """

    name: str
    whole: Range
    says: Range | None
    size: int = 0


def purpose(document: Document) -> Range | None:
    """The first sentence of the docstring or comment that a file begins with; a licence is passed over."""
    text = document.text
    for block in _opening_comments(text):
        start, end = block
        said = _first_sentence(text, start, end)
        if said and not _IDLE.search(text[start : min(end, start + 300)]):
            return said
    return None


def defined(document: Document) -> Iterator[Defined]:
    """The outermost functions and classes whose names are not private."""
    for definition in definitions(document):
        if not definition.indent and not definition.name.startswith("_"):
            yield _defined(document.text, definition)


def around(document: Document, start: int, end: int) -> Defined | None:
    """The innermost function or class in which `text[start:end]` begins, else the first one in it."""
    within = [each for each in definitions(document) if each.start < end and start < each.end]
    begun = [each for each in within if each.start <= start]
    return _defined(document.text, (begun[-1:] or within)[0]) if within else None


def _defined(text: str, definition: Definition) -> Defined:
    says, line = _said_of(text, definition), _line(text, definition)
    whole = line
    if says:
        whole = min(says[0], line[0]), max(says[1], line[1])
        whole = whole if whole[1] - whole[0] <= LONGEST else says
    return Defined(definition.name, whole, says, definition.end - line[0])


def uses(text: str) -> set[tuple[str, str]]:
    """What a file imports or includes, each by the last part of its name and the part before that, if there is one."""
    names = set[tuple[str, str]]()
    for match in _IMPORT.finditer(text, 0, 4 * HEAD):
        words = [word for word in re.split(r"[^\w./\\:@-]+", match.group()) if word.strip("./\\:-")]
        base = ""
        for word in words:
            parts = [part for part in re.split(r"[./\\:]+", re.sub(r"\.[a-z]{1,3}$", "", word)) if part]
            if parts and parts[-1] not in _IMPORTING:
                names.add((parts[-2] if len(parts) > 1 else base, parts[-1]))
                base = base or parts[-1]
    return names


def starts(path: str, text: str) -> Iterator[Range]:
    """Where a program begins: what installs a command, a main function, the guard of a script."""
    name = path.rpartition("/")[2].lower()
    if name in ("pyproject.toml", "setup.cfg", "setup.py"):
        yield from _lines_below(text, _SCRIPTS)
    elif name == "package.json":
        yield from (match.span() for match in _NODE.finditer(text))
    elif name in ("dockerfile", "containerfile", "procfile"):
        yield from (match.span() for match in _CONTAINER.finditer(text))
    elif name.endswith(_ENDINGS):
        yield from (match.span() for match in [_MAIN.search(text)] if match)


def described(path: str, text: str) -> Range | None:
    """The line of a project's manifest that says what the project is."""
    name = path.rpartition("/")[2].lower()
    if name not in ("pyproject.toml", "package.json", "cargo.toml", "setup.cfg", "setup.py"):
        return None
    match = (_ARGUMENT if name == "setup.py" else _DESCRIBED).search(text)
    return match.span("said") if match else None


def without_marks(text: str) -> str:
    """A docstring or comment as running text."""
    text = re.sub(r":[\w:]+:(?=`)", "", text)
    return " ".join(re.sub(r"^[ \t]*(?:\*(?!\*)|//[/!]?|#+!?|--|;+|%+)[ \t]?", "", text, flags=re.MULTILINE).split())


_ENDINGS = (".py", ".go", ".rs", ".c", ".cc", ".cpp", ".java", ".kt", ".cs", ".js", ".ts", ".rb", ".sh")
_SCRIPTS = re.compile(r"^\[(?:project\.(?:gui-)?scripts|tool\.poetry\.scripts)\]|console_scripts[^\n]*", re.MULTILINE)
_NODE = re.compile(r'"(?:bin|main|start|module)"\s*:\s*(?:"[^"\n]{1,200}"|\{[^{}]{1,300}\})')
_CONTAINER = re.compile(r"^(?:ENTRYPOINT|CMD|web:|worker:)[^\n]{1,200}", re.MULTILINE)
_MAIN = re.compile(
    r"^if __name__ == ['\"]__main__['\"]:\s*\n[^\n]+|^func main\(\)|^(?:pub |async )*fn main\(\)[^\n{]*|"
    r"^(?:int|void) main\([^\n]*\)|^[ \t]*public static (?:async )?\w+ [Mm]ain\([^\n]*\)|^fun main\([^\n]*\)"
    r"|^main \"\$@\"",
    re.MULTILINE,
)
_DESCRIBED = re.compile(
    r"^[ \t]*\"?description\"?[ \t]*[=:][ \t]*[\"']?(?P<said>[^\n\"]{10,300}?)[\"']?,?[ \t]*$", re.MULTILINE
)
# What ends in no comma is an attribute of some class in that file.
_ARGUMENT = re.compile(r"^[ \t]+description[ \t]*=[ \t]*[\"'](?P<said>[^\n\"]{10,300}?)[\"'],[ \t]*$", re.MULTILINE)
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+import[ \t]+(?:\([^)]{0,2000}\)|[^\n]+)|import\b[^\n]+|#[ \t]*include[^\n]+|"
    r"(?:pub )?use[ \t]+[^\n]+|(?:pub )?mod[ \t]+\w+;|require[^\n]+|(?:const|let|var)[^\n]+require\([^\n]+"
    r"|export[^\n]+from[^\n]+|\"[\w./-]+\"$|source[ \t]+[^\n]+)",
    re.MULTILINE,
)
_IMPORTING = frozenset(
    ("from", "import", "as", "use", "pub", "mod", "crate", "self", "super", "include", "require", "const", "let", "var",
     "export", "source")
)  # fmt: skip
_IDLE = re.compile(
    r"copyright|licen[cs]e|spdx|eslint|pylint|coding[:=]|generated|do not edit|vim:|-\*-|all rights reserved|"
    r"permission is hereby|@ts-|istanbul|prettier|noqa|mypy:|type:|isort|flake8|pyright|ruff:|fmt:|"
    r"pragma|nosec|jshint|jslint|tslint|shellcheck|<reference",
    re.IGNORECASE,
)
_DOCSTRING = re.compile(r"[rRuUbB]{0,2}(\"\"\"|''')")
_BLANK = re.compile(
    r"(?:[ \t]*\n|[ \t]*#![^\n]*\n|[ \t]*<\?php[^\n]*\n|[ \t]*['\"]use strict['\"];?\n|[ \t]*package \w+;?\n)+"
)
_BLOCK = re.compile(r"[ \t]*(?:/\*+!?|<!--|\(\*|\{-|--\[\[|=begin)")
_CLOSINGS = ("*/", "-->", "*)", "-}", "]]", "=end")
_COMMENT_LINES = re.compile(
    r"(?:^[ \t]*(?://[/!]?|#+(?!!|include|define|if|pragma)|--|;+|%+)[^\n]*(?:\n|\Z))+", re.MULTILINE
)


def _opening_comments(text: str) -> Iterator[Range]:
    """What stands between comment marks or quotes before the first code, one block after another."""
    place = 1 if text.startswith("\ufeff") else 0
    while place < min(HEAD, len(text)):
        if blank := _BLANK.match(text, place):
            place = blank.end()
        if quoted := _DOCSTRING.match(text, place):
            end = text.find(quoted[1], quoted.end())
            yield quoted.end(), end if end >= 0 else len(text)
            return
        if block := _BLOCK.match(text, place):
            ends = [end for each in _CLOSINGS if (end := text.find(each, block.end(), place + REACH)) >= 0]
            if not ends:
                return
            yield block.end(), min(ends)
            place = text.find("\n", min(ends)) + 1 or len(text)
        elif lines := _COMMENT_LINES.match(text, place):
            yield lines.span()
            place = lines.end()
        else:
            return


_SENTENCE_END = re.compile(
    r"[.!?](?=\s)|\n[ \t]*(?:\*|//+|#+|--)?[ \t]*\n|\n[ \t]*(?::param|@param|Args:|-{3,}|={3,})|[。！？।]"
)


def _first_sentence(text: str, start: int, end: int) -> Range | None:
    end = min(end, start + 4 * LONGEST)
    lead = re.compile(r"(?:[\s*/#!;%=~-]|\.\. [^\n]*\n)*").match(text, start, end)
    start = lead.end() if lead else start
    place = start
    while found := _SENTENCE_END.search(text, place, end):
        place = found.end()
        if not re.search(r"\b(?:e\.g|i\.e|etc|vs|cf|\w)\.$", text[max(start, place - 6) : place]):
            end = found.end() if text[found.start()] in ".!?。！？।" else found.start()
            break
    end = min(end, start + LONGEST)
    while end > start and text[end - 1] in " \t\n*/#-=":
        end -= 1
    said = text[start:end]
    letters = sum(map(str.isalpha, said))
    return (start, end) if letters >= max(8, 0.6 * len("".join(said.split()))) and not _CODE.search(said) else None


_CODE = re.compile(r"^\s*(?:>>>|[\w.]+ = |(?:import|from|def|class|return)\b.*[:(]$|`{3})", re.MULTILINE)


def _said_of(text: str, definition: Definition) -> Range | None:
    """The first sentence of what is said of a definition: below its first lines, or in the comment above it."""
    opened = re.compile(r"[^\n]*\n(?:[^\n]*\n){0,12}?[ \t]+[rRuUbB]{0,2}(\"\"\"|''')").match(
        text, _line(text, definition)[0]
    )
    if opened and opened.end() <= definition.end and '"""' not in text[definition.start : opened.end() - 3]:
        head = text[definition.body_start : opened.start(1)]
        if not re.search(r"^[ \t]+(?:def|return|if|for|self\.)\b", head, re.MULTILINE):
            end = text.find(opened[1], opened.end())
            return _first_sentence(text, opened.end(), end if end >= 0 else definition.end)
    above = definition.start, _line(text, definition)[0]
    if re.match(r"[ \t]*(?:#|//|/\*|--|;)", text[above[0] : above[1]]):
        said = _first_sentence(text, *above)
        return said if said and not _IDLE.search(text[slice(*said)]) else None
    return None


def _line(text: str, definition: Definition) -> Range:
    """The line that defines, without the comments and decorators above it."""
    end = max(definition.start, min(definition.body_start, len(text)) - 1)
    start = text.rfind("\n", definition.start, end) + 1 or definition.start
    return start, min(end, start + LONGEST)


def _lines_below(text: str, heading: re.Pattern[str]) -> Iterator[Range]:
    """The lines below a heading of a manifest up to the next one."""
    for match in heading.finditer(text):
        place = text.find("\n", match.end()) + 1
        for line in re.compile(r"[^\n]*").finditer(text, place or len(text)):
            if line.group().startswith("[") or not re.search(r"=", line.group()):
                if line.group().strip() and not line.group().startswith(("]", " ", "#")):
                    break
                continue
            yield line.span()
