"""What a node or pod is to us, from its labels and taints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Taints that say "GPU node" or repeat what node conditions already say.
ORDINARY_TAINTS = frozenset({"nvidia.com/gpu", "node.kubernetes.io/unschedulable"})
REPELLING = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class PoolFacts:
    id: str
    cluster: str
    gpu_type: str
    selector: Mapping[str, str]
    spot: bool = False


def pool_of(labels: Mapping[str, str], pools: Sequence[PoolFacts]) -> PoolFacts | None:
    """The first pool whose whole selector the labels carry."""
    for pool in pools:
        if all(labels.get(key) == value for key, value in pool.selector.items()):
            return pool
    return None


def foreign_taint(taints: Iterable[tuple[str, str]], tier_key: str) -> str:
    """Why others keep work off the node, or an empty string. Taints are (key, effect)."""
    keys = sorted(
        key
        for key, effect in taints
        if effect in REPELLING and key != tier_key and key not in ORDINARY_TAINTS
    )
    return f"tainted {', '.join(keys)}" if keys else ""


def first_label(labels: Mapping[str, str], keys: Iterable[str]) -> str:
    """The value of the first of these labels that is there, or an empty string."""
    return next((labels[key] for key in keys if labels.get(key)), "")


def declared_gpus(labels: Mapping[str, str], capacity: int) -> int:
    """GPUs that the node has: those its labels promise count though its driver hides them.

    A sliced or partitioned GPU is counted by what the node offers: the label counts cards.
    """
    whole = labels.get("nvidia.com/mig.strategy", "none") in {"", "none"}
    shared = labels.get("nvidia.com/gpu.sharing-strategy", "none") not in {"", "none"}
    if not whole or shared or labels.get("nvidia.com/gpu.replicas", "1") not in {"", "1"}:
        return capacity
    count = labels.get("nvidia.com/gpu.count", "")
    return max(capacity, int(count)) if count.isdecimal() and len(count) < 4 else capacity


def gang_of(labels: Mapping[str, str], owner_kind: str, owner_name: str) -> str:
    """The Job whose pods start and stop together, or an empty string."""
    if name := labels.get("batch.kubernetes.io/job-name"):
        return name
    return owner_name if owner_kind == "Job" else ""


def replica_of(pod_name: str, owner_kind: str, owner_name: str, name: str) -> str:
    """The replica of a numbered set that a pod belongs to; empty for pods without a number.

    A pod of a StatefulSet and a group's leader are called as their replica is; a group's workers
    are owned by a StatefulSet of that name.
    """
    if owner_kind != "StatefulSet" or not name:
        return ""
    replica = pod_name if owner_name == name else owner_name
    return replica if replica.removeprefix(f"{name}-").isdecimal() else ""


def workload_of(pod_name: str, owner_kind: str, owner_name: str, names: Iterable[str]) -> str:
    """The workload, among `names`, that a pod belongs to: its ReplicaSet's name less the hash, its
    StatefulSet's, or for a group's worker that less the group's number."""
    if owner_kind == "StatefulSet":
        base, _, number = owner_name.rpartition("-")
        found = (owner_name, base if number.isdecimal() else "")
        return next((name for name in found if name in set(names)), "")
    owner = owner_name if owner_kind == "ReplicaSet" else pod_name.rpartition("-")[0]
    name = owner.rpartition("-")[0]
    return name if name in set(names) else ""
