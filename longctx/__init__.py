"""longctx: one prompt over whole repositories and document libraries, with checked citations.

    import longctx

    with longctx.open("./repo") as corpus:
        answer = corpus.ask("where is the lock taken?")
        print(answer.answer_markdown, answer.citations[0].place)

Importing this loads nothing else: `open` and `open_engine` arrive when they are first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longctx.api import open, open_engine

__version__ = "0.1.0"
__all__ = ["__version__", "open", "open_engine"]


def __getattr__(name: str) -> object:
    if name in ("open", "open_engine"):
        from longctx import api

        return getattr(api, name)
    raise AttributeError(f"module 'longctx' has no attribute {name!r}")
