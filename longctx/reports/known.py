"""What earlier runs have left of a report's items, as far as it still holds.

A run's journal may come from anywhere: what an item has cited is looked up again in the corpus, and with it the text
around it. An answer of which anything that was found before is not found there does not stand, and is asked for anew.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from longctx.citations import CitationStatus, place_of
from longctx.reports import answers, items
from longctx.reports.evidence import evidence_of
from longctx.reports.items import Parts, Work
from longctx.reports.plain import whole
from longctx.reports.report import Evidence, State
from longctx.reports.run_events import AGAIN, FALLEN, NEW, WAITS

if TYPE_CHECKING:
    from ingest.document import Document
    from longctx.corpus import Corpus
    from longctx.reports.records import Past, Result

FOUND = frozenset({CitationStatus.VERIFIED, CitationStatus.RELOCATED, CitationStatus.NEAR})
TEXTS_MOST = 32  # of documents that are held at a time
Said = Mapping[str, str]


class Known:
    """Results of earlier runs by what they are of; `constant` has the parts of a key that all items share."""

    def __init__(self, corpus: "Corpus", past: "Past", constant: Mapping[str, str]) -> None:
        self._corpus, self._past, self._constant = corpus, past, dict(constant)
        self._checked: dict[str, Result | None] = {}
        self._texts: dict[str, Document | None] = {}
        self._names = _names(corpus)
        self._failed: dict[str, str] = {}

    def parts(self, work: Work, said: Said) -> Parts:
        """What the answer to an item depends on; `said` are the answers that it refers to."""
        return Parts(asked=items.asked_digest(work, said), **self._constant)

    def of(self, work: Work, said: Said) -> "Result | None":
        """What was found of an item before, where all that it depends on is as it was and what it cites stands.

        An answer counts before a failure that came after it, and says so.
        """
        key = self.parts(work, said).key
        if key not in self._checked:
            self._checked[key] = self._found(work, key)
        result = self._checked[key]
        if result is None or result.state is State.FAILED or key not in self._failed:
            return result
        return answers.remarked(result, self._failed[key])

    def note(self, result: "Result") -> None:
        """Remember a failure: the answer that was found before says that it came."""
        if result.state is State.FAILED:
            self._failed[result.key] = result.error

    def why(self, work: Work, said: Said, *, is_complete: bool) -> str:
        """Why an item is asked, in a few words; not `is_complete` where answers that it refers to are still to come."""
        if not is_complete:
            return WAITS if work.id in self._past.parts else NEW
        if self.of(work, said) is not None:
            return AGAIN
        parts = self.parts(work, said)
        if parts.key in self._past.results:
            return FALLEN
        before = self._past.parts.get(work.id)
        return parts.changed(before) if before else NEW

    def _found(self, work: Work, key: str) -> "Result | None":
        """The last answer that is as it has to be, or else the last failure."""
        failed = None
        for result in self._past.results.of(key):
            if result.id != work.id:
                continue
            stands = self._standing(result)
            found = answers.judged(work, stands or result)
            if stands and found.state is State.DONE:
                return found
            if key not in self._failed:
                self.note(found)
            failed = failed or (found if stands else None)
        return failed

    def _standing(self, result: "Result") -> "Result | None":
        """The result with what it cites as that stands in the corpus; None where it does not."""
        if result.answer is None:
            return result if result.state is State.FAILED else None
        if len(self._texts) > TEXTS_MOST:
            self._texts.clear()
        try:
            msgspec.convert([{**row, "item": ""} for row in result.answer["citations"]], list[Evidence])
            fresh = evidence_of(self._corpus, result.id, result.answer, self._texts)
        except (KeyError, msgspec.ValidationError):  # no citations of ours
            return None
        stands = all(self._stands(each) for each in fresh if each.status in FOUND)
        return msgspec.structs.replace(result, evidence=fresh) if stands else None

    def _stands(self, each: Evidence) -> bool:
        """Whether a quote is where it is said to be."""
        document = self._texts.get(each.sha256)
        if document is None:  # an earlier text of a file, which is kept for a while only
            return not each.is_current and each.chars is not None
        if each.chars is None or not each.quote or whole(document.text[slice(*each.chars)]) != each.quote:
            return False
        if each.is_current and each.path not in self._names.get(each.sha256, ()):
            return False
        return each.chars[0] >= 0 and each.place == whole(place_of(each.path, document, *each.chars))


def _names(corpus: "Corpus") -> dict[str, set[str]]:
    """The paths under which each text stands that there is now."""
    names: dict[str, set[str]] = {}
    for entry in corpus.current:
        names.setdefault(entry.digest, set()).update(map(whole, (entry.path, *corpus.paths_of(entry))))
    return names
