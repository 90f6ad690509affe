import codecs
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import plain
from ingest.document import Kind
from ingest.formats import kind_of
from ingest.outcome import ReadFailure, Status
from ingest.plain import Decoded
from ingest.source import Source, signature_of

LIMIT = 2**20
SAMPLES = {
    "cp1252": "Le café était fermé à Noël; naïve façade, coûteux, 5 €. “Bien sûr”, dit-il.",
    "cp1250": "Zażółć gęślą jaźń, příliš žluťoučký kůň úpěl ďábelské ódy.",
    "cp1251": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "koi8_r": "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "cp1253": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "cp1256": "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر.",
    "cp932": "日本語のテキストです。これは試験用の文章で、漢字とかなを含みます。",
    "euc_jp": "日本語のテキストです。これは試験用の文章で、漢字とかなを含みます。",
    "gb18030": "这是一个用于测试的中文文本，包含一些常用的汉字。",
    "big5": "這是一個用於測試的中文文本，包含一些常用的漢字。",
    "cp949": "이것은 시험을 위한 한국어 문장입니다. 한글을 포함합니다.",
    "cp874": "นี่คือข้อความภาษาไทยสำหรับการทดสอบ",
}


def source(path: Path) -> Source:
    return Source(path.name, str(path), signature_of(path.lstat()))


@pytest.mark.parametrize("encoding", SAMPLES)
def test_text_in_legacy_encodings_is_read_right(encoding: str) -> None:
    text = f"first line\n{SAMPLES[encoding]}\n"
    decoded = plain.decode(text.encode(encoding))
    assert decoded == Decoded(text, encoding)


def test_a_few_accents_in_a_long_program_do_not_change_its_reading() -> None:
    text = "x = 1  # nothing here\n" * 5000 + "# naïve\n" + "y = 2\n" * 5000
    assert plain.decode(text.encode("cp1252")) == Decoded(text, "cp1252")


def test_a_long_line_with_little_cyrillic_takes_no_long_time() -> None:
    text = "x" * 3_000_000 + SAMPLES["cp1251"]
    began = time.process_time()
    assert plain.decode(text.encode("cp1251")) == Decoded(text, "cp1251")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [False, True])
def test_wide_encodings_with_and_without_a_mark(encoding: str, marked: bool) -> None:
    text = "Hello, Größe\r\nand more text\r\n"
    content = ("\ufeff" * marked + text).encode(encoding)
    decoded = plain.decode(content)
    assert (decoded.text, decoded.encoding, decoded.replaced) == (text, encoding + "-sig" * marked, 0)
    assert plain.encode(decoded) == content


def test_marks_and_line_ends_come_back() -> None:
    content = codecs.BOM_UTF8 + b"a\r\nb\rc\n"
    decoded = plain.decode(content)
    assert decoded == Decoded("a\r\nb\rc\n", "utf-8-sig")
    assert plain.encode(decoded) == content


def test_bad_bytes_in_utf8_are_counted() -> None:
    decoded = plain.decode("Größe und Käse".encode() + b" \xff " + "größer".encode())
    assert decoded == Decoded("Größe und Käse \ufffd größer", "utf-8", 1)


def test_a_replacement_character_that_was_there_is_none_of_ours() -> None:
    assert plain.decode("a\ufffdb".encode()).replaced == 0
    assert plain.decode("ä\ufffdb".encode() + b"\xff").replaced == 1


@given(st.binary(max_size=300))
@example(b"\xff\xfea")
@example(b"\x1b$B")
@example(b"\x81\xad\x81\xad text")
def test_bytes_come_back_wherever_nothing_was_replaced(content: bytes) -> None:
    try:
        decoded = plain.decode(content)
    except ReadFailure as failure:
        assert failure.status is Status.BINARY
        return
    decoded.text.encode("utf-8")
    if not decoded.replaced:
        assert plain.encode(decoded) == content


@given(st.text(), st.sampled_from(["utf-8", "utf-8-sig", *SAMPLES]))
def test_text_in_any_encoding_comes_back_as_bytes(text: str, encoding: str) -> None:
    content = text.encode(encoding, "ignore")
    try:
        decoded = plain.decode(content)
    except ReadFailure:
        return
    assert decoded.replaced or plain.encode(decoded) == content


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_utf8_is_always_read_as_such(text: str) -> None:
    decoded = plain.decode(text.encode())
    assert decoded.encoding in ("utf-8", "utf-8-sig")
    assert text.removeprefix("\ufeff") == decoded.text


@pytest.mark.parametrize(
    "content", [b"\0", b"a\0b", os.urandom(4096) + b"\0", bytes(range(1, 32)) * 9, b"\x7fELF\2\1\1\0"]
)
def test_binary_is_no_text(content: bytes) -> None:
    with pytest.raises(ReadFailure) as caught:
        plain.decode(content)
    assert caught.value.status is Status.BINARY


def test_bytes_head_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    assert plain.read_bytes(source(path), 4_000_000) == b"x" * 3_000_000
    assert plain.read_head(source(path), 10) == b"x" * 10
    assert plain.digest(source(path), 4_000_000) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    piped = Source("stdin", "", source(path).signature, content=b"abc")
    assert plain.read_bytes(piped, LIMIT) == b"abc"
    assert plain.digest(piped, LIMIT) == hashlib.sha256(b"abc").hexdigest()


def failure_of(use: Callable[[], object]) -> tuple[Status, str]:
    with pytest.raises(ReadFailure) as caught:
        use()
    return caught.value.status, caught.value.detail


def test_a_large_sparse_file_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(20 * 2**30)
    ending = failure_of(lambda: plain.read_bytes(source(path), 32 * 2**20))
    assert ending == (Status.TOO_LARGE, "20 GB, limit 32 MB")


def test_what_became_a_pipe_or_a_link_or_went_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    before = source(path)
    path.unlink()
    assert failure_of(lambda: plain.read_bytes(before, LIMIT)) == (Status.CHANGED, "the file is gone")
    os.mkfifo(path)
    assert failure_of(lambda: plain.read_bytes(before, LIMIT)) == (Status.SPECIAL, "no longer a regular file")
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert failure_of(lambda: plain.read_head(before)) == (Status.SPECIAL, "no longer a regular file")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.touch()

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    one = source(path)
    monkeypatch.setattr(os, "open", refuse)  # root may read anything
    assert failure_of(lambda: plain.read_bytes(one, LIMIT)) == (Status.UNREADABLE, "no permission")


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_that_changes_is_read_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    path = tmp_path / "a"
    path.write_text("first")
    read, left = os.read, [times]

    def change(descriptor: int, size: int) -> bytes:
        content = read(descriptor, size)
        if not content and left[0]:
            left[0] -= 1
            path.write_text("longer " * (4 - left[0]))
        return content

    one = source(path)
    monkeypatch.setattr(os, "read", change)
    if times == 1:
        assert plain.read_bytes(one, LIMIT) == b"longer " * 4
    else:
        assert failure_of(lambda: plain.read_bytes(one, LIMIT))[0] is Status.CHANGED


ZIP = b"PK\3\4" + b"\0" * 26


@pytest.mark.parametrize(
    ("head", "path", "name"),
    [
        (b"%PDF-1.7", "a", "pdf"),
        (b"", "a.pdf", "pdf"),
        (b"", "a.docx", "docx"),
        (b"", "a.txt", "text"),
        (b"just text", "a.pdf", "text"),
        (b"\0\0binary", "a.pdf", "pdf"),
        (b"junk\n%PDF-1.4\n\0", "a", "pdf"),
        (b"{\\rtf1", "a.doc", "rtf"),
        (ZIP + b"mimetypeapplication/epub+zip", "a", "epub"),
        (ZIP + b"mimetypeapplication/vnd.oasis.opendocument.text", "a", "odt"),
        (ZIP + b"[Content_Types].xml..word/document.xml", "a", "docx"),
        (ZIP, "a.xlsm", "xlsx"),
        (ZIP, "a.jar", "zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.xls", "xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "__substg1.0_".encode("utf-16-le"), "a", "msg"),
        (b"\x89PNG\r\n\x1a\n\0", "a", "image"),
        (b"RIFF\0\0\0\0WEBP", "a", "image"),
        (b"\0\0\0\x18ftypavif", "a", "image"),
        (b"<svg/>", "a.svg", "text"),
        (b"BM is a word", "a.txt", "text"),
        (b"a\0b", "a.txt", "binary"),
        ("Hello, wide".encode("utf-16-le"), "a.txt", "text"),
        ("Hello, wide".encode("utf-16"), "a.txt", "text"),
        (b"<!DOCTYPE html><p>", "a", "html"),
        (b"<?xml version='1.0'?>\n<html>", "a", "html"),
        (b"x", "a.htm", "html"),
        (b"<html>", "a.vue", "text"),
        (b"# x", "README.md", "markdown"),
        (b"{}", "a.ipynb", "notebook"),
        (b"From: a@b\nTo: c@d\n\nx", "a.eml", "eml"),
        (b"no mail", "a.eml", "text"),
        (b"\x7fELF\2", "a", "program"),
    ],
)
def test_what_a_file_is(head: bytes, path: str, name: str) -> None:
    assert plain.sniff(head, path) == name


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("a/b.py", "", Kind.CODE),
        ("Makefile", "all:", Kind.CODE),
        ("run", "#!/bin/sh\n", Kind.CODE),
        ("README", "Some words about it, in prose.", Kind.PROSE),
        ("a.txt", "x = {1};" * 9, Kind.PROSE),
        ("a.rst", "", Kind.PROSE),
        ("a.MD", "", Kind.MARKDOWN),
        ("a.csv", "", Kind.TABLE),
        ("a.unknown", "f(x) = {a: [1, 2]};\n" * 9, Kind.CODE),
        (".gitignore", "*.log\n", Kind.PROSE),
    ],
)
def test_kinds(path: str, text: str, kind: Kind) -> None:
    assert kind_of(path, text) is kind


def test_read_text() -> None:
    document = plain.read_text("naïve\n".encode("cp1252"), "a.py")
    assert (document.text, document.kind, document.encoding, document.replaced) == ("naïve\n", Kind.CODE, "cp1252", 0)


LOG = "".join(f"{number:03} 12:00:00 oven reached {number} °C\n" for number in range(300))


@pytest.mark.parametrize("place", [0, 5000, len(LOG.encode())])
def test_a_stray_nul_does_not_make_a_log_binary(place: int) -> None:
    content = LOG.encode()[:place] + b"\0" + LOG.encode()[place:]
    assert plain.sniff(content[: plain.HEAD_BYTES], "oven.log") == "text"
    decoded = plain.decode(content)
    assert (decoded.encoding, decoded.replaced) == ("utf-8", 1)
    assert decoded.text.replace("\ufffd", "") == LOG and "\0" not in decoded.text


def test_a_head_cut_in_a_character_is_text() -> None:
    content = ("\0" + "é" * 6_000).encode()
    assert len(content[: plain.HEAD_BYTES].decode("utf-8", "ignore").encode()) < plain.HEAD_BYTES
    assert plain.sniff(content[: plain.HEAD_BYTES], "a") == "text"


def test_nuls_behind_a_mark_are_replaced_and_counted() -> None:
    decoded = plain.decode(codecs.BOM_UTF8 + LOG.encode() + b"\0")
    assert decoded == Decoded(LOG + "�", "utf-8-sig", 1)


@pytest.mark.parametrize(
    "content",
    [
        LOG.encode().replace(b"\n", b"\0"),
        b"usr/bin\0usr/lib\0home/someone\0" * 100,
        b"\x7f" * 20 + b"a" * 5000 + b"\0",
        b"".join(b"\xe9" + number.to_bytes(4, "little") for number in range(2000)),
        b"".join(number.to_bytes(2, "little") for number in range(0x4E00, 0x5600)),
    ],
)
def test_nuls_in_what_is_no_text(content: bytes) -> None:
    assert plain.sniff(content[: plain.HEAD_BYTES], "a") == "binary"
    with pytest.raises(ReadFailure):
        plain.decode(content)


def test_a_nul_beside_bytes_that_are_no_utf8_is_no_text() -> None:
    with pytest.raises(ReadFailure):
        plain.decode(LOG.encode() + b"\0\xff")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("sample", ["cp932", "gb18030", "cp949", "koi8_r", "cp1253", "cp1256", "cp874"])
def test_other_scripts_in_utf16_without_a_mark(encoding: str, sample: str) -> None:
    text = f"{SAMPLES[sample]}\n{SAMPLES[sample]}\n"
    content = text.encode(encoding)
    assert plain.sniff(content, "a.txt") == "text"
    assert plain.decode(content) == Decoded(text, encoding)
