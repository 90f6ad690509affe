"""Who may import whom: the static graph, and what each entry point really loads."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cache
import ingest
import longctx
import tui

ROOT = Path(longctx.__file__).parent.parent
ROOMS = {"longctx", "ingest", "tui", "cache"}
MAY_IMPORT = {
    "ingest": {"ingest"},
    "cache": {"cache"},
    "longctx": {"longctx", "ingest", "cache"},
    "tui": {"tui", "longctx", "ingest"},
}
# A command that begins another room, inside its function.
BEGINS = {"longctx.commands.tui": {"tui"}}
# Packages that only the modules named may import, at the top or inside a function.
OWNERS = {
    "torch": {"longctx.scout", "longctx.engines.scout", "longctx.engines.scout_run"},
    "vllm": {"longctx.engines.vllm_core"},
    "pymupdf": {"ingest.pdf", "ingest.layout", "ingest.page_labels", "ingest.picture", "ingest.worker"},
    "unstructured": {"ingest.office", "ingest.sheets", "ingest.mail", "ingest.worker"},
    "textual": {"tui"},
    "typer": {"longctx.cli", "longctx.commands"},
    "rich": {"longctx.narration", "longctx.terminal", "longctx.commands", "tui"},
    "sqlite_utils": {
        "cache.index",
        "ingest.database",
        "ingest.shelf",
        "longctx.corpora",
        "longctx.index",
        "longctx.migrations",
        "longctx.token_store",
    },
    "msgspec": {"longctx.backend.wire", "longctx.reports", "tui.cited"},
    "jinja2": {"longctx.reports.page"},
    "yaml": {"longctx.reports.manifest_yaml"},
    "jsonschema": {"longctx.json_schema", "longctx.schema_keywords"},
    "markdown_it": {
        "longctx.answer_html",
        "longctx.export",
        "longctx.footnote_rule",
        "tui.answer_lines",
        "tui.answer_markdown",
    },
    "detect_secrets": {"ingest.secrets"},
    "charset_normalizer": {"ingest.plain", "ingest.mail"},
    "tiktoken": {"longctx.tokens"},
    "httpx": {"longctx.engines.compatible", "longctx.engines.compatible_http"},
    "aiohttp": {"tui.web"},
    "textual_serve": {"tui.web"},
    "pygments": {"tui"},
    "starlette": {"longctx.serving"},
    "uvicorn": {"longctx.serving.connections", "longctx.serving.foreground"},
    "xxhash": {"cache.format", "longctx.scout.weights"},
}
BANNED = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "diskcache", "requests", "urllib.request"}


def modules() -> Iterator[tuple[str, Path]]:
    for room in sorted(ROOMS):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each imported module, and whether it is imported as the file is loaded."""
    tree = ast.parse(path.read_text("utf-8"))
    at_top = {id(node) for node in ast.iter_child_nodes(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module, id(node) in at_top
            yield from ((f"{node.module}.{alias.name}", id(node) in at_top) for alias in node.names)


GRAPH = {name: list(imports(path)) for name, path in modules()}


def within(name: str, owners: set[str]) -> bool:
    return any(name == owner or name.startswith(owner + ".") for owner in owners)


@pytest.mark.parametrize("module", GRAPH)
def test_a_module_imports_only_rooms_it_may(module: str) -> None:
    room = module.split(".")[0]
    used = {name.split(".")[0] for name, _ in GRAPH[module]} & ROOMS
    assert used <= MAY_IMPORT[room] | BEGINS.get(module, set())
    assert not BEGINS.get(module, set()) & {name.split(".")[0] for name, at_top in GRAPH[module] if at_top}


@pytest.mark.parametrize("module", GRAPH)
def test_heavy_packages_are_imported_only_by_their_owners(module: str) -> None:
    for name, _ in GRAPH[module]:
        package = name.split(".")[0]
        assert package not in OWNERS or within(module, OWNERS[package]), f"{module} imports {name}"
        assert name not in BANNED, f"{module} imports {name}"


def test_nobody_imports_the_command_line() -> None:
    users = {module for module, names in GRAPH.items() if any(within(name, {"longctx.cli"}) for name, _ in names)}
    assert users <= {"longctx.__main__"}


def test_no_module_is_imported_in_a_circle_at_load() -> None:
    edges = {
        module: {name for name, at_top in names if at_top and name in GRAPH and name != module}
        for module, names in GRAPH.items()
    }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above[above.index(module) :], module])
        if module not in done:
            for name in sorted(edges[module]):
                visit(name, (*above, module))
            done.add(module)

    for module in GRAPH:
        visit(module, ())


def loaded_by(*words: str) -> set[str]:
    program = (
        "import sys, json, runpy, io, contextlib\n"
        f"sys.argv = {['longctx', *words]!r}\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: runpy.run_module('longctx', run_name='__main__', alter_sys=True)\n"
        "    except SystemExit as end: code = end.code\n"
        "print(json.dumps([code or 0, sorted(sys.modules)]))"
    )
    run = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    code, names = json.loads(run.stdout.splitlines()[-1])
    assert code == 0, run.stderr
    return {name.split(".")[0] for name in names} | set(names)


HEAVY = {"torch", "vllm", "pymupdf", "fitz", "unstructured", "textual", "numpy", "tiktoken", "httpx", "sqlite_utils"}


@pytest.mark.parametrize("words", [["--help"], ["ask", "--help"], ["plan", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert not loaded_by(*words) & (HEAVY | {"ingest.reader", "longctx.corpus", "sqlite3"})


def test_a_warm_question_loads_no_parser_and_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Tides\n\nThe lighthouse is 38 metres high.\n")
    loaded_by("ask", str(tmp_path), "how high is the lighthouse?")
    warm = loaded_by("ask", str(tmp_path), "how high is the lighthouse?")
    assert not warm & (HEAVY | {"detect_secrets", "charset_normalizer"})


def test_the_library_itself_loads_nothing() -> None:
    program = "import sys; before = set(sys.modules); import longctx; print(sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in ast.literal_eval(run.stdout)} <= {"longctx", *sys.stdlib_module_names}


def test_the_four_rooms_lie_side_by_side() -> None:
    places = {Path(room.__file__ or "").parent.parent for room in (longctx, ingest, tui, cache)}
    assert places == {ROOT}


@pytest.mark.parametrize("shadow", ["cache", "ingest", "tui"])
def test_a_folder_of_the_same_name_does_not_stand_in_for_ours(tmp_path: Path, shadow: str) -> None:
    package = tmp_path / shadow
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "note.txt").write_text("The tide turns at noon.\n")
    command = [sys.executable, "-m", "longctx", "ask", "note.txt", "when does the tide turn?"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "noon" in run.stdout


def test_no_room_is_ignored_by_git() -> None:
    paths = [str(path.relative_to(ROOT)) for _, path in modules()]
    run = subprocess.run(["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == ""
