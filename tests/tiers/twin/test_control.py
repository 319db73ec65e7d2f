"""Files, commands and the running twin: what is kept, refused, and seen from outside."""

import asyncio
import json
import stat

import aiohttp
import pytest
from django.core.management import call_command

from infra_console.fleet.config import load_fleet_file
from tests.tiers.twin.objects import NOW_S, add_deployment, add_pod, small_cluster
from tiers.twin.control import ask
from tiers.twin.errors import (
    NoSuchThing,
    NotInitialised,
    PortBusy,
    TraceInvalid,
    TwinAway,
    TwinRefused,
)
from tiers.twin.files import TwinPaths, init, load_demand, load_settings
from tiers.twin.keep import ByHand
from tiers.twin.kube.resources import DEPLOYMENTS
from tiers.twin.profile import REGION_IDS
from tiers.twin.serve import running
from tiers.twin.world import World, load_world

NODE = "eastus-h100-reserved-01"


@pytest.fixture
def paths(tmp_path):
    return TwinPaths(tmp_path)


def build(cluster):
    store = small_cluster(cluster)
    add_pod(store, "chat-7b-x-a", node=f"{cluster}-h100-reserved-01")
    add_deployment(store, "embedding", replicas=1)
    return store


def small_world(paths, clusters=("eastus", "uksouth")):
    settings = init(paths)
    stores = {cluster: build(cluster) for cluster in clusters}
    return World(
        stores, load_demand(settings), settings,
        step=lambda store, now: None, by_hand=ByHand(), now_s=NOW_S,
    )  # fmt: skip


def tick(world, seconds):
    return list(world.tick(NOW_S + seconds))


def test_init_writes_a_fleet_file_that_the_console_reads(paths):
    init(paths, time_factor=20.0)
    fleet = load_fleet_file(paths.fleet)
    assert [c.id for c in fleet.clusters] == list(REGION_IDS)
    assert fleet.twin is not None
    assert fleet.twin.time_factor == 20.0
    assert len(fleet.pools) == 48
    chat = next(w for w in fleet.workloads if w.id == "chat-70b")
    assert chat.group_gpus == {"H100": 4}
    assert chat.move_s == pytest.approx((180 + 60) / 20)


def test_init_again_keeps_tokens_ports_and_options(paths, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("model,t_s,rate_rps\na,0,1\na,600,2\n")
    first = init(paths, demand=trace, time_factor=5.0, seed=9)
    assert init(paths) == first == load_settings(paths)
    assert load_demand(first).description == "trace trace.csv"


def test_init_with_a_bad_trace_writes_nothing(paths, tmp_path):
    with pytest.raises(TraceInvalid):
        init(paths, demand=tmp_path / "none.csv")
    assert not paths.settings.exists()
    assert not paths.fleet.exists()


def test_secrets_are_for_the_owner_alone(paths):
    init(paths)
    for name in ("settings.json", "kubeconfig", "kubeconfig-viewer"):
        assert stat.S_IMODE((paths.home / name).stat().st_mode) == 0o600


def test_targets_name_every_exporter_of_every_cluster(paths):
    init(paths)
    targets = json.loads(paths.targets.read_text())
    named = {(t["labels"].get("cluster"), t["labels"]["job"]) for t in targets}
    jobs = ("dcgm-exporter", "vllm", "kube-state-metrics", "kueue", "inference-gateway")
    others = {(None, "blackbox"), (None, "twin")}
    assert named == {(c, job) for c in REGION_IDS for job in jobs} | others


def test_settings_that_are_missing_say_what_to_do(paths):
    with pytest.raises(NotInitialised, match="twin init"):
        load_settings(paths)


def test_operational_deployments_are_resized_by_the_hour(paths):
    world = small_world(paths)
    tick(world, 2)
    morning = world.stores["uksouth"].get(DEPLOYMENTS, "operational", "embedding")
    assert morning["spec"]["replicas"] > 1
    tick(world, 12 * 3600)
    night = world.stores["uksouth"].get(DEPLOYMENTS, "operational", "embedding")
    assert night["spec"]["replicas"] < morning["spec"]["replicas"]


def test_a_surge_ends_by_itself(paths):
    world = small_world(paths)
    tick(world, 2)
    world.surge(region="eastus", model=None, factor=2.0, minutes=1.0)
    tick(world, 50)
    assert len(world.by_hand.surges) == 1
    tick(world, 63)
    assert world.by_hand.surges == []


@pytest.mark.parametrize(
    "command",
    [
        lambda w: w.surge(region="atlantis", model=None, factor=2, minutes=1),
        lambda w: w.surge(region=None, model="chat-1b", factor=2, minutes=1),
        lambda w: w.fail_node("atlantis", NODE),
        lambda w: w.fail_node("uksouth", NODE),
        lambda w: w.heal_node("eastus", NODE),
        lambda w: w.fail_region("atlantis"),
        lambda w: w.heal_region("eastus"),
    ],
)
def test_a_command_on_what_is_not_there_is_refused(paths, command):
    with pytest.raises(NoSuchThing):
        command(small_world(paths))


def test_a_dark_region_is_not_moved_and_its_exporters_are_away(paths):
    world = small_world(paths)
    moved = []
    world._step = lambda store, now: moved.append(store.cluster)
    world.fail_region("eastus")
    tick(world, 2)
    assert moved == ["uksouth"]
    assert world.unreachable("eastus")
    assert not world.unreachable("uksouth")
    world.heal_region("eastus")
    tick(world, 4)
    assert moved == ["uksouth", "eastus", "uksouth"]


def test_exporters_come_back_when_their_time_is_over(paths):
    world = small_world(paths)
    world.take_exporters_down(1.0)
    tick(world, 30)
    assert world.unreachable("uksouth")
    tick(world, 61)
    assert not world.unreachable("uksouth")


def test_a_world_comes_back_as_it_was_kept(paths):
    world = small_world(paths, clusters=REGION_IDS)
    tick(world, 2)
    world.fail_node("eastus", NODE)
    world.fail_region("uksouth")
    world.surge(region=None, model="chat-7b", factor=2.0, minutes=30.0)
    world.save(paths)
    again = load_world(
        paths, world.settings, world.demand,
        build=lambda cluster: pytest.fail(f"{cluster} was built anew"),
        step=lambda store, now: None, now_s=NOW_S + 60,
    )  # fmt: skip
    assert again.by_hand == world.by_hand
    for cluster in REGION_IDS:
        assert again.stores[cluster].dump() == world.stores[cluster].dump()


def test_only_what_changed_is_written_again(paths):
    world = small_world(paths)
    world.save(paths)
    before = {p.name: p.stat().st_mtime_ns for p in paths.clusters.iterdir()}
    add_pod(world.stores["eastus"], "chat-7b-x-b")
    world.save(paths)
    after = {p.name: p.stat().st_mtime_ns for p in paths.clusters.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"eastus.json"}


def test_without_a_twin_a_command_says_so(paths):
    with pytest.raises(TwinAway, match="twin run"):
        ask(init(paths), "status")


async def test_a_running_twin_obeys_commands_and_shows_them(paths):
    world = small_world(paths)
    settings = world.settings
    async with running(world, paths) as servers:
        status = await asyncio.to_thread(ask, settings, "status")
        assert status["time_factor"] == 10.0
        assert status["clusters"]["eastus"]["models"]["chat-7b"]["replicas"] == 1

        await asyncio.to_thread(ask, settings, "fail-node", {"cluster": "eastus", "node": NODE})
        status = await asyncio.to_thread(ask, settings, "status")
        assert status["clusters"]["eastus"]["failed_nodes"] == [NODE]

        await asyncio.to_thread(ask, settings, "fail-region", {"region": "eastus"})
        assert servers.partitioned() == {"eastus"}
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{settings.metrics_port}"
            async with session.get(f"{base}/uksouth/ksm") as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(f"{base}/eastus/ksm")
            url = f"http://127.0.0.1:{settings.control_port}/status"
            async with session.get(url, headers={"Authorization": "Bearer no"}) as answer:
                assert answer.status == 401
        await asyncio.to_thread(ask, settings, "heal-region", {"region": "eastus"})
        assert servers.partitioned() == set()

        with pytest.raises(TwinRefused, match="no model 'chat-1b'"):
            await asyncio.to_thread(
                ask, settings, "surge", {"model": "chat-1b", "factor": 2, "minutes": 1}
            )
        with pytest.raises(TwinRefused, match="argument"):
            await asyncio.to_thread(ask, settings, "surge", {"factor": "many"})
        with pytest.raises(TwinRefused, match="no such command"):
            await asyncio.to_thread(ask, settings, "explode", {})
    assert json.loads(paths.world.read_text())["dark_regions"] == []
    assert (paths.clusters / "eastus.json").exists()


async def test_a_second_twin_on_the_same_ports_is_refused(paths):
    world = small_world(paths)
    async with running(world, paths):
        with pytest.raises(PortBusy, match="is taken"):
            async with running(small_second(world, paths), paths):
                pass


def small_second(world, paths):
    return World(
        {c: build(c) for c in world.stores}, world.demand, world.settings,
        step=lambda store, now: None, by_hand=ByHand(), now_s=NOW_S,
    )  # fmt: skip


async def test_faults_are_made_listed_and_cleared_by_command(paths):
    world = small_world(paths)
    async with running(world, paths) as servers:

        async def tell(command, **words):
            return await asyncio.to_thread(ask, world.settings, command, words)

        wanted = {"cluster": "eastus", "kind": "reset", "verb": "patch", "resource": "nodes"}
        made = await tell("fault", **wanted, times=3)
        assert made["made"]["eastus"]["times"] == 3
        (held,) = servers.apis["eastus"].faults.active()
        assert (held.kind, held.match.verb, held.match.resource) == ("reset", "patch", "nodes")
        listed = (await tell("faults"))["faults"]
        assert {cluster: len(found) for cluster, found in listed.items()} == {
            "eastus": 1,
            "uksouth": 0,
        }
        assert await tell("fault-clear", cluster="eastus", id=held.id) == {"cleared": 1}
        with pytest.raises(TwinRefused, match="unknown kind of fault"):
            await tell("fault", kind="gremlin")
        with pytest.raises(TwinRefused, match="nowhere"):
            await tell("fault", kind="error", cluster="nowhere")


def test_the_fault_command_passes_on_what_was_said(monkeypatch, paths, settings, capsys):
    told = []
    settings.STATE_DIR = paths.state_dir
    init(paths)
    monkeypatch.setattr(
        "tiers.management.commands.twin.ask",
        lambda made, command, words: told.append((command, words)) or {},
    )
    call_command(
        "twin", "fault", "--cluster", "eastus", "--kind", "lost", "--verb", "patch", "--times", "2"
    )
    words = {"cluster": "eastus", "kind": "lost", "verb": "patch", "times": 2}
    assert told == [("fault", words)]
