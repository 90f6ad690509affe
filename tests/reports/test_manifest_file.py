"""Manifests as people write them: what is taken, and how what is not is told."""

import json
import os
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.reports.manifest import LoadedManifest, Question
from longctx.reports.manifest_file import ManifestError, read
from longctx.reports.manifest_lines import toml_lines

WHOLE = """\
schema = "longctx.manifest/1"
title = "Quarterly filings"

[corpus]
paths = ["filings/**/*.pdf", "notes/"]
exclude = ["**/drafts/**"]

[engine]
name = "vllm"
max_tokens = 1200
temperature = 1

[summary]
per_document = true
length = "short"
sections = ["key points", "risks"]

[[question]]
id = "covenants"
text = "List every covenant."
require_verified = true
schema = "schemas/covenant.json"

[[question]]
id = "risk"
text = "What threatens {{answers.covenants}}?"
depends_on = ["covenants"]

[output]
formats = ["md", "json"]
"""
SCHEMA = {"type": "object", "properties": {"threshold": {"type": "string"}}}
AS_YAML = """\
title: Quarterly filings
corpus:
  paths: ["filings/**/*.pdf", notes/]
summary: {per_document: true}
question:
  - id: covenants
    text: |
      List every covenant.
    require_verified: yes
  - {id: dated, text: 2024-01-31}
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems(folder: Path, name: str, content: str | bytes) -> list[str]:
    path = write(folder, name, content)
    with pytest.raises(ManifestError) as caught:
        read(path)
    assert caught.value.exit_code == 2
    assert all("\n" not in each and each.startswith(str(path)) for each in caught.value.problems)
    return [each.removeprefix(f"{folder}/") for each in caught.value.problems]


def questions(loaded: LoadedManifest) -> list[tuple[str, str]]:
    return [(each.id, each.text) for each in loaded.manifest.question]


def test_a_manifest_in_toml(tmp_path: Path) -> None:
    write(tmp_path, "schemas/covenant.json", json.dumps(SCHEMA))
    loaded = read(write(tmp_path, "filings.toml", b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode()))
    assert (loaded.name, loaded.folder) == ("filings", str(tmp_path))
    assert loaded.schemas == {"covenants": SCHEMA}
    assert loaded.manifest.engine.max_tokens == 1200
    assert loaded.manifest.engine.temperature == 1.0
    assert loaded.manifest.summary is not None
    assert loaded.manifest.summary.sections == ("key points", "risks")
    assert loaded.manifest.question[1].depends_on == ("covenants",)
    assert len(loaded.sha256) == 64


def test_the_folder_is_where_the_manifest_lies_whatever_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "inner/q.txt", "Why?\n")
    monkeypatch.chdir(tmp_path)
    assert read(Path("inner/q.txt")).folder == str(tmp_path / "inner")


def test_a_manifest_in_yaml_has_the_same_keys(tmp_path: Path) -> None:
    loaded = read(write(tmp_path, "filings.yml", AS_YAML))
    assert loaded.manifest.question == (
        Question(id="covenants", text="List every covenant.\n", require_verified=True),
        Question(id="dated", text="2024-01-31"),
    )
    assert loaded.manifest.summary is not None
    assert loaded.manifest.summary.per_document


def test_dots_in_texts_and_numbers_are_no_nesting(tmp_path: Path) -> None:
    dots = "I. II. III. IV. V. VI. VII. VIII. IX. X. " * 5
    name = ".".join("abcdefghijklmnopqrstuvwxyz")
    content = f"title = '{dots}'\n# {dots}\n[[question]]\nid = '{name}'\ntext = '{dots}'\n"
    assert read(write(tmp_path, "m.toml", content)).manifest.title == dots


def test_a_question_a_line(tmp_path: Path) -> None:
    loaded = read(write(tmp_path, "questions.txt", "\ufeff# about tides\r\n\r\nWhat?\r\n  Why, id: x? \n"))
    assert questions(loaded) == [("q1", "What?"), ("q2", "Why, id: x?")]
    assert loaded.manifest.corpus.paths == ()


def test_a_table_of_questions(tmp_path: Path) -> None:
    table = '\ufeffID,text,require_verified,depends_on\r\na,"One,\r\ntwo?",TRUE,\r\n\r\nb,Three,,a\r\n'
    loaded = read(write(tmp_path, "questions.csv", table))
    assert loaded.manifest.question == (
        Question(id="a", text="One,\ntwo?", require_verified=True),
        Question(id="b", text="Three", depends_on=("a",)),
    )


def test_a_table_that_a_spreadsheet_separated_by_semicolons(tmp_path: Path) -> None:
    assert questions(read(write(tmp_path, "q.csv", "id;text\na;One, two\n"))) == [("a", "One, two")]


def test_all_that_is_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    wrong = """\
titel = "x"
[corpus]
paths = ["a",
  5]
[engine]
base_url = "http://example.org"
max_tokens = 0
temperature = nan
mode = "ful"
jobs = true

[[question]]
id = "a"
text = '''
Hello [
'''
require_verified = "yes"
[[question]]
id = "b c"
text = " "
depends_on = ["a", "bb"]  # [
[[question]]
txt = 2020-01-01
[output]
formats = ["pdf"]
"""
    assert problems(tmp_path, "m.toml", wrong) == [
        'm.toml:1: titel: unknown key; did you mean "title"?',
        "m.toml:3: corpus.paths[2]: expected a folder, file, glob or git URL, got 5; put it in quotes",
        "m.toml:6: engine.base_url: not for manifests; set it in your own settings, the environment or a flag",
        "m.toml:7: engine.max_tokens: expected a whole number from 1 to 1,000,000,000, got 0",
        "m.toml:8: engine.temperature: expected a number from 0 to 100, got NaN",
        'm.toml:9: engine.mode: expected auto, full or focus, got "ful"',
        "m.toml:10: engine.jobs: expected a whole number from 1 to 256, got true",
        'm.toml:17: question[1].require_verified: expected true or false, got "yes"',
        'm.toml:19: question[2].id: expected 1 to 64 letters, digits, ".", "_" or "-", no mark first, got "b c"',
        'm.toml:20: question[2].text: expected a text that says something, got " "',
        'm.toml:21: question[2].depends_on[2]: "bb": no question has this id',
        'm.toml:22: question[3]: "id" is missing',
        'm.toml:22: question[3]: "text" is missing',
        'm.toml:23: question[3].txt: unknown key; did you mean "text"?',
        'm.toml:25: output.formats[1]: expected md, html or json, got "pdf"',
    ]


@pytest.mark.parametrize("name", ["api_key", "base_url", "model", "Base-URL"])
@pytest.mark.parametrize("table", ["", "[engine]\n"])
def test_where_text_is_sent_is_no_business_of_a_manifest(tmp_path: Path, name: str, table: str) -> None:
    (told,) = problems(tmp_path, "m.toml", f'summary = {{}}\n{table}{name} = "x"\n')
    assert "your own settings" in told
    assert "did you mean" not in told


def test_several_problems_are_a_line_each_and_many_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "m.toml", "summary = {}\n" + "".join(f"x{i} = 1\n" for i in range(50)))
    with pytest.raises(ManifestError, match="50 things are wrong") as caught:
        read(path)
    lines = caught.value.hint.splitlines()
    assert lines[0] == f"{path}:2: x0: unknown key"
    assert lines[30] == "and 20 more"
    assert "longctx report --init" in lines[31]


def asked(*rows: str) -> str:
    return "".join(f"[[question]]\n{row}\n" for row in rows)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (asked('id="a"\ntext="x"', 'id="a"\ntext="y"'), 'm.toml:5: question[2].id: "a" is the id of question[1] too'),
        (asked('id="a"\ntext="{{answers.a}}"'), "m.toml:3: question[1].text: {{answers.a}}: a question can't wait"),
        (asked('id="a"\ntext="{{ answers. }}"'), "m.toml:3: question[1].text: {{answers.}}: no question has this id"),
        (
            asked('id="a"\ntext="{{answers.b}}"', 'id="b"\ntext="x"\ndepends_on=["c"]', 'id="c"\ntext="{{answers.a}}"'),
            "m.toml:1: question[1]: waits for its own answer: a -> b -> c -> a",
        ),
        (asked('id="a"\ntext="\\u001b[31m"'), "m.toml:3: question[1].text: has the character U+001B"),
        (asked('id="a"\ntext="x"\nschema="none.json"'), "m.toml:4: question[1].schema: "),
        ("[summary]\ncorpus = false\n", "m.toml: nothing is asked"),
        ("question = []\n", "m.toml: nothing is asked"),
        ('schema = "longctx.manifest/2"\nnew = 1\n', "m.toml:1: schema: longctx.manifest/2 is for a newer longctx"),
        ('schema = "longctx.report/1"\nsummary = {}\n', "m.toml:1: schema: expected longctx.manifest/1, got"),
        ("summary = 3\n", "m.toml:1: summary: expected a table, got 3"),
        ("question = 3\n", "m.toml:1: question: expected a list, got 3"),
        ("title = 1\x1b\n", "m.toml:1: "),
        ('a = 1\nb = """\nx\n\n', "m.toml:2: Unterminated string"),
        ("a = [1,\n\n2\n", "m.toml:1: Unclosed array"),
        ("a = 1\n\na = 2\nb = 3\n", "m.toml:3: Cannot overwrite a value"),
        (f"a = {'[' * 5000}", "m.toml: nested too deeply"),
        (f"[a.{'b . ' * 100_000}c]", "m.toml: nested too deeply"),
        ("x = { a." + '"b".' * 100_000 + "c = 1 }", "m.toml: nested too deeply"),
        (f"a = {'1' * 5000}", "m.toml: a number has too many digits"),
        ("[engine]\nseed = 0x" + "f" * 9000 + "\n[summary]\n", "m.toml:2: engine.seed: expected a whole number from 0"),
        ("[engine]\nmax_tokens = 1200.5\n[summary]\n", "m.toml:2: engine.max_tokens: expected a whole number"),
        ('[corpus]\npaths = ["-"]\n[summary]\n', "m.toml:2: corpus.paths[1]: expected a folder, file, glob or git URL"),
        (b"title = '\xff'", "m.toml:1: not UTF-8"),
        (b"x" * ((1 << 20) + 1), "m.toml: more than 1,024 KiB"),
    ],
)
def test_one_thing_wrong(tmp_path: Path, content: str | bytes, told: str) -> None:
    (line,) = problems(tmp_path, "m.toml", content)
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: &x 1\nb: *x\n", "m.yaml:1: anchors and aliases are not taken"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", "m.yaml:2: the tag tag:yaml.org"),
        ("summary: {}\ntitle: a\ntitle: b\n", "m.yaml:3: title: stands a second time; the first is on line 2"),
        ("summary: {}\n? [1]\n: 2\n", "m.yaml:2: a key must be a word"),
        ("summary:\n", "m.yaml:1: summary: expected a table, got nothing"),
        ("question:\n- id: no\n  text: x\n", "m.yaml:2: question[1].id: expected 1 to 64"),
        ("a: [1\nb: 2\n", "m.yaml:2: expected ',' or ']'"),
        ("- a\n", "m.yaml:1: expected keys with values"),
        ("a: 1\n---\nb: 1\n", "m.yaml:2: "),
        ("a: 1\nb: \x00\n", "m.yaml:2: the character U+0000"),
        (f"a: {'[' * 3000}", "m.yaml:1: nested too deeply"),
        ("summary: {}\nengine:\n  seed: 0x" + "f" * 9000, "m.yaml:3: 0xfff"),
        ("summary: {}\nengine:\n  seed: 1" + ":01" * 300_000, "m.yaml:3: 1:01:01"),
        (f"a: {'1' * 5000}", "m.yaml:1: 1111111111111111111111111111111111111111 is not a number"),
        ('question:\n- id: a\n  text: "\\ud800"\n', "m.yaml:3: question[1].text: has the character U+D800"),
    ],
)
def test_yaml_that_is_not_taken(tmp_path: Path, content: str, told: str) -> None:
    (line,) = problems(tmp_path, "m.yaml", content)
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "q.csv:1: the first row must name the columns id and text"),
        ("id,txt\n", 'q.csv:1: unknown column "txt"; did you mean text?'),
        ("id,text,text\n", "q.csv:1: a column is named twice"),
        ("id,text\n", "q.csv: nothing is asked"),
        ('id,text\na,"x\ny"\nb,c,d\n', "q.csv:4: question[2]: 3 cells in 2 columns"),
        ('id,text\na,x\nb,"y\n', "q.csv:3: "),
        ("id,text\n,x\n", "q.csv:2: question[1].id: expected 1 to 64"),
        ("id,text,require_verified\na,x,maybe\n", "q.csv:2: question[1].require_verified: expected true or false"),
        ("id,text,depends_on\na,x,b\n", "q.csv:2: question[1].depends_on[1]: "),
    ],
)
def test_tables_that_are_not_taken(tmp_path: Path, content: str, told: str) -> None:
    assert problems(tmp_path, "q.csv", content)[0].startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{\n "type": x}', "covenant.json:2: Expecting value, column 10"),
        ('{"type": "nonsense"}', "covenant.json: "),
        ('{"$ref": "https://example.org/x.json"}', "covenant.json: $ref: "),
        ("[]", "covenant.json: "),
    ],
)
def test_what_is_wrong_with_a_schema_is_told_where_it_is_named(tmp_path: Path, content: str, told: str) -> None:
    write(tmp_path, "schemas/covenant.json", content)
    (line,) = problems(tmp_path, "m.toml", WHOLE)
    assert line.startswith(f"m.toml:22: question[1].schema: {tmp_path}/schemas/{told}")


def test_files_that_are_no_regular_ones_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    os.mkfifo(tmp_path / "pipe.json")
    write(tmp_path, "m.toml", asked('id="a"\ntext="x"\nschema="pipe.json"'))
    for name in ("pipe.toml", "m.toml", "none.toml"):
        with pytest.raises(ManifestError):
            read(tmp_path / name)
    with pytest.raises(ManifestError, match="not a regular file"):
        read(tmp_path)
    with pytest.raises(ManifestError, match=r"ends in \.toml or \.yaml"):
        read(write(tmp_path, "m.docx", ""))


def test_hostile_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    lines = problems(tmp_path, "m.toml", 'summary = {}\n"\\u001b[31m" = 1\n"a\\nb" = 1\n"\\u202e" = "\\u202e"\n')
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 3


def test_a_whole_number_may_be_written_with_a_point(tmp_path: Path) -> None:
    loaded = read(write(tmp_path, "m.toml", "[engine]\nmax_tokens = 1200.0\ntemperature = 0.0\n[summary]\n"))
    assert (loaded.manifest.engine.max_tokens, loaded.manifest.engine.temperature) == (1200, 0.0)
    assert isinstance(loaded.manifest.engine.max_tokens, int)


@pytest.mark.parametrize(
    "content",
    [
        "a = " + '\\"' * 100_000,
        "a = " + '\\"""' * 100_000,
        "a = " + "\\'" * 100_000,
        "a = '''" + '\\"' * 100_000,
        'a = """' + "''' " * 100_000 + "\\",
        "".join(f'[[question]]\nid = "{" " * 4000}\\n"\n' for _ in range(100)),
        "".join(f'[[question]]\nid = "a"\ntext = "x"\nschema = "{"a" * 4000}\\n"\n' for _ in range(250)),
        "".join(f'[[question]]\nid = "q{n}"\ntext = "x"\ndepends_on = ["w{n}", "w{n}b"]\n' for n in range(5000)),
        "".join(f'[[question]]\nid = "q{n}"\ntext = "x"\ndepends_on = ["q{n + 1}", "q0"]\n' for n in range(3000)),
    ],
)
def test_what_is_made_to_cost_much_is_refused_soon(tmp_path: Path, content: str) -> None:
    begun = time.thread_time()
    with pytest.raises(ManifestError):
        read(write(tmp_path, "m.toml", content))
    assert time.thread_time() - begun < 8


KEYS = st.sampled_from(["a", "b", '"c d"', "e.f", "g.h.i"])
VALUES = st.sampled_from(
    [
        "1",
        '"x # ["',
        "[\n 1, # ]\n 2\n]",
        '"""\na = 1\n[t]\n"""',
        "'''\n'''",
        "{ x = [1], y = '}' }",
        '""""q""""',
        "'\"'",
    ]
)
STATEMENTS = st.one_of(
    st.tuples(KEYS, VALUES).map(" = ".join),
    st.sampled_from(["[t]", "[t.u]", "[[q]]", "[[q.r]]", "[q.s]", "# [[", "", "  [ t2 ]  # x"]),
)


@given(st.lists(STATEMENTS, max_size=12))
def test_every_key_of_a_toml_text_has_the_line_of_its_statement(rows: list[str]) -> None:
    """Against the slow way: the statement that brings a key into what the text before it and itself mean."""
    kept: list[str] = []
    for row in rows:
        try:
            tomllib.loads("\n".join([*kept, row]))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(row)
    lines = toml_lines("\n".join(kept))
    seen: set[tuple[str | int, ...]] = set()
    number = 1
    for i, row in enumerate(kept):
        now = set(places(tomllib.loads("\n".join(kept[: i + 1])), ()))
        for place in now - seen:
            assert lines[place] == number, place
        seen |= now
        number += row.count("\n") + 1


def places(value: object, place: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [each for part, inside in parts for each in places(inside, (*place, part))]
    return [place, *inner] if place else inner
