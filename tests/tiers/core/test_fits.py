"""What keeps work off a place, as the scheduler would judge it, with the stanza that helps."""

import pytest

from tiers.core.fits import Place, Taint, WorkNeeds, obstacles, places_of

KEY = "infra-console.dev/tier"
MEMORY = {"H100": 80.0, "L40S": 48.0}
NOT = "NoSchedule"


def place(*taints: Taint, labels=None, gpus: int = 8, **changes) -> Place:
    node = ("north/L40S", "inference", labels or {}, list(taints), gpus)
    (found,) = places_of([node], cluster="north", pools={"north/L40S": ("L40S", 48.0)})
    return found


def work(**changes) -> WorkNeeds:
    values = {"cluster": "north", "namespace": "llm", "name": "chat", "tier": "inference",
              "gpus": 4, "workload": "chat"}  # fmt: skip
    return WorkNeeds(**(values | changes))


def kinds(work: WorkNeeds, place: Place) -> list[str]:
    return [o.kind for o in obstacles(work, place, tier_key=KEY, memory_gib=MEMORY)]


def test_a_taint_that_is_not_tolerated_comes_with_its_toleration():
    found = obstacles(work(), place(Taint("dedicated", "llm", NOT)), tier_key=KEY, memory_gib={})
    assert found[0].words == "no toleration of dedicated=llm:NoSchedule"
    assert found[0].stanza == (
        'tolerations:\n- key: dedicated\n  operator: Equal\n  value: "llm"\n  effect: NoSchedule'
    )


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "dedicated", "operator": "Exists"},
        {"key": "dedicated", "value": "llm"},
        {"key": "dedicated", "operator": "Equal", "value": "llm", "effect": NOT},
    ],
)
def test_a_toleration_holds_as_kubernetes_says(toleration):
    assert kinds(work(tolerations=(toleration,)), place(Taint("dedicated", "llm", NOT))) == []


@pytest.mark.parametrize(
    "toleration",
    [{"key": "dedicated", "value": "x"}, {"key": "dedicated", "operator": "Exists",
                                          "effect": "NoExecute"}],
)  # fmt: skip
def test_another_value_or_effect_does_not(toleration):
    held = place(Taint("dedicated", "llm", NOT))
    assert kinds(work(tolerations=(toleration,)), held) == ["toleration"]


def test_the_tiers_own_key_cordons_and_preferences_are_no_obstacle():
    held = place(
        Taint(KEY, "training", NOT), Taint("node.kubernetes.io/unschedulable", "", NOT),
        Taint("soft", "", "PreferNoSchedule"), labels={KEY: "training"},
    )  # fmt: skip
    assert kinds(work(selector={KEY: "inference"}), held) == []


def test_what_only_some_nodes_of_a_place_have_keeps_nobody_off():
    nodes = [
        ("p", "t", {"zone": "a", "disk": "ssd"}, [Taint("sick", "", NOT)], 8),
        ("p", "t", {"zone": "b"}, [], 8),
    ]
    (held,) = places_of(nodes, cluster="north", pools={})
    assert (held.nodes, held.taints) == (2, ())
    assert kinds(work(selector={"zone": "b"}), held) == []
    assert kinds(work(selector={"disk": "ssd"}), held) == ["selector"]


def test_nobody_is_helped_to_tolerate_an_ill_node():
    ill = Taint("nvidia.com/gpu-health", "xid-79", NOT)
    assert kinds(work(), place(ill)) == []
    nodes = [("p", "training", {}, [Taint("own", "", NOT)], 8), ("p", "inference", {}, [], 8)]
    assert all(not held.taints for held in places_of(nodes, cluster="north", pools={}))


def test_a_selector_says_what_the_nodes_have():
    (found,) = obstacles(
        work(selector={"gpu": "H100"}), place(labels={"gpu": "L40S"}), tier_key=KEY, memory_gib={}
    )
    assert found.stanza == "nodeSelector:\n  gpu: L40S"


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "gpu", "operator": "In", "values": ["L40S", "H100"]}, True),
        ({"key": "gpu", "operator": "In", "values": ["H100"]}, False),
        ({"key": "gpu", "operator": "NotIn", "values": ["L40S"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["L40S"]}, True),
        ({"key": "none", "operator": "DoesNotExist"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "count", "operator": "Gt", "values": ["4"]}, True),
        ({"key": "count", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "count", "operator": "Gt", "values": ["--4"]}, False),
    ],
)
def test_required_affinity_is_judged_term_by_term(expression, fits):
    held = place(labels={"gpu": "L40S", "count": "8"})
    assert (kinds(work(terms=((expression,),)), held) == []) is fits
    either = work(terms=((expression,), ({"key": "gpu", "operator": "Exists"},)))
    assert kinds(either, held) == []


def test_a_type_without_a_group_says_how_many_gpus_hold_as_much():
    found = obstacles(
        work(gpus_by_type={"H100": 8}), place(gpus=8), tier_key=KEY, memory_gib=MEMORY
    )
    assert [o.kind for o in found] == ["GPU type", "memory"]
    assert "14 GPUs hold as much memory" in found[0].words  # 8 x 80 / 48
    assert "L40S = 14" in found[0].stanza


def test_a_pod_larger_than_a_node_is_named():
    assert kinds(work(gpus=8), place(gpus=4)) == ["size"]
