"""An engine that says what a script tells it to, at the pace and in the pieces it is told: no model, no torch.

It serves tests, documentation and demonstrations, where an answer must be known beforehand. It writes nothing of its
own and understands nothing, a schema neither; all it reads of a prompt is the question, and the ids of documents by
their paths. What it reports as cached is true of this object: windows it has been given before.
"""

import re
import time
from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from json import loads
from pathlib import Path
from random import Random

from ingest.naming import show
from longctx import wording
from longctx.engines.base import (
    EngineEvent,
    Finish,
    Finished,
    Identity,
    Limits,
    Prefilled,
    Prompt,
    Sampling,
    Text,
    Token,
    Warned,
)
from longctx.engines.opening import EngineSetup
from longctx.engines.script import HINT, Script, Scripted, read_script
from longctx.errors import DoesNotFit, EngineError
from longctx.streaming import TextStream
from longctx.tokens import Tokenizer
from longctx.vocabulary import END_OF_TURN, HEADER_END, ORDINARY_TOKENS, VOCABULARY_TOKENS, Vocabulary

LONGEST_PIECE = 12  # characters of a random piece
PLACE = re.compile(r"\{id:([^{}]+)\}")
OPENING = rb' id=(\S{1,40}) path=("(?:[^"\\\n]|\\.)*")'


@contextmanager
def opened(setup: EngineSetup) -> "Iterator[ScriptedEngine]":
    """The engine of the script that `setup.model` names; raises EngineError."""
    if setup.model is None:
        raise EngineError("the scripted engine needs a script", f"--model FILE.toml; {HINT}")
    file = Path(setup.model).expanduser()
    yield ScriptedEngine(read_script(file), file.name, context_tokens=setup.context_tokens)


class ScriptedEngine:
    """A script on its way: it remembers which windows it was given, and which answers were not used yet."""

    def __init__(
        self,
        script: Script,
        name: str = "script",
        *,
        context_tokens: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._script = script
        self._name = name
        self._context = context_tokens or script.context
        self._sleep = sleep
        self._tokenizer = Tokenizer()
        self._seen: set[bytes] = set()
        self._in_order = 0

    def generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[EngineEvent]:
        """The next answer, or the one that fits the question; raises EngineError and DoesNotFit."""
        total = len(prompt.ids)
        if total + sampling.max_tokens > self._context:
            needed = f"{total:,} tokens and an answer of {sampling.max_tokens:,}"
            raise DoesNotFit(f"{needed} are more than the {self._context:,} that {show(self._name)} allows")
        answer = self._chosen(question_of(prompt, self._tokenizer.vocabulary))
        began = time.monotonic()
        cached = yield from self._prefill(prompt)
        if answer.warn:
            yield Warned(answer.warn)
        self._wait(answer.delay_s)
        ids, reason = self._ids(answer, prompt, sampling)
        prefilled = time.monotonic()
        yield from self._spoken(answer, ids, reason, sampling)
        if answer.fail:
            raise EngineError(answer.fail)
        yield Finished(
            reason=reason,
            prompt_tokens=total,
            cached_tokens=cached if self._script.report_cached else None,
            answer_tokens=len(ids),
            prefill_s=prefilled - began,
            decode_s=time.monotonic() - prefilled,
            not_reported="" if self._script.report_cached else f"report_cached = true in {show(self._name)}",
        )

    def limits(self) -> Limits:
        return Limits(context_tokens=self._context)

    def identity(self) -> Identity:
        return Identity(kind="scripted", model=self._name, digest=self._script.digest)

    def describe(self) -> str:
        """One line: which script, and how much it has to say."""
        count = len(self._script.answers)
        return f"scripted: {count} answer{'s' * (count != 1)} from {show(self._name)}; no model"

    def close(self) -> None:
        """Nothing is held."""

    def _chosen(self, question: str) -> Scripted:
        """The first answer whose pattern is found, else the next without one; the last of these is given again."""
        for answer in self._script.answers:
            if answer.match and answer.match.search(question):
                return answer
        plain = [answer for answer in self._script.answers if not answer.match]
        if not plain:
            asked = question[-80:]
            raise EngineError(f"{show(self._name)} has no answer to {asked!r}", "add an [[answer]] without match")
        self._in_order += 1
        return plain[min(self._in_order, len(plain)) - 1]

    def _prefill(self, prompt: Prompt) -> Generator[EngineEvent, None, int]:
        """Read the prompt by windows, the known ones at once; returns the tokens that were known."""
        windows = prompt.windows()
        keys = _keys(prompt)
        # As in the Scout engine the last window is always computed.
        known = next((n for n, key in enumerate(keys[:-1]) if key not in self._seen), len(keys) - 1)
        cached = done = sum(map(len, windows[:known]))
        shown, total = cached if self._script.report_cached else 0, len(prompt.ids)
        yield Prefilled(done=done, total=total, cached=shown)
        for key, window in zip(keys[known:], windows[known:], strict=True):
            self._wait(self._script.prefill_s * len(window) / total)
            self._seen.add(key)
            done += len(window)
            yield Prefilled(done=done, total=total, cached=shown)
        return cached

    def _ids(self, answer: Scripted, prompt: Prompt, sampling: Sampling) -> tuple[list[int], Finish]:
        """The answer's tokens, no more than are wanted."""
        text = with_ids(answer.text, prompt, self._tokenizer.vocabulary) if "{id:" in answer.text else answer.text
        ids = list(self._tokenizer.encode(text)) if text else []
        if len(ids) > sampling.max_tokens:
            return ids[: sampling.max_tokens], Finish.LENGTH
        return ids, answer.finish

    def _spoken(self, answer: Scripted, ids: list[int], reason: Finish, sampling: Sampling) -> Iterator[EngineEvent]:
        """The tokens as the script wants them: ids, or text in pieces."""
        pause = 1 / answer.tokens_per_s if answer.tokens_per_s else 0.0
        if answer.as_ids:
            for token in ids:
                yield Token(token)
                self._wait(pause)
            if reason is Finish.STOP and not answer.fail and END_OF_TURN in sampling.stop_ids:
                yield Token(END_OF_TURN)
            return
        text = TextStream(self._tokenizer.vocabulary)
        words = [text.feed(token) for token in ids] + [text.finish()]
        pieces = list(_pieces("".join(words), answer)) if answer.cut else [word for word in words if word]
        for piece in pieces:
            yield Text(piece)
            self._wait(pause * len(ids) / len(pieces))

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)


def question_of(prompt: Prompt, vocabulary: Vocabulary) -> str:
    """The text that was asked last: what stands between the last document and the head of the answer."""
    tail = prompt.ids[prompt.starts[max(0, len(prompt.starts) - 2)] :]
    end = _last(tail, END_OF_TURN, len(tail))
    end = len(tail) if end < 0 else end
    said = decoded(tail[_last(tail, HEADER_END, end) + 1 : end], vocabulary)
    if tag := _tag(prompt, vocabulary):
        said = said.rpartition(b"</doc-%b>" % tag)[2]
    before, after = wording.question("\0").split("\0")
    _, ordered, _ = wording.structured("\0", "\0").split("\0")
    asked = said.decode("utf-8", "replace").rpartition(before)[2].removesuffix(after)
    return asked.partition(ordered)[0].strip()


def with_ids(text: str, prompt: Prompt, vocabulary: Vocabulary) -> str:
    """The text with `{id:PATH}` replaced by the id under which a document of that path stands in the prompt."""
    tag = _tag(prompt, vocabulary)
    if not tag:
        return text
    openings = re.findall(rb"<doc-" + re.escape(tag) + OPENING, decoded(prompt.ids, vocabulary))
    found = {str(loads(path)): document_id.decode() for document_id, path in openings}

    def id_of(place: re.Match[str]) -> str:
        wanted = place[1].strip()
        ids = [found[path] for path in found if path == wanted or path.endswith(f"/{wanted}")]
        return ids[-1] if ids else place[0]

    return PLACE.sub(id_of, text)


def decoded(ids: "array[int]", vocabulary: Vocabulary) -> bytes:
    """The bytes of ids, special tokens left out."""
    special = (b"",) * (VOCABULARY_TOKENS - ORDINARY_TOKENS)
    return b"".join(map((vocabulary.tokens + special).__getitem__, ids))


def _keys(prompt: Prompt) -> list[bytes]:
    """A name for each window that holds for all windows before it too."""
    keys, above = list[bytes](), b""
    for window in prompt.windows():
        above = sha256(above + window.tobytes()).digest()
        keys.append(above)
    return keys


def _tag(prompt: Prompt, vocabulary: Vocabulary) -> bytes:
    """The tag of the document wrappers, which the preamble has first."""
    found = re.search(rb"<doc-([0-9A-Za-z]+)[ >]", decoded(prompt.ids[: prompt.window_tokens], vocabulary))
    return found[1] if found else b""


def _last(ids: "array[int]", wanted: int, before: int) -> int:
    """The last index below `before` at which an id stands, or -1."""
    return next((at for at in range(before - 1, -1, -1) if ids[at] == wanted), -1)


def _pieces(text: str, answer: Scripted) -> Iterator[str]:
    """The text in pieces of a fixed size, or of sizes that a seed draws."""
    draw, at = Random(answer.seed), 0
    while at < len(text):
        size = answer.cut if isinstance(answer.cut, int) else draw.randint(1, LONGEST_PIECE)
        yield text[at : at + size]
        at += size
