"""What the doctor looks at of engines: the model, the server that is set or those found, and what `auto` takes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ingest.naming import show
from longctx.diagnosis import Case, Check, Status
from longctx.engines.availability import engine as engine_of
from longctx.engines.choice import AUTO, passed, pick
from longctx.engines.loopback import Server, servers
from longctx.engines.opening import open_engine
from longctx.errors import EngineError, LongctxError
from longctx.software import is_installed
from longctx.terminal import readable_bytes

SET = "--model DIR, LONGCTX_MODEL=DIR, or model = … in config.toml"
PATIENCE_S = 30.0  # for a server's first token here, whatever the settings allow
DOWNLOAD = "hf download meta-llama/Llama-4-Scout-17B-16E-Instruct --local-dir"


def model(case: Case) -> Iterator[Check]:
    if case.setup.model is None and case.engine in ("scout", "scripted", "vllm"):
        yield Check("model", Status.BAD, f"none is set, and the {case.engine} engine needs one", SET)
    elif case.setup.model is None and case.uses_server:
        yield Check("model", Status.OK, "the one that the server has")
    elif case.setup.model is None:
        yield Check("model", Status.NOTE, "none is set", SET)
    elif case.engine == "scripted":
        from longctx.engines.script import read_script

        count = len(read_script(Path(case.setup.model).expanduser()).answers)
        yield Check("model", Status.OK, f"{show(case.setup.model)}: a script of {count} answers")
    elif (folder := Path(case.setup.model).expanduser()).is_dir():
        yield from _folder(folder, case)
    elif case.uses_server:
        yield Check("model", Status.OK, f"{show(case.setup.model)}, by name at the server")
    else:
        yield from _named(case)


def _named(case: Case) -> Iterator[Check]:
    """A model that is no folder: a server here has it, or vLLM may."""
    name = show(case.setup.model or "")
    chosen = pick(case.engine, case.setup, ports=case.ports)
    if chosen.name == "openai" and chosen.setup.base_url:
        yield Check("model", Status.OK, f"{name}, by name at {chosen.setup.base_url}")
    elif chosen.name == "vllm":
        yield Check("model", Status.NOTE, f"{name} is no folder: vLLM looks for it among what was downloaded")
    else:
        fix = f"{DOWNLOAD} DIR; or start the server that has it"
        yield Check("model", Status.BAD, f"{name} is no folder, and no server here has it", fix)


def _folder(folder: Path, case: Case) -> Iterator[Check]:
    from longctx.capacity import Capacity, room, weight_files
    from longctx.engines.scout_opening import check_fits_corpora

    shape = check_fits_corpora(folder)
    weights = weight_files(folder)
    where = show(str(folder))
    if not weights.whole:
        lacking = f"{_files(len(weights.missing))} missing" if weights.missing else "it has no *.safetensors"
        again = f"hf download REPOSITORY --local-dir {where} goes on where it stopped"
        yield Check("model", Status.BAD, f"{where}: {lacking}", again)
        return
    _check_headers(folder)
    yield Check("model", Status.OK, f"{where}: {_files(weights.files)}, {readable_bytes(weights.bytes)}, whole")
    store = case.setup.store or case.paths.cache / "prefix"
    capacity = Capacity(config=shape, room=room(store, case.setup.store_limit_bytes))
    longest = f"{capacity.longest_in_ram:,} tokens in memory, {capacity.longest_on_disk:,} with what is kept on disk"
    if capacity.room.ram_bytes < capacity.base_bytes:
        text = f"weights of {readable_bytes(capacity.weight_bytes)} do not fit into memory: each token reads the disk"
        yield Check("context", Status.NOTE, text, f"longctx engine describe {where} --context 1M")
    else:
        yield Check("context", Status.OK, f"the longest that fits: {longest}")


def _files(count: int) -> str:
    return f"{count} weight file{'s' * (count != 1)}"


def _check_headers(folder: Path) -> None:
    """Every weight file's header against its size, which only torch's reader can tell; raises EngineError."""
    if not (is_installed("torch") and is_installed("safetensors")):
        return
    from longctx.scout.checkpoint import read_shards
    from longctx.scout.errors import CheckpointError

    try:
        read_shards(folder)
    except CheckpointError as error:
        again = f"hf download REPOSITORY --local-dir {show(str(folder))} --force-download"
        raise EngineError(str(error), again) from error


def server(case: Case) -> Iterator[Check]:
    """The server that is set, or else those that are found; both where the one that is set can't be used."""
    if case.uses_server:
        try:
            yield from _asked(case)
            return
        except LongctxError as error:
            yield Check("server", Status.BAD, show(str(error)), error.hint)
    found = [_listed(each, case.setup.model) for each in servers(case.ports)]
    ports = ", ".join(map(str, case.ports))
    none = Check("server", Status.NOTE, f"none answers on 127.0.0.1 (ports {ports})", "--base-url URL names another")
    yield from found or [none]


def _listed(found: Server, model: str | None) -> Check:
    names = ", ".join(found.models[:5]) + ", …" * (len(found.models) > 5)
    text = f"{found.base_url} ({found.usual}'s usual port): {names or 'no models'}"
    remark = passed(found, model)
    return Check("server", Status.NOTE, f"{text}; {remark}") if remark else Check("server", Status.OK, text)


def _asked(case: Case) -> Iterator[Check]:
    """The server that is set, asked for one token: does it answer, and does it say what it had cached?"""
    from longctx.completion import chat_ids
    from longctx.engines.base import Finished, Sampling, Warned, contiguous
    from longctx.vocabulary import llama4

    setup = replace(case.setup, timeout_s=min(case.setup.timeout_s, PATIENCE_S))
    with open_engine("openai", setup) as engine:
        limit = engine.limits().context_tokens
        yield Check("server", Status.OK, engine.describe())
        if limit is None:
            yield Check("server", Status.NOTE, "it does not say how long a context it takes", "--context N says it")
        else:
            yield Check("server", Status.OK, f"a context of {limit:,} tokens")
        for event in engine.generate(contiguous(chat_ids("Say yes.", llama4())), Sampling(max_tokens=1)):
            if isinstance(event, Warned):
                yield Check("server", Status.NOTE, show(event.message))
            if isinstance(event, Finished) and event.cached_tokens is None:
                yield Check("server", Status.NOTE, "cached tokens are not reported", event.not_reported)
            elif isinstance(event, Finished):
                yield Check("server", Status.OK, "it answers, and reports cached tokens")


def engine(case: Case) -> Iterator[Check]:
    """What answers: the engine that is set, where it can work, or the one that is chosen."""
    if case.engine != AUTO:
        found = engine_of(case.engine)
        if found is None:
            yield Check("engine", Status.BAD, f"there is no engine {case.engine!r}", "longctx engine list")
            return
        if found.missing:
            yield Check("engine", Status.BAD, f"{found.name} is set, but {found.missing}", found.fix)
            return
    chosen = pick(case.engine, case.setup, ports=case.ports)
    yield Check("engine", Status.OK, chosen.why.removeprefix("engine: ").partition("; longctx engine doctor")[0])
