"""What changed in a cluster between two looks: nodes, their health and closures, replicas, quota.

A look is a small document, so that the next process can compare with what the last one saw.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiers.core.fleet_state import ClusterState

Look = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `kind`: node, ready, cordon, taint, gpu, tier, replicas, quota, cluster."""

    kind: str
    object: str
    words: str


def look_of(state: ClusterState, quotas: Mapping[str, int] | None) -> dict[str, Any]:
    """The look of one cluster; `quotas` are GPUs by name, None where they cannot be read."""
    return {
        "nodes": {
            n.name: {
                "ready": n.ready, "cordoned": n.unschedulable, "foreign": n.foreign,
                "sick": n.sick_why, "tier": n.tier or "", "gpus": n.gpus_capacity,
                "offered": n.gpus_allocatable,
            }
            for n in state.nodes
        },
        "replicas": {f"{d.namespace}/{d.name}": d.replicas for d in state.deployments},
        "quotas": None if quotas is None else dict(quotas),
    }  # fmt: skip


def changes_between(before: Look, after: Look) -> list[Change]:
    """Every change in the order of the objects' names."""
    return [
        *_nodes(before["nodes"], after["nodes"]),
        *_numbers("replicas", before["replicas"], after["replicas"], "replicas"),
        *_quotas(before["quotas"], after["quotas"]),
    ]


def _nodes(before: Look, after: Look) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield Change("node", name, f"the node is gone with its {before[name]['gpus']} GPUs")
        elif name not in before:
            yield Change("node", name, f"a new node with {after[name]['gpus']} GPUs")
        else:
            yield from _node(name, before[name], after[name])


def _node(name: str, was: Look, now: Look) -> Iterator[Change]:
    if was["ready"] != now["ready"]:
        yield Change("ready", name, "Ready again" if now["ready"] else "no longer Ready")
    if was["cordoned"] != now["cordoned"]:
        yield Change("cordon", name, "cordoned" if now["cordoned"] else "uncordoned")
    if was["foreign"] != now["foreign"]:
        yield Change("taint", name, now["foreign"] or f"no longer {was['foreign']}")
    if was["sick"] != now["sick"]:
        yield Change("gpu", name, now["sick"] or f"well again: {was['sick']} is over")
    if was["offered"] != now["offered"]:
        words = f"offers {now['offered']} of {now['gpus']} GPUs, was {was['offered']}"
        yield Change("gpu", name, words)
    if was["tier"] != now["tier"]:
        words = f"tier {was['tier'] or 'none'} → {now['tier'] or 'none'}"
        yield Change("tier", name, words)


def _quotas(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> Iterator[Change]:
    if before is not None and after is not None:
        yield from _numbers("quota", before, after, "GPUs of quota")


def _numbers(
    kind: str, before: Mapping[str, int], after: Mapping[str, int], unit: str
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None:
            yield Change(kind, name, f"new, {now} {unit}")
        elif now is None:
            yield Change(kind, name, f"gone, had {was} {unit}")
        elif was != now:
            yield Change(kind, name, f"{was} → {now} {unit}")
