"""How the GPUs of one found cluster are used: offered, asked for, idle, stranded, shared. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tiers.core.adoption_rules import (
    PRODUCT_LABELS,
    REGION_LABELS,
    ZONE_LABELS,
    AdoptionRules,
    first_of,
    label_of,
)
from tiers.core.inventory import FoundGpu, FoundNode, FoundPod, Inventory

GPU = "nvidia.com/gpu"
HOLDING = frozenset({"Running", "Pending"})


@dataclass(frozen=True, slots=True)
class Use:
    """GPUs of one cluster. None is unknown; `stranded` are free on a node that cannot hold the
    smallest pod that its cluster runs on that GPU type."""

    cluster: str
    region: str
    zones: tuple[str, ...]
    nodes: int | None
    gpus: int
    allocatable: int | None
    requested: int | None
    idle_without_pod: int | None
    idle_by_activity: int | None
    stranded: int | None
    fragmented_nodes: int | None
    broken: int | None
    mig: Mapping[str, int] = field(default_factory=dict)
    shared: int = 0


def node_gpus(node: FoundNode) -> int:
    """Cards a node has: a MIG slice is a part of one, a time slice is none more."""
    replicas = label_of(node.labels, "nvidia.com/gpu.replicas")
    shared = int(replicas) if replicas.isdecimal() else 1
    count = label_of(node.labels, "nvidia.com/gpu.count")
    whole = node.resources.get(GPU, 0)
    if shared > 1 and whole:
        return whole // shared
    if _slices(node) and count.isdecimal():
        return max(whole, int(count))
    return whole


def _slices(node: FoundNode) -> dict[str, int]:
    return {name: n for name, n in node.resources.items() if "/mig-" in name and n}


def use_of(cluster: str, found: Inventory, rules: AdoptionRules) -> Use:
    nodes = [n for n in found.nodes if n.cluster == cluster]
    gpus = [g for g in found.gpus if g.cluster == cluster]
    if not nodes:
        return _by_exporter(cluster, gpus, rules)
    pods = [p for p in found.pods if p.cluster == cluster]
    held = Counter[str]()
    for pod in pods:
        if pod.node and pod.phase in HOLDING:
            held[pod.node] += pod.gpus
    sound = [n for n in nodes if n.ready and not n.unschedulable]
    free = {n.name: max(0, n.allocatable.get(GPU, 0) - held[n.name]) for n in sound}
    smallest = _smallest(pods, nodes)
    stranded = sum(f for n in sound if (f := free[n.name]) < smallest.get(_product(n), 1))
    total = sum(map(node_gpus, nodes))
    return Use(
        cluster=cluster,
        region=_region(cluster, nodes, rules),
        zones=tuple(sorted({first_of(n.labels, ZONE_LABELS)[1] for n in nodes} - {""})),
        nodes=len(nodes),
        gpus=total,
        allocatable=sum(n.allocatable.get(GPU, 0) for n in nodes),
        requested=sum(p.gpus for p in pods if p.phase in HOLDING),
        idle_without_pod=sum(free.values()),
        idle_by_activity=_idle(gpus, rules),
        stranded=stranded,
        fragmented_nodes=sum(0 < free[n.name] < n.allocatable.get(GPU, 0) for n in sound),
        broken=sum(node_gpus(n) for n in nodes if n.ready is False),
        mig=dict(_mig(nodes)),
        shared=sum(label_of(n.labels, "nvidia.com/gpu.replicas") not in {"", "1"} for n in nodes),
    )


def _by_exporter(cluster: str, gpus: Sequence[FoundGpu], rules: AdoptionRules) -> Use:
    """GPUs that their exporter alone tells of: how many, and nothing else."""
    return Use(
        cluster=cluster, region=rules.region_of_cluster.get(cluster, ""), zones=(),
        nodes=len(names) if (names := {g.node for g in gpus} - {""}) else None,
        gpus=len({g.id for g in gpus}), allocatable=None, requested=None, idle_without_pod=None,
        idle_by_activity=_idle(gpus, rules), stranded=None, fragmented_nodes=None, broken=None,
        mig=dict(Counter(g.mig_profile for g in gpus if g.mig_profile)),
    )  # fmt: skip


def _idle(gpus: Sequence[FoundGpu], rules: AdoptionRules) -> int | None:
    """GPUs whose engines hardly worked; None unless the activity of each is known."""
    seen: dict[str, float | None] = {}
    for gpu in gpus:
        known = seen.get(gpu.id)
        if gpu.activity is not None:
            seen[gpu.id] = max(gpu.activity, known or 0.0)
        else:
            seen.setdefault(gpu.id, None)
    if not seen or None in seen.values():
        return None
    return sum(a < rules.idle_below for a in seen.values() if a is not None)


def _smallest(pods: Iterable[FoundPod], nodes: Iterable[FoundNode]) -> dict[str, int]:
    """GPUs of the smallest pod by the product it runs on."""
    product = {n.name: _product(n) for n in nodes}
    found: dict[str, int] = {}
    for pod in pods:
        if pod.gpus and pod.node in product:
            name = product[pod.node]
            found[name] = min(pod.gpus, found.get(name, pod.gpus))
    return found


def _product(node: FoundNode) -> str:
    return first_of(node.labels, PRODUCT_LABELS)[1]


def _mig(nodes: Iterable[FoundNode]) -> Counter[str]:
    slices = Counter[str]()
    for node in nodes:
        slices.update(_slices(node))
    return slices


def _region(cluster: str, nodes: Iterable[FoundNode], rules: AdoptionRules) -> str:
    """The region that an operator says, else that all nodes say; empty when they disagree."""
    if told := rules.region_of_cluster.get(cluster):
        return told
    names = {first_of(n.labels, REGION_LABELS)[1] for n in nodes} - {""}
    return next(iter(names)) if len(names) == 1 else ""
