"""Leaving out and bringing back: which paths are left out then, and what that changes, in words."""

from collections.abc import Iterator, Sequence

from longctx.backend.replies import EffectIs


def changed(excluded: Sequence[str], path: str, *, leave_out: bool) -> tuple[str, ...]:
    """What is left out after a file or folder (which ends in a slash) is left out, or brought back.

    A folder stands for all in it, so that what was left out one by one in it is forgotten.
    """
    kept = tuple(each for each in excluded if not _holds(path, each))
    return (*kept, path) if leave_out else kept


def holder(excluded: Sequence[str], path: str) -> str | None:
    """The folder left out as a whole that holds `path`, which can't come back alone."""
    return next((each for each in excluded if each != path and _holds(each, path)), None)


def _holds(folder: str, path: str) -> bool:
    return path == folder or (folder.endswith("/") and path.startswith(folder))


def effect_words(effect: EffectIs) -> Iterator[str]:
    """What would change, a line each."""
    tokens = effect.tokens_after - effect.tokens_before
    yield f"tokens   {effect.tokens_before:,} → {effect.tokens_after:,} ({tokens:+,})"
    kept = f"the first {effect.windows_kept:,} stay as they are" if effect.windows_kept else "none stays as it is"
    yield f"windows  {effect.windows_before:,} → {effect.windows_after:,}; {kept}"
    if effect.cached_lost is None:
        yield "cache    not known for this engine: what follows the first change is read again"
    elif effect.cached_lost:
        yield f"cache    {effect.cached_lost:,} stored windows no longer fit and are read again"
    else:
        yield "cache    nothing stored is lost"
    yield ""
    yield "The corpus becomes another one, and the conversation begins anew; this one is kept (ctrl+r)."
