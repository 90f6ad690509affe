"""One item on its way: what is asked for it, and the result that is made of what came.

An answer without the valid structured value that was asked of it is kept with the reason; it counts as failed. Whether
all that is cited has to be verified is decided whenever a result is taken, and changes nothing of what is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from longctx import analysis
from longctx.answer import to_json
from longctx.events import Answered, AnswerEvents
from longctx.reports.items import Work
from longctx.reports.report import Evidence, Item, State

if TYPE_CHECKING:
    from longctx.analysis import Asking
    from longctx.answer import Answer
    from longctx.corpus import Corpus
    from longctx.engines.base import Engine
    from longctx.reports.items import Parts
    from longctx.reports.records import Result
    from longctx.steps import Steps

Draw = Callable[[Sequence[Evidence]], tuple[Evidence, ...]]


def events_of(
    corpus: "Corpus", work: Work, text: str, engine: "Engine | None", asking: "Asking", steps: "Steps"
) -> AnswerEvents:
    """The events of an item; `text` is its own with the answers that it refers to, for a model only."""
    if work.summary is not None:
        from longctx.summarising import summarise

        return summarise(corpus, engine, asking, work.summary, steps=steps)
    asked = work.sought if engine is None else text
    return analysis.ask(corpus, asked, engine, asking, question_id=work.id, schema=work.schema)


def result_of(
    corpus: "Corpus", work: Work, parts: "Parts", answered: Answered | None, error: str, draw: Draw
) -> "Result":
    """What became of an item, without its times: `error` says why there is no answer, or no whole one."""
    from longctx.reports.evidence import evidence_of
    from longctx.reports.records import Result

    if answered is None:
        return Result(id=work.id, key=parts.key, parts=parts, state=State.FAILED, error=error, at=0.0)
    answer = answered.answer if work.summary else replace(answered.answer, question=work.shown)
    fields = saved(answer)
    error = error or (f"no valid structured answer: {answer.invalid}" if answer.invalid else "")
    return Result(
        id=work.id,
        key=parts.key,
        parts=parts,
        state=State.FAILED if error else State.DONE,
        error=error,
        at=0.0,
        answer=fields,
        value=answer.value,
        evidence=draw(evidence_of(corpus, work.id, fields)),
        calls=_calls(fields),
    )


def saved(answer: "Answer") -> dict[str, Any]:
    """The answer as JSON values; what was left out of the corpus stands once in the report, not in each answer."""
    fields = to_json(answer)
    return fields | {"corpus": {name: fields["corpus"][name] for name in ("id", "files", "tokens")}}


def judged(work: Work, result: "Result") -> "Result":
    """The result as failed where it lacks what is asked of its citations now."""
    import msgspec

    if result.state is not State.DONE or not (error := fault(work, result)):
        return result
    return msgspec.structs.replace(result, state=State.FAILED, error=error)


def remarked(result: "Result", error: str) -> "Result":
    """The result with a remark that its item failed when it was asked again."""
    import msgspec

    if result.answer is None:
        return result
    warnings = [*result.answer["warnings"], f"asked again, and failed: {error}; this is the answer from before"]
    return msgspec.structs.replace(result, answer={**result.answer, "warnings": warnings})


def fault(work: Work, result: "Result") -> str:
    """What an answer lacks where all that it cites has to be verified; nothing where it is as it should be."""
    if not work.require_verified:
        return ""
    failed = [each for each in result.evidence if not each.is_sound]
    if failed:
        return f"of {len(result.evidence):,} citations {len(failed):,} not verified, and all have to be"
    return "" if result.evidence else "no citations, and verified ones have to be there"


def item_of(work: Work, result: "Result | None") -> Item:
    """An item as it stands in a report; without a result it is still to come."""
    from longctx.reports.plain import whole

    item = Item(
        id=work.id,
        kind=work.kind,
        title=whole(work.title),
        text=whole(work.shown),
        path=whole(work.path),
        schema=whole(work.schema),
        refers=work.refers,
    )
    return item if result is None else with_result(item, result)


def with_result(item: Item, result: "Result") -> Item:
    """An item with what became of it."""
    import msgspec

    return msgspec.structs.replace(
        item,
        state=result.state,
        error=result.error,
        answer=result.answer,
        value=result.value,
        evidence=result.evidence,
        calls=result.calls,
        key=result.key,
        wall_s=result.wall_s,
    )


def failed(work: Work, error: str) -> Item:
    """An item that could not be asked."""
    import msgspec

    return msgspec.structs.replace(item_of(work, None), state=State.FAILED, error=error)


def _calls(fields: Mapping[str, Any]) -> int:
    """How often an engine was asked for an answer; quotations are no engine's."""
    return 0 if fields["engine"].get("kind") == "evidence" else int(fields.get("calls", 1))
