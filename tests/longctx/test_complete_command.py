"""`longctx complete` with a real, tiny checkpoint: transformers' tokens, a warm second run, Ctrl-C, no torch."""

import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from longctx import cli
from longctx.commands import streamed
from longctx.errors import ExitCode

PROMPT = "The spring tide at the north mole reaches seven metres, and the neap tide four."
Answer = dict[str, Any]


@pytest.fixture(scope="module")
def model(make_checkpoint: Callable[..., Path]) -> Path:
    """300 tokens: the 256 bytes and, from 256 on, the special ones."""
    folder = make_checkpoint("bytes", vocab_size=300, eos_token_id=299)
    tokens = (b"%b %d\n" % (b64encode(bytes([n])), n) for n in range(256))
    (folder / "tokenizer.model").write_bytes(b"".join(tokens))
    return folder


@pytest.fixture
def answer(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    def run(*words: str) -> Answer:
        command = ["longctx", "complete", "--model", str(model), "--json", "--threads", "1", *words, PROMPT]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            sys.exit(cli.main())
        out, err = capsys.readouterr()
        assert ended.value.code in (0, None), err
        return dict(json.loads(out))

    return run


def test_greedy_tokens_are_those_of_transformers(
    answer: Callable[..., Answer], model: Path, reference: Callable[[Path], Any]
) -> None:
    ids = torch.tensor([[256, *PROMPT.encode()]])
    with torch.no_grad():
        theirs = reference(model).generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=299)
    ours = answer("--max-tokens", "12", "--no-cache")
    assert ours["ids"] == theirs[0, ids.shape[1] :].tolist()
    assert (ours["prompt_tokens"], ours["cached_tokens"], ours["reason"]) == (len(PROMPT) + 1, 0, "length")


def test_a_second_run_takes_the_closed_windows_from_the_store(answer: Callable[..., Answer]) -> None:
    cold, warm = (answer("--max-tokens", "12") for _ in range(2))
    assert (cold["cached_tokens"], warm["cached_tokens"]) == (0, 64)
    assert (warm["ids"], warm["text"]) == (cold["ids"], cold["text"])


def test_a_seed_repeats_an_answer(answer: Callable[..., Answer]) -> None:
    drawn = [answer("--no-cache", "--temperature", "1", "--top-p", "0.9", "--seed", seed)["ids"] for seed in "112"]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_stop_id_ends_the_answer(answer: Callable[..., Answer]) -> None:
    free = answer("--max-tokens", "6", "--no-cache")["ids"]
    stopped = answer("--max-tokens", "6", "--no-cache", "--stop-id", str(free[3]))
    assert stopped["reason"] == "stop"
    assert stopped["ids"] == free[: free.index(free[3])]
    assert stopped["answer_tokens"] == len(stopped["ids"])


def test_ctrl_c_keeps_what_was_printed(model: Path) -> None:
    command = [sys.executable, "-P", "-m", "longctx", "complete", "--model", str(model), "--threads", "1"]
    command += ["--max-tokens", "900000", "--temperature", "1", "--seed", "1", PROMPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert first
    assert (process.returncode, err.decode().splitlines()) == (
        ExitCode.INTERRUPTED,
        ["longctx: interrupted; 2 of 2 windows are stored", "  the same command goes on from there"],
    )


def test_without_torch_one_line_says_how_to_get_it(model: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.argv = ['longctx', 'complete', '--model', {str(model)!r}, 'x']\n"
        "from longctx.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (ExitCode.ENGINE, "")
    assert done.stderr == 'longctx: the scout engine needs torch: pip install "longctx[scout]"\n'


@pytest.mark.parametrize(
    ("stream", "message"), [("<&-", "standard input is closed"), (">&-", "standard output is closed")]
)
def test_a_closed_stream_is_one_line(model: Path, stream: str, message: str) -> None:
    command = f"{sys.executable} -P -m longctx complete --model {model} --no-cache - {stream}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, input="x")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"longctx: {message}\n")


def test_a_broken_torch_is_one_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open\\nmore')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"sys.argv = ['longctx', 'complete', '--model', {str(model)!r}, 'x']\n"
        "from longctx.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.returncode == ExitCode.ENGINE
    assert done.stderr.splitlines()[0] == "longctx: torch can't be loaded: libtorch_cpu.so: cannot open"


def test_a_dumb_terminal_gets_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with streamed.Answer(sys.stdout) as shown:
        shown.put("a\x1b[2Jb")
    assert "\x1b" not in capsys.readouterr().out
