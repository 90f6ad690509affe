"""What an answer took, from its JSON form; what an engine does not report is said to be not reported, never 0."""

import math
from collections.abc import Mapping
from typing import Any

from longctx.backend.replies import Prefill
from longctx.durations import duration
from tui.marks import short
from tui.prefill import Curve

MOST = 1e15
BROKEN_OFF = ("interrupted", "failed")  # such an answer ends before the engine has reported


def took(answer: Mapping[str, Any]) -> list[str]:
    """Cache, time to the first word and speeds of an answer, a phrase each."""
    tokens, timing = _mapping(answer, "tokens"), _mapping(answer, "timing")
    prompt = _number(tokens, "prompt")
    if not prompt:
        return ["nothing was sent to a model"]
    is_whole = answer.get("ending") not in BROKEN_OFF
    phrases = [_cached(tokens, prompt)] if is_whole or "cached" in tokens else []
    for name, before, after in (
        ("ttft_s", "first word after ", ""),
        ("prefill_tokens_per_s", "read ", "/s"),
        ("decode_tokens_per_s", "wrote ", "/s"),
    ):
        if (value := _number(timing, name)) is not None:
            phrases.append(f"{before}{duration(value) if not after else short(round(value))}{after}")
    return phrases


def reading(prefill: Prefill, curve: Curve, now_s: float) -> list[str]:
    """How far an engine is with a prompt: tokens, share, what it had kept, its speed and how long it still takes."""
    cached = [f"{prefill.cached / max(1, prefill.total):.0%} cached"] if prefill.cached else []
    if prefill.done >= prefill.total:
        return [f"read {short(prefill.total)}", *cached, "answering"]
    share = prefill.done / prefill.total
    phrases = [f"reading {short(prefill.done)} of {short(prefill.total)}", f"{share:.0%}", *cached]
    if (speed := curve.tokens_per_s()) is not None:
        phrases.append(f"{short(round(speed))}/s")
    if (left := curve.left_s(now_s, prefill.total)) is not None:
        phrases.append(f"about {duration(left) if left >= 9.5 else f'{math.ceil(left)} s'} left")
    return phrases


def _cached(tokens: Mapping[str, Any], prompt: float) -> str:
    cached = _number(tokens, "cached")
    if cached is None:
        return "cache: not reported"
    return f"cached {short(round(cached))} of {short(round(prompt))} ({cached / prompt:.0%})"


def _mapping(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = answer.get(name)
    return value if isinstance(value, Mapping) else {}


def _number(values: Mapping[str, Any], name: str) -> float | None:
    """A number of a saved answer, which anybody may have written; None for what is none."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        return None
    return float(value)
