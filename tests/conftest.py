"""What every test has: a home of its own, so that no developer's settings, corpora or caches are seen or touched."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ingest.rules import Selection
from longctx import paths
from longctx.corpus import Corpus
from longctx.refresh import refresh
from longctx.request import Request

# The same code gives the same result. `pytest --hypothesis-profile default` looks for new examples.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

pytest_plugins = ["tests.checkpoints"]

MakeTree = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("LONGCTX_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LONGCTX_HOME", str(folder / "longctx"))
    monkeypatch.setenv("LONGCTX_ENGINE", "evidence")  # whatever server runs on this machine
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
    return folder


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Write files below a new folder and return it."""

    def make(files: dict[str, str | bytes]) -> Path:
        root = tmp_path / "tree"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def open_corpus() -> Iterator[Callable[..., Corpus]]:
    """Open and refresh corpora; they are closed when the test ends."""
    opened: list[Corpus] = []

    def open_(*inputs: Path | str, selection: Selection | None = None, index: bool = True) -> Corpus:
        request = Request(tuple(map(str, inputs)), selection or Selection())
        corpus = Corpus(request, paths.locate(os.environ))
        opened.append(corpus)
        for _ in refresh(corpus, index=index):
            pass
        return corpus

    yield open_
    for corpus in opened:
        corpus.close()
