"""What the documentation says is what the program does."""

import re
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))


def reference() -> ModuleType:
    spec = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_is_the_help() -> None:
    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert written == reference().commands(), "run python docs/reference.py"


def test_every_command_is_in_the_reference_and_gives_an_example() -> None:
    from typer.main import get_command

    from longctx.cli import build

    def leaves(command: object, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        children = getattr(command, "commands", None)
        if not children:
            return [words]
        shown = {name: child for name, child in children.items() if not child.hidden}
        return [leaf for name, child in shown.items() for leaf in leaves(child, (*words, name))]

    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for words in leaves(get_command(build())):
        name = " ".join(words)
        assert f"## `longctx {name}`" in written
        section = written.split(f"## `longctx {name}`")[1].split("\n## ")[0]
        assert re.search(rf"^ (?:.*\| )?longctx {name}", section, re.MULTILINE), f"{name} has no example"


@pytest.mark.slow
def test_the_picture_of_the_terminal_ui_is_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times, and so how many digits they have, are of each run."""
    monkeypatch.chdir(ROOT)

    def shown(svg: str) -> set[str]:
        return {word for word in reference().words(svg).split() if not re.search(r"\d|[█▓▚░]", word)}

    written = (ROOT / "docs" / "tui.svg").read_text("utf-8")
    assert shown(reference().terminal_ui()) == shown(written), "run python docs/reference.py"


@pytest.mark.parametrize("command", re.findall(r"(?:^|\| )(longctx [^\n]+)", SHELL, re.MULTILINE))
def test_the_readmes_commands_exist(command: str) -> None:
    """Every command line of the README parses: its words and options are known."""
    words = shlex.split(command.split(">")[0].split("|")[0])[1:]
    verbs = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)]
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    known = subprocess.run(
        [sys.executable, "-P", "-m", "longctx", *verbs, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(option in known for option in options)


def test_documents_that_are_linked_exist() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
            assert target.startswith("https://") or (path.parent / target).exists(), f"{path}: {target}"
