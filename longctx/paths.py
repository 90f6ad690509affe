"""Where longctx keeps things on this machine: the platform's own directories, or folders in LONGCTX_HOME.

Nothing is created here until `ensure` is called, and nothing is ever kept inside a corpus.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "LONGCTX_HOME"
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Paths:
    """The four directories: what the user wrote, what must be kept, what can be made again, and logs."""

    config: Path
    data: Path
    cache: Path
    state: Path

    @property
    def config_file(self) -> Path:
        """The user's own settings."""
        return self.config / "config.toml"


def locate(environ: Mapping[str, str]) -> Paths:
    """The directories for this user; an empty LONGCTX_HOME counts as none."""
    home = environ.get(HOME_VARIABLE, "")
    if home:
        return _below(Path(home).expanduser().absolute())
    return _of_the_platform()


def ensure(path: Path) -> Path:
    """Creates the directory `path`, open to its owner only, and returns it; an old one is left as it is."""
    for missing in reversed([path, *path.parents]):
        missing.mkdir(mode=PRIVATE, exist_ok=True)
    return path


def _below(home: Path) -> Paths:
    return Paths(config=home / "config", data=home / "data", cache=home / "cache", state=home / "state")


def _of_the_platform() -> Paths:
    from platformdirs import PlatformDirs

    places = PlatformDirs("longctx", appauthor=False)
    return Paths(
        config=places.user_config_path,
        data=places.user_data_path,
        cache=places.user_cache_path,
        state=places.user_state_path,
    )
