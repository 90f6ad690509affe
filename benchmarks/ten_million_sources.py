"""The packages that make the corpus of ten million tokens: fetched, and their texts written into one folder.

Each archive must have the SHA-256 that stands here. Only regular files are taken out of it. `pip download` of a source
archive runs the package's own build program to learn its metadata, before the digest is looked at; archives that lie in
`downloads` already are not fetched, and nothing of them is run. Packages of Debian are fetched, not installed. A text
that was there before is left out: the product sends it once anyway. Debian keeps only its newest versions at hand;
older ones are at snapshot.debian.org.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60
MOST_BYTES = 1 << 30  # that an archive may unpack to


@dataclass(frozen=True, slots=True)
class Package:
    """One package, and the folders in it whose files are taken; `skipped` are names of folders within them."""

    origin: Literal["PyPI", "Debian 12"]
    name: str
    version: str
    archive: str
    sha256: str
    about: str
    folders: tuple[str, ...]
    skipped: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The name of its folder in the corpus."""
        return f"{self.name}-{self.version}" if self.origin == "PyPI" else self.name

    def wants(self, path: PurePosixPath) -> bool:
        """Whether a file at `path`, below the package's own top folder, is taken."""
        inside = any(path.is_relative_to(folder) for folder in self.folders)
        return inside and ".." not in path.parts and not self.skipped.intersection(path.parts)


OTHERS = frozenset({"locale", "vendor", "_theme", "_images"})
LINUX = "usr/share/doc/linux-doc-6.1/html/_sources"
PYTHON = "usr/share/doc/python3.11/html/_sources"
POSTGRES = "usr/share/doc/postgresql-doc-15/html"
# In the order of the corpus, which is that of paths; the last is cut off where all windows are full.
PACKAGES = (
    Package(
        "PyPI",
        "Django",
        "5.2.8",
        "django-5.2.8.tar.gz",
        "23254866a5bb9a2cfa6004e8b809ec6246eba4b58a7589bc2772f1bcc8456c7f",
        "code and documentation",
        ("django", "docs"),
        OTHERS,
    ),
    Package(
        "Debian 12",
        "linux-doc-6.1",
        "6.1.192-2",
        "linux-doc-6.1_6.1.192-2_all.deb",
        "d1d1b5a602f0d439ecc39e713e044bf2df30d839fb4bf8a7b859ba3273c47993",
        "the Linux kernel's documentation",
        tuple(f"{LINUX}/{part}" for part in ("core-api", "filesystems", "networking")),
    ),
    Package(
        "Debian 12",
        "postgresql-doc-15",
        "15.20-0+deb12u1",
        "postgresql-doc-15_15.20-0+deb12u1_all.deb",
        "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
        "PostgreSQL's manual, HTML",
        (POSTGRES,),
    ),
    Package(
        "Debian 12",
        "python3.11-doc",
        "3.11.2-6+deb12u9",
        "python3.11-doc_3.11.2-6+deb12u9_all.deb",
        "5b3594189d6ef9a6963ce0347fd307a1cc67620ad697e144db366070e2e146be",
        "Python's documentation",
        tuple(f"{PYTHON}/{part}" for part in ("howto", "library", "reference", "tutorial")),
    ),
    Package(
        "PyPI",
        "sympy",
        "1.14.0",
        "sympy-1.14.0.tar.gz",
        "d3d3fe8df1e5a0b42f0e7bdf50541697dbe7d23746e894990c030e2b05e72517",
        "code and tests",
        ("sympy",),
    ),
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was taken out of a package."""

    package: Package
    archive: str
    sha256: str


def unpack_all(downloads: Path, target: Path) -> list[Unpacked]:
    """Fetch what is missing in `downloads`, and write every package's files below `target`; raises OSError."""
    downloads.mkdir(parents=True, exist_ok=True)
    known: set[bytes] = set()
    return [_unpack(package, _archive(package, downloads), target / package.title, known) for package in PACKAGES]


def _archive(package: Package, downloads: Path) -> Path:
    """The package's file, fetched if it is not there; raises SystemExit where it isn't the one that is known."""
    path = downloads / package.archive
    if not path.exists():
        try:
            subprocess.run(_fetching(package), cwd=downloads, check=True, stdout=sys.stderr)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            raise SystemExit(f"{package.archive}: can't be fetched ({error}); put it into {downloads}") from error
    if not path.exists():
        raise SystemExit(f"{package.archive}: not in {downloads}, and not what was fetched")
    if hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise SystemExit(f"{path}: is not the archive that is wanted, SHA-256 {package.sha256}")
    return path


def _fetching(package: Package) -> list[str]:
    if package.origin == "PyPI":
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        return [*pip, "--quiet", f"{package.name}=={package.version}"]
    return ["apt-get", "download", "-qq", f"{package.name}={package.version}"]


def _unpack(package: Package, archive: Path, target: Path, known: set[bytes]) -> Unpacked:
    for path, content in _files(archive):
        inside = PurePosixPath(*path.parts[1:]) if package.origin == "PyPI" else path
        digest = hashlib.sha256(content).digest()
        if not package.wants(inside) or digest in known or not content:
            continue
        known.add(digest)
        place = target / _below(package, inside)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return Unpacked(package, archive.name, package.sha256)


def _below(package: Package, path: PurePosixPath) -> PurePosixPath:
    """Without what all the folders of a package have in common before their own names."""
    common = os.path.commonpath(package.folders) if len(package.folders) > 1 else package.folders[0]
    return path.relative_to(common) if common else path


def _files(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each regular file."""
    content = archive.read_bytes()
    source = io.BytesIO(_data_of(content) if content.startswith(AR_MAGIC) else content)
    left = MOST_BYTES
    with tarfile.open(fileobj=source) as tar:
        for member in tar:
            left -= member.size
            if left < 0:
                raise SystemExit(f"{archive}: unpacks to more than {MOST_BYTES:,} bytes")
            file = tar.extractfile(member) if member.isfile() else None
            if file:
                yield PurePosixPath(member.name), file.read()


def _data_of(deb: bytes) -> bytes:
    """The archive of files in a Debian package; a .deb is an `ar` file, whose members begin at even offsets."""
    at = len(AR_MAGIC)
    while at < len(deb):
        name, size = deb[at : at + 16].decode().strip(" /"), int(deb[at + 48 : at + 58])
        at += AR_HEADER
        if size < 0 or name == "data.tar.zst":
            raise SystemExit("a Debian package of another kind than those of Debian 12")
        if name.startswith("data.tar"):
            return deb[at : at + size]
        at += size + size % 2
    raise SystemExit("a Debian package without files")
