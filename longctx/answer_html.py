"""The Markdown of an answer as HTML of few elements, for every page that shows answers.

There is no HTML, link or picture in it but the footnote marks that the page makes. What is taken for a link elsewhere
stands as it was written.
"""

from collections.abc import Callable, MutableMapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ingest.naming import safe_text
from longctx.footnote_rule import MARK, footnote_rule

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

LINKED = ("link", "autolink", "image", "html_inline", "html_block", "reference")
UNDER = 2  # the level of the headings that answers stand below: the page has the first, the question the second
ALIGNED = {"text-align:left": "left", "text-align:center": "center", "text-align:right": "right"}


def answer_html(
    markdown: str,
    is_known: Callable[[int], bool],
    mark: Callable[[int], str],
    *,
    under: int = UNDER,
    has_styles: bool = True,
) -> str:
    """Markdown as HTML; `mark` is the HTML of the mark of a footnote that `is_known`. The highest heading stands a
    level below `under`, the others below it as they did.

    Cells of tables are aligned by attributes `style`, or where a page allows none, by classes.
    """
    env = {"is_known": is_known, "mark": mark}
    parser = _parser()
    tokens = parser.parse(safe_text(markdown), env)
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    shift = under + 1 - min((int(token.tag[1]) for token in headings), default=0)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1]) + shift)}"
    for token in tokens:
        if not has_styles and "style" in token.attrs:
            token.attrs["class"] = ALIGNED[str(token.attrs.pop("style"))]
    return str(parser.renderer.render(tokens, parser.options, env))


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "linkify": False})
    parser.enable("table").disable(LINKED)
    parser.inline.ruler.push(MARK, footnote_rule)
    parser.add_render_rule(MARK, _footnote_mark)
    parser.add_render_rule("fence", _code_block)
    return parser


def _footnote_mark(
    _renderer: Any, tokens: "Sequence[Token]", index: int, _options: Any, env: MutableMapping[str, Any]
) -> str:
    return str(env["mark"](int(tokens[index].content)))


def _code_block(_renderer: Any, tokens: "Sequence[Token]", index: int, _options: Any, _env: Any) -> str:
    """Code without the class that its first line would name."""
    return f"<pre><code>{escape(tokens[index].content)}</code></pre>\n"
