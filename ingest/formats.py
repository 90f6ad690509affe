"""What a file is: by its content first, by its name where content can't tell. Nothing is parsed.

`sniff` names the format that decides on a reader, `kind_of` what a text file's text is.
"""

import codecs
import re

from ingest.document import Kind

_MAGIC = (
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"\0\0\1\0", "image"),
    (b"\x1f\x8b", "gzip archive"),
    (b"BZh", "bzip2 archive"),
    (b"\xfd7zXZ\0", "xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"\x28\xb5\x2f\xfd", "zstd archive"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"\x7fELF", "program"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
    (b"fLaC", "audio"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"wOFF", "font"),
    (b"wOF2", "font"),
)
_ZIP = b"PK\3\4"
_EMPTY_ZIP = b"PK\5\6"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_TYPES = (
    (b"mimetypeapplication/epub+zip", "epub"),
    (b"mimetypeapplication/vnd.oasis.opendocument.text", "odt"),
    (b"word/", "docx"),
    (b"ppt/", "pptx"),
    (b"xl/", "xlsx"),
)
_OLE_STREAMS = (
    ("__substg1.0_", "msg"),
    ("__properties_version1.0", "msg"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
)
_ZIP_NAMES = {"docx", "pptx", "xlsx", "epub", "odt"}
_ZIP_VARIANTS = {
    "docm": "docx",
    "dotx": "docx",
    "pptm": "pptx",
    "ppsx": "pptx",
    "xlsm": "xlsx",
    "xltx": "xlsx",
}
_OLE_NAMES = {"doc", "xls", "ppt", "msg"}
_IMAGE_BRANDS = (b"avif", b"heic", b"heix", b"mif1", b"msf1")
_MARK_UP = re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html)\b", re.I | re.S)
_MAIL_HEAD = re.compile(rb"(?:[A-Za-z-]{2,40}:[^\n]*\n(?:[ \t][^\n]*\n)*){2}")
_UTF16 = re.compile(rb"(?:\xff\xfe|\xfe\xff)|(?:[\t\n\r -~]\0){8}|(?:\0[\t\n\r -~]){8}|(?:[\t\n\r -~]\0{3}){4}")
# What is left of text without them: bytes that are hardly ever written. An odd one comes of a crash or of padding.
_CONTROLS = bytes(sorted(set(range(32)) - set(b"\b\t\n\f\r\x1b") | {0x7F}))
_STRAY_SHARE = 0.001
_LEAST_WIDE_CHARACTERS = 16
_LETTER_SHARE, _WRITTEN_SHARE = 0.5, 0.95
_PAUSE_SHARE = 0.01
_LAST_LATIN = "\u02ff"
_PAUSE = re.compile("[\n\r \u3000-\u3002\uff0c]")
_ROUND_SHARE = 0.08  # numbers in binary formats are padded with zeros on either side, letters are not
# The letters of the living scripts and the signs beside them; half of what two arbitrary bytes make is none of these.
_WRITTEN = re.compile(
    "[\t\n\r -~\xa0-\u024f\u0370-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u10a0-\u10ff\u2010-\u206f\u20a0-\u20bf\u3000-\u30ff"
    "\u3400-\u9fff\uac00-\ud7a3\uff00-\uffef]+"
)
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")

_BY_NAME = {
    "markdown": ["markdown", "md", "mdown", "mdx", "mkd", "qmd", "rmd"],
    "html": ["htm", "html", "xhtml"],
    "notebook": ["ipynb"],
}
_TEXT_FORMATS = {ending: name for name, endings in _BY_NAME.items() for ending in endings}

_MARKDOWN = frozenset(_BY_NAME["markdown"])
_TABLES = frozenset(("csv", "tsv", "psv"))
_PROSE = frozenset(
    (
        "adoc", "asc", "asciidoc", "bib", "eml", "fodt", "info", "log", "man", "mediawiki", "nfo", "org", "pod", "rd",
        "rst", "rest", "sgml", "srt", "tex", "texi", "texinfo", "textile", "txt", "text", "vtt", "wiki",
    )
)  # fmt: skip
_CODE = frozenset(
    (
        "ada", "adb", "ads", "applescript", "as", "asm", "astro", "awk", "bash", "bat", "bazel", "bzl", "c", "c++",
        "cc", "cfg", "cjs", "cl", "clj", "cljs", "cls", "cmake", "cmd", "cob", "coffee", "conf", "cpp", "cr", "cs",
        "cshtml", "css", "cu", "cuh", "cxx", "d", "dart", "diff", "dockerfile", "dpr", "el", "ejs", "elm", "env",
        "erb", "erl", "ex", "exs", "f", "f03", "f08", "f77", "f90", "f95", "fish", "for", "fs", "fsi", "fsx", "gd",
        "gemspec", "glsl", "go", "gradle", "graphql", "groovy", "h", "h++", "haml", "hbs", "hcl", "hh", "hlsl", "hpp",
        "hrl", "hs", "hx", "hxx", "idl", "ini", "inl", "ino", "ipp", "j2", "java", "jbuilder", "jinja", "jl", "js",
        "json", "json5", "jsonc", "jsonl", "jsp", "jsx", "kt", "kts", "lean", "less", "lhs", "liquid", "lisp", "ll",
        "lua", "m", "m4", "mak", "metal", "mjs", "mk", "ml", "mli", "mm", "mod", "mustache", "ndjson", "nim", "nix",
        "nsi", "pas", "patch", "php", "pl", "plist", "pm", "po", "pp", "prisma", "pro", "properties", "proto", "ps1",
        "psm1", "pug", "purs", "pxd", "pxi", "py", "pyi", "pyw", "pyx", "qml", "r", "rake", "rb", "re", "rkt", "rs",
        "s", "sass", "sc", "scala", "scm", "scss", "sh", "sln", "sol", "sql", "ss", "st", "sv", "svelte", "svg", "svh",
        "swift", "tcl", "tf", "tfvars", "thrift", "tmpl", "toml", "tpl", "ts", "tsx", "twig", "v", "vala", "vb",
        "vbs", "vert", "vh", "vhd", "vhdl", "vim", "vue", "wat", "wgsl", "wl", "x", "xaml", "xml", "xsd", "xsl",
        "xslt", "yaml", "yml", "zig", "zsh",
    )
)  # fmt: skip
_CODE_NAMES = frozenset(
    (
        "build", "cmakelists.txt", "containerfile", "dockerfile", "gemfile", "gnumakefile", "jenkinsfile", "justfile",
        "makefile", "meson.build", "podfile", "procfile", "rakefile", "requirements.txt", "vagrantfile", "workspace",
    )
)  # fmt: skip
_CODE_SIGNS = re.compile(r"[{}()\[\];=<>]")
_CODE_SIGN_SHARE = 0.04
_LOOKED_AT_CHARACTERS = 4096


def sniff(head: bytes, path: str) -> str:
    """What the file at `path` is, by its first bytes: "text", "pdf", "docx", "image" and so on, or "binary".

    A file named like a binary format that begins unlike it is what its content says; an empty one is as it's named.
    """
    ending = _ending(path)
    if not head:
        return ending if ending == "pdf" or ending in _ZIP_NAMES | _OLE_NAMES else _text_format(head, ending)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _zip_format(head, ending)
    if head.startswith(_OLE):
        return _ole_format(head, ending)
    if b"%PDF-" in head[:1024]:
        return "pdf" if ending == "pdf" or b"\0" in head else _text_format(head, ending)
    return _image_or_binary(head, ending) or _text_format(head, ending)


def kind_of(path: str, text: str) -> Kind:
    """What the text of a text file is: by its name, else by its first line and by how much of it is punctuation."""
    name, ending = path.rpartition("/")[2].lower(), _ending(path)
    if ending in _MARKDOWN:
        return Kind.MARKDOWN
    if ending in _TABLES:
        return Kind.TABLE
    if ending in _CODE or name in _CODE_NAMES or text.startswith("#!"):
        return Kind.CODE
    if ending in _PROSE:
        return Kind.PROSE
    start = text[:_LOOKED_AT_CHARACTERS]
    return Kind.CODE if len(_CODE_SIGNS.findall(start)) > _CODE_SIGN_SHARE * len(start) else Kind.PROSE


def is_nearly_utf8(content: bytes, *, whole: bool) -> bool:
    """Whether this is UTF-8 with next to no control characters; without `whole` its last character may be cut."""
    return _controls(content) <= len(content) * _STRAY_SHARE and _is_utf8(content, whole=whole)


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 without a mark in a script other than Latin, told by the letters that it makes; None where it isn't.

    Pairs of ASCII or of GBK bytes make letters too, but neither NULs nor spaces, line ends and full stops between them.
    """
    if b"\0" not in head or is_nearly_utf8(head.replace(b"\0", b""), whole=False):
        return None
    return next((encoding for encoding in ("utf-16-le", "utf-16-be") if _makes_words(head, encoding)), None)


def _makes_words(head: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)[:_LOOKED_AT_CHARACTERS]
    except UnicodeDecodeError:
        return False
    size = len(text)
    if len(_PAUSE.findall(text)) < _PAUSE_SHARE * size:
        return False
    if sum(map(len, _WRITTEN.findall(text))) < max(_LEAST_WIDE_CHARACTERS, _WRITTEN_SHARE * size):
        return False
    round_codes = sum(ord(character) % 256 == 0 for character in text)
    return (
        round_codes <= _ROUND_SHARE * size
        and sum(character > _LAST_LATIN for character in text) >= _LETTER_SHARE * size
    )


def _controls(content: bytes) -> int:
    return len(content) - len(content.translate(None, _CONTROLS))


def _is_utf8(content: bytes, *, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content, whole)
    except UnicodeDecodeError:
        return False
    return True


def _ending(path: str) -> str:
    stem, dot, ending = path.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot and stem else ""


def _zip_format(head: bytes, ending: str) -> str:
    ending = _ZIP_VARIANTS.get(ending, ending)
    if ending in _ZIP_NAMES:
        return ending
    return next((name for marker, name in _ZIP_TYPES if marker in head), "zip archive")


def _ole_format(head: bytes, ending: str) -> str:
    if ending in _OLE_NAMES | _ZIP_NAMES:
        return ending
    found = (name for stream, name in _OLE_STREAMS if stream.encode("utf-16-le") in head)
    return next(found, "old Office file")


def _image_or_binary(head: bytes, ending: str) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[4:8] == b"ftyp":
        return "image" if head[8:12] in _IMAGE_BRANDS else "video"
    if head[:2] == b"BM" and ending in ("bmp", "dib"):
        return "image"
    if b"\0" in head and not _is_text(head):
        return "pdf" if ending == "pdf" else "binary"
    return None


def _is_text(head: bytes) -> bool:
    """Whether a head with NULs is text nevertheless."""
    if head.startswith(_WIDE_MARKS) or _UTF16.match(head):
        return True
    return is_nearly_utf8(head, whole=False) or wide_encoding(head) is not None


def _text_format(head: bytes, ending: str) -> str:
    if ending in _TEXT_FORMATS:
        return _TEXT_FORMATS[ending]
    if ending == "eml" and _MAIL_HEAD.match(head):
        return "eml"
    if ending not in _CODE and _MARK_UP.match(head):
        return "html"
    return "text"
