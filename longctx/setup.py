"""What the settings say of an engine and of its store, as one setup; nothing is opened."""

import os
from pathlib import Path

from longctx import paths
from longctx.engines.opening import EngineSetup
from longctx.settings import Settings


def engine_setup(configured: Settings, *, stored: bool = True, guided: bool = False) -> EngineSetup:
    """What the settings say of an engine; without `stored` prefixes are neither used nor kept.

    With `guided` it is made ready to hold answers to schemas.
    """
    folder, limit = store_place(configured)
    return EngineSetup(
        logs=paths.locate(os.environ).state / "logs",
        model=configured.model,
        base_url=configured.base_url,
        api_key=configured.api_key,
        timeout_s=configured.timeout_s,
        context_tokens=configured.context,
        dtype=configured.dtype,
        device=configured.device,
        threads=configured.threads,
        attention=configured.attention,
        kv_budget_bytes=None if configured.kv_budget_mb is None else configured.kv_budget_mb << 20,
        store=folder if stored else None,
        store_limit_bytes=limit,
        is_guided=guided,
    )


def store_place(configured: Settings) -> tuple[Path, int | None]:
    """The folder of stored prefixes, which need not be there, and the bytes they may take where that is set."""
    limit = configured.cache_limit_gb
    return paths.locate(os.environ).cache / "prefix", None if limit is None else limit << 30
