"""Exports say what was asked, answered and cited, and nothing in them is obeyed."""

import json
import re
import time
from collections import Counter
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from longctx.citations import CitationStatus
from longctx.digest_answer import NOTICE
from longctx.export import (
    MEANINGS,
    about,
    answer_text,
    footnotes,
    headline,
    inert,
    legend,
    lowered,
    marked,
    to_json,
    to_markdown,
)
from longctx.session import Order, Session, Turn
from longctx.web_page import to_html

SESSION = Session(
    id="1a2b3c4d", title="Tides", corpus="c0", tip="t", turns=2, created_s=1_790_000_000.0, used_s=1_790_000_100.0
)
HOSTILE = [
    "<script>alert(1)</script>",
    "</style></head><img src=x onerror=alert(1)>",
    "]]><b>bold</b><![CDATA[",
    "--><!--",
    "<svg/onload=alert(1)>",
    '" onmouseover="alert(1)',
    "[click](javascript:alert(1))",
    "![x](http://example.com/track.png)",
    "<http://example.com>",
    "[a]: http://example.com\n\n[a]",
    "[^1]: src/forged.py:1 (verified)",
    "\x1b]8;;http://example.com\x07link\x1b]8;;\x07\x1b[2J",
    "\u202egnirts\u2069",
    "&lt;script&gt; &#60;b&#62;",
    "```\nunclosed",
    "~~~ html onload=x\n<script>",
    "| a | b |\n|---|---|\n| <b> | `x` |",
    "| a | b |\n|---|---|\n| ` <b>x</b> | ` <img src=x> |",
    "\\<script>\\[^1]\\![",
    "\udcff\ud83d",
    "{style} {0} %s",
    "# heading\n\nsetext\n===\n\n---",
]
LINKS = re.compile(r"(?i)\b(?:javascript|file|data|vbscript):")
FRAME = ["html", "head", "meta", "meta", "meta", "meta", "title", "style", "body", "main", "header", "h1", "p"]
ALLOWED = {
    *FRAME,
    *("nav", "ol", "ul", "li", "a", "section", "h2", "h3", "h4", "h5", "h6", "div", "sup", "span", "blockquote"),
    *("em", "strong", "code", "pre", "br", "hr", "table", "thead", "tbody", "tr", "th", "td"),
}
STATUS = ("status", "status sound")
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "id",
    "class",
    "dir",
    "value",
    "href",
    "style",
    "start",
}


def citation(
    n: int, place: str = "src/tide.py:12-15", status: str = "verified", quote: str = "a quote", **more: Any
) -> Any:
    return {"n": n, "place": place, "status": status, "quote": quote, **more}


def a_turn(question: str = "how high?", said: str = "38 metres [^1].", *citations: Any, **more: Any) -> Turn:
    answer = {
        "schema": "longctx.answer/1",
        "answer_markdown": said,
        "citations": list(citations) or [citation(1)],
        "engine": {"kind": "scout", "model": "Scout", "where": "cuda:0"},
        "tokens": {"prompt": 142_013, "cached": 131_072, "output": 41},
        **more,
    }
    return Turn(
        parent=None, question=question, answer=answer, corpus="c0", order=Order(0, ""), plan="", created_s=1.79e9
    )


class Page(HTMLParser):
    """The elements, attributes and text of a page; what is left open is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "br", "hr", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("br", "hr", "img")
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def check_page(html: str) -> Page:
    page = Page(html)
    assert Counter(page.tags).items() >= Counter(FRAME[:10]).items()
    assert page.tags[: len(FRAME)] == FRAME
    assert [page.tags.count(tag) for tag in ("meta", "style", "title", "script")] == [4, 1, 1, 0]
    assert set(page.tags) <= ALLOWED
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for name, value in page.attributes:
        assert name != "href" or (value.startswith("#") and value[1:] in ids)
        assert name != "style" or re.fullmatch(r"text-align:(left|right|center)", value)
    assert {value for name, value in page.attributes if name == "class"} <= {
        "answer",
        "notes",
        "place",
        "about",
        *STATUS,
    }
    html.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)
    return page


def rendered(markdown: str) -> Page:
    """Markdown as a viewer shows it that lets HTML through."""
    return Page(f"<x>{MarkdownIt('commonmark', {'html': True}).enable('table').render(markdown)}</x>")


def test_markdown_has_questions_answers_footnotes_and_what_was_read() -> None:
    turn = a_turn(
        notice="No model\nwrote this",
        warnings=["one"],
        reading={
            "mode": "focus",
            "read_tokens": 118_000,
            "corpus_tokens": 3_200_000,
            "unread": ["a_b.py"],
            "partly": [],
        },
        corpus={"skipped": [{"path": f"{n}.bin", "reason": "binary", "detail": ""} for n in range(7)]},
        coverage={"sentences": 9, "cited": 8, "verified": 7},
    )
    assert to_markdown(SESSION, [turn]) == (
        "# Tides\n\nSession 1a2b3c4d, begun 2026-09-21 14:13 UTC.\n\n"
        "## 1. how high?\n\n38 metres [^1].\n\n"
        "*No model wrote this · one · scout Scout on cuda:0 · "
        "142,013 tokens of prompt, 131,072 of them cached · 41 tokens of answer · "
        "read 118,000 (4 %) of 3,200,000 tokens · not read: a_b.py · "
        "left out: 0.bin, 1.bin, 2.bin, 3.bin, 4.bin and 2 more · 9 sentences, 8 cited, 7 verified · "
        "2026-09-21 14:13 UTC*\n\n"
        '[^1]: src/tide.py:12-15 (verified) "a quote"\n'
    )


def test_footnotes_of_several_turns_are_numbered_through() -> None:
    first = a_turn("one", "A [^2] and [^1]; `[^1]` is code.", citation(1, "a:1"), citation(2, "b:2"))
    second = a_turn(
        "two", "B [^1], none [^7].\n\n```py\n[^1]\n```\n", citation(1, "c:3", "near", share=0.914, is_current=False)
    )
    text = to_markdown(SESSION, [first, second, first])
    assert "A [^2] and [^1]; `[^1]` is code." in text
    assert "B [^3], none &#91;^7].\n\n```py\n[^1]\n```" in text
    assert "A [^5] and [^4]; `[^1]` is code." in text
    notes = re.findall(r"^\[\^(\d)\]: (\S+) \((.+?)\)", text, re.MULTILINE)
    assert [(n, place) for n, place, _ in notes] == [
        ("1", "a:1"),
        ("2", "b:2"),
        ("3", "c:3"),
        ("4", "a:1"),
        ("5", "b:2"),
    ]
    assert notes[2][2] == "near: 91% of it stands there, out of date"


def test_a_question_of_several_lines_stands_below_its_heading() -> None:
    text = to_markdown(SESSION, [a_turn("what\n# is this")])
    assert "## 1. what\n\n> what  \n> \\# is this\n" in text
    assert "## 1.\n" in to_markdown(SESSION, [a_turn(" ")])


def test_an_open_code_block_does_not_swallow_the_next_turn() -> None:
    for opened in ("```python\nx = [^1]", "- a\n\n  ```\n  b", "> ~~~\n> b", "~~~~\n```"):
        page = rendered(to_markdown(SESSION, [a_turn("one", opened), a_turn("two")]))
        assert page.tags.count("h2") == 2, opened


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_hostile_lives_in_markdown(hostile: str) -> None:
    turn = a_turn(hostile, hostile, citation(1, hostile, hostile, hostile), error=hostile, ending=hostile)
    text = to_markdown(SESSION, [turn, a_turn("two", f"`a` {hostile} `b`")])
    page = rendered(text)
    assert not set(page.tags) & {"script", "img", "svg", "b", "style"}
    assert page.tags.count("h2") >= 2
    assert len(re.findall(r"^ {0,3}\[\^\d+\]:", text, re.MULTILINE)) == 2
    assert "\x1b" not in text and "\u202e" not in text
    text.encode()


def renumbered(n: int) -> int | None:
    return {1: 4}.get(n)


LIVE = ("html_inline", "html_block", "image", "link_open")


def live(markdown: str) -> list[str]:
    """What of Markdown is markup that could fetch, run or lead somewhere, and what refers to footnotes outside code."""
    viewer = MarkdownIt("commonmark", {"html": True}).enable("table").disable("text_join")
    blocks = viewer.parse(markdown)
    tokens = [*blocks, *(child for block in blocks for child in block.children or [])]
    # what was escaped is a token of its own here
    prose = "".join(token.content if token.type == "text" else "\0" for token in tokens)
    return [token.type for token in tokens if token.type in LIVE] + re.findall(r"\[\^[^\]]*\]?", prose)


PIECES = (
    st.sampled_from([*"`~<>[]^!|\\\n\r \t-1:($a", "``", "```", "\n```\n", "~~~", "    ", "> ", "\n- ", "\n\n", "\n\n`"])
    | st.sampled_from(["<b>", '<img src="x">', "<a@b.c>", "<!--", "<http://a.b>", "![x](u)", "[x](u)", "](u)", "[x]"])
    | st.sampled_from(["[^1]", "[^9]", "\n[^1]: x", "\n[x]: u\n", "&#96;", "&lt;b>", "`a`", "|\n", "\n|---|\n"])
)
MARKDOWN = st.lists(PIECES, max_size=30).map("".join)


@settings(max_examples=1000, deadline=None)
@given(MARKDOWN)
def test_no_markup_gets_through_whatever_stands_around_it(markdown: str) -> None:
    assert set(live(marked(markdown, renumbered))) <= {"[^4]"}


@settings(max_examples=150, deadline=None)
@given(MARKDOWN, MARKDOWN, MARKDOWN)
def test_no_markup_gets_through_in_a_whole_document(said: str, place: str, quote: str) -> None:
    cited = [citation(1, place, place, ""), citation(2, place, "near", quote)]
    text = to_markdown(SESSION, [a_turn(place, said, *cited), a_turn(quote, said, *cited)], [place])
    assert set(live(text)) <= {f"[^{n}]" for n in range(1, 5)}
    blocks = [token for token in MarkdownIt().parse(text) if token.type in ("fence", "code_block")]
    code = {line for token in blocks for line in range(*(token.map or ()))}
    prose = "\n".join(line for i, line in enumerate(text.split("\n")) if i not in code)
    assert re.findall(r"^[ >*-]*\[\^([^]]*)\]:", prose, re.MULTILINE) == list("1234")


PICTURE = "![x](http://example.com/?q=secret) <img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "said",
    [
        f"The tick is `\nhere ` {PICTURE} ` end.",
        f"`` a ` b\nc `` {PICTURE} `` x `` ``",
        f"> a ` b\nc ` {PICTURE} ` d",
        f"- a ` b\n  c ` {PICTURE} ` d",
        f"a ` b\r\rc ` {PICTURE} ` d",
        f"a ` b\rc ` {PICTURE} ` d",
        f"[a]: `\n` {PICTURE} `",
        f"[a]: u\n    {PICTURE}",
        f"[a`]: http://example.com\n\n[a`] {PICTURE}",
        f"| ` | {PICTURE} | ` |\n|---|---|---|",
        f"\\` {PICTURE} `",
        f"\\\\` a\n` {PICTURE} `",
        "[^1](http://example.com) [a [^1]](u) ![^1] ^[^1]",
        "[^1]: forged\n\n[^1`]: forged`",
    ],
)
def test_backticks_that_pair_across_lines_free_nothing(said: str) -> None:
    assert set(live(marked(said, renumbered))) <= {"[^4]"}


def test_mathematics_and_comments_may_take_backticks_in() -> None:
    for opened in ("$`$ `a` ", "%%`%% `a` ", "$\n` $ `a` "):
        assert "<img" not in marked(f"{opened}`{PICTURE}`", renumbered)


@pytest.mark.parametrize(
    "said",
    [
        "A `Vec<u8>` and `a[0]` are `![code](x)` [^4].",
        "Run `grep <b> | wc`, then `Vec<u8>`.",
        "1. `Vec<u8>`\n2. `<T>`\n\n`` a ` <b> ``",
        "| type |\n|---|\n| `Vec<u8>` |",
        "A `\nb\n\nis `Vec<u8>`.",
        "```py\nx[0] < y\n[^1]\n```\n\n    <b>",
        "5 < 6, if a <\nb; not \\[^1] or \\<b>.",
    ],
)
def test_what_is_surely_code_or_harmless_stays_as_it_is(said: str) -> None:
    assert marked(said, {4: 4}.get) == said


def test_a_mark_in_front_of_a_colon_or_bracket_stays_a_mark() -> None:
    assert marked("As said [^1]: high [^1](see there).", {1: 4}.get) == "As said [^4]&#58; high [^4]&#40;see there)."


@settings(max_examples=300, deadline=None)
@given(MARKDOWN)
def test_escaping_changes_no_word(markdown: str) -> None:
    def words(html: str) -> str:
        return re.sub(r"[\W_]+", "", Page(f"<x>{html}</x>").text)

    viewer = MarkdownIt("commonmark", {"html": False}).disable(
        ["link", "image", "autolink", "reference", "html_inline"]
    )
    markdown = markdown.replace("&", "")
    plain = re.sub(r"&(lt|#\d\d|#8288);", "\ue000", marked(markdown, {1: 1}.get))
    assert words(viewer.render(plain)) == words(viewer.render(markdown))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("`*_[]<>&~!|$#+-=.)1 a\\\n:") | st.characters(codec="utf-8"), max_size=20))
def test_inert_text_means_itself(text: str) -> None:
    line = inert(text)
    assert "\n" not in line
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parseInline(line)[0].children or []
    assert all(token.type in ("text", "text_special") for token in tokens)
    block = [token.type for token in MarkdownIt("commonmark").parse(line)]
    assert block in ([], ["paragraph_open", "inline", "paragraph_close"])


@pytest.mark.parametrize(
    "said",
    [
        " ".join("`" * (n % 300 + 1) for n in range(6_000)) + "|" * 20_000,
        "`a` " * 50_000,
        "`a`$" * 50_000,
        "`a|`" * 50_000 + "\n-",
        "\\" * 200_000 + "`",
        "a\n" * 30_000,
    ],
)
def test_hostile_backticks_take_no_time(said: str) -> None:
    begun = time.process_time()
    assert marked(said, renumbered) == said.replace("$", "&#36;")
    assert time.process_time() - begun < 3


def test_sources_are_shown_and_never_obeyed() -> None:
    sources = ["docs/*.md", "<img src=x>", "a\x1b[2J\u202e.pdf", "[x](http://example.com)", "\udcff", "b\n# c"]
    text = to_markdown(SESSION, [a_turn()], sources)
    told = text.split("\n\n")[1]
    assert told.startswith("Session 1a2b3c4d, begun 2026-09-21 14:13 UTC, about docs/\\*.md, \\<img src=x\\>, a")
    assert set(live(text)) == {"[^1]"}
    assert "\x1b" not in text and "\u202e" not in text and "\n# c" not in text
    page = check_page(to_html(SESSION, [a_turn()], sources))
    assert ", about docs/*.md, <img src=x>, a" in page.text
    document = json.loads(json.dumps(to_json(SESSION, [a_turn()], sources)))
    assert document["session"]["sources"] == sources
    assert to_json(SESSION, [])["session"]["sources"] == []
    assert headline(SESSION, []) == "Session 1a2b3c4d, begun 2026-09-21 14:13 UTC."


def test_states_are_explained_where_not_all_citations_are_verified() -> None:
    assert set(MEANINGS) == {status.value for status in CitationStatus}
    sound = a_turn("q", "A [^1].", citation(1))
    assert legend([]) == legend([sound, sound]) == []
    assert "the quote stands" not in to_markdown(SESSION, [sound]) + to_html(SESSION, [sound])
    doubtful = a_turn("q", "A [^1] [^2].", citation(1, status="near"), citation(2, status="unknown"))
    said = "verified: the quote stands there; near: most of the quote stands there; unknown: no such document was read."
    assert legend([sound, doubtful, doubtful]) == [said]
    assert to_markdown(SESSION, [sound, doubtful]).endswith(f"\n\n{said}\n")
    assert check_page(to_html(SESSION, [sound, doubtful])).text.count(said) == 1


def test_a_state_of_another_version_is_not_explained() -> None:
    assert legend([a_turn("q", "A [^1].", citation(1, status="<b>"))]) == []


def test_evidence_is_told_as_search_without_tokens() -> None:
    turn = a_turn(
        notice="No model wrote this; ask with --engine scout",
        engine={"kind": "evidence", "model": ""},
        tokens={"prompt": 0, "cached": 0, "output": 0, "corpus": 9},
    )
    assert about(turn) == [
        "quotations found by search, no model wrote this",
        "evidence",
        "2026-09-21 14:13 UTC",
    ]
    assert not [phrase for phrase in about(turn) if "token" in phrase]
    page = check_page(to_html(SESSION, [turn]))
    assert "quotations found by search, no model wrote this · evidence · 2026" in page.text


def test_a_summary_without_a_model_was_not_found_by_search() -> None:
    turn = a_turn(notice=f"{NOTICE} Quoted of docs/: 2 of 3 documents.", engine={"kind": "evidence", "model": ""})
    assert about(turn)[0] == "quotations chosen by their words and places, no model wrote this"


def test_json_is_json_and_has_it_all() -> None:
    turn = a_turn("q\udcff", timing={"ttft_s": float("inf"), "x": [float("nan"), 1.5]})
    document = json.loads(
        json.dumps(to_json(SESSION, [turn]), allow_nan=False), parse_constant=lambda name: pytest.fail(name)
    )
    assert document["schema"] == "longctx.session/1"
    assert document["session"]["id"] == SESSION.id and document["session"]["title"] == "Tides"
    (row,) = document["turns"]
    assert set(row) == {"id", "parent", "question", "answer", "settings", "created"}
    assert row["id"] == turn.id and row["question"] == "q\udcff"
    assert row["answer"]["schema"] == "longctx.answer/1"
    assert row["answer"]["timing"] == {"ttft_s": None, "x": [None, 1.5]}


def test_the_page_fetches_and_runs_nothing() -> None:
    html = to_html(SESSION, [a_turn()])
    page = check_page(html)
    assert (
        "content",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    ) in page.attributes
    assert not re.search(r"(?i)https?:|url\(|@import|src=", html)


def test_the_page_leads_from_marks_to_their_own_turns_footnotes() -> None:
    turns = [
        a_turn("one", "A [^1][^2]", citation(1), citation(2)),
        a_turn("two", "B [^1] [^3] [^x] [^]"),
        a_turn("three"),
    ]
    page = check_page(to_html(SESSION, turns))
    links = [value for name, value in page.attributes if name == "href"]
    assert links == ["#q1", "#q2", "#q3", "#q1-1", "#q1-2", "#q2-1", "#q3-1"]
    assert "[^3] [^x] [^]" in page.text
    assert "✓ verified" in page.text


def test_the_page_renders_what_models_write() -> None:
    said = (
        "# Top\n\n1. *one*\n2. **two**\n\n| a | b |\n|---|--:|\n| `c` | d |\n\n```py onload\nif a < b: pass\n```\n\n> q"
    )
    page = check_page(to_html(SESSION, [a_turn(said=said)]))
    assert {"h3", "ol", "em", "strong", "table", "td", "pre", "blockquote"} <= set(page.tags)
    assert page.tags.count("h1") == 1
    assert "if a < b: pass" in page.text
    assert not any("onload" in value for _, value in page.attributes)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_hostile_lives_in_the_page(hostile: str) -> None:
    turn = a_turn(
        hostile,
        hostile,
        citation(1, hostile, hostile, hostile),
        engine={"kind": hostile, "model": hostile},
        error=hostile,
        ending=hostile,
        reading={"unread": [hostile], "partly": hostile, "read_tokens": "1"},
        corpus={"skipped": [{"path": hostile}]},
    )
    session = Session(id="x", title=hostile, corpus="", tip=None, turns=1, created_s=float("inf"), used_s=0)
    page = check_page(to_html(session, [turn, turn, turn]))
    assert not any(LINKS.search(unquote(value)) for name, value in page.attributes if name == "href")


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES | st.sampled_from(HOSTILE) | st.text(), max_size=20).map("".join))
def test_the_page_holds_only_its_own_elements(text: str) -> None:
    check_page(to_html(SESSION, [a_turn(text, text, citation(1, text, text, text))]))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"citations": None, "engine": "scout", "tokens": [], "reading": 3, "corpus": {"skipped": 4}, "coverage": []},
        {"citations": [None, {}, {"n": "1"}, {"n": 1}], "answer_markdown": None, "corpus": {"skipped": ["a", None]}},
    ],
)
def test_an_answer_of_another_version_is_shown_as_far_as_it_goes(answer: dict[str, Any]) -> None:
    turn = Turn(parent=None, question="q", answer=answer, corpus="", order=Order(0, ""), plan="")
    assert "q" in to_markdown(SESSION, [turn])
    check_page(to_html(SESSION, [turn]))
    assert len(footnotes(answer)) <= 1
    assert all(isinstance(phrase, str) for phrase in about(turn))
    assert isinstance(answer_text(answer), str)


def test_an_empty_session_is_a_document_too() -> None:
    assert to_markdown(SESSION, []).startswith("# Tides\n")
    check_page(to_html(SESSION, []))
    assert to_json(SESSION, [])["turns"] == []


ADDRESSES = [
    "see https://evil.example/a?b",
    "HTTP://evil.example",
    "ftp://evil.example",
    "//evil.example/a",
    "www.evil.example and _WWW.evil.example_",
    "me@evil.example",
    "mailto:me@evil.example",
    "me\\@evil.example",
    "me&#64;evil.example or me&#x040;evil.example or me&commat;evil.example",
    "m&#101;@evil.example",
    "| a |\n|---|\n| https://evil.example |",
]


@pytest.mark.parametrize("said", ADDRESSES)
def test_no_bare_address_becomes_a_link(said: str) -> None:
    for written in (marked(said, renumbered), inert(said)):
        assert not re.search(r"//|(?i:www)\.", written)
        assert not re.search(r"[\w.]@\w", Page(f"<x>{MarkdownIt().enable('table').render(written)}</x>").text)
    shown = Page(f"<x>{MarkdownIt().render(marked(said, renumbered))}</x>").text.replace("\u2060", "")
    assert shown == Page(f"<x>{MarkdownIt().render(said)}</x>").text


def test_addresses_in_code_stay_as_they_are() -> None:
    said = "Get `https://a.example` as `me@a.example`.\n\n```sh\ncurl https://a.example # $HOME www.a\n```"
    assert marked(said, renumbered) == said


@pytest.mark.parametrize(
    "opening", ["```mermaid", "~~~ geojson", "````  math", "> ```topojson", "- ~~~STL", "``` plantuml x"]
)
def test_blocks_that_viewers_draw_are_code_only(opening: str) -> None:
    fences = [t for t in MarkdownIt().parse(marked(opening, renumbered)) if t.type == "fence"]
    assert [fence.info for fence in fences] == [""]


def test_a_block_keeps_its_language_and_nothing_else() -> None:
    assert marked("> ~~~ Python {cmd=true}\n> x\n> ~~~", renumbered) == "> ~~~Python\n> x\n> ~~~"


def test_there_is_no_mathematics() -> None:
    said = "$$\\href{http:x}{y}$$ costs $5, `$HOME`"
    assert marked(said, renumbered) == "&#36;&#36;\\href{http:x}{y}&#36;&#36; costs &#36;5, `$HOME`"
    assert "$" not in inert(said)


def test_a_mark_may_have_a_label_and_a_sign() -> None:
    said = marked("A [^1][^2]: b [^3].", {1: "1.1", 2: "1.2"}.get, {1: "!", 2: "≈"}.__getitem__)
    assert said == "A [^1.1]\\![^1.2]≈&#58; b &#91;^3]."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("# a\n\n### b", "#### a\n\n###### b"),
        ("### a\n\n#### b #", "#### a\n\n##### b #"),
        ("###### a", "#### a"),
        ("a\n b\n===\n\nc\n---\nd", "#### a b\n\n##### c\nd"),
        ("> ## a\n\n- # b", "> ##### a\n\n- #### b"),
        ("```\n# a\n```\n\n## b", "```\n# a\n```\n\n#### b"),
        ("none", "none"),
    ],
)
def test_the_highest_heading_stands_a_level_below_the_item(said: str, expected: str) -> None:
    assert lowered(said, 3) == expected


def test_a_page_lowers_headings_by_the_highest() -> None:
    page = check_page(to_html(SESSION, [a_turn(said="### a\n\n#### b")]))
    assert [page.tags.count(f"h{level}") for level in (3, 4, 5, 6)] == [1, 1, 0, 0]


def test_what_an_engine_said_is_escaped_once() -> None:
    said = r"http://a: 500: a\\b\x1b"
    turn = a_turn(ending="failed", error=said, warnings=[f"{said}\n\x1b[2J"])
    assert about(turn)[:2] == [f"not whole: failed, {said}", f"{said} \u241b[2J"]
