"""How a plan is taken back: written down before its first step, made into steps when it is asked.

Steps are undone in reverse, wave by wave, so what grew shrinks first, nodes go back next, and what
was shrunk grows last. A step that kept no prior wrote nothing and is not undone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

from infra_console.plans.models import Plan, Step
from infra_console.plans.spec import StepSpec
from infra_console.plans.states import StepState
from infra_console.plans.steps.registry import step_kind


def write_down(plan: Plan) -> None:
    """Keep with each step how it is undone; before the first of them writes."""
    for step in plan.spec.steps:
        Step.objects.filter(plan=plan, key=step.key).update(undo=_undo_of(step))


def way_back(plan: Plan, *, held: bool) -> list[Step]:
    """The steps that would take back what was written, in order, not saved.

    Args:
        held: the plan was stopped in the middle; an ended plan holds no cordon any more.
    """
    specs = {spec.key: spec for spec in plan.spec.steps}
    forward = [s for s in Step.objects.filter(plan=plan, back=False) if s.prior is not None]
    made: dict[str, Step] = {}
    base = 0
    for _, wave in groupby(sorted(forward, key=_last_first), key=lambda step: step.wave):
        longest = 0
        for step in wave:
            undo = step.undo if step.undo is not None else _undo_of(specs[step.key])
            for place, part in enumerate(_wanted(undo, held=held)):
                row = _step(plan, step, part, wave=base + place)
                made.setdefault(row.key, row)  # opening a node once is enough
                longest = max(longest, place + 1)
        base += longest
    return list(made.values())


def set_out(plan: Plan, *, held: bool) -> None:
    """Save the way back; what an earlier try had not finished is done again."""
    stood = {s.key: s for s in Step.objects.filter(plan=plan, back=True)}
    again = {step.pk for step in _unfinished(stood.values())}
    Step.objects.filter(pk__in=again).update(
        state=StepState.PENDING, started_at=None, finished_at=None, next_try_at=None, detail=""
    )
    fresh = [step for step in way_back(plan, held=held) if step.key not in stood]
    index = Step.objects.filter(plan=plan).count()
    for place, step in enumerate(fresh):
        step.index = index + place
    Step.objects.bulk_create(fresh)


def _undo_of(step: StepSpec) -> list[dict[str, Any]]:
    return [asdict(undo) for undo in step_kind(step.kind).undo(step)]


def _wanted(undo: Iterable[Mapping[str, Any]], *, held: bool) -> Iterator[Mapping[str, Any]]:
    return (part for part in undo if held or not part["while_held"])


def _last_first(step: Step) -> tuple[int, int]:
    return -step.wave, -step.index


def _step(plan: Plan, undone: Step, part: Mapping[str, Any], *, wave: int) -> Step:
    target = undone.target
    parts = (target["cluster"], target["namespace"], target["name"], part.get("about"))
    return Step(
        plan=plan,
        key="/".join(["back", *filter(None, parts), part["kind"]]),
        kind=part["kind"],
        title=part["title"][:250],
        cluster=undone.cluster,
        tier=part["tier"],
        wave=wave,
        target=target,
        params={**part["params"], "prior": undone.prior},
        back=True,
    )


def _unfinished(steps: Iterable[Step]) -> Iterator[Step]:
    """What must be done again of a way back that was aborted.

    Its cordons were lifted, so an object that was not restored begins anew; of one that was,
    only what is open is left.
    """

    def touched(step: Step) -> str:
        return str(sorted(step.target.items()))

    for _, group in groupby(sorted(steps, key=lambda s: (touched(s), s.wave)), key=touched):
        of_object = list(group)
        restored = all(s.state == StepState.DONE for s in of_object[:-1])
        yield from (s for s in of_object if not restored or s.state != StepState.DONE)
