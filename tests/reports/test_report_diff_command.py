"""`longctx report diff` on saved files, good ones and bad ones."""

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from longctx.commands.report_diff import diff
from longctx.errors import UsageError
from longctx.reports.report import Item, Kind, Made, Report, State, to_json

app = typer.Typer()
app.command()(diff)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def saved(file: Path, text: str, **more: str) -> Path:
    item = Item(id="a", kind=Kind.QUESTION, title="A", state=State.DONE, answer={"answer_markdown": text})
    made = Made(program="longctx", begun=text, written=text)
    fields = {"title": "T", "manifest": "m", "manifest_sha256": "0", **more}
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(to_json(Report(corpus={}, engine={}, settings={}, items=(item,), made=made, **fields)))
    return file


def test_folders_and_files(tmp_path: Path) -> None:
    saved(tmp_path / "old" / "report.json", "3 m")
    new = saved(tmp_path / "new.json", "4 m")
    result = run(tmp_path / "old", new)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == 'items: 1 changed, 0 the same\n\nitem a "A":\n  - 3 m\n  + 4 m\n'
    assert run(new, new).stdout == "no differences\n"


def test_json_and_the_exit_code_that_is_asked_for(tmp_path: Path) -> None:
    old, new = saved(tmp_path / "old.json", "3 m"), saved(tmp_path / "new.json", "4 m")
    result = run(old, new, "--json", "--exit-code")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["schema"], document["is_same"]) == ("longctx.report-diff/1", False)
    assert document["items"][0]["answer"] == ["-3 m", "+4 m"]
    assert run(old, old, "--exit-code").exit_code == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a saved report"),
        (b"{", "not a saved report"),
        (b"[]", "not a saved report"),
        (b"{}", "not a saved report"),
        (b'\xff{"schema": "\xff"}', "not a saved report"),
        (b"[" * 100_000, "not a saved report"),
        (b'{"schema": "longctx.report/1"}', "not a saved report: Object missing required field `title`"),
        (b'{"schema": "longctx.report/2"}', "is a longctx.report/2; this longctx reads longctx.report/1"),
        (b'{"schema": "longctx.answer/1\\u001b"}', r"not a saved report but a longctx.answer/1\x1b"),
    ],
)
def test_what_is_no_report_is_one_clear_line(tmp_path: Path, content: bytes, told: str) -> None:
    good, bad = saved(tmp_path / "good.json", "x"), tmp_path / "bad.json"
    bad.write_bytes(content)
    for words in ([bad, good], [good, bad]):
        result = run(*words)
        assert isinstance(result.exception, UsageError)
        assert str(result.exception).startswith(f"{bad}: {told}")
        assert str(result.exception).isprintable()
        assert "its folder" in result.exception.hint


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.json", "x")
    os.mkfifo(tmp_path / "pipe")
    for bad, told in [("none", "No such file"), ("pipe", "not a regular file"), ("", "No such file")]:
        result = run(tmp_path / bad, good)
        assert isinstance(result.exception, UsageError)
        assert told in str(result.exception)


def test_values_nested_deeply(tmp_path: Path) -> None:
    """Refused, or compared; no traceback either way."""
    for depth in (100, 450, 900, 5000):
        old = saved(tmp_path / "old.json", "x")
        deep = b"[" * depth + b"]" * depth
        old.write_bytes(old.read_bytes().replace(b'"value": null', b'"value": ' + deep))
        (tmp_path / "new.json").write_bytes(old.read_bytes().replace(b"[]", b"[1]"))
        result = run(old, tmp_path / "new.json")
        assert result.exception is None or isinstance(result.exception, UsageError), result.exception
