"""Whether a server read all that was sent, by its own count; and what would make it count more.

Where ids were sent the counts must be equal. Where text was sent the server counts in its own vocabulary: a sample
through its /tokenize says what to expect, else only a count far below ours proves a cut.
"""

from array import array

from ingest.naming import show
from longctx.engines.base import Prompt, Warned
from longctx.engines.compatible_http import Connection
from longctx.engines.compatible_server import Kind, Server, tokenised
from longctx.errors import DoesNotFit, EngineError
from longctx.rendering import messages
from longctx.vocabulary import llama4

SAMPLES, SAMPLE_IDS = 32, 256
SAMPLED_LEAST = 0.9  # of what a sample leads to expect; for code, prose and JSON samples were within 0.01 of the whole
# Llama 3's vocabulary needs 0.99 to 1.08 of the tokens of Llama 4's for code, prose and JSON; smaller ones need more,
# and the largest in use are little larger: below the first share something was cut.
JUDGED_FROM = 512  # tokens; of less, the server's chat template decides how its count compares
CUT_BELOW, DOUBTED_BELOW = 0.6, 0.8
MOST_TIMES, AROUND = 4, 4096  # times our count, and tokens that a server's own template may put around

CUT_HINTS = {
    Kind.OLLAMA: "Ollama cuts prompts without a word at num_ctx: set OLLAMA_CONTEXT_LENGTH for its server, or num_ctx"
    " for the model",
    Kind.LM_STUDIO: "LM Studio cuts prompts at the context length that is set where the model is loaded: raise it",
}
CUT_HINT = "look for a setting of the server that truncates prompts or limits the context; --context N says what fits"
CACHED_HINTS = {
    Kind.VLLM: "start vLLM with --enable-prompt-tokens-details",
    Kind.SGLANG: "start SGLang with --enable-cache-report",
    Kind.OLLAMA: "Ollama does not report them",
    Kind.LM_STUDIO: "LM Studio does not report them",
}
CACHED_HINT = "the server does not report them"


def check_count(
    read: int | None, prompt: Prompt, server: Server, connection: Connection
) -> tuple[int | None, Warned | None]:
    """The server's count of the prompt's tokens where it can be believed, and what is to be said of it.

    Raises DoesNotFit where it shows a cut.
    """
    sent = len(prompt.ids)
    if read is None:
        said = f"{show(server.base)} does not report how many tokens it read, so a cut would not be seen"
        return None, Warned(said)
    if server.takes_ids:
        if read < sent:
            raise cut(server, read, sent)
        if read <= most_believed(sent):
            return read, Warned(f"the server counts {read:,} tokens, {sent:,} were sent") if read > sent else None
    share = None if server.takes_ids or sent < JUDGED_FROM else _expected_share(prompt, server, connection)
    if read > most_believed(sent, share or 1.0):
        return None, Warned(f"the server counts {read:,} tokens where {sent:,} were sent, which can't be")
    return read, None if sent < JUDGED_FROM else _doubt(read, sent, share, server)


def most_believed(sent: int, share: float = 1.0) -> int:
    """The largest count that a prompt can have, whatever a server puts around it."""
    return round(MOST_TIMES * max(share, 1.0) * sent) + AROUND


def _doubt(read: int, sent: int, share: float | None, server: Server) -> Warned | None:
    """What a count of another vocabulary's tokens says; raises DoesNotFit where it shows a cut."""
    if share is not None:
        if read < SAMPLED_LEAST * share * sent:
            raise cut(server, read, round(share * sent), "about ")
    elif read < CUT_BELOW * sent:
        raise _cut(server, f"{read:,} tokens of a prompt that has {sent:,} of Llama 4's")
    elif read < DOUBTED_BELOW * sent:
        return Warned(f"the server counts {read:,} tokens where Llama 4 has {sent:,}; it may have cut the prompt")
    return None


def cached_hint(server: Server) -> str:
    """What would make the server say how many tokens came from its prefix cache."""
    return CACHED_HINTS.get(server.kind, CACHED_HINT)


def cut(server: Server, read: int, sent: int, about: str = "") -> DoesNotFit:
    """What is raised where the server read less than was sent."""
    return _cut(server, f"{read:,} of {about}{sent:,} tokens")


def _cut(server: Server, counted: str) -> DoesNotFit:
    return DoesNotFit(f"{show(server.base)}: the server read only {counted}", CUT_HINTS.get(server.kind, CUT_HINT))


def _expected_share(prompt: Prompt, server: Server, connection: Connection) -> float | None:
    """The server's tokens for one of Llama 4's in this prompt, by a sample; None where it can't be known."""
    sample = _sample(prompt.ids)
    if not server.tokenize or not sample:
        return None
    text = "".join(turn.content for turn in messages(sample, llama4()))
    try:
        counted = min(len(tokenised(connection, server, text)), len(text.encode()))  # no token stands for less
        return counted / len(sample)
    except EngineError:
        return None


def _sample(ids: "array[int]") -> "array[int]":
    """Pieces from all over the prompt, or all of a short one, without control tokens."""
    step = max(len(ids) // SAMPLES, SAMPLE_IDS)
    taken = (token for start in range(0, len(ids), step) for token in ids[start : start + SAMPLE_IDS])
    ordinary = llama4().ordinary_tokens
    return array("I", [token for token in taken if token < ordinary])
