"""The fleet file: what is accepted, and how a mistake is named."""

import pytest

from infra_console.fleet.config import load_fleet_file
from infra_console.fleet.errors import FleetFileInvalid
from tests.tiers.factories import fleet_config, fleet_document

GOOD = """
schema = "fleet/1"
[[regions]]
id = "north"
place = "North"
latitude = 60.0
longitude = 10.0
jurisdiction = "EU"
[[clusters]]
id = "north"
context = "admin@north"
region = "north"
[[sources]]
id = "main"
url = "https://prometheus.example:9090"
clusters = ["north"]
[[pools]]
id = "north/H100/reserved"
cluster = "north"
gpu_type = "H100"
purchase = "reserved"
usd_per_gpu_hour = 3.0
gpu_memory_gib = 80
selector = {"nvidia.com/gpu.product" = "NVIDIA-H100-80GB-HBM3"}
[[workloads]]
id = "chat"
tier = "inference"
namespace = "serving"
kind = "Deployment"
name = "chat"
model = "chat"
regions = ["north"]
group_gpus = {H100 = 4}
units_per_group = {H100 = 5.0}
unit = "requests/s"
shortfall_usd_per_unit_hour = 20.0
[tiers]
namespaces = {serving = "inference"}
"""


def write(tmp_path, text):
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path):
    fleet = load_fleet_file(write(tmp_path, GOOD))
    assert fleet.clusters[0].context == "admin@north"
    assert fleet.tiers.label_key == "infra-console.dev/tier"
    assert fleet.twin is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('region = "north"\n[[sources', 'region = "south"\n[[sources', "clusters.region"),
        ('clusters = ["north"]', 'clusters = ["east"]', "sources.clusters"),
        ("gpu_memory_gib = 80", "gpu_memory_gib = 80\ncolour = 1", "pools.0.colour"),
        ("latitude = 60.0", "latitude = 600.0", "regions.0.latitude"),
        ("units_per_group = {H100 = 5.0}", "units_per_group = {A100 = 5.0}", "same GPU types"),
        ('schema = "fleet/1"', 'schema = "fleet/9"', "schema"),
        ("[tiers]", "[tiers", "not TOML"),
    ],
)
def test_a_mistake_is_named_by_its_path(tmp_path, old, new, named):
    assert old in GOOD
    with pytest.raises(FleetFileInvalid, match=named):
        load_fleet_file(write(tmp_path, GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("group", "units", "named"),
    [
        (0, 5.0, r"workloads.0.group_gpus.H100"),
        (-4, 5.0, r"workloads.0.group_gpus.H100"),
        (4, 0.0, r"workloads.0.units_per_group.H100"),
    ],
)
def test_a_group_of_nothing_is_refused(group, units, named):
    workload = fleet_document()["workloads"][0]
    sizes = {"group_gpus": {"H100": group}, "units_per_group": {"H100": units}}
    with pytest.raises(ValueError, match="greater than 0") as refused:
        fleet_config(workloads=[workload | sizes])
    assert named in str(refused.value)


@pytest.mark.parametrize("slo_ms", [1, 750, 10_000])
def test_an_slo_on_an_edge_of_vllm_is_accepted(slo_ms):
    workload = fleet_document()["workloads"][0]
    fleet = fleet_config(workloads=[workload | {"slo_ttft_p95_ms": slo_ms}])
    assert fleet.workloads[0].slo_ttft_p95_ms == slo_ms


def test_an_slo_beside_the_edges_is_refused_with_their_list():
    workload = fleet_document()["workloads"][0]
    with pytest.raises(ValueError, match=r"500, 750, 1000, 2500") as refused:
        fleet_config(workloads=[workload | {"slo_ttft_p95_ms": 1200}])
    assert "workloads.0.slo_ttft_p95_ms" in str(refused.value)


def _again(kind: str, number: int, **changes: object) -> dict:
    """The fleet with one more entry, a changed copy of an entry that it has."""
    entries = fleet_document()[kind]
    return {kind: [*entries, entries[number] | changes]}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (_again("regions", 0), "regions.id names north"),
        (_again("sources", 0, id="two"), "sources.clusters names north"),
        (_again("sources", 0, clusters=[]), "sources.id names main"),
        (_again("pools", 0), "pools.id names north/H100/reserved"),
        (_again("workloads", 0, model="other"), "workloads.id names chat"),
        (_again("workloads", 0, id="b", model="other"), "workloads.name names inference/chat"),
        (_again("workloads", 0, id="b", name="b"), "workloads.model names chat in north"),
        (_again("workloads", 1, id="b"), "workloads.namespace with unit GPUs names training"),
        (_again("workloads", 1, id="b", namespace="b"), "other than services names training"),
    ],
)
def test_what_would_be_counted_twice_is_refused_with_its_path(changes, named):
    with pytest.raises(ValueError, match=named):
        fleet_config(**changes)


def test_one_model_may_be_served_by_a_deployment_of_its_own_in_every_region():
    (region,), chat = fleet_document()["regions"], fleet_document()["workloads"][0]
    fleet = fleet_config(
        regions=[region, region | {"id": "south"}],
        workloads=[chat, chat | {"id": "b", "name": "b", "regions": ["south"]}],
    )
    assert len(fleet.workloads) == 2


def test_two_clusters_in_one_region_are_refused_until_their_demand_is_divided(tmp_path):
    second = '[[clusters]]\nid = "two"\ncontext = "two"\nregion = "north"\n[[sources]]'
    with pytest.raises(FleetFileInvalid, match="one cluster for now"):
        load_fleet_file(write(tmp_path, GOOD.replace("[[sources]]", second, 1)))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FleetFileInvalid, match="cannot be read"):
        load_fleet_file(tmp_path / "none.toml")


RULE = """
[[approvals]]
title = "training gives GPUs"
approvals = 2
roles = ["operator"]
min_training_gpus = 1
clusters = ["north"]
"""


def test_approval_rules_replace_the_built_in_table_and_an_empty_one_is_a_choice(tmp_path):
    assert load_fleet_file(write(tmp_path, GOOD)).approvals is None
    assert load_fleet_file(write(tmp_path, "approvals = []" + GOOD)).approvals == ()
    (rule,) = load_fleet_file(write(tmp_path, GOOD + RULE)).approvals
    assert (rule.approvals, rule.roles) == (2, ("operator",))


@pytest.mark.parametrize(
    ("word", "mistake"), [("operator", "unknown role"), ("north", "approvals.clusters names")]
)
def test_an_approval_rule_names_known_roles_and_clusters(tmp_path, word, mistake):
    with pytest.raises(FleetFileInvalid, match=mistake):
        load_fleet_file(write(tmp_path, GOOD + RULE.replace(word, "nobody")))
