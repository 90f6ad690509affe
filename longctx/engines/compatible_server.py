"""What a server is: the program behind it, its models, how much fits, and whether it takes token ids; found by asking.

Only its own host is asked, and what it doesn't answer is not known. Ids are sent only where the server's `/tokenize`
gives Llama 4's own for words of several scripts.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from re import fullmatch
from typing import Any
from urllib.parse import quote, urlsplit

from ingest.naming import show
from longctx.engines.compatible_http import Connection, Refusal
from longctx.errors import EngineError
from longctx.rendering import ZERO_WIDTH
from longctx.tokens import Tokenizer
from longctx.vocabulary import END_OF_TURN, HEADER_START

OPTIONAL_S = 10.0
NAMES_SHOWN = 8
PROBE = "The lighthouse (Höhe 38 m) über приливы 潮汐 منارة\n\tdef tide(x): return x*1_024  # naïve\n"
CONTROL = "<|header_start|><|eot|>"  # Llama 4's
SPELLINGS = (
    "<|eot|>",
    "<|im_end|>",
    "<|eot_id|>",
    "</s>",
    "<end_of_turn>",
    "[/INST]",
    "<｜end▁of▁sentence｜>",
    "<eos>",
)
NO_SPELLINGS = (
    "<|eqt|>",
    "<|iw_ond|>",
    "<|eqt_od|>",
    "</q>",
    "<ond_uf_tarn>",
    "[/OMST]",
    "<｜ond▁uf▁sontenco｜>",
    "<eoq>",
)


class Kind(StrEnum):
    """The programs whose habits are known."""

    LONGCTX = "longctx"
    VLLM = "vLLM"
    SGLANG = "SGLang"
    LLAMA_CPP = "llama.cpp"
    OLLAMA = "Ollama"
    LM_STUDIO = "LM Studio"
    OTHER = "another server"


class Specials(StrEnum):
    """How a server reads the spelling of a control token in a text."""

    CONTROL = "control tokens"
    TEXT = "text"
    UNKNOWN = "unknown"


OWNERS = {
    "longctx": Kind.LONGCTX,
    "vllm": Kind.VLLM,
    "sglang": Kind.SGLANG,
    "llamacpp": Kind.LLAMA_CPP,
    "library": Kind.OLLAMA,
    "organization_owner": Kind.LM_STUDIO,
}
# Where the listing of models says how much fits: vLLM and SGLang; OpenRouter and Together; Groq; Mistral.
CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server and the one model that is used of it. `base` is its API's address, `root` the server's own.

    `tokenize` names the field in which its /tokenize takes text, or is empty where there is none of use.
    """

    kind: Kind
    base: str
    root: str
    model: str
    version: str = ""
    context_tokens: int | None = None
    takes_ids: bool = False
    tokenize: str = ""
    specials: Specials = Specials.UNKNOWN


@dataclass(frozen=True, slots=True)
class Listing:
    """The models that a server lists, by id, with what it says of each; `base` is where it listed them."""

    base: str
    models: Mapping[str, Mapping[str, Any]]


def inspect(connection: Connection, base_url: str, model: str | None, timeout_s: float) -> Server:
    """What answers at an address; raises EngineError where nothing does, or where it is unclear which model to use."""
    listing = models(connection, base_url, is_needed=model is None)
    root = _root(listing.base)
    name = _chosen(listing, model)
    entry = listing.models.get(name, {})
    asked = _Asked(connection, root)
    kind = OWNERS.get(_word(entry.get("owned_by"))) or _kind(asked)
    tokenize = _tokenize_field(kind)
    server = Server(
        kind=kind,
        base=listing.base,
        root=root,
        model=name,
        version=_version(asked, kind),
        context_tokens=_context(asked, kind, name, entry, timeout_s),
        tokenize=tokenize,
    )
    return _with_vocabulary(connection, server) if tokenize else server


def models(connection: Connection, base_url: str, *, is_needed: bool = True) -> Listing:
    """The models at an address, with or without /v1 at its end; raises EngineError.

    Without `is_needed` a server that lists none has an empty listing.
    """
    places = _bases(base_url)
    for base in places:
        try:
            document = connection.ask(f"{base}/models")
        except Refusal as refusal:
            if refusal.status not in (404, 405, 501) or (is_needed and base == places[-1]):
                raise
            continue
        entries = _entries(base, document)
        return Listing(base, {name: entry for name, entry in entries.items() if not connection.is_told(name)})
    return Listing(places[0], {})


def tokenised(connection: Connection, server: Server, text: str) -> list[int]:
    """The server's own ids of a text, without any that it would put before it; raises EngineError."""
    body: dict[str, Any] = {server.tokenize: text, "model": server.model}
    body |= {"add_special": False} if server.tokenize == "content" else {"add_special_tokens": False}
    found = connection.ask(f"{server.root}/tokenize", body)
    tokens = found.get("tokens") if isinstance(found, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise EngineError(f"{show(server.root)}/tokenize: no list of ids came")
    return tokens


class _Asked:
    """Questions that a server need not understand: what goes wrong is no answer."""

    def __init__(self, connection: Connection, root: str) -> None:
        self._connection = connection
        self._root = root
        self.safe = connection.safe

    def __call__(
        self, path: str, body: Mapping[str, Any] | None = None, timeout_s: float = OPTIONAL_S
    ) -> dict[str, Any]:
        with suppress(EngineError):
            found = self._connection.ask(f"{self._root}{path}", body, timeout_s=timeout_s)
            return found if isinstance(found, dict) else {}
        return {}


def _bases(url: str) -> tuple[str, ...]:
    """Where the API can lie: at the address where that ends as one, else below it."""
    url = url.rstrip("/")
    last = urlsplit(url).path.rpartition("/")[2]
    return (url,) if fullmatch(r"v\d+\w*|openai", last) else (f"{url}/v1", url)


def _root(base: str) -> str:
    return base.removesuffix("/v1")


def _entries(base: str, document: Any) -> dict[str, Mapping[str, Any]]:
    listed = document.get("data") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise EngineError(f"{show(base)}/models: no list of models came", "does the address lead to the API?")
    return {entry["id"]: entry for entry in listed if isinstance(entry, dict) and _word(entry.get("id"))}


def _chosen(listing: Listing, model: str | None) -> str:
    """The model that is meant: the one of that name, or the only one there is."""
    if model is None:
        usable = [name for name in listing.models if "embed" not in name.lower()]
        if len(usable) == 1:
            return usable[0]
        if not usable:
            raise EngineError(f"{show(listing.base)}: the server has no model", "load one there")
        raise EngineError(f"{show(listing.base)}: it has several models: {_names(listing)}", "--model NAME says which")
    for name, entry in listing.models.items():
        if model in (name, entry.get("root"), name.removesuffix(":latest")):
            return name
    if listing.models:
        raise EngineError(
            f"{show(listing.base)}: it has no model '{show(model)}'; it has {_names(listing)}", "--model NAME"
        )
    return model


def _names(listing: Listing) -> str:
    shown = [show(name[:80]) for name in list(listing.models)[:NAMES_SHOWN]]
    more = len(listing.models) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _kind(asked: _Asked) -> Kind:
    """What a server is that does not say it in its listing."""
    if set(asked("/api/version")) == {"version"}:
        return Kind.OLLAMA
    if "data" in asked("/api/v0/models"):
        return Kind.LM_STUDIO
    return Kind.OTHER


def _version(asked: _Asked, kind: Kind) -> str:
    places = {
        Kind.LONGCTX: ("/version", "version"),
        Kind.VLLM: ("/version", "version"),
        Kind.SGLANG: ("/get_server_info", "version"),
        Kind.LLAMA_CPP: ("/props", "build_info"),
        Kind.OLLAMA: ("/api/version", "version"),
    }
    if kind not in places:
        return ""
    path, field = places[kind]
    return asked.safe(_word(asked(path).get(field)))[:60]


def _context(asked: _Asked, kind: Kind, name: str, entry: Mapping[str, Any], timeout_s: float) -> int | None:
    """How many tokens fit, where the server says so; what a model was trained for is not what is loaded."""
    by_kind: dict[Kind, Callable[[], int | None]] = {
        Kind.LLAMA_CPP: lambda: _slot(asked),
        Kind.OLLAMA: lambda: _loaded_in_ollama(asked, name, timeout_s),
        Kind.LM_STUDIO: lambda: _count(asked(f"/api/v0/models/{quote(name)}").get("loaded_context_length")),
    }
    listed = (count for field in CONTEXT_FIELDS if (count := _count(entry.get(field))) is not None)
    return by_kind[kind]() if kind in by_kind else next(listed, None)


def _slot(asked: _Asked) -> int | None:
    """What one request of llama.cpp's may fill."""
    settings = asked("/props").get("default_generation_settings")
    return _count(settings.get("n_ctx")) if isinstance(settings, dict) else None


def _loaded_in_ollama(asked: _Asked, name: str, timeout_s: float) -> int | None:
    """Ollama decides as it loads a model; one that isn't loaded yet, it loads now rather than a moment later."""
    loaded = _running_in_ollama(asked, name)
    if loaded is None:
        asked("/api/generate", {"model": name, "stream": False}, timeout_s)
        loaded = _running_in_ollama(asked, name)
    return loaded if loaded is not None else _set_in_ollama(asked, name)


def _running_in_ollama(asked: _Asked, name: str) -> int | None:
    listed = asked("/api/ps").get("models")
    running = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    found = (entry for entry in running if name in (entry.get("name"), entry.get("model")))
    return _count(next(found, {}).get("context_length"))


def _set_in_ollama(asked: _Asked, name: str) -> int | None:
    """The num_ctx of a model's own parameters, which older versions say nowhere else."""
    lines = _word(asked("/api/show", {"model": name}).get("parameters")).splitlines()
    values = [line.split()[1] for line in lines if fullmatch(r"num_ctx\s+[0-9]{1,12}\s*", line)]
    return int(values[0]) if values else None


def _tokenize_field(kind: Kind) -> str:
    match kind:
        case Kind.OLLAMA | Kind.LM_STUDIO:
            return ""
        case Kind.LLAMA_CPP:
            return "content"
        case _:
            return "prompt"


def _with_vocabulary(connection: Connection, server: Server) -> Server:
    """The server with what its /tokenize shows of it; one without is asked nothing more."""
    try:
        if _is_llama4(connection, server):
            return replace(server, takes_ids=True)
        return replace(server, specials=_specials(connection, server))
    except EngineError:
        return replace(server, tokenize="")


def _is_llama4(connection: Connection, server: Server) -> bool:
    """Whether words have Llama 4's ids there, and control tokens too; letters say nothing against those."""
    encode = Tokenizer().encode
    if tokenised(connection, server, PROBE) != list(encode(PROBE)):
        return False
    return tokenised(connection, server, CONTROL) in ([HEADER_START, END_OF_TURN], list(encode(CONTROL)))


def _specials(connection: Connection, server: Server) -> Specials:
    """Whether breaking spellings of several families costs more tokens than breaking their look-alikes."""

    def cost(spellings: tuple[str, ...]) -> int:
        whole = " ".join(spellings)
        broken = " ".join(spelling[0] + ZERO_WIDTH + spelling[1:] for spelling in spellings)
        return len(tokenised(connection, server, broken)) - len(tokenised(connection, server, whole))

    return Specials.CONTROL if cost(SPELLINGS) > cost(NO_SPELLINGS) + 1 else Specials.TEXT


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
