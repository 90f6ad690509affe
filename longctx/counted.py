"""A number of things in words."""


def counted(number: int, noun: str) -> str:
    """`1 window`, `2,000 windows`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
