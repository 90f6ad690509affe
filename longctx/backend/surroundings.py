"""What there is besides the corpus: engines, the state of this machine, and what was logged; opens nothing for long."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from longctx.backend.desk import Shown
from longctx.backend.replies import Checked, EngineIs, EnginesAre, LogIs, NextSteps, ServerIs
from longctx.diagnosis import Case, Status
from longctx.doctor import diagnose, next_step
from longctx.engines.availability import engines
from longctx.engines.choice import AUTO
from longctx.engines.loopback import servers
from longctx.engines.opening import NEEDS_MODEL, QUOTES, EngineSetup
from longctx.engines.vllm_process import LOG as VLLM_LOG
from longctx.paths import Paths
from longctx.serving.logs import last_lines
from longctx.serving.record import Records

NOT_HERE = ("terminal",)  # the backend has none: it would be told of a pipe
MEND = "what is bad above was set, and can't work: mend that first"


def engines_are() -> EnginesAre:
    """The engines by name and the servers on this machine."""
    found = tuple(
        EngineIs(each.name, each.about, each.missing, each.fix, needs_model=each.name in NEEDS_MODEL)
        for each in engines()
    )
    return EnginesAre(found, tuple(ServerIs(each.base_url, each.models, each.refused) for each in servers()))


def checked(shown: Shown | None, paths: Paths) -> Iterator[Checked | NextSteps]:
    """One check after the other, of the engine that is open; at the end what to do next."""
    case = _case(shown, paths)
    is_bad = False
    for check in (each for each in diagnose(case) if each.name not in NOT_HERE):
        is_bad = is_bad or check.status is Status.BAD
        yield Checked(check)
    yield NextSteps((MEND,) if is_bad else tuple(next_step(case)))


def log_is(shown: Shown | None, log: Path, paths: Paths, lines: int) -> LogIs:
    """The last lines of our log, then of each that the engine writes itself, under its name."""
    own = [log] if shown is None else _engine_logs(shown, paths)
    others = ([f"== {each}", *found] for each in own if each != log and (found := last_lines(each, lines)))
    return LogIs(str(log), tuple(chain(last_lines(log, lines), *others)))


def _case(shown: Shown | None, paths: Paths) -> Case:
    """With quotes for an engine the question is what is lacking for another one."""
    if shown is None:
        setup = EngineSetup(logs=paths.state / "logs", store=paths.cache / "prefix")
        return Case(engine=AUTO, setup=setup, paths=paths)
    return Case(engine=AUTO if shown.engine == QUOTES else shown.engine, setup=shown.setup, paths=paths)


def _engine_logs(shown: Shown, paths: Paths) -> list[Path]:
    """That of vLLM, or that of a server which longctx started."""
    if shown.engine == "vllm":
        return [shown.setup.logs / VLLM_LOG]
    records = Records.below(paths.state)
    url = (shown.setup.base_url or "").rstrip("/")
    return [records.log(each.name) for each in records.all() if url and each.url.rstrip("/") in (url, url + "/v1")]
