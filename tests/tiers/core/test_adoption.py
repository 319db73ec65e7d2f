"""A first look: what is found is placed by rules, and what is not is named with its rule."""

from datetime import UTC, datetime

import pytest

from tiers.core.adoption import adopt
from tiers.core.adoption_rules import (
    AdoptionRules,
    PurchaseRule,
    TierRule,
    gpu_type_of,
    memory_gib_of,
    purchase_of,
)
from tiers.core.adoption_use import node_gpus
from tiers.core.inventory import FoundGpu, FoundNode, FoundPod, Inventory
from tiers.core.proposal import fleet_proposal

NOW = datetime(2026, 3, 1, tzinfo=UTC)
H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
GKE = {**H100, "cloud.google.com/gke-nodepool": "train-a", "topology.kubernetes.io/region": "eu",
       "topology.kubernetes.io/zone": "eu-b"}  # fmt: skip


def node(name: str, labels: dict[str, str], gpus: int = 8, **changes) -> FoundNode:
    values = {
        "cluster": "prod", "name": name, "labels": labels, "ready": True, "unschedulable": False,
        "resources": {"nvidia.com/gpu": gpus}, "allocatable": {"nvidia.com/gpu": gpus},
    }  # fmt: skip
    return FoundNode(**(values | changes))


def pod(name: str, on: str, gpus: int = 8, namespace: str = "llm", **changes) -> FoundPod:
    return FoundPod(cluster="prod", namespace=namespace, name=name, node=on, phase="Running",
                    gpus=gpus, **changes)  # fmt: skip


def found(*nodes: FoundNode, pods=(), gpus=(), **changes) -> Inventory:
    return Inventory(taken_at=NOW, source="kubernetes", nodes=nodes, pods=tuple(pods),
                     gpus=tuple(gpus), **changes)  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "purchase"),
    [
        ({"karpenter.sh/capacity-type": "spot"}, "spot"),
        ({"karpenter.sh/capacity-type": "on-demand"}, "on_demand"),
        ({"cloud.google.com/gke-spot": "true"}, "spot"),
        ({"cloud.google.com/reservation-name": "r7"}, "reserved"),
        ({"eks.amazonaws.com/capacityType": "CAPACITY_BLOCK"}, "reserved"),
        ({"kubernetes.azure.com/scalesetpriority": "spot"}, "spot"),
        ({"label_karpenter_sh_capacity_type": "spot"}, "spot"),  # as kube-state-metrics writes it
    ],
)
def test_purchase_kinds_of_the_usual_providers(labels, purchase):
    assert purchase_of(labels, AdoptionRules())[0] == purchase


def test_an_operators_rule_goes_before_the_built_in_ones():
    rules = AdoptionRules(
        purchases=(PurchaseRule(label="pool", value="res-*", purchase="reserved"),)
    )
    labels = {"karpenter.sh/capacity-type": "on-demand", "pool": "res-3"}
    assert purchase_of(labels, rules)[0] == "reserved"
    assert purchase_of({"pool": "x"}, rules) is None


@pytest.mark.parametrize(
    ("product", "kind", "memory"),
    [
        ("NVIDIA-H100-80GB-HBM3", "H100", 80), ("Tesla-T4", "T4", None),
        ("nvidia-a100-80gb", "A100", 80), ("NVIDIA-L40S", "L40S", None),
        ("NVIDIA GB200", "GB200", None), ("AMD_Instinct_MI300X_OAM", "MI300X", None),
        ("Matrox", "", None),
    ],
)  # fmt: skip
def test_product_names_become_gpu_types_and_what_is_unknown_stays_so(product, kind, memory):
    assert gpu_type_of(product, AdoptionRules()) == kind
    assert memory_gib_of(product, {}) == memory


def test_nothing_is_guessed_and_each_gap_comes_with_the_rule_that_closes_it():
    result = adopt(found(node("n1", GKE), node("n2", GKE)), AdoptionRules())
    assert {(u.lacks, u.gpus, u.rule) for u in result.unplaced} == {
        ("purchase kind", 16, 'purchases: [{label: "cloud.google.com/gke-nodepool", value: '
         '"train-a", purchase: KIND}]'),
        ("tier", 16, 'tiers: [{label: "cloud.google.com/gke-nodepool", value: "train-a", tier: '
         "TIER}]"),
    }  # fmt: skip
    assert result.tiers == {"": 16}


def test_what_one_rule_would_place_in_many_clusters_is_one_line():
    nodes = [node("n1", {"agentpool": "a"}), node("n2", {"agentpool": "a"}, cluster="stage")]
    tiers = [u for u in adopt(found(*nodes), AdoptionRules()).unplaced if u.lacks == "tier"]
    assert [(u.what, u.gpus) for u in tiers] == [
        ("prod: nodes with agentpool=a and 1 more like it", 16)
    ]


def test_the_rule_that_was_named_places_it():
    rules = AdoptionRules.model_validate({
        "tiers": [{"label": "cloud.google.com/gke-nodepool", "value": "train-*",
                   "tier": "training"}],
        "purchases": [{"label": "cloud.google.com/gke-nodepool", "value": "train-a",
                       "purchase": "on_demand"}],
    })  # fmt: skip
    result = adopt(found(node("n1", GKE)), rules)
    assert result.unplaced == []
    assert result.tiers == {"training": 8}
    (pool,) = result.pools
    assert (pool.id, pool.memory_gib, pool.gpus) == ("prod/H100/on_demand", 79.6, 8)
    assert pool.selector == {
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "cloud.google.com/gke-nodepool": "train-a",
    }


def test_queues_and_namespaces_place_pods_and_the_nodes_that_they_fill():
    rules = AdoptionRules(tiers=(TierRule(queue="research", tier="training"),
                                 TierRule(namespace="llm*", tier="inference")))  # fmt: skip
    nodes = [node("n1", H100), node("n2", H100), node("n3", H100)]
    pods = [pod("a", "n1"), pod("b", "n2", namespace="lab", queue="research"),
            pod("c", "n3", 4), pod("d", "n3", 4, namespace="lab", queue="research")]  # fmt: skip
    result = adopt(found(*nodes, pods=pods), rules)
    assert result.namespaces == {"llm": "inference", "lab": "training"}
    assert result.tiers == {"inference": 8, "training": 8, "": 8}  # n3 is used by both


def test_a_namespace_takes_the_tier_of_the_nodes_it_runs_on_when_they_agree():
    labelled = {**H100, "infra-console.dev/tier": "inference"}
    result = adopt(found(node("n1", labelled), pods=[pod("a", "n1")]), AdoptionRules())
    assert result.namespaces == {"llm": "inference"}


def test_idle_stranded_and_fragmented_by_node():
    nodes = [node("full", H100), node("part", H100), node("free", H100),
             node("dead", H100, ready=False), node("shut", H100, unschedulable=True)]  # fmt: skip
    pods = [pod("a", "full", 8), pod("b", "part", 6), pod("c", "part", 1, namespace="x")]
    pods[2] = pod("c", "full", 0)
    (use,) = adopt(found(*nodes, pods=pods), AdoptionRules()).uses
    assert (use.gpus, use.allocatable, use.requested) == (40, 40, 14)
    assert use.idle_without_pod == 2 + 8
    assert use.stranded == 2  # the smallest pod here asks for 6
    assert (use.fragmented_nodes, use.broken) == (1, 8)


def test_activity_counts_only_where_every_gpu_tells_it():
    gpus = [FoundGpu(cluster="prod", id="a", activity=0.9), FoundGpu(cluster="prod", id="b",
            activity=0.01), FoundGpu(cluster="prod", id="b", activity=0.02)]  # fmt: skip
    assert adopt(found(gpus=gpus), AdoptionRules()).uses[0].idle_by_activity == 1
    gpus.append(FoundGpu(cluster="prod", id="c"))
    assert adopt(found(gpus=gpus), AdoptionRules()).uses[0].idle_by_activity is None


def test_gpus_that_only_an_exporter_sees_are_counted_and_all_else_is_unknown():
    gpus = [FoundGpu(cluster="", id="GPU-604ac76c"), FoundGpu(cluster="", id="GPU-604ac76c")]
    result = adopt(found(gpus=gpus), AdoptionRules())
    (use,) = result.uses
    assert use.gpus == 1
    unknown = (use.nodes, use.allocatable, use.requested, use.idle_without_pod, use.stranded)
    assert unknown == (None,) * 5
    assert use.idle_by_activity is None
    assert result.pools == []
    assert [(u.lacks, u.what) for u in result.unplaced] == [("region", "cluster (no label)")]


def test_memory_is_the_exporters_where_no_label_tells_it():
    labels = {"nvidia.com/gpu.product": "NVIDIA-L40S", "karpenter.sh/capacity-type": "spot"}
    gpu = FoundGpu(cluster="prod", id="a", node="n1", memory_mib=46068.0)
    (pool,) = adopt(found(node("n1", labels), gpus=[gpu]), AdoptionRules()).pools
    assert pool.memory_gib == 45.0


def test_slices_and_time_slices_are_not_more_cards():
    mig = node("m", {**H100, "nvidia.com/gpu.count": "8"}, 0,
               resources={"nvidia.com/mig-1g.10gb": 56})  # fmt: skip
    shared = node("s", {**H100, "nvidia.com/gpu.replicas": "4"}, 32)
    by_hand = node("h", {**H100, "nvidia.com/gpu.replicas": "four"}, 8)
    assert [node_gpus(n) for n in (mig, shared, by_hand)] == [8, 8, 8]
    (use,) = adopt(found(mig, shared), AdoptionRules()).uses
    assert (use.gpus, use.mig, use.shared) == (16, {"nvidia.com/mig-1g.10gb": 56}, 1)


def test_the_proposal_is_a_fleet_file_once_a_person_said_what_no_cluster_tells():
    from infra_console.fleet.config import FleetConfig
    from tiers.adopting import parse_fleet

    labels = {**GKE, "karpenter.sh/capacity-type": "reserved", "infra-console.dev/tier": "training"}
    where = {"place": "Paris", "latitude": 48.9, "longitude": 2.3, "jurisdiction": "EU"}
    rules = AdoptionRules.model_validate({"regions": {"eu": where}})
    look = found(node("n1", labels), pods=[pod("a", "n1", 8), pod("b", "n1", 8)])
    text = fleet_proposal(look, adopt(look, rules), rules, sources=[("main", "http://p:9090")])
    with pytest.raises(Exception, match="shortfall_usd_per_unit_hour"):
        parse_fleet(text)
    said = text.replace(
        "# to say: shortfall_usd_per_unit_hour,", "shortfall_usd_per_unit_hour = 2 #"
    )
    config = parse_fleet(said)
    assert isinstance(config, FleetConfig)
    (pool,) = config.pools
    assert (pool.id, pool.usd_per_gpu_hour) == ("prod/H100/reserved", None)
    assert config.workloads[0].group_gpus == {"H100": 8}
    assert config.tiers.namespaces == {"llm": "training"}
    assert config.sources[0].clusters == ("prod",)


def test_two_clusters_of_one_region_get_a_region_each_until_a_region_may_hold_two():
    look = found(node("n1", GKE), node("n2", GKE, cluster="stage"))
    text = fleet_proposal(look, adopt(look, AdoptionRules()), AdoptionRules(), sources=[])
    assert 'region = "eu"' in text
    assert 'region = "eu-stage"' in text
