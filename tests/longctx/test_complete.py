"""A text and an engine's answer to it: what is sent, what is shown as it comes, and how a run ends."""

import io
import json
import os
import subprocess
import sys
from array import array
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from longctx.commands.streamed import speeds, summary, write
from longctx.completion import Delta, chat_ids, check_ids, complete, plain_ids, stop_ids
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
from longctx.errors import EngineError, ExitCode
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
            took = {"prompt_tokens": total, "cached_tokens": 0, "answer_tokens": len(self.ids)}
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
    assert took == "5 prompt tokens, 0 cached, prefill 10.0 tokens/s; 11 tokens (stop), decode 5.5 tokens/s"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write(iter(run(Scripted([*b"x"]))), "scripted", as_json=False, quiet=True)
    assert capsys.readouterr() == ("x", "")


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    write(iter(run(Scripted([104, 105, END]))), "scripted", as_json=True, quiet=True)
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "longctx.completion/1"
    assert (document["text"], document["ids"], document["reason"]) == ("hi", [104, 105], "stop")
    assert (document["prompt_tokens"], document["answer_tokens"], document["engine"]) == (5, 3, "scripted")
    assert (document["prefill_tokens_per_s"], document["decode_tokens_per_s"]) == (10.0, 1.5)
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
    assert "\r\x1b[Kreading: 8,192 of 9,000 tokens\r\x1b[K" in screen.getvalue()


def test_the_summary_counts_only_what_was_computed() -> None:
    took = {"prompt_tokens": 9_000, "cached_tokens": 8_192, "answer_tokens": 1, "prefill_s": 2.0, "decode_s": 0.0}
    finished = Finished(reason=Finish.LENGTH, **took, skipped_mass=0.012)
    assert speeds(finished) == (404.0, None)
    assert summary(finished) == (
        "9,000 prompt tokens, 8,192 cached, prefill 404 tokens/s; 1 tokens (length), decode -;"
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
        (["-"], 2, "the prompt is not UTF-8: invalid start byte at byte 2"),
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
