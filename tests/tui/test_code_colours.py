"""Code keeps its colours for whatever its lexer's own loading takes."""

from time import thread_time
from typing import Any

import pytest
from pygments.lexers import get_lexer_by_name

from tui import code_colours


def test_a_lexer_that_loads_slowly_costs_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*words: Any, **options: Any) -> Any:
        until = thread_time() + 2 * code_colours.LONGEST_S
        while thread_time() < until:
            pass
        return get_lexer_by_name(*words, **options)

    monkeypatch.setattr(code_colours, "get_lexer_by_name", slowly)
    assert code_colours.coloured("for each in loaded_slowly:  # once\n    pass\n", "python").spans
