"""The packages that make the corpus of ten million tokens: fetched, and their texts written into one folder.

Nothing of a package is run, and only regular files are taken out of it. A text that was there before is left out: the
product sends it once anyway. Debian keeps only its newest versions at hand; older ones are at snapshot.debian.org.
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


@dataclass(frozen=True, slots=True)
class Package:
    """One package, and the folders in it whose files are taken; `skipped` are names of folders within them."""

    origin: Literal["PyPI", "Debian 12"]
    name: str
    version: str
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
    Package("PyPI", "Django", "5.2.8", "code and documentation", ("django", "docs"), OTHERS),
    Package(
        "Debian 12",
        "linux-doc-6.1",
        "6.1.192-2",
        "the Linux kernel's documentation",
        tuple(f"{LINUX}/{part}" for part in ("core-api", "filesystems", "networking")),
    ),
    Package("Debian 12", "postgresql-doc-15", "15.20-0+deb12u1", "PostgreSQL's manual, HTML", (POSTGRES,)),
    Package(
        "Debian 12",
        "python3.11-doc",
        "3.11.2-6+deb12u9",
        "Python's documentation",
        tuple(f"{PYTHON}/{part}" for part in ("howto", "library", "reference", "tutorial")),
    ),
    Package("PyPI", "sympy", "1.14.0", "code and tests", ("sympy",)),
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was taken out of a package."""

    package: Package
    archive: str
    sha256: str
    files: int
    nbytes: int


def unpack_all(downloads: Path, target: Path) -> list[Unpacked]:
    """Fetch what is missing in `downloads`, and write every package's files below `target`; raises OSError."""
    downloads.mkdir(parents=True, exist_ok=True)
    known: set[bytes] = set()
    return [_unpack(package, _archive(package, downloads), target / package.title, known) for package in PACKAGES]


def _archive(package: Package, downloads: Path) -> Path:
    """The package's file, fetched if it is not there."""
    pattern = f"{package.name}[-_]{package.version}*"
    found = _found(downloads, pattern)
    if not found:
        subprocess.run(_fetching(package), cwd=downloads, check=True, stdout=sys.stderr)
        found = _found(downloads, pattern)
    if not found:
        raise SystemExit(f"{package.name} {package.version}: not in {downloads}, and nothing was fetched")
    return found


def _found(downloads: Path, pattern: str) -> Path | None:
    """PyPI writes names in small letters, Debian writes a colon as %3a."""
    files = sorted(downloads.iterdir())
    return next((path for path in files if PurePosixPath(path.name.lower()).match(pattern.lower())), None)


def _fetching(package: Package) -> list[str]:
    if package.origin == "PyPI":
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        return [*pip, "--quiet", f"{package.name}=={package.version}"]
    return ["apt-get", "download", "-qq", f"{package.name}={package.version}"]


def _unpack(package: Package, archive: Path, target: Path, known: set[bytes]) -> Unpacked:
    files = nbytes = 0
    for path, content in _files(archive):
        inside = PurePosixPath(*path.parts[1:]) if package.origin == "PyPI" else path
        digest = hashlib.sha256(content).digest()
        if not package.wants(inside) or digest in known or not content:
            continue
        known.add(digest)
        place = target / _below(package, inside)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        files, nbytes = files + 1, nbytes + len(content)
    return Unpacked(package, archive.name, hashlib.sha256(archive.read_bytes()).hexdigest(), files, nbytes)


def _below(package: Package, path: PurePosixPath) -> PurePosixPath:
    """Without what all the folders of a package have in common before their own names."""
    common = os.path.commonpath(package.folders) if len(package.folders) > 1 else package.folders[0]
    return path.relative_to(common) if common else path


def _files(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each regular file."""
    content = archive.read_bytes()
    source = io.BytesIO(_data_of(content) if content.startswith(AR_MAGIC) else content)
    with tarfile.open(fileobj=source) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file:
                yield PurePosixPath(member.name), file.read()


def _data_of(deb: bytes) -> bytes:
    """The archive of files in a Debian package; a .deb is an `ar` file, whose members begin at even offsets."""
    at = len(AR_MAGIC)
    while at < len(deb):
        name, size = deb[at : at + 16].decode().strip(" /"), int(deb[at + 48 : at + 58])
        at += AR_HEADER
        if name.startswith("data.tar"):
            return deb[at : at + size]
        at += size + size % 2
    raise SystemExit("a Debian package without files")
