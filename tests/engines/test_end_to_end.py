"""Two questions over a real repository, through each engine that holds a model, with the second reading from the first.

The model is a tiny random Llama 4 with the real vocabulary: it writes gibberish, so what is looked at is not the words
but what was sent, read, found again, and said of it. vLLM is a real one, on this machine's CPU.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Read here: no test sees a setting of the caller's environment.
VLLM_PYTHON = os.environ.get("LONGCTX_VLLM_PYTHON")
ROOT = Path(__file__).resolve().parents[2]
WINDOW = 8192
FIRST, SECOND = "Where is the chunk mask made?", "Which layers have no positions, and what do they see?"
SAMPLING = ("--max-tokens", "16", "--mode", "full")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not VLLM_PYTHON, reason="LONGCTX_VLLM_PYTHON names no interpreter with vLLM; make test does"),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of this very project, as it is now."""
    folder = tmp_path_factory.mktemp("checkout") / "repository"
    shutil.copytree(ROOT / "longctx" / "scout", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def closed(repository: Path, home: Path) -> int:
    """The tokens of all windows of the corpus, which every prompt of this test's own installation begins with."""
    plan = json.loads(longctx("plan", str(repository), "--json"))
    assert len(plan["windows"]) >= 3
    total: int = sum(window["tokens"] for window in plan["windows"])
    return total


def longctx(*words: str, python: str = sys.executable) -> str:
    """What the program writes to standard output."""
    command = [python, "-P", "-m", "longctx", *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-4000:]
    assert "Traceback" not in run.stderr
    return run.stdout


def ask(repository: Path, question: str, *words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(longctx("ask", str(repository), question, "--json", *SAMPLING, *words))
    return answer


@contextmanager
def served(engine: str, model: Path) -> Iterator[str]:
    """The address of a server that `engine serve` has started, and `engine stop` ends."""
    port = str(free_port())
    longctx("engine", "serve", "--engine", engine, "--model", str(model), "--port", port, "--name", "tested")
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        longctx("engine", "stop", "tested")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def check(first: dict[str, Any], second: dict[str, Any], closed: int, *, kind: str) -> None:
    """Both answers are of the whole corpus and say so; the second found what the first had left."""
    for answer, question in ((first, FIRST), (second, SECOND)):
        tokens = answer["tokens"]
        assert answer["schema"] == "longctx.answer/1"
        assert (answer["question"], answer["ending"]) == (question, "length")
        assert answer["engine"]["kind"] == kind
        assert answer["raw"]
        assert tokens["output"] == 16
        assert tokens["prompt"] == tokens["counted_locally"]
        assert closed < tokens["prompt"] <= closed + WINDOW
        assert answer["reading"]["mode"] == "full"
        assert answer["reading"]["read_tokens"] == answer["reading"]["corpus_tokens"] == answer["corpus"]["tokens"]
        assert answer["corpus"]["files"] > 10
        assert answer["reading"]["unread"] == answer["corpus"]["skipped"] == []
        assert 0 < answer["timing"]["ttft_s"] <= answer["timing"]["total_s"]
    assert first["tokens"]["cached"] == 0
    assert second["tokens"]["cached"] >= 0.95 * closed


def test_vllm_as_a_server(repository: Path, closed: int, scout_words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGCTX_VLLM", str(Path(str(VLLM_PYTHON)).with_name("vllm")))
    with served("vllm", scout_words) as url:
        first = ask(repository, FIRST, "--engine", "openai", "--base-url", url)
        second = ask(repository, SECOND, "--engine", "openai", "--base-url", url, "--model", scout_words.name)
    check(first, second, closed, kind="openai")
    assert first["engine"]["model"] == scout_words.name
    assert first["session"] != second["session"]


def test_vllm_in_the_program(repository: Path, closed: int, scout_words: Path, tmp_path: Path) -> None:
    """What it has read lives as long as the program, so both questions are asked by one."""
    (tmp_path / "questions.txt").write_text(f"{FIRST}\n{SECOND}\n")
    words = ("--questions", str(tmp_path / "questions.txt"), "--engine", "vllm", "--model", str(scout_words), *SAMPLING)
    lines = longctx("ask", str(repository), *words, python=str(VLLM_PYTHON)).splitlines()
    first, second = map(json.loads, lines)
    check(first, second, closed, kind="vllm")


def test_scout_as_a_server(repository: Path, closed: int, scout_words: Path) -> None:
    with served("scout", scout_words) as url:
        first = ask(repository, FIRST, "--engine", "openai", "--base-url", url)
        second = ask(repository, SECOND, "--engine", "openai", "--base-url", url)
    check(first, second, closed, kind="openai")
    assert second["tokens"]["cached"] == closed


def test_scout_in_the_program(repository: Path, closed: int, scout_words: Path) -> None:
    """What it has read is on the disk: another process finds it."""
    words = ("--engine", "scout", "--model", str(scout_words))
    first, second = (ask(repository, question, *words) for question in (FIRST, SECOND))
    check(first, second, closed, kind="scout")
    assert second["tokens"]["cached"] == closed
