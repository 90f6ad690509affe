import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from msgspec.structs import replace

from longctx.answer import to_json
from longctx.corpus import Corpus
from longctx.quoting import quote
from longctx.refresh import refresh
from longctx.reports import drawn_here, pictures
from longctx.reports.drawing import Drawing, PageDrawing
from longctx.reports.drawn_here import DrawnHere
from longctx.reports.evidence import evidence_of
from longctx.reports.own_folder import OwnFolder
from longctx.reports.picture_files import PictureFiles, marked_on
from longctx.reports.pictures import PagePictures
from longctx.reports.report import Evidence

Make = Callable[[dict[str, str | bytes]], Path]
Open = Callable[..., Corpus]
LIBRARY: Any = pymupdf
TIDES = ["The tide of Ostend turns at noon.", "The lighthouse of Ostend is 38 metres high."]


def pdf_of(*pages: str) -> bytes:
    with LIBRARY.open() as document:
        for text in pages:
            document.new_page().insert_text((60, 300), text.splitlines())
        content: bytes = document.tobytes()
        return content


def cited(corpus: Corpus, question: str) -> tuple[Evidence, ...]:
    return evidence_of(corpus, "q", to_json(quote(corpus, question)))


@pytest.fixture
def tides(make_tree: Make, open_corpus: Open) -> tuple[Path, Corpus, Evidence]:
    """A corpus with a PDF and the evidence of a question about its second page."""
    tree = make_tree({"tides.pdf": pdf_of(*TIDES), "note.md": "Nothing.\n"})
    corpus = open_corpus(tree)
    (one, *_) = [each for each in cited(corpus, "how high is the lighthouse of Ostend?") if each.page == 2]
    return tree, corpus, one


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnFolder]:
    with OwnFolder(tmp_path) as folder:
        yield folder


def files(out: Path) -> list[str]:
    return sorted(os.listdir(out / "pages")) if (out / "pages").exists() else []


def test_a_cited_page_gets_its_picture(tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder) -> None:
    _, corpus, one = tides
    with PagePictures(own, corpus, None) as album:
        (drawn,) = album.drawn([one])
        assert drawn == replace(one, picture=drawn.picture) and drawn.picture
        assert files(tmp_path) == [drawn.picture] and drawn.picture.startswith(f"{one.sha256[:16]}-p2-")
        content = album.read(drawn.picture)
    assert content is not None and LIBRARY.Pixmap(content).width == pictures.WIDTH


def test_a_picture_on_the_disk_is_taken_with_its_note(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder
) -> None:
    tree, corpus, one = tides
    unknown = replace(one, chars=(0, 9), sha256=one.sha256)
    with PagePictures(own, corpus, None) as album:
        first = album.drawn([one, unknown])
    assert {each.picture_note for each in first} == {"", pictures.UNMARKED}
    (name,) = files(tmp_path)
    before = (tmp_path / "pages" / name).stat()
    (tree / "tides.pdf").unlink()
    with PagePictures(own, corpus, None) as album:
        assert album.drawn([one, unknown]) == first
    assert (tmp_path / "pages" / name).stat() == before


def test_a_picture_that_came_from_elsewhere_is_drawn_again(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder
) -> None:
    tree, corpus, one = tides
    with PagePictures(own, corpus, None) as album:
        (first,) = album.drawn([one])
        genuine = album.read(first.picture)
    forged = tmp_path / "pages" / first.picture
    PictureFiles(own).write(first.picture, b"\xff\xd8 the tide is 99 metres high \xff\xd9", (True,))
    with PagePictures(own, corpus, None) as album:
        assert album.read(first.picture) is None
        assert album.drawn([one]) == (first,)
        assert album.read(first.picture) == genuine == forged.read_bytes()
    (corpus.paths.state / "pictures.txt").unlink()
    (tree / "tides.pdf").unlink()
    with PagePictures(own, corpus, None) as album:
        assert [each.picture for each in album.drawn([one])] == [""]


def test_pictures_drawn_here_are_remembered_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_here, "MOST", 4)
    place = tmp_path / "state" / "pictures.txt"
    for number in range(9):
        DrawnHere(place).add(f"{number}.jpg", b"x")
        assert len(place.read_text().splitlines()) <= 4
    assert DrawnHere(place).has("8.jpg", b"x")
    assert not any(DrawnHere(place).has(*each) for each in (("8.jpg", b"y"), ("9.jpg", b"x"), ("0.jpg", b"x")))


def test_what_can_not_be_remembered_is_known_while_it_lasts(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    here = DrawnHere(tmp_path / "state" / "pictures.txt")
    here.add("a.jpg", b"x")
    assert here.has("a.jpg", b"x") and not DrawnHere(tmp_path / "state" / "pictures.txt").has("a.jpg", b"x")


def test_evidence_of_one_page_shares_a_picture_and_other_evidence_stays(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder
) -> None:
    _, corpus, one = tides
    start = (one.chars or (0, 0))[0]
    part = replace(one, n=2, quote=one.quote[4:14], chars=(start + 4, start + 14))
    text = replace(one, n=3, kind="markdown", path="note.md", page=None)
    lost = replace(one, n=4, status="unverified", chars=None)
    overleaf = replace(one, n=5, page=1, chars=(4, start + 14), quote=f"{TIDES[0][4:]}\n\n{TIDES[1][:14]}")
    with PagePictures(own, corpus, None) as album:
        drawn = album.drawn([lost, one, text, part, overleaf])
    assert drawn[0] == lost and drawn[2] == text and [each.n for each in drawn] == [4, 1, 3, 2, 5]
    assert drawn[1].picture == drawn[3].picture != "" and len(files(tmp_path)) == 2
    assert drawn[4].picture and {each.picture_note for each in drawn} == {""}


def test_a_name_that_is_no_utf8_is_known_as_a_report_spells_it(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder
) -> None:
    tree, corpus, one = tides
    os.rename(tree / "tides.pdf", os.fsencode(tree) + b"/caf\xe9.pdf")
    list(refresh(corpus))
    with PagePictures(own, corpus, None) as album:
        spelled, raw = (album.drawn([replace(one, path=f"caf{e}.pdf")]) for e in ("\\udce9", "\udce9"))
    assert spelled[0].picture == raw[0].picture != ""


def test_failures_are_notes(tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder) -> None:
    tree, corpus, one = tides
    (tmp_path / "outside.pdf").write_bytes((tree / "tides.pdf").read_bytes())
    forged = replace(one, path="../outside.pdf")
    no_page = replace(one, page=9)
    bad_digest = replace(one, sha256="../../evil")
    with PagePictures(own, corpus, None) as album:
        notes = [each.picture_note for each in album.drawn([forged, no_page, bad_digest])]
        assert notes == [pictures.NOT_HERE, "there is no page 9: it has 2", pictures.CHANGED]
        (tree / "tides.pdf").write_bytes(pdf_of("Other.", "Words."))
        assert album.drawn([one])[0].picture_note == pictures.CHANGED
        (tree / "tides.pdf").unlink()
        assert album.drawn([one])[0].picture_note == pictures.NOT_HERE
    assert files(tmp_path) == []


def test_a_folder_that_can_not_be_written_is_a_note(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder
) -> None:
    _, corpus, one = tides
    (tmp_path / "pages").write_text("a file")
    with PagePictures(own, corpus, None) as album:
        (drawn,) = album.drawn([one])
    assert not drawn.picture and drawn.picture_note.startswith("it can't be kept: ")


def test_no_more_pictures_than_a_report_may_have(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, corpus, one = tides
    monkeypatch.setattr(pictures, "MOST", 1)
    with PagePictures(own, corpus, None) as album:
        (first,) = album.drawn([one])
        (second,) = album.drawn([replace(one, page=1)])
        assert (second.picture, second.picture_note) == ("", pictures.TOO_MANY)
        assert album.drawn([one]) == (first,)


def test_an_earlier_run_takes_no_room_and_a_later_one_has_what_a_first_would_have(
    tides: tuple[Path, Corpus, Evidence], own: OwnFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, corpus, one = tides
    overleaf = replace(one, page=1, chars=(4, 9))
    monkeypatch.setattr(pictures, "MOST", 1)
    with PagePictures(own, corpus, None) as album:
        first = PageDrawing(album).draw([one])
        refused = PageDrawing(album).draw([overleaf])
        assert refused[0].picture_note == pictures.TOO_MANY
    with PagePictures(own, corpus, None) as album:
        (drawn,) = PageDrawing(album).restore(refused)
        assert drawn.picture and not drawn.picture_note
    with PagePictures(own, corpus, None) as album:
        assert PageDrawing(album).restore(first) == first
        assert PageDrawing(album).restore([replace(one, picture="forged.jpg")]) == first
    assert Drawing().restore(first) == (one,)


def test_a_file_that_stops_the_parser_again_and_again_is_left(
    tides: tuple[Path, Corpus, Evidence], tmp_path: Path, own: OwnFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest import picture
    from ingest.worker import Limits

    _, corpus, one = tides
    monkeypatch.setattr(picture, "LIMITS", Limits(seconds=0))
    monkeypatch.setattr(pictures, "STOPPED_MOST", 1)
    with PagePictures(own, corpus, None) as album:
        notes = [album.drawn([replace(one, page=page)])[0].picture_note for page in (1, 2)]
    assert notes == ["parser stopped: more than 0 s", "parser stopped on other pages of this file"]


def test_a_locked_file(make_tree: Make, open_corpus: Open, tmp_path: Path, own: OwnFolder) -> None:
    from ingest.rules import Selection
    from longctx import paths
    from longctx.request import Request

    with LIBRARY.open(stream=pdf_of(*TIDES)) as document:
        locked = document.tobytes(encryption=LIBRARY.PDF_ENCRYPT_AES_256, user_pw="tide", owner_pw="sea")
    tree = make_tree({"tides.pdf": locked})
    request = Request((str(tree),), Selection(), password="tide")
    with Corpus(request, paths.locate(os.environ)) as corpus:
        list(refresh(corpus))
        (one, *_) = cited(corpus, "how high is the lighthouse of Ostend?")
        with PagePictures(own, corpus, None) as album:
            assert album.drawn([one])[0].picture_note == "needs a password"
        with PagePictures(own, corpus, "tide") as album:
            assert album.drawn([one])[0].picture


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../report.json", "/etc/passwd", "a.jpg", f"{'0' * 16}-p1-{'0' * 16}.jpg\n", "\0", "\udc80"]
)
def test_only_our_own_names_are_read(tmp_path: Path, own: OwnFolder, name: str) -> None:
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/a.jpg").write_bytes(b"\xff\xd8\xff\xfe\0\x14longctx marked 1;")
    assert PictureFiles(own).read(name) is None


def test_only_our_own_files_are_read(tmp_path: Path, own: OwnFolder) -> None:
    kept = PictureFiles(own)
    ours, link, pipe, other = (f"{number * 16}-p1-{'0' * 16}.jpg" for number in "0123")
    kept.write(ours, b"\xff\xd8\xff\xd9", (True, False))
    os.symlink(tmp_path / "pages" / ours, tmp_path / "pages" / link)
    os.mkfifo(tmp_path / "pages" / pipe)
    (tmp_path / "pages" / other).write_bytes(b"\xff\xd8\xff\xd9")
    assert marked_on(kept.read(ours) or b"") == (True, False)
    assert [kept.read(name) for name in (link, pipe, other)] == [None, None, None]


def test_what_a_killed_run_left_is_swept(tmp_path: Path, own: OwnFolder) -> None:
    folder = tmp_path / "pages"
    kept = PictureFiles(own)
    kept.sweep()
    name = f"{'a' * 16}-p1-{'0' * 16}.jpg"
    kept.write(name, b"\xff\xd8\xff\xd9", (True,))
    (folder / f".{name}.0123abcd").write_bytes(b"half")
    (folder / ".mine").write_bytes(b"whole")
    kept.sweep()
    assert sorted(os.listdir(folder)) == [".mine", name]
