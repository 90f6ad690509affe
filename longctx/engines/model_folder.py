"""What model a folder holds, told from little of it: its small files, and the size and both ends of each large one.

Two folders that differ only in the middle of their weights are taken for the same.
"""

import hashlib
import os
from pathlib import Path

END_BYTES = 1 << 16
SUFFIXES = (".json", ".safetensors")


def folder_digest(folder: Path) -> str:
    """Names the model in a folder; raises OSError where it can't be read."""
    digest = hashlib.sha256()
    for file in sorted(each for each in folder.iterdir() if each.suffix in SUFFIXES and each.is_file()):
        size = file.stat().st_size
        digest.update(f"{len(os.fsencode(file.name))} {size} ".encode() + os.fsencode(file.name))
        with file.open("rb") as stream:
            digest.update(stream.read(END_BYTES))
            stream.seek(max(0, size - END_BYTES))
            digest.update(stream.read(END_BYTES))
    return digest.hexdigest()[:32]
