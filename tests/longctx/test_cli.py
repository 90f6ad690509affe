import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

MakeTree = Callable[[dict[str, str | bytes]], Path]
FILES: dict[str, str | bytes] = {
    "src/lock.py": "import threading\n\n\nclass Store:\n    def take_lock(self) -> None:\n"
    '        """Take the lock that guards the ledger."""\n        self.lock = threading.Lock()\n',
    "docs/tides.md": "# Tides\n\nThe spring tide at the north mole reaches seven metres.\n",
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
}
QUESTION = "how high is the spring tide at the north mole?"


def run(
    *words: str | Path, stdin: bytes = b"", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "longctx", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env={**os.environ, **env})
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "replace")
    )


def answers(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_ask_prints_quotes_and_where_they_stand(make_tree: MakeTree) -> None:
    done = run("ask", make_tree(FILES), QUESTION)
    assert done.returncode == 0
    assert "The spring tide at the north mole reaches seven metres." in done.stdout
    assert "[^1]: docs/tides.md:" in done.stdout
    assert "(verified)" in done.stdout
    assert "no model wrote this answer" in done.stderr
    assert "left out, not read yet: picture.png" in done.stderr


def test_the_json_answer_has_what_is_promised(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    answer = json.loads(run("ask", root, QUESTION, "--json").stdout)
    assert answer["schema"] == "longctx.answer/1"
    assert answer["found"] is True
    wanted = {"id", "question", "answer_markdown", "citations", "tokens", "timing", "engine", "corpus"}
    assert wanted <= answer.keys()
    citation = answer["citations"][0]
    assert {"n", "status", "path", "page", "lines", "chars", "quote", "sha256"} <= citation.keys()
    first, last = citation["lines"]
    lines = (root / citation["path"]).read_text().split("\n")[first - 1 : last]
    assert citation["quote"].strip("\n") in "\n".join(lines)
    assert answer["corpus"]["skipped"] == [{"path": "picture.png", "reason": "not read yet", "detail": "an image"}]


def test_what_is_not_there_is_not_answered(make_tree: MakeTree) -> None:
    done = run("ask", make_tree(FILES), "which zeppelin flew over Antarctica?", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["found"], answer["citations"]) == (0, False, [])
    assert answer["answer_markdown"] == "Not found in this corpus."


def test_questions_from_a_file_are_answered_in_order(make_tree: MakeTree, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(f'{QUESTION}\n\n{{"id": "lock", "question": "what takes the lock?"}}\n')
    rows = answers(run("ask", make_tree(FILES), "--questions", questions).stdout)
    assert [(row["question_id"], row["question"]) for row in rows] == [
        ("1", QUESTION),
        ("lock", "what takes the lock?"),
    ]


def test_a_bad_line_in_a_questions_file_is_named(make_tree: MakeTree, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text('fine?\n{"id": 1}\n')
    done = run("ask", make_tree(FILES), "--questions", questions)
    assert done.returncode == 2
    assert f"{questions}:2" in done.stderr


def test_events_end_with_the_result(make_tree: MakeTree) -> None:
    events = answers(run("ask", make_tree(FILES), QUESTION, "--jsonl").stdout)
    kinds = [event["event"] for event in events if event["event"] != "heartbeat"]  # a busy machine has some
    assert (kinds[0], kinds[1], kinds[-1]) == ("corpus", "citation", "result")


def test_stdin_is_read_as_text(tmp_path: Path) -> None:
    done = run("ask", "-", "who found the wreck?", stdin=b"The wreck was found by Ines Calloway.\n")
    assert "[^1]: <stdin>:1 (verified)" in done.stdout


def test_a_list_on_stdin_names_the_files(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    done = run("ask", "--from-file", "-", QUESTION, stdin=b"docs/tides.md\n", cwd=root)
    assert "[^1]: docs/tides.md:" in done.stdout
    assert "picture.png" not in done.stderr


def test_output_goes_to_a_file_whole(make_tree: MakeTree, tmp_path: Path) -> None:
    target = tmp_path / "answer.md"
    done = run("ask", make_tree(FILES), QUESTION, "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert "seven metres" in target.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".answer")] == []


def test_quiet_says_nothing_on_stderr(make_tree: MakeTree) -> None:
    assert run("ask", make_tree(FILES), QUESTION, "-q").stderr == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ask"], 2, "no question"),
        (["ask", "only one word"], 2, "nothing to read"),
        (["ask", "/nowhere/at/all", "what?"], 3, "/nowhere/at/all"),
        (["ask", "what is it?", "."], 2, "the question comes last"),
        (["ask", ".", "-q", "--questions", "/nowhere.txt"], 2, "/nowhere.txt"),
        (["plan"], 2, "nothing to read"),
        (["frobnicate"], 2, "No such command"),
        (["ask", ".", "x", "--frobnicate"], 2, "No such option"),
        (["corpora", "show", "zzz"], 1, "no corpus"),
        (["plan", ".", "--budget", "many"], 2, "budget"),
    ],
)
def test_a_mistake_gets_one_clear_line_and_its_exit_code(
    words: Sequence[str], code: int, said: str, make_tree: MakeTree
) -> None:
    done = run(*words, cwd=make_tree(FILES))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_strict_fails_where_a_file_can_not_be_read(make_tree: MakeTree) -> None:
    root = make_tree({**FILES, "broken.pdf": b"%PDF-1.7\nnothing more\n"})
    assert run("ask", root, QUESTION).returncode == 0
    done = run("ask", root, QUESTION, "--strict")
    assert done.returncode == 3
    assert "broken.pdf" in done.stderr


def test_a_budget_is_a_gate(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    assert run("plan", root, "--budget", "1M").returncode == 0
    done = run("plan", root, "--budget", "60")
    assert done.returncode == 4
    assert "would have to go" in done.stderr


def test_plan_shows_windows_and_needs(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    text = run("plan", root).stdout
    assert "windows of 8,192" in text
    assert "scout" in text and "1xH200" in text
    plan = json.loads(run("plan", root, "--json").stdout)
    assert plan["tokens"] == sum(window["tokens"] for window in plan["windows"])
    assert plan["tree"]["tokens"] == plan["text_tokens"]


def test_pack_writes_the_prompt_as_text_and_as_ids(make_tree: MakeTree) -> None:
    from longctx.tokens import Tokenizer

    root = make_tree(FILES)
    text = run("pack", root).stdout
    assert 'path="docs/tides.md"' in text and "seven metres" in text
    windows = [json.loads(line) for line in run("pack", root, "--as", "ids").stdout.splitlines()]
    ordinary = [token for window in windows for token in window if token < 200_000]
    assert Tokenizer().decode(ordinary) == "user\n\n" + text
    assert f"{sum(map(len, windows)):,} tokens" in run("pack", root).stderr


def test_corpora_are_listed_shown_compared_and_forgotten(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    assert "no corpora yet" in run("corpora", "ls").stdout
    run("ingest", root)
    listed = json.loads(run("corpora", "ls", "--json").stdout)
    identity = str(listed[0]["id"])
    assert "docs/tides.md" in run("corpora", "show", identity[:5]).stdout
    (root / "new.txt").write_text("new\n")
    assert "new      new.txt" in run("corpora", "diff", identity).stdout
    assert run("corpora", "repack", identity).returncode == 0
    assert run("corpora", "rm", identity).returncode == 0
    assert "no corpora yet" in run("corpora", "ls").stdout


def test_settings_are_shown_with_their_origin(tmp_path: Path) -> None:
    (tmp_path / "longctx.toml").write_text('exclude = ["*.log"]\n')
    text = run("config", "show", cwd=tmp_path).stdout
    assert "longctx.toml" in next(line for line in text.splitlines() if line.startswith("exclude"))
    assert "half of the free disk, at most 200 GiB" in next(
        t for t in text.splitlines() if t.startswith("cache_limit_gb")
    )
    assert json.loads(run("config", "show", "--json").stdout)["cache_limit_gb"]["value"] is None
    (tmp_path / "bad.toml").write_text("exclde = 3\n")
    done = run("config", "validate", "bad.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "exclude" in done.stdout


def test_settings_apply(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree(FILES)
    (tmp_path / "longctx.toml").write_text('exclude = ["docs/"]\n')
    answer = json.loads(run("ask", root, QUESTION, "--json", cwd=tmp_path).stdout)
    assert "docs/tides.md" not in json.dumps(answer["citations"])


def test_a_hostile_document_can_not_paint_the_terminal(make_tree: MakeTree) -> None:
    root = make_tree({"e\x1b]0;x\x07vil.md": "The spring tide \x1b[2J\x1b]0;pwned\x07 reaches \u202eseven metres.\n"})
    for words in (
        ["ask", root, "how high is the spring tide?"],
        ["ask", root, "spring tide?", "--json"],
        ["plan", root],
    ):
        done = run(*words)
        for stream in (done.stdout, done.stderr):
            assert not set("\x1b\x07\u202e") & set(stream)


def test_secrets_are_named_and_never_shown(make_tree: MakeTree) -> None:
    key = "AKIA" + "Q3EGRXQ7" + "J5ZLMNPK"
    root = make_tree({**FILES, "settings.py": f"x = 1\nkey = '{key}'\n", "id_rsa": "private\n"})
    done = run("ask", root, "what is the key in the settings?", "--json")
    assert key not in done.stdout + done.stderr
    reasons = {row["path"]: row for row in json.loads(done.stdout)["corpus"]["skipped"]}
    assert reasons["settings.py"]["reason"] == "secret"
    assert "line 2" in reasons["settings.py"]["detail"]
    assert reasons["id_rsa"]["reason"] == "secret"
    home = Path(os.environ["LONGCTX_HOME"])
    assert not [p for p in home.rglob("*") if p.is_file() and key.encode() in p.read_bytes()]


def test_what_is_left_out_by_default_is_named_and_can_be_brought_back(make_tree: MakeTree) -> None:
    root = make_tree({**FILES, "poetry.lock": "name = 'spring-tide-lock'\n" * 50})
    assert "poetry.lock (lock file, about" in run("ingest", root).stderr
    done = run("ingest", root, "--include", "poetry.lock")
    assert "poetry.lock" not in done.stderr


def test_ctrl_c_gives_the_shell_back_and_keeps_what_was_read(make_tree: MakeTree) -> None:
    files: dict[str, str | bytes] = {f"f{n}.txt": f"{n} " + "many words in a file " * 4000 for n in range(400)}
    root = make_tree(files)
    process = subprocess.Popen([sys.executable, "-P", "-m", "longctx", "ingest", str(root)], stderr=subprocess.PIPE)
    shelf = Path(os.environ["LONGCTX_HOME"]) / "cache" / "shelf.db"
    while not (shelf.exists() and shelf.stat().st_size > 2_000_000):
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.01)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - begun < 5
    assert b"interrupted" in stderr and b"Traceback" not in stderr
    assert run("ingest", root).returncode == 0


def test_a_reader_that_goes_away_is_not_complained_about(make_tree: MakeTree) -> None:
    root = make_tree({"big.txt": "a line of text\n" * 50_000})
    command = f"{sys.executable} -P -m longctx pack {root} -q | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("Below are documents")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_written(shell: str) -> None:
    assert "_LONGCTX_COMPLETE" in run("completions", shell).stdout


def test_a_pipe_given_as_output_is_written_to_and_not_replaced(make_tree: MakeTree, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    assert run("pack", make_tree(FILES), "-q", "-o", pipe).returncode == 0
    assert b"seven metres" in reader.communicate(timeout=30)[0]
    assert pipe.is_fifo()
    assert run("pack", make_tree(FILES), "-q", "-o", tmp_path).returncode == 2


def test_a_long_question_is_a_question(make_tree: MakeTree) -> None:
    assert run("ask", make_tree(FILES), QUESTION + " really" * 100).returncode == 0


def test_a_missing_path_in_a_list_costs_itself_only(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    done = run("ask", "--from-file", "-", QUESTION, stdin=b"gone.md\ndocs/tides.md\n", cwd=root)
    assert "seven metres" in done.stdout
    assert "gone.md" in done.stderr


def test_a_project_file_does_not_let_secrets_through(make_tree: MakeTree) -> None:
    root = make_tree({**FILES, ".env": "TOKEN=abc\n", "longctx.toml": 'include = ["*"]\n'})
    done = run("pack", ".", cwd=root)
    assert "TOKEN=abc" not in done.stdout
    assert "include" in done.stderr


def test_a_malformed_token_in_a_text_does_no_harm(make_tree: MakeTree) -> None:
    broken = ".".join(["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0N", "c2lnbmF0dXJlc2lnbmF0dXJl"])
    assert run("ask", make_tree({**FILES, "t.txt": f"{broken} {broken}\n"}), QUESTION).returncode == 0


def test_several_sources_can_be_compared_and_repacked_from_anywhere(make_tree: MakeTree, tmp_path: Path) -> None:
    root = make_tree(FILES)
    run("ingest", "src", "docs", cwd=root)
    identity = str(json.loads(run("corpora", "ls", "--json").stdout)[0]["id"])
    assert run("corpora", "diff", identity, cwd=tmp_path).stdout == "nothing changed\n"
    before = run("pack", "src", "docs", cwd=root).stdout
    run("corpora", "repack", identity, cwd=tmp_path)
    assert run("pack", "src", "docs", cwd=root).stdout == before


def test_two_runs_at_once_both_finish(make_tree: MakeTree) -> None:
    root = make_tree({f"f{n}.txt": f"{n} words in a file\n" * 200 for n in range(300)})
    command = [sys.executable, "-P", "-m", "longctx", "ingest", str(root), "-q"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[1] for process in both] == [b"", b""]
    assert [process.returncode for process in both] == [0, 0]
    assert (
        run("corpora", "show", json.loads(run("corpora", "ls", "--json").stdout)[0]["id"]).stdout.count("current")
        == 300
    )


def test_escapes_do_not_reach_a_terminal(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "The tide \x1b[2J\x1b]0;PWNED\x07 turns.\n" + "Many plain words follow. " * 200})
    for words in (f"pack {root}", f"ask {root} tide", f"plan {root}"):
        command = f"{sys.executable} -P -m longctx {words}"
        done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, timeout=60)
        assert b"turns" in done.stdout or b"plan" in words.encode()
        assert b"\x1b[2J" not in done.stdout and b"PWNED\x07" not in done.stdout


def test_a_locale_that_is_not_utf8_is_no_hindrance(make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "Весенний прилив у северного мола.\n"})
    for words in (["pack", root], ["ask", root, "прилив"], ["ask", root, "прилив", "--json"]):
        assert run(*words, PYTHONIOENCODING="latin-1").returncode == 0


def test_what_is_to_be_said_of_a_file_that_was_read_is_said(make_tree: MakeTree) -> None:
    mail = "From: a@example.org\nTo: b@example.org\nSubject: Tides\nMIME-Version: 1.0\n"
    mail += "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\nThe tide turns at noon.\n"
    mail += "--x\nContent-Type: text/csv\nContent-Disposition: attachment; filename=racks.csv\n\n1,2\n--x--\n"
    root = make_tree({"m.eml": mail, "latin.txt": "gr\xf6\xdfe und \xfcbung\n".encode("latin-1")})
    done = run("ask", root, "when does the tide turn?", "--json")
    remarks = {row["path"]: row["detail"] for row in json.loads(done.stdout)["corpus"]["remarks"]}
    assert "racks.csv" in remarks["m.eml"]
    assert "encoding" in remarks["latin.txt"]
    assert "racks.csv" in done.stderr


def test_a_corpus_can_be_named_by_its_folder(make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    run("ingest", root)
    assert "docs/tides.md" in run("corpora", "show", root).stdout
    assert run("corpora", "show", root / "src").returncode == 2
    assert run("corpora", "rm", "").returncode == 1
