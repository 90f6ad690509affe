"""What is asked about the corpus that is open: files, windows, texts, and what leaving some out would do."""

from collections.abc import Iterator

from longctx.backend import texts
from longctx.backend.desk import Shown
from longctx.backend.effect import effect
from longctx.backend.exclusion import leaving_out
from longctx.backend.files import files
from longctx.backend.replies import EffectIs, Reply
from longctx.backend.requests import Effect, Files, Picture, Text, Windows
from longctx.backend.windows import Packed, windows_are
from longctx.corpus import Corpus
from longctx.paths import Paths

CorpusQuery = Files | Windows | Effect | Text | Picture


class CorpusQueries:
    """One corpus as it was stored when this was made; `shown` may be replaced while its generation is the same."""

    def __init__(self, shown: Shown, paths: Paths) -> None:
        self.shown = shown
        self._corpus = Corpus(shown.request, paths)
        self._packed = Packed(self._corpus, self._corpus.entries)

    def replies(self, request: CorpusQuery) -> Iterator[Reply]:
        """The replies to a query; raises CorpusError."""
        match request:
            case Files():
                yield from files(self._corpus)
            case Windows():
                cached = self._packed.stored(self.shown.identity, self.shown.setup)
                yield from windows_are(self._corpus, self._packed, cached)
            case Effect():
                yield self._effect(request)
            case Text():
                yield from texts.text_parts(self._corpus, request)
            case Picture():
                yield texts.picture(self._corpus, request)

    def close(self) -> None:
        """Close the stores."""
        self._corpus.close()

    def _effect(self, request: Effect) -> EffectIs:
        wanted = leaving_out(self.shown.whole, request.paths)
        return effect(self._corpus, self._packed, self.shown, wanted)
