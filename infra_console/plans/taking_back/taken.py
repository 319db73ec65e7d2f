"""What a step is about to take over from others, remembered until it is theirs again."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra_console.cluster.bounds import FIELDS as BOUNDS
from infra_console.cluster.client import context_of
from infra_console.cluster.handing import FIELD, Path, pointer
from infra_console.plans import clock
from infra_console.plans.models import Step, TakenField


def remember_taken(step: Step, prior: Mapping[str, Any]) -> None:
    """Keep whose each field was that this step takes over; with the `prior` that names them.

    A field that an earlier plan took over, and that nobody else took since, keeps its owner.
    """
    if step.back:
        return
    applies = prior.get("applies") or ()
    for path, names in _fields(step, prior):
        TakenField.objects.update_or_create(
            cluster=step.cluster,
            kind=step.target["kind"],
            namespace=step.target.get("namespace") or "",
            name=step.target["name"],
            field=pointer(path),
            defaults={
                "context": context_of(step.cluster),
                "tier": step.tier,
                "managers": [{"name": name, "applies": name in applies} for name in names],
                "plan_id": step.plan_id,
                "step": step.key,
                "taken_at": clock.now(),
                "handed_at": None,
                "outcome": "",
                "claimed_until": None,
                "next_try_at": None,
            },
        )


def _fields(step: Step, prior: Mapping[str, Any]) -> Iterator[tuple[Path, list[str]]]:
    owners, kind = prior.get("owners"), step.target["kind"]
    if not owners:
        return
    if kind in BOUNDS:
        for end, field in zip(("min", "max"), BOUNDS[kind], strict=True):
            if end in owners:
                yield ("spec", field), [owners[end]]
    elif kind == "Node":
        yield ("metadata", "labels", step.params["key"]), owners
    elif kind in FIELD:
        yield FIELD[kind], owners
