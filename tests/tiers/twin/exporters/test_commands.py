"""Commands about exporters: what they change, refuse, and keep across a restart."""

import asyncio

import aiohttp
import pytest

from tests.tiers.twin.exporters.text import parse, pick
from tests.tiers.twin.objects import NOW_S
from tests.tiers.twin.test_control import NODE, small_world
from tiers.twin.control import ask
from tiers.twin.errors import NoSuchThing, TwinRefused
from tiers.twin.exporter_commands import make_exporter, set_xid
from tiers.twin.files import TwinPaths
from tiers.twin.keep import load_by_hand
from tiers.twin.metrics import render
from tiers.twin.serve import running

DCGM = {"cluster": "eastus", "exporter": "dcgm"}


@pytest.fixture
def paths(tmp_path):
    return TwinPaths(tmp_path)


@pytest.fixture
def world(paths):
    made = small_world(paths)
    list(made.tick(NOW_S + 2))
    return made


def test_faults_variants_and_xids_are_kept(world, paths):
    make_exporter(world, {**DCGM, "fault": "vanish", "node": NODE, "minutes": 3})
    told = make_exporter(world, {**DCGM, "variant": "hostname"})
    assert told["variant"] == "hostname"
    assert told["faults"][0]["until_s"] == NOW_S + 2 + 180
    assert set_xid(world, {"node": NODE, "code": 79, "gpu": 2})["cluster"] == "eastus"
    world.save(paths)
    assert load_by_hand(paths) == world.by_hand
    world.set_xid("eastus", NODE, 2, 0)
    world.save(paths)
    assert load_by_hand(paths).exporters.xids == {}


def test_clear_makes_an_exporter_healthy(world):
    make_exporter(world, {**DCGM, "fault": "lie", "variant": "old-names"})
    assert make_exporter(world, {**DCGM, "clear": True}) == {"variant": "default", "faults": []}


def test_an_xid_shows_at_the_next_scrape(world):
    set_xid(world, {"node": "uksouth-h100-reserved-01", "code": 48})
    list(world.tick(NOW_S + 4))
    samples = parse(render("dcgm", world.physics["uksouth"]))
    assert pick(samples, "DCGM_FI_DEV_XID_ERRORS", err_code="48", gpu="0") == [48]


def test_a_counter_reset_happens_once(world):
    list(world.tick(NOW_S + 30))
    before = sum(pick(parse(render("dcgm", world.physics["eastus"])),
                      "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"))  # fmt: skip
    assert make_exporter(world, {**DCGM, "fault": "counter-reset"})["faults"] == []
    list(world.tick(NOW_S + 32))
    after = sum(pick(parse(render("dcgm", world.physics["eastus"])),
                     "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"))  # fmt: skip
    assert 0 < after < before / 5


def test_what_the_twin_does_not_have_is_refused(world):
    with pytest.raises(NoSuchThing, match="node"):
        set_xid(world, {"node": "nowhere-01", "code": 79})
    with pytest.raises(NoSuchThing, match="GPU"):
        set_xid(world, {"node": NODE, "code": 79, "gpu": 8})
    with pytest.raises(NoSuchThing, match="cluster"):
        make_exporter(world, {"cluster": "mars", "exporter": "dcgm"})
    with pytest.raises(NoSuchThing, match="node"):
        make_exporter(world, {**DCGM, "fault": "vanish", "node": "nowhere-01"})


async def test_a_running_twin_lays_a_fault_on_an_exporter(world, paths):
    async with running(world, paths):
        settings = world.settings
        await asyncio.to_thread(ask, settings, "exporter", {**DCGM, "fault": "http-500"})
        status = await asyncio.to_thread(ask, settings, "status")
        assert status["exporters"]["faults"][0]["kind"] == "http-500"
        url = f"http://127.0.0.1:{settings.metrics_port}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/eastus/dcgm") as answer:
                assert answer.status == 500
            async with session.get(f"{url}/uksouth/dcgm") as answer:
                assert answer.status == 200
        refused = {**DCGM, "fault": "hang", "node": NODE}
        with pytest.raises(TwinRefused, match="every node"):
            await asyncio.to_thread(ask, settings, "exporter", refused)
