"""How far an answer is that has not begun, in one line: the engine's own word, or a guess from how fast it was."""

from longctx.backend.replies import Planned, Prefill
from longctx.durations import duration
from tui.marks import short


def waiting(planned: Planned | None, prefill: Prefill | None, elapsed_s: float) -> str:
    """`reading 412K of 1.42M tokens (29 %) · 3 min left · 27.0K/s · 1 min 12 s`."""
    since = duration(elapsed_s) if elapsed_s >= 1 else ""
    if prefill is not None and prefill.done >= prefill.total:
        return _joined(f"read {short(prefill.total)} tokens, waiting for the first word", since)
    if prefill is not None:
        return _joined(_share("reading", prefill.done, prefill.total), *_told(prefill, elapsed_s), since)
    if planned is None:
        return _joined("looking up what bears on the question", since)
    return _joined(*_guessed(planned, elapsed_s), since)


def _told(prefill: Prefill, elapsed_s: float) -> list[str]:
    """What is left, and how fast it goes, by the engine's own progress."""
    computed = prefill.done - prefill.cached
    cached = [f"{short(prefill.cached)} cached"] if prefill.cached else []
    if computed <= 0 or elapsed_s < 1:
        return cached
    rate = computed / elapsed_s
    return [f"{duration((prefill.total - prefill.done) / rate)} left", f"{short(round(rate))}/s", *cached]


def _guessed(planned: Planned, elapsed_s: float) -> list[str]:
    total, rate = planned.prompt_tokens, planned.prefill_tokens_per_s
    if not total:
        return ["looking up what bears on the question"]
    if not rate or rate <= 0:
        return [f"{short(total)} tokens sent, waiting for the first word"]
    left = total / rate - elapsed_s
    if left < 0:
        return [f"{short(total)} tokens sent, waiting longer than estimated"]
    return [_share("reading about", min(total, int(elapsed_s * rate)), total), f"{duration(left)} left (estimated)"]


def _share(doing: str, done: int, total: int) -> str:
    return f"{doing} {short(done)} of {short(total)} tokens ({done / max(1, total):.0%})"


def _joined(*phrases: str) -> str:
    return " · ".join(phrase for phrase in phrases if phrase)
