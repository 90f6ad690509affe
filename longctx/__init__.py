"""longctx: one prompt over whole repositories and document libraries, with checked citations.

    import longctx

    with longctx.open("./repo") as corpus:
        answer = corpus.ask("where is the lock taken?")
        print(answer.answer_markdown, answer.citations[0].place)

Importing this loads nothing else: `open` arrives when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longctx.api import open

__version__ = "0.1.0"
__all__ = ["__version__", "open"]


def __getattr__(name: str) -> object:
    if name == "open":
        from longctx.api import open

        return open
    raise AttributeError(f"module 'longctx' has no attribute {name!r}")
