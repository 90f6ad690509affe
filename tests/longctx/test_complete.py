"""A text and an engine's answer to it: what is sent, what is shown as it comes, and how a run ends."""

import io
import json
import os
import re
import subprocess
import sys
from array import array
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from longctx.commands.streamed import summary, write
from longctx.commands.windows import read_windows
from longctx.completion import Delta, chat_ids, check_ids, complete, following, plain_ids, speeds, stop_ids
from longctx.engines.base import (
    Engine,
    EngineEvent,
    Finish,
    Finished,
    Limits,
    Prefilled,
    Prompt,
    Sampling,
    Token,
    Warned,
    contiguous,
)
from longctx.engines.scout_opening import read_shape
from longctx.errors import EngineError, ExitCode, LongctxError
from longctx.tokens import Tokenizer
from longctx.vocabulary import Vocabulary, llama4

LLAMA4 = llama4()
SMALL = Vocabulary(Path("unused"), b"".join(b"%b %d\n" % (b64encode(bytes([n])), n) for n in range(256)))
END = SMALL.special(200_008)


class Scripted:
    """An engine that says the ids it was given, and remembers whether its run was closed."""

    def __init__(self, ids: list[int], *, fails: Exception | type[BaseException] | None = None) -> None:
        self.ids, self.fails = ids, fails
        self.prompts: list[Prompt] = []
        self.closed_runs = 0

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        self.prompts.append(prompt)
        total = len(prompt.ids)
        try:
            yield Prefilled(done=total, total=total, cached=0)
            yield Warned("a stored block was damaged: \x1b[2J")
            for each in self.ids:
                yield Token(each)
            if self.fails is not None:
                raise self.fails
            stopped = Finish.STOP if self.ids and self.ids[-1] in sampling.stop_ids else Finish.LENGTH
            said = len(self.ids) - (stopped is Finish.STOP)
            took = {"prompt_tokens": total, "cached_tokens": 0, "answer_tokens": said}
            yield Finished(reason=stopped, **took, prefill_s=0.5, decode_s=2.0)
        finally:
            self.closed_runs += 1

    def limits(self) -> Limits:
        return Limits(context_tokens=1 << 20)

    def describe(self) -> str:
        return "scripted"

    def close(self) -> None:
        pass


def run(engine: Engine, *, stops: frozenset[int] = frozenset({END})) -> list[Delta | EngineEvent]:
    prompt = contiguous(plain_ids("tide", SMALL), 16)
    return list(complete(engine, prompt, Sampling(stop_ids=stops), SMALL))


def text(events: list[Delta | EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def test_a_plain_prompt_is_the_text_after_the_begin_of_text() -> None:
    prompt = "The lighthouse <|eot|> stands"
    assert list(plain_ids(prompt, LLAMA4)) == [200_000, *Tokenizer(LLAMA4).encode(prompt)]
    assert list(plain_ids("ab", SMALL)) == [256, 97, 98]


def test_a_chat_prompt_is_what_llama4_was_trained_on() -> None:
    encode = Tokenizer(LLAMA4).encode
    head, tail = [200_005, *encode("user"), 200_006, *encode("\n\n")], [*encode("assistant"), 200_006, *encode("\n\n")]
    assert list(chat_ids("Hi <|eot|>", LLAMA4)) == [200_000, *head, *encode("Hi <|eot|>"), 200_008, 200_005, *tail]
    assert len(encode("user")) == len(encode("assistant")) == len(encode("\n\n")) == 1


def test_behind_packed_windows_nothing_is_begun_again() -> None:
    whole = [*plain_ids("ab", SMALL)]
    assert [*whole, *plain_ids("cd", SMALL, begun=True)] == [*plain_ids("abcd", SMALL)]
    head = [*chat_ids("", LLAMA4)][: -len(chat_ids("", LLAMA4, begun=True))]
    assert [*head, *chat_ids("Hi", LLAMA4, begun=True)] == [*chat_ids("Hi", LLAMA4)]
    assert following([array("I", [1, 2]), array("I", [3])], array("I", range(5)), 4).starts == (0, 2, 3, 7)


def test_ids_without_an_embedding_are_refused() -> None:
    ids = array("I", [3, 299])
    check_ids(ids, 300, Path("m"))
    check_ids(array("I"), 1, Path("m"))
    with pytest.raises(EngineError, match="m: the prompt has token 299, but the model knows only 299") as caught:
        check_ids(ids, 299, Path("m"))
    assert caught.value.exit_code == ExitCode.ENGINE


def test_an_answer_comes_as_deltas_without_its_stop_token() -> None:
    engine = Scripted([*"né".encode(), END])
    events = run(engine)
    assert [event.text for event in events if isinstance(event, Delta)] == ["n", "", "é", ""]
    assert isinstance(events[-1], Finished) and events[-1].reason is Finish.STOP
    assert engine.prompts[0].starts == (0,) and engine.closed_runs == 1


def test_a_stop_token_that_is_text_is_not_shown_either() -> None:
    assert text(run(Scripted([*b"one\n"]), stops=frozenset({10}))) == "one"


def test_what_a_length_cut_off_is_flushed() -> None:
    assert text(run(Scripted([*"a😀".encode()[:3]]))) == "a\ufffd"


def test_closing_the_events_closes_the_engines_run() -> None:
    engine = Scripted([*b"abc"])
    with closing(complete(engine, contiguous(plain_ids("x", SMALL)), Sampling(), SMALL)) as events:
        assert next(iter(events)) == Prefilled(done=2, total=2, cached=0)
        assert engine.closed_runs == 0
    assert engine.closed_runs == 1


def test_the_stop_ids_are_the_ends_of_text_message_and_turn() -> None:
    assert stop_ids(LLAMA4) == {200_001, 200_007, 200_008}
    assert stop_ids(SMALL) == {257, 263, 264}


def test_text_goes_to_stdout_and_everything_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    write(iter(run(Scripted([*b"high water", END]))), "scripted", as_json=False, quiet=False)
    out, err = capsys.readouterr()
    assert out == "high water"
    warning, took = err.splitlines()
    assert warning == r"longctx: a stored block was damaged: \x1b[2J"
    assert took == "5 prompt tokens, 0 cached, prefill 10.0 tokens/s; 10 tokens (stop), decode 5.0 tokens/s"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write(iter(run(Scripted([*b"x"]))), "scripted", as_json=False, quiet=True)
    assert capsys.readouterr() == ("x", "")


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    write(iter(run(Scripted([104, 105, END]))), "scripted", as_json=True, quiet=True)
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "longctx.completion/1"
    assert (document["text"], document["ids"], document["reason"]) == ("hi", [104, 105], "stop")
    assert (document["prompt_tokens"], document["answer_tokens"], document["engine"]) == (5, 2, "scripted")
    assert (document["prefill_tokens_per_s"], document["decode_tokens_per_s"]) == (10.0, 1.0)
    assert document["warnings"] == ["a stored block was damaged: \x1b[2J"]


def test_what_was_printed_before_a_failure_stays(capsys: pytest.CaptureFixture[str]) -> None:
    for failure in (KeyboardInterrupt, EngineError("out of memory")):
        events = complete(Scripted([*b"half"], fails=failure), contiguous(plain_ids("x", SMALL)), Sampling(), SMALL)
        with pytest.raises(failure if isinstance(failure, type) else EngineError), closing(events):
            write(events, "scripted", as_json=False, quiet=True)
        assert capsys.readouterr().out == "half"


def test_an_engine_that_just_ends_is_an_error() -> None:
    with pytest.raises(EngineError, match="without saying why"):
        write(iter([Token(1)]), "scripted", as_json=True, quiet=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_no_control_characters_and_a_last_newline(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    write(iter(run(Scripted([*b"a\x1b[2Jb"]))), "scripted", as_json=False, quiet=True)
    assert screen.getvalue() == "a␛[2Jb\n"


def test_a_terminal_sees_how_far_the_prompt_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    events = [Prefilled(done=8_192, total=9_000, cached=0), *run(Scripted([*b"x"]))]
    write(iter(events), "scripted", as_json=True, quiet=False)
    assert "reading: 8,192 of 9,000 tokens" in screen.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_elsewhere_a_long_run_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr("longctx.narration.time.monotonic", lambda: next(clock))
    read = [Prefilled(done=done, total=9_000, cached=0) for done in (1_000, 2_000, 3_000, 9_000)]
    write(iter([*read, *run(Scripted([*b"tide"]))[2:]]), "scripted", as_json=as_json, quiet=False)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "reading: 2,000 of 9,000 tokens"
    assert any(line.startswith("answering: ") for line in said) is as_json


def test_a_dumb_terminal_gets_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "dumb")
    write(iter([Prefilled(done=8, total=9, cached=0), *run(Scripted([*b"x"]))]), "scripted", as_json=True, quiet=False)
    assert "\x1b" not in screen.getvalue()


PROGRAM = """
import sys
from longctx.commands.streamed import write
from longctx.completion import Delta
from longctx.engines.base import Finish, Finished, Warned
def events():
    yield Delta("high", 1)
    yield Warned("a block was damaged")
    yield Delta(" water", 2)
    if sys.argv[1] == "fails":
        raise KeyboardInterrupt
    took = {"prompt_tokens": 1, "cached_tokens": 0, "answer_tokens": 2, "prefill_s": 1.0, "decode_s": 1.0}
    yield Finished(reason=Finish.LENGTH, **took)
try:
    write(events(), "scripted", as_json=False, quiet="quiet" in sys.argv)
except KeyboardInterrupt:
    print("stopped", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ends"], ["high", "longctx: a block was damaged", " water", "1 prompt token, 0 cached, "]),
        (["fails"], ["high", "longctx: a block was damaged", " water", "stopped"]),
        (["ends", "quiet"], ["high water"]),
        (["fails", "quiet"], ["high water", "stopped"]),
    ],
)
def test_where_both_outputs_are_one_each_has_lines_of_its_own(words: list[str], expected: list[str]) -> None:
    command = [sys.executable, "-P", "-c", PROGRAM, *words]
    together = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    assert len(together.splitlines()) == len(expected), together
    assert all(line.startswith(start) for line, start in zip(together.splitlines(), expected, strict=True))
    assert subprocess.run(command, capture_output=True, text=True).stdout == "high water"


@pytest.mark.parametrize(
    ("answer_tokens", "reason", "rate"),
    [(0, Finish.STOP, None), (1, Finish.LENGTH, None), (1, Finish.STOP, 0.5), (3, Finish.LENGTH, 1.0)],
)
def test_decode_is_timed_from_the_first_token_on(answer_tokens: int, reason: Finish, rate: float | None) -> None:
    took = {"prompt_tokens": 9, "cached_tokens": 9, "answer_tokens": answer_tokens, "prefill_s": 1.0, "decode_s": 2.0}
    assert speeds(Finished(reason=reason, **took)) == (None, rate)


def test_the_summary_counts_only_what_was_computed() -> None:
    took = {"prompt_tokens": 9_000, "cached_tokens": 8_192, "answer_tokens": 1, "prefill_s": 2.0, "decode_s": 0.0}
    finished = Finished(reason=Finish.LENGTH, **took, skipped_mass=0.012)
    assert speeds(finished) == (404.0, None)
    assert summary(finished) == (
        "9,000 prompt tokens, 8,192 cached, prefill 404 tokens/s; 1 token (length), decode -;"
        " sparse attention left out at most 1.2%"
    )


def longctx(*words: str | Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "longctx", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, env={**os.environ, **env})
    out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    return subprocess.CompletedProcess(command, done.returncode, out, err)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model's folder without weights: 300 tokens, of which 256 are bytes."""
    shape = {"num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
    sizes = {"head_dim": 8, "intermediate_size": 32, "intermediate_size_mlp": 64, "num_local_experts": 2}
    rest = {"vocab_size": 300, "attention_chunk_size": 16, "eos_token_id": [257, 264], "dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama4_text", **shape, **sizes, **rest}))
    (tmp_path / "tokenizer.model").write_bytes(SMALL.content)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--top-p", "0", "x"], 2, "--top-p 0.0 is not above 0 and at most 1"),
        (["--kv-budget", "1.5G", "x"], 2, "--kv-budget '1.5G' is not a number of bytes"),
        (["--attention", "sparse", "x"], 2, "flag --attention: 'attention' must be dense, or sparse:N"),
        (["--attention", "sparse:127", "x"], 2, "flag --attention: 'attention' must be dense, or sparse:N for a"),
        (["-"], 2, "the prompt is not UTF-8: invalid start byte at byte 2"),
        (["--windows", "-", "-"], 2, "- and --windows - both want standard input"),
        (["--windows", "none.jsonl", "x"], 2, "none.jsonl: No such file or directory"),
    ],
)
def test_a_wrong_command_line_is_one_line(folder: Path, words: list[str], code: int, message: str) -> None:
    done = longctx("complete", "--model", folder, *words, stdin=b"ab\xff")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"longctx: {message}") and "Traceback" not in done.stderr


def test_a_folder_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    done = longctx("complete", "--model", tmp_path, "x")
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr.startswith(f"longctx: {tmp_path}/config.json: not found")


def test_a_tokenizer_larger_than_the_model_is_one_line(folder: Path) -> None:
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("300", "256"))
    done = longctx("complete", "--model", folder, "x")
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr.startswith(f"longctx: {folder}: the prompt has token 256, but the model knows only 256")


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", 2, "no windows"),
        (b"[256, 1]\n[1, 2\n", 2, "line 2: not a JSON list of token ids"),
        (b"[256, 1]\n\n\xff\n", 2, "line 3: not a JSON list of token ids"),
        (b"{}\n", 2, "line 1: not a JSON list of token ids"),
        (b"[256, true]\n", 2, "line 1: not a JSON list of token ids"),
        (b"[256, -1]\n", 2, "line 1: not a JSON list of token ids"),
        (b"[256, 1e2]\n", 2, "line 1: not a JSON list of token ids"),
        (b"[" * 100_000, 2, "line 1: not a JSON list of token ids"),
        (b"[256, 1]\n[]\n", 5, "line 2: a window of 0 tokens, this model takes 1 to 16"),
        (b"[256" + b", 1" * 16 + b"]\n", 5, "line 1: a window of 17 tokens, this model takes 1 to 16"),
        (b"[256, 1]\n[300]\n", 5, "line 2: token 300, but the model knows only 300"),
        (b"[256, 9" + b"9" * 30 + b"]\n", 5, "line 1: token 9"),
        (b"[1, 2]\n", 5, "the first window does not start with token 256, this model's begin of text"),
    ],
)
def test_what_are_no_windows_of_this_model_is_one_line(
    folder: Path, tmp_path: Path, content: bytes, code: int, message: str
) -> None:
    file = tmp_path / "windows.jsonl"
    file.write_bytes(content)
    with pytest.raises(LongctxError, match=re.escape(message)) as caught:
        read_windows(str(file), read_shape(folder), 256)
    assert (caught.value.exit_code, "\n" in str(caught.value), bool(caught.value.hint)) == (code, False, True)


def test_windows_from_standard_input_are_named_so(folder: Path) -> None:
    done = longctx("complete", "--model", folder, "--windows", "-", "x", stdin=b"[1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "longctx: standard input, line 1: not a JSON list of token ids"
    done = longctx("complete", "--model", folder, "--windows", "-", "", stdin=b"[256]")
    assert done.stderr.splitlines()[0] == "longctx: the prompt is empty"
