"""What a plan changes, as tables for people: before and after, and its steps by what they touch.
Pure: from the spec and the step rows alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from infra_console.plans.spec import PlanSpec, StepSpec

PAYS = "machines.scale"


@dataclass(frozen=True, slots=True)
class TierChange:
    """GPUs of one tier in one cluster. None where the plan promises no number to count from."""

    cluster: str
    tier: str
    delta_gpus: int
    after_gpus: int | None

    @property
    def before_gpus(self) -> int | None:
        return None if self.after_gpus is None else self.after_gpus - self.delta_gpus


@dataclass(frozen=True, slots=True)
class WorkloadChange:
    """Replicas of one workload in one cluster."""

    cluster: str
    workload: str
    before: int
    after: int
    gpus: int

    @property
    def delta(self) -> int:
        return self.after - self.before


def paying(spec: PlanSpec) -> list[str]:
    """Which steps start or stop paying for machines, in words; no other step does either."""
    return [_pays(step) for step in spec.steps if step.kind == PAYS]


def _pays(step: StepSpec) -> str:
    before, after = int(step.params["from"]), int(step.params["to"])
    verb, many = ("starts", after - before) if after > before else ("stops", before - after)
    machines = f"{many} machine{'' if many == 1 else 's'}"
    return f"{step.target.name} in {step.target.cluster} {verb} paying for {machines}"


class StepRow(Protocol):
    """A step as stored; only these are read here."""

    @property
    def cluster(self) -> str: ...
    @property
    def target(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Lane:
    """The steps of one object, in order: a line of the execution's timeline."""

    cluster: str
    kind: str
    namespace: str
    name: str
    steps: tuple[Any, ...]


def tier_changes(spec: PlanSpec) -> list[TierChange]:
    """Each (cluster, tier) whose GPUs the node moves change, in order of the names."""
    delta: dict[tuple[str, str], int] = {}
    for move in spec.moves:
        if move.kind != "node":
            continue
        for tier, sign in ((move.from_tier, -1), (move.to_tier, 1)):
            if tier:
                key = (move.target.cluster, tier)
                delta[key] = delta.get(key, 0) + sign * move.gpus
    after = _promised_gpus(spec)
    return [TierChange(*key, gpus, after.get(key)) for key, gpus in sorted(delta.items())]


def _promised_gpus(spec: PlanSpec) -> dict[tuple[str, str], int]:
    """A node move always promises the sizes it leaves behind."""
    return {
        (p.labels.get("cluster", ""), p.labels.get("tier", "")): int(p.bound)
        for p in spec.promises
        if p.query == "tier_gpus" and p.op == "=="
    }


def workload_changes(spec: PlanSpec) -> list[WorkloadChange]:
    return [
        WorkloadChange(
            move.target.cluster,
            move.workload or move.target.name,
            move.from_replicas or 0,
            move.to_replicas or 0,
            move.gpus,
        )
        for move in spec.moves
        if move.kind == "scale"
    ]


def lanes(steps: Iterable[StepRow]) -> list[Lane]:
    """Steps gathered by the object they touch, objects in order of their first step."""

    def touched(step: StepRow) -> tuple[str, str, str, str]:
        target = step.target
        return step.cluster, target["kind"], target["namespace"], target["name"]

    ordered = list(steps)
    first: dict[tuple[str, str, str, str], int] = {}
    for place, step in enumerate(ordered):
        first.setdefault(touched(step), place)
    rows = sorted(ordered, key=lambda step: first[touched(step)])
    return [Lane(*key, tuple(group)) for key, group in groupby(rows, key=touched)]


def progress(steps: Sequence[Any]) -> tuple[int, int]:
    """Steps that have ended well, and all of them."""
    return sum(step.state in {"done", "rehearsed", "skipped"} for step in steps), len(steps)
