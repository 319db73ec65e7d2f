"""A world from nothing: sized as its past, alive under controllers, the same after a restart."""

import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests.tiers.twin.objects import NOW_S
from tiers.twin import history
from tiers.twin.demand import BuiltInDemand, job_arrivals
from tiers.twin.files import TwinPaths, init, load_demand
from tiers.twin.kube.resources import DEPLOYMENTS, JOBS, NODES
from tiers.twin.operating import operating_curve
from tiers.twin.policy import past_groups
from tiers.twin.profile import nodes_of
from tiers.twin.start import start_world
from tiers.twin.world import resize

CLUSTERS = ("eastus", "brazilsouth")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    paths = TwinPaths(tmp_path_factory.mktemp("state"))
    settings = init(paths)
    return paths, settings


@pytest.fixture
def world(made):
    paths, settings = made
    return start_world(paths, settings, load_demand(settings), now_s=NOW_S, clusters=CLUSTERS)


def advance(world, seconds):
    for t in np.arange(world.now_s + 2.0, world.now_s + seconds + 0.1, 2.0).tolist():
        list(world.tick(t))


def replicas(world, cluster, model):
    return len(world.physics[cluster].models[model].replicas)


def test_the_first_world_serves_at_once_with_the_groups_of_its_past(world):
    advance(world, 2)
    demand = BuiltInDemand(world.settings.seed)
    for cluster in ("eastus", "brazilsouth"):
        for model, groups in past_groups(demand, cluster, np.array([NOW_S])).items():
            assert replicas(world, cluster, model) == groups[0]


def test_scaling_a_deployment_changes_who_serves_after_the_load_delay(world):
    advance(world, 2)
    cluster, model = "brazilsouth", "chat-7b"
    before = replicas(world, cluster, model)
    resize(world.stores[cluster], "inference", model, before - 1)
    advance(world, 30)
    assert replicas(world, cluster, model) == before - 1
    resize(world.stores[cluster], "inference", model, before)
    advance(world, 2)
    assert replicas(world, cluster, model) == before - 1
    advance(world, 20)
    assert replicas(world, cluster, model) == before


def test_training_gangs_run_and_a_queue_waits(world):
    advance(world, 10)
    active = [gpu.engine_active for gpus in world.physics["eastus"].readings.values()
              for gpu in gpus if gpu.pod and gpu.pod.namespace == "training"]  # fmt: skip
    assert len(active) >= 40
    assert min(active) >= 0.9
    waiting = [j for j in world.stores["eastus"].all(JOBS) if not j["status"].get("ready")]
    assert waiting


def test_a_restarted_world_is_the_one_that_was_kept(made, world):
    paths, settings = made
    advance(world, 4)
    world.save(paths)
    again = start_world(
        paths, settings, load_demand(settings), now_s=world.now_s + 5.0, clusters=CLUSTERS
    )
    for cluster, store in world.stores.items():
        kept = again.stores[cluster]
        assert kept.revision == store.revision
        uids = [d["metadata"]["uid"] for d in store.all(DEPLOYMENTS)]
        assert [d["metadata"]["uid"] for d in kept.all(DEPLOYMENTS)] == uids
    advance(again, 2)
    for model in world.physics["eastus"].models:
        assert replicas(again, "eastus", model) == replicas(world, "eastus", model)
    for path in paths.clusters.iterdir():
        path.unlink()


def test_the_command_makes_files_and_history(tmp_path, settings, capsys, monkeypatch):
    settings.STATE_DIR = tmp_path
    curve = operating_curve("chat-405b", measure_s=60.0)
    monkeypatch.setattr(history, "operating_curve", lambda model: curve)
    call_command("twin", "init", "--time-factor", "20")
    assert "shortened 20 times" in capsys.readouterr().out
    out = tmp_path / "history.om"
    call_command("twin", "history", "--days", "0.05", "--out", str(out))
    text = out.read_text()
    assert text.endswith("# EOF\n")
    assert "cluster_model:vllm_arrivals:rate5m{" in text
    assert "samples of 0.05 days" in capsys.readouterr().out


def test_a_command_without_a_twin_is_one_clear_line(tmp_path, settings):
    settings.STATE_DIR = tmp_path
    with pytest.raises(CommandError, match="twin init"):
        call_command("twin", "status")
    call_command("twin", "init")
    with pytest.raises(CommandError, match="No twin answers"):
        call_command("twin", "surge", "--factor", "3")
    assert json.loads((tmp_path / "targets" / "twin.json").read_text())


def test_a_fleet_of_three_times_the_size_has_three_times_of_everything(tmp_path):
    paths = TwinPaths(tmp_path)
    init(paths, size=3)
    settings = init(paths)  # the size is kept
    users = load_demand(settings)
    big = start_world(paths, settings, users, now_s=NOW_S, clusters=("uksouth",))
    nodes = sum(1 for _ in nodes_of("uksouth"))
    assert len(big.stores["uksouth"].all(NODES)) == 3 * nodes
    now = np.array([NOW_S])
    once = BuiltInDemand(settings.seed).rate_rps("uksouth", "chat-7b", now)
    assert users.rate_rps("uksouth", "chat-7b", now) == pytest.approx(3 * once)
    week = (NOW_S, NOW_S + 7 * 86_400, 0)
    one, three = (len(job_arrivals(settings.seed, "uksouth", *week, size)) for size in (1, 3))
    assert 2.5 < three / one < 3.5
    assert "ceiling_groups = 60" in paths.fleet.read_text()
