"""`manage.py adopt` and its page: from Prometheus alone, from an API, and what each cannot tell."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from infra_console.audit.models import AuditRow
from infra_console.fleet.models import Cluster
from infra_console.fleet.queries import current_fleet
from infra_console.telemetry.adapters.memory import MemorySource
from infra_console.telemetry.catalogue import main_query, spec_of
from infra_console.telemetry.errors import SourceUnreachable
from infra_console.telemetry.series import RawSeries
from tests.people import person
from tests.tiers.test_prometheus_fleet import H100, pod
from tiers import looking, tasks
from tiers.adapters.inventory_prometheus import QUERIES
from tiers.adopting import keep_inventory, last_look
from tiers.core.inventory import FoundNode, Inventory

pytestmark = pytest.mark.django_db
RULES = "tiers:\n- {namespace: inference, tier: inference}\n"


def rows(*samples, cluster="north"):
    now_s = datetime.now(UTC).timestamp()
    name = {"cluster": cluster} if cluster else {}
    return [
        RawSeries(name | labels, np.array([now_s]), np.array([float(value)]))
        for labels, value in samples
    ]


def answers(found):
    return {main_query(spec_of(name), {}): found.get(name, []) for name in QUERIES}


GPUS = {"resource": "nvidia_com_gpu"}
KSM = {
    "node_labels": rows(({"node": "n1", **H100, "label_karpenter_sh_capacity_type": "spot",
                          "label_topology_kubernetes_io_region": "eu"}, 1)),
    "node_gpu_resources": rows(({"node": "n1", **GPUS}, 8),
                               ({"node": "n1", "resource": "nvidia_com_mig_1g_10gb"}, 7)),
    "node_gpu_resources_allocatable": rows(({"node": "n1", **GPUS}, 8)),
    "node_ready": rows(({"node": "n1"}, 1)),
    "node_unschedulable": rows(({"node": "n1"}, 0)),
    "pod_info": rows((pod("chat-1", node="n1"), 1)),
    "pod_phase": rows((pod("chat-1", phase="Running"), 1)),
    "pod_gpu_requests": rows((pod("chat-1"), 4)),
    "pod_labels": rows((pod("chat-1", label_kueue_x_k8s_io_queue_name="serve"), 1)),
}  # fmt: skip


@pytest.fixture
def prometheus(monkeypatch):
    """The Prometheus that `--prometheus` reaches."""

    def put(found, **changes):
        source = MemorySource(answers(found), **changes)
        monkeypatch.setattr(looking, "PrometheusSource", lambda *_, **__: source)

    return put


def run(capsys, *options):
    call_command("adopt", "--prometheus", "http://p", "--json", *options)
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def test_the_budget_is_printed_before_anything_is_asked(capsys):
    call_command("adopt", "--budget-only", "--nodes", "1000", "--clusters", "12")
    told = capsys.readouterr()
    assert told.out == ""
    assert "this look asks 16 queries once, about 48,240 series and 10.1 MiB" in told.err


def test_prometheus_alone_tells_nodes_pods_and_pools(prometheus, capsys):
    prometheus(KSM)
    told, _ = run(capsys)
    (use,) = told["uses"]
    assert (use["cluster"], use["region"], use["gpus"]) == ("north", "eu", 8)
    assert (use["requested"], use["idle_without_pod"]) == (4, 4)
    assert use["mig"] == {"nvidia.com/mig-1g.10gb": 7}
    assert use["idle_by_activity"] is None
    assert told["pools"][0]["purchase"] == "spot"
    assert told["tiers"] == {"inference": 8}
    assert any("dcgm-exporter" in words for words in told["unknown"])
    assert not Cluster.objects.exists()
    assert last_look()[0].pods[0].queue == "serve"


def test_an_exporter_behind_a_plain_prometheus_gives_gpus_and_no_zero(prometheus, capsys):
    sample = {"gpu": "0", "UUID": "GPU-604ac76c"}
    prometheus({"gpu_inventory": rows((sample, 139), cluster="")})
    told, _ = run(capsys)
    (use,) = told["uses"]
    assert use["gpus"] == 1
    assert {use[k] for k in ("nodes", "allocatable", "requested", "stranded", "broken")} == {None}
    assert any("pods ask for GPUs" in words for words in told["unknown"])


def test_a_source_that_refuses_is_named_and_nothing_is_taken_for_none(prometheus, capsys):
    prometheus({}, failure=SourceUnreachable("p", "connection refused"))
    told, _ = run(capsys)
    assert told["uses"] == []
    assert told["unknown"] == ["everything: http://p: connection refused"]


def test_rules_may_be_tried_without_keeping_them(prometheus, capsys, tmp_path):
    prometheus(KSM)
    file = tmp_path / "rules.yaml"
    file.write_text("tiers: [{namespace: inference, tier: operational}]")
    told, _ = run(capsys, "--rules", str(file), "--no-keep")
    assert told["namespaces"] == {"inference": "operational"}
    assert last_look() is None
    file.write_text("tiers: [{colour: red, tier: operational}]")
    with pytest.raises(CommandError, match="colour"):
        run(capsys, "--rules", str(file))


def test_nowhere_to_look_is_said(capsys):
    with pytest.raises(CommandError, match="name a Prometheus"):
        call_command("adopt")


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def looked():
    keep_inventory(
        Inventory(
            taken_at=datetime.now(UTC),
            source="prometheus",
            nodes=(FoundNode(cluster="prod", name="n1", resources={"nvidia.com/gpu": 8},
                             labels={"agentpool": "a100"}),),
            unknown=("how much GPUs work",),
        ),
        by="rosa",
    )  # fmt: skip


def page(client, address="/tiers/adoption/"):
    return client.get(address).content.decode()


def test_before_any_look_the_page_says_how_to(client):
    client.force_login(person("viewer"))
    assert "Nobody has looked yet" in page(client)


def test_the_page_tells_found_unknown_and_unplaced_with_rules(client, looked):
    client.force_login(person("viewer"))
    text = page(client)
    assert "through Prometheus alone" in text
    assert "how much GPUs work" in text
    assert "agentpool=a100" in text
    assert "needs the right fleet.manage" in text
    for door in ("look", "rules", "apply"):
        assert client.post(f"/tiers/adoption/{door}").status_code == 403


def test_rules_edited_on_the_page_place_at_once_and_bad_ones_change_nothing(client, looked):
    client.force_login(person("admin"))
    rule = 'tiers: [{label: "agentpool", value: "a*", tier: training}]'
    client.post("/tiers/adoption/rules", {"rules": rule})
    assert "label agentpool=a* 8" in page(client)
    answer = client.post("/tiers/adoption/rules", {"rules": "tiers: [{tier: gold}]"})
    assert answer.status_code == 400
    assert "The rules stay as they were" in answer.content.decode()
    assert "gold" in answer.content.decode()  # what was typed is not lost
    assert "label agentpool=a* 8" in page(client)
    assert AuditRow.objects.filter(action="adoption.rules_saved").count() == 1


def test_a_proposal_that_lacks_something_is_refused_with_its_keys(client, looked):
    client.force_login(person("admin"))
    assert "Still to say" in page(client)
    answer = client.post("/tiers/adoption/apply", {"proposal": 'schema = "fleet/1"'})
    assert answer.status_code == 400
    assert "regions: Field required" in answer.content.decode()
    assert current_fleet() is None


def test_an_edited_proposal_is_applied_as_a_file_is(client, looked):
    client.force_login(person("admin"))
    text = """
schema = "fleet/1"
sources = []
workloads = []
[[regions]]
id = "eu"
place = "Paris"
latitude = 48.9
longitude = 2.3
jurisdiction = "EU"
[[clusters]]
id = "prod"
context = "prod"
region = "eu"
[[pools]]
id = "prod/A100/spot"
cluster = "prod"
gpu_type = "A100"
purchase = "spot"
gpu_memory_gib = 80
selector = { agentpool = "a100" }
[tiers]
namespaces = {}
"""
    client.post("/tiers/adoption/apply", {"proposal": text})
    assert current_fleet().pools[0].usd_per_gpu_hour is None
    assert AuditRow.objects.get(action="fleet.applied").actor == "admin"


def test_a_look_asked_for_is_done_by_a_worker(monkeypatch):
    seen = Inventory(taken_at=datetime.now(UTC), source="prometheus")
    monkeypatch.setattr(tasks, "look", lambda *_, **__: seen)
    tasks.look_again(by="rosa")
    assert last_look()[2] == "rosa"
