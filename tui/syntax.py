"""What the words of code and Markdown are: comments, strings and so on, for the lines that are looked at.

Lines are lexed in blocks that begin a little before what is wanted, in slices of time, and kept. It refuses very long
lines and languages it is not told by the name of the file: nothing is guessed from content.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from time import perf_counter
from typing import Any

from pygments.lexers import get_lexer_by_name
from pygments.token import Token

from ingest.document import Kind
from tui.line_index import LineIndex

LONGEST_LINE = 2000
BLOCK = 64  # pieces
LOOK_BACK = 128
CACHED_BLOCKS = 128


class Word(StrEnum):
    """What a word is; also the last part of the name of its style."""

    COMMENT = "comment"
    STRING = "string"
    NUMBER = "number-word"
    KEYWORD = "keyword"
    NAME = "name"
    TAG = "tag"
    HEADING = "heading"
    STRONG = "strong"
    EMPHASIS = "emphasis"


WORDS: Mapping[Any, Word] = {
    Token.Comment: Word.COMMENT,
    Token.Comment.Preproc: Word.KEYWORD,
    Token.Literal.String: Word.STRING,
    Token.Literal.Number: Word.NUMBER,
    Token.Keyword: Word.KEYWORD,
    Token.Keyword.Constant: Word.NUMBER,
    Token.Operator.Word: Word.KEYWORD,
    Token.Name.Function: Word.NAME,
    Token.Name.Class: Word.NAME,
    Token.Name.Decorator: Word.TAG,
    Token.Name.Tag: Word.TAG,
    Token.Name.Attribute: Word.NAME,
    Token.Generic.Heading: Word.HEADING,
    Token.Generic.Subheading: Word.HEADING,
    Token.Generic.Strong: Word.STRONG,
    Token.Generic.Emph: Word.EMPHASIS,
}
LANGUAGES: Mapping[str, str] = {
    ".bash": "bash",
    ".bat": "batch",
    ".bzl": "python",
    ".c": "c",
    ".cc": "cpp",
    ".cfg": "ini",
    ".clj": "clojure",
    ".cmake": "cmake",
    ".cpp": "cpp",
    ".cs": "csharp",
    ".css": "css",
    ".cu": "cuda",
    ".cuh": "cuda",
    ".cxx": "cpp",
    ".dart": "dart",
    ".diff": "diff",
    ".el": "emacs-lisp",
    ".elm": "elm",
    ".erl": "erlang",
    ".ex": "elixir",
    ".exs": "elixir",
    ".f90": "fortran",
    ".fs": "fsharp",
    ".go": "go",
    ".gradle": "groovy",
    ".graphql": "graphql",
    ".groovy": "groovy",
    ".h": "c",
    ".hh": "cpp",
    ".hpp": "cpp",
    ".hs": "haskell",
    ".ini": "ini",
    ".java": "java",
    ".jl": "julia",
    ".js": "javascript",
    ".json": "json",
    ".jsx": "javascript",
    ".kt": "kotlin",
    ".lean": "lean",
    ".lisp": "common-lisp",
    ".lua": "lua",
    ".m": "objective-c",
    ".md": "markdown",
    ".mjs": "javascript",
    ".ml": "ocaml",
    ".nix": "nix",
    ".patch": "diff",
    ".php": "php",
    ".pl": "perl",
    ".proto": "protobuf",
    ".ps1": "powershell",
    ".py": "python",
    ".pyi": "python",
    ".pyx": "cython",
    ".r": "r",
    ".rb": "ruby",
    ".rs": "rust",
    ".rst": "rst",
    ".scala": "scala",
    ".scss": "scss",
    ".sh": "bash",
    ".sql": "sql",
    ".svelte": "html",
    ".swift": "swift",
    ".tcss": "scss",
    ".tex": "latex",
    ".tf": "terraform",
    ".toml": "toml",
    ".ts": "typescript",
    ".tsx": "tsx",
    ".v": "verilog",
    ".vim": "vim",
    ".vue": "html",
    ".xml": "xml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".zig": "zig",
    ".zsh": "bash",
}
FILES: Mapping[str, str] = {
    "CMakeLists.txt": "cmake",
    "Dockerfile": "docker",
    "GNUmakefile": "make",
    "Makefile": "make",
    "makefile": "make",
}


def language(path: str, kind: str) -> str | None:
    """The language of a file, None where it is not coloured."""
    if kind == Kind.MARKDOWN:
        return "markdown"
    if kind != Kind.CODE:
        return None
    name = PurePosixPath(path)
    return FILES.get(name.name) or LANGUAGES.get(name.suffix.lower())


class Syntax:
    """The words of the lines of a text, as far as they were asked for."""

    def __init__(self, index: LineIndex, language: str) -> None:
        self._index = index
        self._lexer: Any = get_lexer_by_name(language, stripnl=False, ensurenl=False)
        self._known: dict[int, list[tuple[int, int, Word]]] = {}
        self._under_way: Iterator[None] | None = None
        self._wanted: list[int] = []

    def forget(self, piece: int) -> None:
        """What is known of a piece, and of what stands behind it, is no longer so."""
        self._known = {block: words for block, words in self._known.items() if block < piece // BLOCK}
        self._under_way = None

    def want(self, first: int, last: int) -> None:
        """These pieces are looked at."""
        blocks = range(first // BLOCK, last // BLOCK + 1)
        self._wanted = [block for block in blocks if block not in self._known]

    def go_on(self, seconds: float) -> bool:
        """Lex what is wanted for so long; whether there is more to do."""
        deadline = perf_counter() + seconds
        while perf_counter() < deadline:
            if self._under_way is None:
                if not self._wanted:
                    return False
                self._under_way = self._lex(self._wanted.pop(0))
            if next(self._under_way, self) is self:
                self._under_way = None
        return True

    def of(self, piece: int) -> list[tuple[int, int, Word]]:
        """The words of a piece and perhaps of those around it, in order; none where they are not known yet."""
        return self._known.get(piece // BLOCK, [])

    def _lex(self, block: int) -> Iterator[None]:
        """Lex a block, with a pause after each token."""
        first, last = block * BLOCK, min(len(self._index), (block + 1) * BLOCK)
        begin = self._index.starts[max(0, first - LOOK_BACK)]
        start, end = self._index.starts[first], self._index.end(last - 1)
        words: list[tuple[int, int, Word]] = []
        for place, kind, text in self._lexer.get_tokens_unprocessed(self._lexable(begin, end)):
            at = begin + place
            word = word_of(kind)
            if word is not None and at + len(text) > start:
                words.append((at, at + len(text), word))
            yield
        if len(self._known) >= CACHED_BLOCKS:
            self._known.clear()
        self._known[block] = words

    def _lexable(self, start: int, end: int) -> str:
        """The text with very long lines blanked, so that all stays where it is."""
        text = self._index.slice(start, end)
        lines = text.split("\n")
        if max(map(len, lines)) <= LONGEST_LINE:
            return text
        return "\n".join(line if len(line) <= LONGEST_LINE else " " * len(line) for line in lines)


def word_of(kind: Any) -> Word | None:
    """What a token is, by its own kind or the nearest one above it."""
    while kind is not None:
        if kind in WORDS:
            return WORDS[kind]
        kind = kind.parent
    return None
