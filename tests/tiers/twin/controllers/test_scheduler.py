"""Where pods go: taints, affinity, spread, blocks, and who must leave for whom."""

import pytest

from tests.tiers.twin.kube import objects
from tiers.twin.controllers.config import DRAIN_KEY
from tiers.twin.controllers.pods import condition, is_leaving
from tiers.twin.controllers.training import submit
from tiers.twin.kube.resources import EVENTS, JOBS, NODES, PDBS, PODS, PRIORITY_CLASSES

BLOCK = "nvidia.com/block"
ZONE = "topology.kubernetes.io/zone"


def label(world, name: str, **labels: str) -> None:
    node = world.store.get(NODES, "", name)
    metadata = node["metadata"] | {"labels": node["metadata"]["labels"] | labels}
    world.store.put(NODES, {**node, "metadata": metadata})


def nodes(world, *names: str, gpus: int = 8, **labels: str) -> None:
    for name in names:
        world.add_node(name, gpus=gpus)
        label(world, name, **{"kubernetes.io/hostname": name, **labels})


def pod(world, name: str, gpus: int = 1, app: str = "chat", **spec) -> None:
    made = objects.pod(name, app=app, gpus=gpus)
    made["spec"] |= spec
    world.add(PODS, made)


def where(world, name: str) -> str | None:
    return world.store.get(PODS, "inference", name)["spec"].get("nodeName")


def why_not(world, name: str) -> str:
    return condition(world.store.get(PODS, "inference", name), "PodScheduled")["message"]


def in_zone(operator: str, *values: str) -> dict:
    return {"matchExpressions": [{"key": ZONE, "operator": operator, "values": list(values)}]}


def near(kind: str, key: str) -> dict:
    term = {"labelSelector": {"matchLabels": {"app": "chat"}}, "topologyKey": key}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def classes(world) -> None:
    for name, value in (("low", -10), ("high", 100)):
        world.add(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})


def test_required_node_affinity_holds_a_pod_to_its_terms(world):
    nodes(world, "a", **{ZONE: "1"})
    nodes(world, "b", **{ZONE: "2"})
    term = {"nodeSelectorTerms": [in_zone("In", "3"), in_zone("NotIn", "1")]}
    rule = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
    pod(world, "p", affinity=rule)
    world.live(2)
    assert where(world, "p") == "b"


def test_preferred_node_affinity_beats_the_tightest_fit(world):
    nodes(world, "a", gpus=1, **{ZONE: "1"})
    nodes(world, "b", **{ZONE: "2"})
    wish = [{"weight": 50, "preference": in_zone("In", "2")}]
    rule = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}}
    pod(world, "p", affinity=rule)
    world.live(2)
    assert where(world, "p") == "b"


def test_a_soft_taint_is_taken_only_when_nothing_else_is_left(world):
    nodes(world, "a", "b", gpus=1)
    soft = {"key": "spare", "value": "", "effect": "PreferNoSchedule"}
    taints = world.store.get(NODES, "", "a")["spec"]["taints"]
    world.change_node("a", taints=[*taints, soft])
    pod(world, "p")
    world.live(2)
    pod(world, "q")
    world.live(2)
    assert (where(world, "p"), where(world, "q")) == ("b", "a")


@pytest.mark.parametrize("key", ["kubernetes.io/hostname", ZONE])
def test_pods_that_shun_each_other_get_different_domains(world, key):
    nodes(world, "a", "b", **{ZONE: "1"})
    nodes(world, "c", **{ZONE: "2"})
    for name in ("p", "q", "r"):
        pod(world, name, affinity=near("podAntiAffinity", key))
        world.live(2)
    domains = {world.store.get(NODES, "", n)["metadata"]["labels"][key]
               for p in "pqr" if (n := where(world, p))}  # fmt: skip
    bound = [p for p in "pqr" if where(world, p)]
    assert len(domains) == len(bound) == (3 if key == "kubernetes.io/hostname" else 2)
    if len(bound) == 2:
        assert "3 node(s) didn't match pod anti-affinity rules" in why_not(world, "r")


def test_a_pod_already_there_keeps_away_what_it_shuns(world):
    nodes(world, "a")
    pod(world, "p", app="other", affinity=near("podAntiAffinity", "kubernetes.io/hostname"))
    world.live(2)
    pod(world, "q")
    world.live(2)
    assert "existing pods anti-affinity" in why_not(world, "q")


def test_pods_that_want_company_join_it(world):
    nodes(world, "a", "b", **{ZONE: "1"})
    nodes(world, "c", gpus=2, **{ZONE: "2"})
    for name in ("p", "q"):
        pod(world, name, affinity=near("podAffinity", ZONE))
    world.live(4)
    pod(world, "r", gpus=2, affinity=near("podAffinity", ZONE))
    world.live(2)
    assert (where(world, "p"), where(world, "q"), where(world, "r")) == ("c", "c", None)


def test_pods_are_spread_over_blocks_within_the_skew(world):
    nodes(world, "a", **{BLOCK: "1"})
    nodes(world, "b", **{BLOCK: "2"})
    spread = {"maxSkew": 1, "topologyKey": BLOCK, "whenUnsatisfiable": "DoNotSchedule",
              "labelSelector": {"matchLabels": {"app": "chat"}}}  # fmt: skip
    for name in ("p", "q", "r", "s"):
        pod(world, name, topologySpreadConstraints=[spread])
    world.live(2)
    assert sorted(where(world, name) for name in "pqrs") == ["a", "a", "b", "b"]


def test_a_gated_pod_waits_for_its_gate(world):
    nodes(world, "a")
    pod(world, "p", schedulingGates=[{"name": "later"}])
    world.live(4)
    assert where(world, "p") is None


def test_higher_priority_makes_the_lowest_leave_and_takes_its_place(world):
    nodes(world, "a", "b", gpus=4)
    classes(world)
    pod(world, "usual", gpus=4)
    world.live(2)
    pod(world, "cheap", gpus=4, priorityClassName="low")
    world.live(20)
    victim = where(world, "cheap")
    pod(world, "urgent", gpus=4, priorityClassName="high")
    world.live(2)
    going = world.store.get(PODS, "inference", "cheap")
    assert is_leaving(going)
    assert condition(going, "DisruptionTarget")["reason"] == "PreemptionByScheduler"
    assert world.store.get(PODS, "inference", "urgent")["status"]["nominatedNodeName"] == victim
    world.live(10)
    assert where(world, "urgent") == victim
    assert "Preempted" in {e["reason"] for e in world.store.all(EVENTS)}


def test_preemption_spares_what_a_budget_protects_where_it_can(world):
    nodes(world, "a", "b", gpus=2)
    classes(world)
    pod(world, "kept", gpus=2, app="chat")
    pod(world, "spare", gpus=2, app="other")
    world.add(PDBS, objects.budget(max_unavailable=0))
    world.live(20)
    pod(world, "urgent", gpus=2, app="third", priorityClassName="high")
    world.live(10)
    assert where(world, "urgent") and where(world, "kept")
    assert world.store.find(PODS, "inference", "spare") is None


def test_a_pod_that_may_not_preempt_waits(world):
    nodes(world, "a", gpus=1)
    classes(world)
    pod(world, "p")
    world.live(2)
    pod(world, "q", priorityClassName="high", preemptionPolicy="Never")
    world.live(10)
    assert where(world, "p") == "a" and where(world, "q") is None


class Gang:
    nodes, work_s = 2, 36_000.0


def gang(world, kind: str, size: int) -> None:
    Gang.nodes = size
    job = submit(world.store, Gang, world.now)
    template = job["spec"]["template"]
    notes = template["metadata"]["annotations"] | {f"kueue.x-k8s.io/podset-{kind}-topology": BLOCK}
    template = template | {"metadata": template["metadata"] | {"annotations": notes}}
    world.store.put(JOBS, {**job, "spec": job["spec"] | {"template": template}})


def blocks(world, **sizes: int) -> None:
    for block, count in sizes.items():
        for number in range(count):
            world.add_node(f"{block}{number}", tier="training")
            label(world, f"{block}{number}", **{BLOCK: block})


def test_a_gang_that_needs_one_block_says_how_much_of_it_fits(world):
    blocks(world, a=2, b=3)
    gang(world, "required", 4)
    world.live(4)
    said = {condition(p, "PodScheduled")["message"] for p in world.pods("training")}
    assert said == {
        '0/5 nodes are available: topology "nvidia.com/block" allows to fit only 3 out of 4 pod(s).'
    }
    blocks_left = {"b9"}
    world.add_node("b9", tier="training")
    label(world, "b9", **{BLOCK: "b"})
    world.live(4)
    assert world.nodes_used("training") == {"b0", "b1", "b2"} | blocks_left


def test_a_gang_takes_the_block_that_it_fills_best(world):
    blocks(world, a=4, b=2)
    gang(world, "required", 2)
    world.live(4)
    assert world.nodes_used("training") == {"b0", "b1"}


def test_a_gang_that_prefers_one_block_is_content_with_two(world):
    blocks(world, a=2, b=2)
    gang(world, "preferred", 3)
    world.live(4)
    assert len(world.nodes_used("training")) == 3


def test_a_gang_of_higher_priority_empties_one_block_for_itself(world):
    blocks(world, a=2, b=2)
    classes(world)
    for _ in range(4):
        gang(world, "preferred", 1)
    world.live(60)
    gang(world, "required", 2)
    job = world.store.all(JOBS)[-1]
    spec = job["spec"]["template"]["spec"] | {"priorityClassName": "high"}
    template = job["spec"]["template"] | {"spec": spec}
    world.store.put(JOBS, {**job, "spec": job["spec"] | {"template": template}})
    world.live(60)
    mine = {p["spec"].get("nodeName", "") for p in world.pods("training")
            if p["metadata"]["name"].startswith("train-005")}  # fmt: skip
    assert mine in ({"a0", "a1"}, {"b0", "b1"})


MIG = "nvidia.com/mig-1g.10gb"


def asks(name: str, **amounts: str) -> dict:
    made = objects.pod(name)
    made["spec"]["containers"][0]["resources"] = {"limits": amounts, "requests": amounts}
    return made


def has(world, name: str, **amounts: str) -> None:
    node = world.store.get(NODES, "", name)
    held = node["status"]["allocatable"] | amounts
    world.store.put(NODES, {**node, "status": node["status"] | {"allocatable": held}})


@pytest.mark.parametrize(
    ("resource", "held", "asked"),
    [(MIG, "2", "1"), ("rdma/hca", "2", "1"), ("cpu", "1", "500m"), ("memory", "1Gi", "512Mi")],
)
def test_no_more_of_any_resource_is_given_than_a_node_has(world, resource, held, asked):
    nodes(world, "n1")
    has(world, "n1", **{resource: held})
    for name in ("p", "q", "r"):
        world.add(PODS, asks(name, **{resource: asked}))
    world.live(2)
    assert [where(world, name) for name in ("p", "q", "r")] == ["n1", "n1", None]
    assert why_not(world, "r") == f"0/1 nodes are available: 1 Insufficient {resource}."


def test_a_resource_that_a_node_does_not_have_is_not_given(world):
    nodes(world, "n1")
    world.add(PODS, asks("p", **{MIG: "1"}))
    world.live(2)
    assert where(world, "p") is None


def test_a_node_takes_no_more_pods_than_it_says(world):
    nodes(world, "n1")
    has(world, "n1", pods="1")
    pod(world, "p")
    pod(world, "q")
    world.live(2)
    assert why_not(world, "q") == "0/1 nodes are available: 1 Too many pods."


def test_an_init_container_may_ask_for_more_than_the_rest(world):
    nodes(world, "n1", gpus=2)
    made = objects.pod("p")
    made["spec"]["initContainers"] = [
        {"name": "warm", "image": "server:1", "resources": {"limits": {"nvidia.com/gpu": "3"}}}
    ]
    world.add(PODS, made)
    world.live(2)
    assert "Insufficient nvidia.com/gpu" in why_not(world, "p")


def test_lower_priorities_leave_for_an_extended_resource(world):
    classes(world)
    nodes(world, "n1")
    has(world, "n1", **{MIG: "1"})
    low = asks("low", **{MIG: "1"})
    low["spec"]["priorityClassName"] = "low"
    pod(world, "bystander", priorityClassName="low")
    world.add(PODS, low)
    world.live(4)
    high = asks("high", **{MIG: "1"})
    high["spec"]["priorityClassName"] = "high"
    world.add(PODS, high)
    world.live(30)
    assert where(world, "high") == "n1"
    assert where(world, "bystander") == "n1"


def test_what_victims_free_is_not_taken_by_lower_priorities_meanwhile(world):
    """Two victims leave one after the other; a small pod must not slip in between."""
    classes(world)
    nodes(world, "n1", gpus=4)
    for name in ("first", "second"):
        pod(world, name, gpus=2, priorityClassName="low")
    world.live(10)
    second = world.store.get(PODS, "inference", "second")
    world.note(second, **{DRAIN_KEY: "300"})
    pod(world, "high", gpus=4, priorityClassName="high")
    world.live(2)
    pod(world, "small", gpus=2, priorityClassName="low")
    world.live(6)
    assert where(world, "small") is None
    world.live(40)
    assert where(world, "high") == "n1"
    assert where(world, "small") is None


def test_nobody_leaves_for_a_pod_that_lacks_something_else(world):
    classes(world)
    nodes(world, "n1")
    pod(world, "low", priorityClassName="low")
    world.live(4)
    apart = near("podAntiAffinity", "kubernetes.io/hostname")
    pod(world, "high", priorityClassName="high", affinity=apart)
    world.live(10)
    assert "nominatedNodeName" not in world.store.get(PODS, "inference", "high")["status"]
    assert where(world, "low") == "n1"
