"""What happens by command in a world: autoscalers that read its physics, agents, empty clouds."""

from datetime import UTC, datetime

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests.tiers.twin.objects import NOW_S
from tiers.twin.agents import agent_commands
from tiers.twin.controllers.health import TAINT
from tiers.twin.errors import NoSuchThing
from tiers.twin.exporter_commands import exporter_commands
from tiers.twin.files import TwinPaths, init, load_demand
from tiers.twin.kube.resources import CLUSTER_QUEUES, DEPLOYMENTS, HPAS, JOBS, NODES
from tiers.twin.start import start_world

CLUSTER = "brazilsouth"
NODE = f"{CLUSTER}-h100-reserved-01"


@pytest.fixture
def world(tmp_path):
    paths = TwinPaths(tmp_path)
    settings = init(paths)
    return start_world(paths, settings, load_demand(settings), now_s=NOW_S, clusters=(CLUSTER,))


def advance(world, seconds):
    for t in np.arange(world.now_s + 2.0, world.now_s + seconds + 0.1, 2.0).tolist():
        list(world.tick(t))


def replicas(world) -> int:
    return world.stores[CLUSTER].get(DEPLOYMENTS, "inference", "chat-7b")["spec"]["replicas"]


def test_an_autoscaler_reads_what_the_simulated_servers_do(world):
    advance(world, 10)
    before = replicas(world)
    goal = {"type": "AverageValue", "averageValue": "1m"}
    metric = {"metric": {"name": "vllm:num_requests_running"}, "target": goal}
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "chat-7b"},
        "minReplicas": 1,
        "maxReplicas": before + 2,
        "metrics": [{"type": "Pods", "pods": metric}],
    }
    body = {"metadata": {"name": "chat-7b", "namespace": "inference"}, "spec": spec, "status": {}}
    world.stores[CLUSTER].create(HPAS, body, datetime.fromtimestamp(NOW_S, UTC))
    world.take_exporters_down(5.0)
    advance(world, 10)
    assert replicas(world) == before, "nobody can read a metric"
    world.take_exporters_down(0.0)
    advance(world, 10)
    assert replicas(world) == before + 2


async def test_a_node_falls_sick_and_heals_by_command(world):
    commands = exporter_commands(world)
    words = {"cluster": CLUSTER, "node": NODE}
    for code, present in ((48, True), (0, False)):
        await commands["xid"]({**words, "code": code})
        advance(world, 4)
        taints = world.stores[CLUSTER].get(NODES, "", NODE)["spec"]["taints"]
        assert any(taint["key"] == TAINT for taint in taints) is present


async def test_commands_refuse_names_that_are_not_there(world):
    commands = agent_commands(world)
    for name, words in (
        ("gitops", {"cluster": CLUSTER, "kind": "Deployment", "name": "none"}),
        ("no-capacity", {"cluster": CLUSTER}),
    ):
        with pytest.raises(NoSuchThing):
            await commands[name](words)


def test_the_command_line_knows_them(tmp_path, settings):
    settings.STATE_DIR = tmp_path
    call_command("twin", "init")
    for words in (
        ("gitops", "--cluster", CLUSTER, "--kind", "Deployment", "--namespace", "inference",
         "--name", "chat-7b", "--field", "/spec/replicas"),
        ("no-capacity", CLUSTER, "--minutes", "5"),
        ("kueue", CLUSTER),
    ):  # fmt: skip
        with pytest.raises(CommandError, match="No twin answers"):
            call_command("twin", *words)


async def test_a_cluster_whose_training_is_put_under_kueue_admits_its_gangs(world):
    store = world.stores[CLUSTER]
    answer = await agent_commands(world)["kueue"]({"cluster": CLUSTER})
    assert sorted(answer["queued"]) == sorted(j["metadata"]["name"] for j in store.all(JOBS))
    advance(world, 20)
    (queue,) = store.all(CLUSTER_QUEUES)
    assert queue["status"]["admittedWorkloads"] > 0
    assert queue["status"]["pendingWorkloads"] > 0
    held = int(queue["status"]["flavorsUsage"][0]["resources"][0]["total"])
    quota = queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"]
    assert 0 < held <= int(quota) == 48
    again = await agent_commands(world)["kueue"]({"cluster": CLUSTER})
    assert len(again["queued"]) == len(store.all(JOBS))
    assert len(store.all(CLUSTER_QUEUES)) == 1
