"""The grid over engines that answer by plain search: one that reads all, one that forgets, one that gives text."""

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree as ET

import pytest

from longctx.commands.selftest_lines import STYLES, doubt, lines
from longctx.engines.base import (
    EngineEvent,
    Finish,
    Finished,
    Identity,
    Limits,
    Prefilled,
    Prompt,
    Sampling,
    Text,
    Token,
    Warned,
)
from longctx.errors import EngineError
from longctx.needle.construction import RARE_FROM
from longctx.needle.grid import Grid
from longctx.needle.heat_map import MEANINGS, HeatMap, Row, Sign, Square, cut_sentence, heat_map, legend
from longctx.needle.heat_map_svg import CLASSES, to_svg
from longctx.needle.planting import Planted, plant
from longctx.needle.result import Result, Subject
from longctx.needle.selftest import Asked, Reading, Said, Started, Through, selftest
from longctx.needle.trial import QUESTION_TOKENS, Outcome, question
from longctx.tokens import Tokenizer

WINDOW = 8192
TOKENIZER = Tokenizer()
NINE = Grid(9, 5)


@dataclass
class Search:
    """Says what followed the last token earlier in a window, the way a model does that sees no further back than one
    token and only within it; it reads the first `reach` tokens, and gives text if `as_text`."""

    reach: int = 1 << 30
    as_text: bool = False
    most: int = 1 << 30
    crosses: bool = False
    says_cached: bool = True
    prompts: list[Prompt] = field(default_factory=list)

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        assert sampling.temperature == 0
        self.prompts.append(prompt)
        yield Prefilled(done=len(prompt.ids), total=len(prompt.ids), cached=WINDOW)
        yield Warned("it is a search")
        last, given = prompt.ids[-1], 0
        while given < min(sampling.max_tokens, self.most):
            last, given = self._after(prompt, last), given + 1
            yield Text(TOKENIZER.decode([last])) if self.as_text else Token(last)
        yield Finished(
            reason=Finish.LENGTH,
            prompt_tokens=len(prompt.ids),
            cached_tokens=WINDOW if self.says_cached else None,
            not_reported="" if self.says_cached else "--prompt-stats",
            answer_tokens=given,
            prefill_s=0.0,
            decode_s=0.0,
            skipped_mass=0.25,
        )

    def _after(self, prompt: Prompt, token: int) -> int:
        if self.crosses and token in (text := prompt.ids[: prompt.starts[-1]]):
            return text[text.index(token) + 1]
        for start, window in zip(prompt.starts[:-1], prompt.windows()[:-1], strict=True):
            if token in window[:-1]:
                at = window.index(token)
                return window[at + 1] if start + at < self.reach else 0
        return 0

    def limits(self) -> Limits:
        return Limits(context_tokens=None)

    def identity(self) -> Identity:
        return Identity(kind="search", model="<b>&\u202e")

    def describe(self) -> str:
        return "search: <script>\u202e</script>\x1b[31m"

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(array("I", range(100)) * (9 * WINDOW // 100) + array("I", range(9 * WINDOW % 100)), NINE.edges, 1)


def subject(engine: Search, grid: Grid = NINE) -> Subject:
    return Subject(
        identity=engine.identity(),
        description=engine.describe(),
        attention="dense",
        source="numbers",
        own_tokens=grid.tokens,
        grid=grid,
    )


def result(engine: Search, planted: Planted, grid: Grid = NINE) -> Result:
    asked = tuple(event for event in selftest(engine, planted, grid, TOKENIZER) if isinstance(event, Asked))
    return Result(subject(engine, grid), asked)


def test_what_reads_everything_finds_all_but_what_an_edge_cuts(planted: Planted) -> None:
    engine = Search()
    found = result(engine, planted)
    assert found.is_sound and found.found == len(found.inside) == 1 + 2 + 4 + 5
    assert [each.outcome.right for each in found.cut] == [0] * len(found.cut) and len(found.cut) == 1 + 3 + 3
    assert [prompt.starts[-1] // WINDOW for prompt in engine.prompts] == sorted(
        prompt.starts[-1] // WINDOW for prompt in engine.prompts
    ), "the shortest first"
    assert all(prompt.ids[: prompt.starts[-1]] == planted.ids[: prompt.starts[-1]] for prompt in engine.prompts)


def test_what_forgets_is_found_out_at_the_depth_where_it_does(planted: Planted) -> None:
    found = result(Search(reach=4 * WINDOW), planted)
    missed = {(each.length, each.window) for each in found.inside if not each.outcome.is_found}
    assert missed == {(9, 4), (9, 6), (9, 8)} and not found.is_sound
    drawn = heat_map(found)
    signs = ["".join(square.sign for square in row.squares) for row in drawn.rows]
    assert signs == ["✓✓✓✓", "···✓", "··✓✗", "··✓✗", "·✓✓✗"], "each fact is drawn once"
    assert drawn.rows[1].squares[0].title == "8,192 tokens: not asked: a shorter text has fewer windows"
    assert sum(sign in "✓✗" for row in signs for sign in row) == len(found.inside)
    assert drawn.columns == ("8,192", "16,384", "32,768", "73,728")
    assert "".join(square.sign for square in drawn.apart[0].squares) == "·–––"
    assert drawn.title == "9 of 12 facts found"


def test_local_attention_that_crosses_an_edge_is_found_out(planted: Planted) -> None:
    found = result(Search(crosses=True), planted)
    assert found.found == len(found.inside) and found.crossed == len(found.cut) == 7
    assert not found.is_sound and not found.to_json()["sound"] and found.to_json()["cut_found"] == 7
    drawn = heat_map(found)
    assert "".join(square.sign for square in drawn.apart[0].squares) == "·!!!"
    assert "! found across an edge" in legend(drawn)
    assert cut_sentence(found).startswith(
        "7 of 7 facts found that a window's edge cuts: local attention must end there"
    )
    assert "as none can be" not in "\n".join(line.plain for line in lines(found))


def test_an_engine_that_does_not_say_what_was_stored_gets_no_rate(planted: Planted) -> None:
    engine = Search(says_cached=False)
    found = result(engine, planted, Grid(2, 2))
    assert [column.read_tokens for column in found.columns] == [None, None]
    assert [column.prefill_tokens_per_s for column in found.columns] == [None, None]
    assert json.loads(json.dumps(found.to_json()))["lengths"][0]["prefill_tokens_per_s"] is None
    said = [event.message for event in selftest(engine, planted, Grid(1, 2), TOKENIZER) if isinstance(event, Said)]
    assert said[-1] == "cached tokens: not reported (--prompt-stats)"


def test_an_event_ends_every_length(planted: Planted) -> None:
    events = [event for event in selftest(Search(), planted, NINE, TOKENIZER) if isinstance(event, Asked | Through)]
    assert [event.length for event in events if isinstance(event, Through)] == [1, 2, 4, 9]
    assert events[-1] == Through(9) and isinstance(events[-2], Asked)


def test_where_nothing_is_found_on_a_server_it_is_asked_what_it_serves(planted: Planted) -> None:
    nothing = result(Search(reach=0), planted, Grid(2, 2))
    assert not doubt(nothing), "of our own engines it is known"
    served = replace(nothing.subject, identity=Identity(kind="openai"))
    assert "checkpoint of --write" in doubt(Result(served, nothing.asked))
    assert not doubt(Result(served, result(Search(), planted, Grid(2, 2)).asked))


def test_events_tell_of_the_plan_the_reading_and_what_is_said(planted: Planted) -> None:
    events = list(selftest(Search(), planted, Grid(2, 2), TOKENIZER))
    total = WINDOW + len(question(planted.inside[0].fact, TOKENIZER.encode))
    assert events[:3] == [Started(4), Reading(1, total, total), Said("it is a search")]
    assert [event.window for event in events if isinstance(event, Asked)] == [0, 0, 1, 0]
    assert events[-1] == Through(2)


def test_text_is_as_good_as_ids(planted: Planted) -> None:
    assert result(Search(as_text=True), planted).is_sound
    part = result(Search(as_text=True, most=2), planted, Grid(1, 2)).inside[0].outcome
    assert (part.right, part.wanted, part.is_found) == (2, 3, False)
    assert result(Search(most=1), planted, Grid(1, 2)).inside[0].outcome.right == 1
    none = result(Search(most=0), planted, Grid(1, 2)).inside[0].outcome
    assert (none.right, none.is_found) == (0, False)


def test_a_question_is_frequent_words_and_ends_with_the_key(planted: Planted) -> None:
    fact = planted.inside[0].fact
    ids = question(fact, TOKENIZER.encode)
    assert ids[-1] == fact.key and max(ids[:-1]) < RARE_FROM
    assert len(ids) + len(fact.answer) <= QUESTION_TOKENS


def test_an_engine_that_just_ends_is_an_error(planted: Planted) -> None:
    class Silent(Search):
        def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
            yield Token(1)

    with pytest.raises(EngineError, match="without saying so"):
        result(Silent(), planted)


def test_the_json_has_every_fact_and_every_length(planted: Planted) -> None:
    document = json.loads(json.dumps(result(Search(reach=4 * WINDOW), planted).to_json()))
    assert document["schema"] == "longctx.selftest/1" and not document["sound"]
    assert (document["found"], document["asked"], len(document["facts"])) == (9, 12, 12)
    assert [column["tokens"] for column in document["lengths"]] == [WINDOW, 2 * WINDOW, 4 * WINDOW, 9 * WINDOW]
    assert [column["found"] for column in document["lengths"]] == [1, 2, 4, 2]
    last = document["facts"][-1]
    assert (last["length"], last["window"], last["found"], last["right"], last["cached_tokens"]) == (
        9 * WINDOW,
        8,
        False,
        0,
        WINDOW,
    )
    assert last["depth"] == pytest.approx(last["position"] / (9 * WINDOW), abs=1e-6)
    assert len(document["cut_facts"]) == 7 and document["lengths"][0]["cut"] == 0


def test_speeds_are_of_the_question_that_read_something() -> None:
    def outcome(first_s: float, cached: int) -> Outcome:
        return Outcome(
            wanted=3,
            right=3,
            first_s=first_s,
            total_s=9.0,
            prompt_tokens=2 * WINDOW + 20,
            cached_tokens=cached,
            skipped_mass=0.0,
        )

    def asked(window: int, first_s: float, cached: int) -> Asked:
        return Asked(length=2, window=window, at=5, is_cut=False, outcome=outcome(first_s, cached))

    rows = (asked(0, 2.0, WINDOW), asked(1, 0.25, 2 * WINDOW), asked(1, 0.75, 2 * WINDOW))
    (column,) = Result(subject(Search(), Grid(2, 2)), rows).columns
    assert column.prefill_tokens_per_s == pytest.approx((WINDOW + 20) / 2)
    assert (column.first_s, column.again_s) == (2.0, 0.5)
    (stored,) = Result(subject(Search(), Grid(2, 2)), rows[1:2]).columns
    assert stored.prefill_tokens_per_s is None and stored.again_s is None


def test_a_part_of_a_test_shows_what_was_not_asked(planted: Planted) -> None:
    whole = result(Search(), planted)
    part = Result(whole.subject, whole.asked[:4], stopped="interrupted")
    assert not part.is_sound and part.found == len(part.inside)
    assert [square.sign for square in heat_map(part).rows[0].squares] == ["✓", "✓", "·", "·"]
    assert [column.length for column in part.columns] == [1, 2]


def test_the_picture_is_whole_xml_with_words_and_without_anything_that_runs(planted: Planted) -> None:
    svg = to_svg(heat_map(result(Search(reach=4 * WINDOW), planted)))
    root = ET.fromstring(svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "text", "g"}
    assert "prefers-color-scheme: dark" in svg and 'role="img"' in svg
    assert "<script>" not in svg and "\u202e" not in svg and "\x1b" not in svg
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert texts.count("✗") == 3 and "9 of 12 facts found" in texts
    (desc,) = (element.text or "" for element in root.iter() if element.tag.endswith("}desc"))
    assert "73,728 tokens: 2 of 5 found. 0 of 7 facts found that a window's edge cuts" in desc
    assert any(text and text.endswith("· not asked") for text in texts), "every sign that occurs is explained"


def test_two_pictures_on_one_page_have_names_of_their_own(planted: Planted) -> None:
    pictures = [to_svg(heat_map(result(Search(reach=reach), planted))) for reach in (WINDOW, 4 * WINDOW)]
    first, second = ({element.get("id") for element in ET.fromstring(each).iter()} - {None} for each in pictures)
    assert len(first) == len(second) == 2 and not first & second


def test_every_sign_has_a_meaning_a_class_and_a_style() -> None:
    assert set(MEANINGS) == set(CLASSES) == set(STYLES) == set(Sign)


def test_a_picture_of_hostile_names_is_still_a_picture() -> None:
    bad = '"><script>alert(1)</script>\ud800&\ufffe\uffff\x00\x85'
    drawn = HeatMap(
        title=bad,
        about=bad * 9,
        description=bad,
        across=bad,
        down=bad,
        columns=(bad,),
        rows=(Row(bad, (Square(Sign.PART, bad),)),),
    )
    root = ET.fromstring(to_svg(drawn))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
