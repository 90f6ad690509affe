"""Sources and engines that a manifest names and that are not there: told with the file, the line and the key."""

from pathlib import Path

import pytest

from longctx.errors import UsageError
from longctx.reports.manifest_file import ManifestError, read
from longctx.reports.manifest_names import check_engine, check_sources

MANIFEST = """\
[engine]
name = "vlm"

[corpus]
paths = [
  "here",
  "gone/x",
  "*.none",
  "https://example.org/a.git",
  "/gone",
]
[summary]
"""


def test_sources_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    path = tmp_path / "m.toml"
    path.write_text(MANIFEST)
    loaded = read(path)
    with pytest.raises(ManifestError) as caught:
        check_sources(loaded)
    assert caught.value.problems == (
        f"{path}:5: corpus.paths[2]: no such file or folder: {tmp_path}/gone/x",
        f"{path}:5: corpus.paths[5]: no such file or folder: /gone",
    )
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "x").symlink_to("nowhere")
    path.write_text(MANIFEST.replace('  "/gone",\n', ""))
    check_sources(read(path))
    path.unlink()
    with pytest.raises(ManifestError, match="no such file or folder: /gone"):
        check_sources(loaded)


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("q.txt", "Why?\n", "name one: --corpus PATH"),
        ("m.toml", "[summary]\n", "name one: --corpus PATH, or paths of its corpus in it"),
    ],
)
def test_no_sources_at_all(tmp_path: Path, name: str, content: str, hint: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match="names no corpus") as caught:
        check_sources(read(tmp_path / name))
    assert caught.value.hint == hint


def test_an_engine_that_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(MANIFEST)
    loaded = read(path)
    check_engine(loaded, "other")  # typed: who opens it says what is wrong with it
    with pytest.raises(ManifestError) as caught:
        check_engine(loaded, "vlm")
    assert str(caught.value) == f'{path}:2: engine.name: there is no engine "vlm"; did you mean "vllm"?'
    path.write_text(MANIFEST.replace("vlm", "gpt"))
    with pytest.raises(ManifestError, match=r'there is no engine "gpt"; one of auto, evidence, '):
        check_engine(read(path), "gpt")
    path.write_text(MANIFEST.replace("vlm", "auto"))
    check_engine(read(path), "auto")
