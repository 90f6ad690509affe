"""A session as one HTML file: no script, nothing fetched, no link but to its own footnotes.

Answers are rendered from Markdown without HTML, links and pictures; everything else is escaped text in a fixed frame.
What is taken for a link elsewhere stands here as it was written.
"""

from collections.abc import Sequence
from html import escape

from ingest.naming import safe_text
from longctx.answer_html import answer_html
from longctx.export import Footnote, about, answer_text, footnotes, headline, legend
from longctx.session import Session, Turn
from longctx.terminal import MARKS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LEAST_CONTENTS = 3  # turns, from which on there is a list of questions
CONTENTS_MOST = 120  # characters of a question


def to_html(session: Session, turns: Sequence[Turn], sources: Sequence[str] = ()) -> str:
    """The session as a page of its own."""
    sections = [_section(number, turn) for number, turn in enumerate(turns, start=1)]
    told = _element("p", _text(headline(session, sources)))
    head = _element("header", _element("h1", _text(session.title), dir="auto"), told)
    meanings = (_element("p", _text(line), class_="about") for line in legend(turns))
    body = [head, _contents(turns), *sections, *meanings]
    return _FRAME.format(
        policy=escape(POLICY), title=_text(session.title), style=_STYLE, main="\n".join(part for part in body if part)
    )


def _contents(turns: Sequence[Turn]) -> str:
    if len(turns) < LEAST_CONTENTS:
        return ""
    asked = [_text(" ".join(turn.question.split())[:CONTENTS_MOST]) for turn in turns]
    links = [_element("a", question, href=f"#q{n}", dir="auto") for n, question in enumerate(asked, start=1)]
    return _element("nav", _element("ol", *(_element("li", link) for link in links)))


def _section(number: int, turn: Turn) -> str:
    """One turn: question, answer, footnotes, what is to be known of it."""
    notes = footnotes(turn.answer)
    parts = [
        _element("h2", _text(turn.question.strip()), dir="auto"),
        _element("div", _rendered(answer_text(turn.answer), number, notes), dir="auto", class_="answer"),
        _element("ol", *(_note(number, note) for note in notes), class_="notes") if notes else "",
        _element("p", _text(" · ".join(about(turn))), class_="about"),
    ]
    return _element("section", "\n".join(part for part in parts if part), id=f"q{number}")


def _note(number: int, note: Footnote) -> str:
    mark = f"{MARKS.get(note.status, '?')} {note.state}"
    return _element(
        "li",
        _element("span", _text(note.place), class_="place"),
        " ",
        _element("span", _text(mark), class_="status sound" if note.status == "verified" else "status"),
        _element("blockquote", _text(note.quote), dir="auto") if note.quote else "",
        id=_anchor(number, note.n),
        value=str(note.n),
    )


def _rendered(markdown: str, number: int, notes: Sequence[Footnote]) -> str:
    """An answer as HTML; marks of known footnotes lead to them."""

    def mark(n: int) -> str:
        return _element("sup", _element("a", f"[{n}]", href=f"#{_anchor(number, n)}"))

    return answer_html(markdown, {note.n for note in notes}.__contains__, mark)


def _anchor(number: int, n: int) -> str:
    return f"q{number}-{n}"


def _text(text: str) -> str:
    return escape(safe_text(text))


def _element(name: str, *inner: str, **attributes: str) -> str:
    """An element around HTML that is already safe; values of attributes are escaped."""
    written = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(inner)}</{name}>"


_STYLE = """
:root { color-scheme: light dark; --text: #1d1f23; --soft: #5d636e; --line: #d9dce1; --page: #fff; --shade: #f4f5f7;
  --link: #0b57d0; --sound: #1a7f37; --doubt: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6ea; --soft: #9aa1ac; --line: #363b44; --page: #16181c;
  --shade: #20242a; --link: #8ab4f8; --sound: #57c274; --doubt: #d9a740; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.2rem; line-height: 1.35; margin: 0 0 1rem; white-space: pre-wrap; }
h3, h4, h5, h6 { font-size: 1rem; margin: 1.5em 0 .5em; }
header p, .about { color: var(--soft); font-size: .85rem; }
header p { margin: .4rem 0 0; }
nav { margin-top: 1.5rem; font-size: .95rem; }
nav ol { padding-inline-start: 1.5rem; margin: 0; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 2rem; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
sup { line-height: 0; font-size: .75em; }
pre, code { font: .875em/1.5 ui-monospace, monospace; background: var(--shade); border-radius: .3em; }
code { padding: .1em .3em; }
pre { padding: .8em 1em; overflow-x: auto; overflow-wrap: normal; }
pre code { padding: 0; font-size: 1em; background: none; }
table { display: block; overflow-x: auto; border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .3em .6em; overflow-wrap: normal; }
blockquote { margin: .3rem 0 0; padding-inline-start: .8rem; border-inline-start: 3px solid var(--line); }
.notes { padding-inline-start: 1.5rem; margin: 1.5rem 0 0; font-size: .9rem; }
.notes li { margin-top: .7rem; }
.notes li:target { background: var(--shade); outline: .4rem solid var(--shade); }
.notes blockquote { color: var(--soft); }
.place { font: .95em ui-monospace, monospace; }
.status { color: var(--doubt); }
.sound { color: var(--sound); }
@media print { pre { white-space: pre-wrap; } section { break-inside: auto; } }
"""
_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{main}
</main>
</body>
</html>
"""
