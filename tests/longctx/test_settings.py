"""Settings: who wins, what a project may not say, and how mistakes are named."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.errors import ConfigError, ExitCode
from longctx.settings import (
    KEYS,
    Problem,
    Settings,
    load,
    read_environment,
    read_file,
    read_flags,
    read_project,
    validate,
)


def settings(
    home: Path,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """The settings in `home`/project, with the user's file in `home`."""
    (home / "project").mkdir(exist_ok=True)
    return load(
        flags=flags or {},
        environ=environ or {},
        directory=home / "project",
        user_file=home / "config.toml",
        config_file=config_file,
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_everything_is_a_default(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found == Settings()
    assert list(found.shown()) == list(KEYS)
    assert {setting.origin for setting in found.shown().values()} == {"default"}


def test_each_layer_beats_the_ones_below_it(tmp_path: Path) -> None:
    user = write(tmp_path / "config.toml", "max_file_mb = 1\n")
    found = settings(tmp_path)
    assert (found.max_file_mb, found.origins["max_file_mb"]) == (1, str(user))

    project = write(tmp_path / "project" / "longctx.toml", "max_file_mb = 2\n")
    found = settings(tmp_path)
    assert (found.max_file_mb, found.origins["max_file_mb"]) == (2, str(project))

    chosen = write(tmp_path / "other.toml", "max_file_mb = 3\n")
    found = settings(tmp_path, config_file=chosen)
    assert (found.max_file_mb, found.origins["max_file_mb"]) == (3, str(chosen))

    environ = {"LONGCTX_MAX_FILE_MB": "4"}
    found = settings(tmp_path, config_file=chosen, environ=environ)
    assert (found.max_file_mb, found.origins["max_file_mb"]) == (4, "environment LONGCTX_MAX_FILE_MB")

    found = settings(tmp_path, config_file=chosen, environ=environ, flags={"max_file_mb": 5, "engine": None})
    assert (found.max_file_mb, found.origins["max_file_mb"]) == (5, "flag --max-file-mb")
    assert found.shown()["engine"].origin == "default"


def test_the_nearest_project_is_taken_and_a_foreign_pyproject_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "longctx.toml", "max_file_mb = 1\n")
    near = write(tmp_path / "a" / "pyproject.toml", "[tool.longctx]\nmax_file_mb = 2\n")
    write(tmp_path / "a" / "b" / "pyproject.toml", "[project]\nname = 'longctx-plugin'\n")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir()
    assert {n: (s.value, s.origin) for n, s in read_project(deep).values.items()} == {"max_file_mb": (2, str(near))}


def test_a_file_below_the_current_directory_is_never_read(tmp_path: Path) -> None:
    write(tmp_path / "project" / "corpus" / "longctx.toml", "engine = 'stolen'\n")
    assert settings(tmp_path).engine == "auto"


@pytest.mark.parametrize(
    "line",
    [
        "url = 'https://elsewhere.example/v1'",
        "api_key = 'none'",
        "command = ['sh', '-c', 'true']",
        "engine = 'https://elsewhere.example/v1'",
        "engine = { url = 'https://elsewhere.example' }",
        "engine = '/tmp/theirs'",
        "engine = 'openai'",
        "engine = 'auto'",
        "model = '/tmp/theirs'",
        "base_url = 'https://elsewhere.example/v1'",
    ],
)
def test_a_project_may_not_say_where_text_is_sent(tmp_path: Path, line: str) -> None:
    project = write(tmp_path / "project" / "longctx.toml", f"{line}\nmax_file_mb = 7\n")
    found = settings(tmp_path)
    assert (found.engine, found.max_file_mb) == ("auto", 7)
    key = line.split(" ", 1)[0]
    [warning] = found.warnings
    assert (warning.where, warning.key, warning.is_error) == (str(project), key, False)
    assert "left out" in warning.message


def test_the_same_key_in_the_users_own_file_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", "engine = '/models/scout'\n")
    assert settings(tmp_path).engine == "/models/scout"


def test_an_unknown_key_names_file_key_and_the_nearest(tmp_path: Path) -> None:
    user = write(tmp_path / "config.toml", "max_filemb = 3\n")
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path)
    assert str(caught.value) == f"{user}: unknown key 'max_filemb'; did you mean 'max_file_mb'?"
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.hint


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", "index = 'yes'\n")
    write(tmp_path / "project" / "longctx.toml", "color = 'pink'\n")
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, environ={"LONGCTX_BUDGET": "lots"})
    assert [line.split(": ", 1)[1] for line in str(caught.value).splitlines()] == [
        "'index' must be true or false",
        "'color' must be one of auto, always, never",
        "'budget' must be a whole number, 1 or more",
    ]


@pytest.mark.parametrize(
    ("text", "value"), [("128000", 128_000), ("200k", 200_000), ("10M", 10_000_000), ("1_000", 1_000)]
)
def test_a_budget_may_be_abbreviated(text: str, value: int) -> None:
    assert read_environment({"LONGCTX_BUDGET": text}).values["budget"].value == value


@pytest.mark.parametrize("text", ["0", "-1", "k", "_", "1.5M", "٣"])
def test_a_bad_budget_is_refused(text: str) -> None:
    layer = read_environment({"LONGCTX_BUDGET": text})
    assert not layer.values and [problem.key for problem in layer.problems] == ["budget"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("dense", "dense"), ("sparse:4096", "sparse:4096"), ("sparse:32k", "sparse:32000"), ("sparse:128", "sparse:128")],
)
def test_attention_is_dense_or_has_a_budget(text: str, value: str) -> None:
    assert read_environment({"LONGCTX_ATTENTION": text}).values["attention"].value == value
    assert read_flags({"attention": text}).values["attention"].value == value


@pytest.mark.parametrize(
    "text", ["Dense", "dense:3", "sparse", "sparse:", "sparse:127", "sparse:-1", "sparse:a", "4096"]
)
def test_a_bad_attention_is_refused(text: str) -> None:
    layer = read_environment({"LONGCTX_ATTENTION": text})
    assert [problem.key for problem in layer.problems] == ["attention"]
    assert "must be dense, or sparse:N" in layer.problems[0].message


def test_only_a_bad_file_is_a_reason_to_validate_files(tmp_path: Path) -> None:
    for wrong in ({"environ": {"LONGCTX_BUDGET": "x"}}, {"flags": {"attention": "x"}}):
        with pytest.raises(ConfigError) as caught:
            settings(tmp_path, **wrong)  # type: ignore[arg-type]
        assert not caught.value.hint


def test_limits_of_memory_and_disk_are_counts(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", "kv_budget_mb = 512\ncache_limit_gb = 40\n")
    found = settings(tmp_path)
    assert (found.attention, found.kv_budget_mb, found.cache_limit_gb) == ("dense", 512, 40)
    assert settings(tmp_path, environ={"LONGCTX_KV_BUDGET_MB": "2k"}).kv_budget_mb == 2000
    bad = read_environment({"LONGCTX_KV_BUDGET_MB": "0", "LONGCTX_CACHE_LIMIT_GB": "1.5"})
    assert [problem.key for problem in bad.problems] == ["cache_limit_gb", "kv_budget_mb"]


def test_a_project_may_not_spend_the_machine(tmp_path: Path) -> None:
    write(tmp_path / "project" / "longctx.toml", "cache_limit_gb = 1\nkv_budget_mb = 1\nattention = 'sparse:640'\n")
    found = settings(tmp_path)
    assert (found.cache_limit_gb, found.kv_budget_mb, found.attention) == (None, None, "sparse:640")
    assert [warning.key for warning in found.warnings] == ["cache_limit_gb", "kv_budget_mb"]


def test_lists_and_switches_from_the_environment() -> None:
    values = read_environment({"LONGCTX_INCLUDE": "*.lock, dist/", "LONGCTX_INDEX": "off"}).values
    assert values["include"].value == ("*.lock", "dist/")
    assert values["index"].value is False


def test_unknown_variables_warn_and_home_is_no_setting(tmp_path: Path) -> None:
    found = settings(tmp_path, environ={"LONGCTX_HOME": "/x", "LONGCTX_ENGIN": "y", "LONGCTX_MODEL": ""})
    assert [(w.where, w.is_error) for w in found.warnings] == [("environment LONGCTX_ENGIN", False)]
    assert "did you mean 'engine'" in found.warnings[0].message
    assert found.engine == "auto"


def test_no_color_is_weaker_than_what_the_user_wrote(tmp_path: Path) -> None:
    assert settings(tmp_path, environ={"NO_COLOR": "1"}).color == "never"
    assert settings(tmp_path, environ={"NO_COLOR": ""}).color == "auto"
    write(tmp_path / "config.toml", "color = 'always'\n")
    assert settings(tmp_path, environ={"NO_COLOR": "1"}).color == "always"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"index = [", "is not valid"),
        (b"engine = '\xff'", "is not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "larger than 1 MiB"),
        (b"include = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_file_is_one_named_problem(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    [problem] = validate(file)
    assert message in problem.message and problem.is_error


def test_a_broken_pyproject_of_the_project_only_warns(tmp_path: Path) -> None:
    write(tmp_path / "project" / "pyproject.toml", "[tool.longctx\n")
    [warning] = settings(tmp_path).warnings
    assert not warning.is_error and "not valid" in warning.message


def test_a_config_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        settings(tmp_path, config_file=tmp_path / "none.toml")


def test_validate_knows_a_projects_file_by_its_name(tmp_path: Path) -> None:
    project = write(tmp_path / "longctx.toml", "url = 'x'\nindx = true\n")
    assert [(p.key, p.is_error) for p in validate(project)] == [("url", False), ("indx", True)]
    assert validate(write(tmp_path / "pyproject.toml", "[tool.longctx]\nbudget = '1M'\n")) == []
    assert validate(write(tmp_path / "bad" / "pyproject.toml", "[tool]\nlongctx = 3\n")) == [
        Problem(
            str(tmp_path / "bad" / "pyproject.toml"),
            "",
            "is not valid: [tool.longctx] is not a table",
            is_error=False,
        )
    ]


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(), st.booleans())))
def test_no_environment_makes_it_fail(values: dict[str, object]) -> None:
    environ = {f"LONGCTX_{name.upper()}": str(value) for name, value in values.items()}
    environ |= {f"LONGCTX_{key.upper()}": str(value) for key, value in zip(KEYS, values, strict=False)}
    layer = read_environment(environ)
    assert len(layer.values) + len(layer.problems) <= len(environ)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    file = write(tmp_path / "config.toml", "")
    file.chmod(0)
    assert "can't be read" in read_file(file).problems[0].message
