"""From what was found to what it is: regions, pools, tiers, and how GPUs are used.

Pure, and quick enough to try a rule: nothing is read again. What no rule places is listed with the
rule that would place it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tiers.core.adoption_rules import (
    NODE_POOL_LABELS,
    PRODUCT_LABELS,
    AdoptionRules,
    first_of,
    gpu_type_of,
    label_of,
    memory_gib_of,
    node_tier,
    pod_tier,
    purchase_of,
)
from tiers.core.adoption_use import Use, node_gpus, use_of
from tiers.core.inventory import FoundNode, FoundPod, Inventory


@dataclass(frozen=True, slots=True)
class FoundPool:
    """Nodes alike in cluster, GPU type, memory and purchase. Empty parts are unknown."""

    id: str
    cluster: str
    gpu_type: str
    memory_gib: float | None
    purchase: str
    placed_by: str
    selector: Mapping[str, str]
    nodes: int
    gpus: int


@dataclass(frozen=True, slots=True)
class Unplaced:
    """What lacks a fact, how much of it, and the rule that would say it."""

    lacks: str
    what: str
    gpus: int
    rule: str


@dataclass(frozen=True, slots=True)
class Adoption:
    uses: list[Use]
    pools: list[FoundPool]
    tiers: dict[str, int]  # GPUs by tier of their node, else of what runs there; "" is neither
    tier_words: dict[str, int]  # GPUs by the rule that placed them
    namespaces: dict[str, str]  # tier by namespace, as the fleet file maps them
    unplaced: list[Unplaced]
    unknown: list[str]


def adopt(found: Inventory, rules: AdoptionRules) -> Adoption:
    """Everything the page and the proposed fleet file say."""
    tiers, words, untiered = _tiers(found, rules)
    pools, lacking = _pools(_with_memory(found), rules)
    uses = [use_of(cluster, found, rules) for cluster in found.clusters]
    namespaces, mute = _namespaces(found, rules)
    unplaced = [*_regionless(uses), *lacking, *untiered, *mute]
    return Adoption(
        uses=uses,
        pools=pools,
        tiers=dict(tiers),
        tier_words=dict(words),
        namespaces=namespaces,
        unplaced=_by_rule(unplaced),
        unknown=[*found.unknown, *found.problems],
    )


def _by_rule(unplaced: Iterable[Unplaced]) -> list[Unplaced]:
    """What one rule would place, as one line; the largest first."""
    lines: dict[tuple[str, str], list[Unplaced]] = defaultdict(list)
    for gap in unplaced:
        lines[gap.lacks, gap.rule].append(gap)
    merged = []
    for (lacks, rule), gaps in lines.items():
        more = f" and {len(gaps) - 1} more like it" if len(gaps) > 1 else ""
        merged.append(Unplaced(lacks, gaps[0].what + more, sum(g.gpus for g in gaps), rule))
    return sorted(merged, key=lambda u: (-u.gpus, u.lacks, u.what))


def _with_memory(found: Inventory) -> list[FoundNode]:
    """Nodes with the GPU memory that their exporter measures where no label tells it."""
    measured: dict[tuple[str, str], float] = {}
    for gpu in found.gpus:
        if gpu.memory_mib and gpu.node and not gpu.mig_profile:
            measured[gpu.cluster, gpu.node] = gpu.memory_mib
    key = "nvidia.com/gpu.memory"
    return [
        n.model_copy(update={"labels": {**n.labels, key: str(round(mib))}})
        if (mib := measured.get((n.cluster, n.name))) and not label_of(n.labels, key)
        else n
        for n in found.nodes
    ]


# --- pools ------------------------------------------------------------------------------------


def _pools(
    nodes: Sequence[FoundNode], rules: AdoptionRules
) -> tuple[list[FoundPool], list[Unplaced]]:
    groups: dict[tuple[str, str, float | None, str], list[FoundNode]] = defaultdict(list)
    for node in nodes:
        _, product = first_of(node.labels, PRODUCT_LABELS)
        bought = purchase_of(node.labels, rules)
        memory = memory_gib_of(product, node.labels)
        key = (node.cluster, gpu_type_of(product, rules), memory, bought[0] if bought else "")
        groups[key].append(node)
    pools = [_pool(key, held, rules) for key, held in sorted(groups.items(), key=str)]
    lacking: list[Unplaced] = []
    for pool, held in zip(pools, (h for _, h in sorted(groups.items(), key=str)), strict=True):
        lacking += _pool_lacks(pool, held)
    return pools, lacking


def _pool(
    key: tuple[str, str, float | None, str], nodes: Sequence[FoundNode], rules: AdoptionRules
) -> FoundPool:
    cluster, gpu_type, memory, purchase = key
    product_key, product = first_of(nodes[0].labels, PRODUCT_LABELS)
    bought = purchase_of(nodes[0].labels, rules)
    selector = {product_key: product} if product_key else {}
    if bought:
        selector[bought[1].label] = label_of(nodes[0].labels, bought[1].label)
    return FoundPool(
        id="/".join((cluster, gpu_type or "unknown", purchase or "unknown")),
        cluster=cluster,
        gpu_type=gpu_type,
        memory_gib=memory,
        purchase=purchase,
        placed_by=f"label {bought[1].label}={bought[1].value}" if bought else "",
        selector=selector,
        nodes=len(nodes),
        gpus=sum(map(node_gpus, nodes)),
    )


def _pool_lacks(pool: FoundPool, nodes: Sequence[FoundNode]) -> Iterable[Unplaced]:
    if not pool.purchase:
        for (key, value), held in _by_node_pool(nodes).items():
            rule = (
                f'purchases: [{{label: "{key}", value: "{value}", purchase: KIND}}]'
                if key
                else "no label tells these nodes apart: give them one"
            )
            what = f"{pool.cluster}: nodes {_group_words(key, value, held)}"
            yield Unplaced("purchase kind", what, sum(map(node_gpus, held)), rule)
    _, product = first_of(nodes[0].labels, PRODUCT_LABELS)
    what = f"{pool.cluster}: {product or 'nodes without a product label'}"
    if not pool.gpu_type:
        rule = f'gpu_types: {{"{product}": NAME}}' if product else "run GPU feature discovery"
        yield Unplaced("GPU type", what, pool.gpus, rule)
    if pool.memory_gib is None:
        yield Unplaced("GPU memory", what, pool.gpus, "run GPU feature discovery")


def _by_node_pool(nodes: Iterable[FoundNode]) -> dict[tuple[str, str], list[FoundNode]]:
    groups: dict[tuple[str, str], list[FoundNode]] = defaultdict(list)
    for node in nodes:
        groups[first_of(node.labels, NODE_POOL_LABELS)].append(node)
    return groups


def _group_words(key: str, value: str, nodes: Sequence[FoundNode]) -> str:
    if key:
        return f"with {key}={value}"
    return ", ".join(n.name for n in nodes[:3]) + (" …" if len(nodes) > 3 else "")


# --- tiers ------------------------------------------------------------------------------------


def _tiers(
    found: Inventory, rules: AdoptionRules
) -> tuple[Counter[str], Counter[str], list[Unplaced]]:
    """GPUs by tier and by rule: a node's own label goes first, then a rule for its pods when all
    of them agree."""
    tiers, words = Counter[str](), Counter[str]()
    pods: dict[tuple[str, str], list[FoundPod]] = defaultdict(list)
    for pod in found.pods:
        pods[pod.cluster, pod.node].append(pod)
    lost: list[FoundNode] = []
    for node in found.nodes:
        placed = node_tier(node.labels, rules) or _tier_of_pods(
            pods[node.cluster, node.name], rules
        )
        tiers[placed[0] if placed else ""] += node_gpus(node)
        words[placed[1] if placed else "no rule"] += node_gpus(node)
        if placed is None:
            lost.append(node)
    return tiers, words, [_tierless(key, held, rules) for key, held in _by_place(lost).items()]


def _tier_of_pods(pods: Sequence[FoundPod], rules: AdoptionRules) -> tuple[str, str] | None:
    told = {pod_tier(p.namespace, p.queue, rules) for p in pods}
    return next(iter(told)) if len({t[0] if t else "" for t in told}) == 1 else None


def _by_place(nodes: Iterable[FoundNode]) -> dict[tuple[str, str, str], list[FoundNode]]:
    groups: dict[tuple[str, str, str], list[FoundNode]] = defaultdict(list)
    for node in nodes:
        groups[(node.cluster, *first_of(node.labels, NODE_POOL_LABELS))].append(node)
    return groups


def _tierless(
    key: tuple[str, str, str], nodes: Sequence[FoundNode], rules: AdoptionRules
) -> Unplaced:
    cluster, label, value = key
    rule = (
        f'tiers: [{{label: "{label}", value: "{value}", tier: TIER}}]'
        if label
        else f"label the nodes: {rules.tier_label}=TIER"
    )
    what = f"{cluster}: nodes {_group_words(label, value, nodes)}"
    return Unplaced("tier", what, sum(map(node_gpus, nodes)), rule)


def _namespaces(found: Inventory, rules: AdoptionRules) -> tuple[dict[str, str], list[Unplaced]]:
    """The tier of each namespace whose pods ask for GPUs, and those of which nothing tells it.

    Where no rule names a namespace, the tier label of all the nodes it runs on tells.
    """
    by_node = {
        (n.cluster, n.name): label[0] for n in found.nodes if (label := node_tier(n.labels, rules))
    }
    told: dict[str, set[str]] = defaultdict(set)
    ruled: dict[str, str] = {}
    asked = Counter[str]()
    for pod in found.pods:
        asked[pod.namespace] += pod.gpus
        if rule := pod_tier(pod.namespace, pod.queue, rules):
            ruled.setdefault(pod.namespace, rule[0])
        elif pod.node:
            told[pod.namespace].add(by_node.get((pod.cluster, pod.node), ""))
    placed = {name: next(iter(t)) for name, t in told.items() if len(t) == 1} | ruled
    placed = {name: tier for name, tier in placed.items() if tier}
    return placed, [
        Unplaced(
            "tier", f"pods of namespace {name}", gpus,
            f'tiers: [{{namespace: "{name}", tier: TIER}}]',
        )
        for name, gpus in sorted(asked.items())
        if name not in placed
    ]  # fmt: skip


def _regionless(uses: Iterable[Use]) -> list[Unplaced]:
    return [
        Unplaced(
            "region", f"cluster {u.cluster or '(no label)'}", u.gpus,
            f"region_of_cluster: {{{u.cluster}: REGION}}"
            if u.cluster
            else "give every series the label cluster (docs/connect.md)",
        )
        for u in uses
        if not u.region
    ]  # fmt: skip
