"""What is printed on a PDF's pages ("xiv", "A-3"), from the ranges the file declares.

It refuses to guess a label from the page's text, and takes for a number what would be an absurd numeral.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_LABEL = 40

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_MAX_NUMERAL = 4000


def page_labels(rules: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """The label of each of `count` pages; its physical number where no rule holds or the rule prints nothing.

    A rule is as PyMuPDF gives it: `startpage` (0-based), perhaps `prefix`, `style` and `firstpagenum`.
    """
    labels = [str(number) for number in range(1, count + 1)]
    ordered = sorted(rules, key=lambda rule: int(rule["startpage"]))
    starts = [int(rule["startpage"]) for rule in ordered]
    for rule, start, end in zip(ordered, starts, [*starts[1:], count], strict=False):
        for index in range(max(0, start), min(end, count)):
            labels[index] = _label(rule, index - start) or labels[index]
    return labels


def _label(rule: Mapping[str, Any], distance: int) -> str:
    number = int(rule.get("firstpagenum") or 1) + distance
    prefix = _UNPRINTABLE.sub("", str(rule.get("prefix") or ""))
    return (prefix + _numeral(str(rule.get("style") or ""), number))[:LONGEST_LABEL].strip()


def _numeral(style: str, number: int) -> str:
    if not style:
        return ""
    if style not in "rRaA" or not 0 < number < _MAX_NUMERAL:
        return str(number)
    numeral = _roman(number) if style in "rR" else _letters(number)
    return numeral.upper() if style.isupper() else numeral


def _roman(number: int) -> str:
    digits = []
    for value, digit in _ROMAN:
        times, number = divmod(number, value)
        digits.append(digit * times)
    return "".join(digits)


def _letters(number: int) -> str:
    """a to z, then aa to zz, as PDF counts: the letter is doubled, not carried."""
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
