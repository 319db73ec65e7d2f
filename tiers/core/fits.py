"""Why a workload could not run on the nodes of a pool and tier, and the stanza that would allow it.

A place is what all its nodes share: a label that only some carry is no obstacle, for the scheduler
has the others, and a taint counts where every node of the pool has it, not where some are set apart
for their health. The tier label and taint of the operator's own key are left aside: a
move changes them, and keeping tiers apart is what they are for.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["toleration", "selector", "affinity", "size", "GPU type", "memory"]
REPELLING = frozenset({"NoSchedule", "NoExecute"})
# Cordons and node conditions come and go; they are no reason to change a workload.
# What a health agent sets says that the node is ill: nobody should be helped to tolerate it.
ILL = re.compile(r"health|xid|sick|problem|error|repair|quarantine|not-ready|unreachable")
PASSING = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "karpenter.sh/disrupt")


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class WorkNeeds:
    """What one kind of pod asks of a node. `terms` are the required node affinity's, any of which
    is enough; `gpus_by_type` is what the fleet file says of it, empty where it says nothing."""

    cluster: str
    namespace: str
    name: str
    tier: str
    gpus: int
    tolerations: tuple[Mapping[str, Any], ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)
    terms: tuple[tuple[Mapping[str, Any], ...], ...] = ()
    gpus_by_type: Mapping[str, int] = field(default_factory=dict)
    workload: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Nodes of one pool and tier of a cluster; `labels` and `taints` are those of all of them."""

    cluster: str
    pool: str
    tier: str
    gpu_type: str
    gpu_memory_gib: float | None
    node_gpus: int
    nodes: int
    labels: Mapping[str, str]
    label_values: Mapping[str, frozenset[str]]
    taints: tuple[Taint, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    kind: Kind
    words: str
    stanza: str


def places_of(
    nodes: Iterable[tuple[str, str, Mapping[str, str], Sequence[Taint], int]],
    *,
    cluster: str,
    pools: Mapping[str, tuple[str, float | None]],
) -> list[Place]:
    """The places of a cluster.

    Args:
        nodes: (pool, tier, labels, taints, GPUs) of each.
        pools: GPU type and memory by pool.
    """
    groups: dict[tuple[str, str], list[Any]] = {}
    shared: dict[str, set[Taint]] = {}
    for pool, tier, labels, taints, gpus in nodes:
        groups.setdefault((pool, tier), []).append((labels, taints, gpus))
        shared[pool] = shared.get(pool, set(taints)) & set(taints)
    found = []
    for (pool, tier), held in sorted(groups.items()):
        keys = set.intersection(*(set(labels) for labels, _, _ in held))
        values = {k: frozenset(labels[k] for labels, _, _ in held) for k in keys}
        kind, memory = pools.get(pool, ("", None))
        found.append(
            Place(
                cluster=cluster, pool=pool, tier=tier, gpu_type=kind, gpu_memory_gib=memory,
                node_gpus=max(gpus for _, _, gpus in held), nodes=len(held),
                labels={k: next(iter(v)) for k, v in values.items() if len(v) == 1},
                label_values=values,
                taints=tuple(sorted(shared[pool], key=lambda t: (t.key, t.value, t.effect))),
            )
        )  # fmt: skip
    return found


def obstacles(
    work: WorkNeeds, place: Place, *, tier_key: str, memory_gib: Mapping[str, float]
) -> list[Obstacle]:
    """Everything that keeps the work off the place once it belongs to the work's tier.

    Args:
        memory_gib: GPU memory by type, to say how many GPUs of another type hold as much.
    """
    return [
        *_taints(work, place, tier_key),
        *_selector(work, place, tier_key),
        *_affinity(work, place, tier_key),
        *_gpus(work, place, memory_gib),
    ]


def _taints(work: WorkNeeds, place: Place, tier_key: str) -> Iterator[Obstacle]:
    for taint in place.taints:
        if taint.effect not in REPELLING or taint.key == tier_key:
            continue
        if taint.key.startswith(PASSING) or ILL.search(taint.key):
            continue
        if any(_tolerates(t, taint) for t in work.tolerations):
            continue
        value = f'\n  value: "{taint.value}"' if taint.value else ""
        operator = "Equal" if taint.value else "Exists"
        yield Obstacle(
            "toleration",
            f"no toleration of {taint.key}{'=' + taint.value if taint.value else ''}:"
            f"{taint.effect}",
            f"tolerations:\n- key: {taint.key}\n  operator: {operator}{value}\n"
            f"  effect: {taint.effect}",
        )


def _tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Kubernetes' own rule: an empty key with Exists tolerates all, an empty effect any."""
    if toleration.get("effect") not in {None, "", taint.effect}:
        return False
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if not key:
        return bool(operator == "Exists")
    if key != taint.key:
        return False
    return operator == "Exists" or (toleration.get("value") or "") == taint.value


def _selector(work: WorkNeeds, place: Place, tier_key: str) -> Iterator[Obstacle]:
    for key, value in sorted(work.selector.items()):
        if key == tier_key or value in place.label_values.get(key, ()):
            continue
        has = place.labels.get(key, "")
        told = f"the nodes have {has}" if has else "the nodes do not all carry it"
        yield Obstacle(
            "selector",
            f"nodeSelector {key}={value}: {told}",
            f"nodeSelector:\n  {key}: {has}" if has else f"# remove from nodeSelector: {key}",
        )


def _affinity(work: WorkNeeds, place: Place, tier_key: str) -> Iterator[Obstacle]:
    if not work.terms:
        return
    failing = [[e for e in term if not _meets(e, place, tier_key)] for term in work.terms]
    if any(not missed for missed in failing):
        return
    missed = min(failing, key=len)  # the term that lacks least is the one to change
    for expression in missed:
        key, values = expression.get("key", ""), expression.get("values") or []
        words = f"{key} {expression.get('operator', '')} {', '.join(map(str, values))}".strip()
        has = place.labels.get(key, "")
        stanza = (
            f"matchExpressions:\n- key: {key}\n  operator: In\n  values: "
            f"[{', '.join([*map(str, values), has])}]"
            if has and expression.get("operator") == "In"
            else f"# remove from required node affinity: {words}"
        )
        yield Obstacle("affinity", f"required node affinity {words}", stanza)


def _meets(expression: Mapping[str, Any], place: Place, tier_key: str) -> bool:
    key, operator = expression.get("key", ""), expression.get("operator", "")
    wanted = set(map(str, expression.get("values") or ()))
    values = place.label_values.get(key, frozenset())
    if key == tier_key:
        return True
    if operator == "In":
        return bool(wanted & values)
    if operator == "NotIn":
        return not values or bool(values - wanted)
    if operator in {"Exists", "DoesNotExist"}:
        return bool(values) is (operator == "Exists")
    return _beyond(values, next(iter(wanted), ""), above=operator == "Gt")


def _beyond(values: Iterable[str], bound: str, *, above: bool) -> bool:
    """Gt and Lt compare whole numbers; anything else never fits."""
    numbers = [number for v in values if (number := _whole(v)) is not None]
    limit = _whole(bound)
    if not numbers or limit is None:
        return False
    return max(numbers) > limit if above else min(numbers) < limit


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _gpus(work: WorkNeeds, place: Place, memory_gib: Mapping[str, float]) -> Iterator[Obstacle]:
    if work.gpus_by_type and place.gpu_type and place.gpu_type not in work.gpus_by_type:
        equal = _as_much_memory(work, place, memory_gib)
        guess = f"{place.gpu_type} = {equal}" if equal else f"{place.gpu_type} = NUMBER"
        words = f"the fleet file gives it no group on {place.gpu_type}"
        if equal:
            words += f"; {equal} GPUs hold as much memory"
        yield Obstacle(
            "GPU type", words,
            f"# fleet file, workload {work.workload}, after a load test:\n"
            f"group_gpus = {{ …, {guess} }}",
        )  # fmt: skip
        if equal and equal > place.node_gpus:
            yield Obstacle(
                "memory",
                f"{equal} GPUs are needed for its memory, a node has {place.node_gpus}",
                "# spread one replica over nodes, for example with a LeaderWorkerSet",
            )
        return
    if work.gpus > place.node_gpus:
        yield Obstacle(
            "size",
            f"one pod asks for {work.gpus} GPUs, a node has {place.node_gpus}",
            f"resources:\n  limits:\n    nvidia.com/gpu: {place.node_gpus}",
        )


def _as_much_memory(work: WorkNeeds, place: Place, memory_gib: Mapping[str, float]) -> int | None:
    """GPUs of the place that hold what the most frugal known group holds; None when unknown."""
    held = [n * memory_gib[kind] for kind, n in work.gpus_by_type.items() if kind in memory_gib]
    if not held or not place.gpu_memory_gib:
        return None
    return math.ceil(min(held) / place.gpu_memory_gib)
