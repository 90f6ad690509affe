"""What stands in a run's journal is not believed: a line that is none of ours is one clear error, and few are kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from longctx.errors import StoreError
from longctx.journal import Journal, parsed
from longctx.reports import records
from longctx.reports.items import Parts
from longctx.reports.plain import whole
from longctx.reports.report import State

BEGAN: dict[str, Any] = {"event": "run", "schema": records.SCHEMA, "program": "p", "at": 5.0, "engine": {}, "items": 1}
COMPACT = (",", ":")
PARTS = Parts(**dict.fromkeys(Parts.__struct_fields__, "x"))


def result(**fields: Any) -> dict[str, Any]:
    parts = dict.fromkeys(Parts.__struct_fields__, "x")
    return {"event": "item", "id": "a", "key": PARTS.key, "parts": parts, "state": "done", "at": 6.0, **fields}


def read(place: Path, *rows: object) -> records.Past:
    place.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row, separators=COMPACT)}\n" for row in rows)
    )
    with Journal(place) as journal:
        return records.read(journal, str(place))


@pytest.mark.parametrize(
    "fields",
    [
        {"at": 1e300},
        {"wall_s": -1},
        {"calls": -1},
        {"at": "now"},
        {"answer": {"question": "?"}},
        {"key": "other"},
        {"evidence": [{"item": "a"}]},
        {"state": "lost"},
        {"event": "party"},
    ],
)
def test_a_record_of_another_shape_is_named_with_its_line(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"run\.jsonl:2: not a record that this version knows: ") as raised:
        read(tmp_path / "run.jsonl", BEGAN, result(**fields))
    assert "\n" not in str(raised.value) and raised.value.hint


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" * 400])
def test_numbers_that_are_none_are_named_with_their_line(tmp_path: Path, number: str) -> None:
    line = json.dumps(result()).replace("6.0", number)
    with pytest.raises(StoreError, match=r"run\.jsonl:2: not a record of ours"):
        read(tmp_path / "run.jsonl", BEGAN, line)


def test_halves_of_characters_are_spelled_out(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "run.jsonl", BEGAN, result(error="a\ud800", value=["\udce9"])).results.of(PARTS.key)
    assert (found.error, found.value, found.state) == ("a\\ud800", ["\\udce9"], State.DONE)


def test_results_of_a_key_are_told_the_last_first(tmp_path: Path) -> None:
    rows = [result(value=1), result(value=2), result(value=3, state="failed")]
    past = read(tmp_path / "run.jsonl", BEGAN, *rows, {"event": "step", "key": "k", "answer": {}})
    assert [found.value for found in past.results.of(PARTS.key)] == [3, 2, 1]
    assert list(past.results.of("other")) == [] and PARTS.key in past.results and "other" not in past.results
    assert past.parts == {"a": [PARTS, PARTS]}
    assert (past.begun, past.wall_s) == ((5.0,), 1.0)


def test_a_line_is_parsed_once_and_a_result_made_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list[bytes]()

    def counted(line: bytes) -> dict[str, Any]:
        lines.append(line)
        return parsed(line)

    for module in ("longctx.journal", "longctx.reports.records"):
        monkeypatch.setattr(f"{module}.parsed", counted)
    past = read(tmp_path / "run.jsonl", BEGAN, *(result(value=n) for n in range(5)))
    assert len(lines) == 6
    (last, *_) = past.results.of(PARTS.key)
    assert (last.value, len(lines)) == (4, 6)


def test_values_of_a_model_that_no_program_reads_alike_are_the_nearest() -> None:
    odd = {"a": float("nan"), "b": [float("-inf"), 10**30, 10**400], "c": [True, (1 << 63) - 1, 0.5, None]}
    assert whole(odd) == {"a": None, "b": [None, 1e30, None], "c": [True, (1 << 63) - 1, 0.5, None]}
