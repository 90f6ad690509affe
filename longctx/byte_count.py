"""Sizes as people type them: 512M, 8G, 20GB, 512MiB. What is no whole number of bytes is refused."""

import re

PATTERN = re.compile(r"([0-9]{1,16}) ?(?:([KMGT])(I?B)?|B)?", re.ASCII)
POWERS = "KMGT"


def parse_bytes(text: str) -> int:
    """Bytes: GB counts in thousands, G and GiB in 1024s; raises ValueError."""
    match = PATTERN.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError("is not a number of bytes")
    number, power, suffix = match.groups()
    base = 1000 if suffix == "B" else 1024
    return int(number) * int(base ** (POWERS.index(power) + 1 if power else 0))
