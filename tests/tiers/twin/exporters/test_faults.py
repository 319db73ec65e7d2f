"""Variants and faults: what they do to an answer, and that they begin and end."""

import asyncio
import math
import re
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.tiers.twin.exporters.showcase import physics_of, showcase
from tests.tiers.twin.exporters.text import labels_by_name, parse, pick
from tests.tiers.twin.objects import NOW_S, add_pod, small_cluster
from tiers.twin.errors import NoSuchThing
from tiers.twin.exporters.faults import KINDS, Fault, spoil
from tiers.twin.exporters.variants import VARIANTS
from tiers.twin.metrics import metrics_app, render
from tiers.twin.misbehaviour import FaultDoesNotFit, Misbehaviour

NODE = "eastus-h100-reserved-01"
ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
SENTINEL = float(9223372036854775794)


@pytest.fixture(scope="module")
def physics():
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    return physics_of(store, seconds=10)


def shown(physics, exporter, name):
    return parse(render(exporter, physics, VARIANTS[exporter][name]))


def fault(kind, exporter="dcgm", **more):
    return Fault("eastus", exporter, kind, NOW_S + 600, **more)


def spoilt(physics, kind, exporter="dcgm", **more):
    return spoil(fault(kind, exporter, **more), render(exporter, physics), now_s=NOW_S)


@pytest.mark.parametrize(
    ("exporter", "name"), [(e, name) for e, variants in VARIANTS.items() for name in variants]
)
def test_every_variant_has_the_same_families_or_says_why_not(physics, exporter, name):
    variant = VARIANTS[exporter][name]
    before, after = parse(render(exporter, physics)), shown(physics, exporter, name)
    families = {n for n, _ in before} ^ {n for n, _ in after}
    if not (variant.metrics or variant.without or "kv_blocks" in variant.options):
        assert families == set()
        assert len(after) == len(before)


def test_old_and_new_names_of_dcgm_labels(physics):
    new = labels_by_name(shown(physics, "dcgm", "hostname"))[ACTIVE]
    assert "hostname" in new
    assert "Hostname" not in new
    old = labels_by_name(shown(physics, "dcgm", "old-names"))[ACTIVE]
    assert {"uuid", "pod_name", "pod_namespace", "container_name"} <= old
    assert not {"UUID", "pod", "namespace", "container"} & old
    with_uid = labels_by_name(shown(physics, "dcgm", "pod-uid"))[ACTIVE]
    assert "pod_uid" in with_uid


def test_a_scrape_without_honor_labels_shows_the_exporters_own_pod(physics):
    samples = shown(physics, "dcgm", "exported")
    assert len(pick(samples, ACTIVE, namespace="gpu-operator")) == 112
    held = pick(samples, ACTIVE, exported_namespace="inference", exported_pod="chat-70b-x-a")
    assert len(held) == 4
    idle = [
        dict(pairs) for n, pairs in samples if n == ACTIVE and "exported_pod" not in dict(pairs)
    ]
    assert len(idle) == 108
    ksm = shown(physics, "ksm", "exported")
    assert pick(ksm, "kube_pod_info", exported_pod="chat-70b-x-a", namespace="monitoring") == [1]
    assert len(pick(ksm, "kube_node_info", pod="kube-state-metrics-6d9c7f8b5-x2lwq")) == 14


def test_old_vllm_names(physics):
    samples = shown(physics, "vllm", "old-names")
    names = {name for name, _ in samples}
    assert "vllm:gpu_cache_usage_perc" in names
    assert "vllm:time_per_output_token_seconds_bucket" in names
    assert not names & {"vllm:kv_cache_usage_perc", "vllm:inter_token_latency_seconds_bucket"}


def test_without_profiling_and_with_blanks(physics):
    assert not [n for n, _ in shown(physics, "dcgm", "no-profiling") if "PROF" in n]
    blank = shown(physics, "dcgm", "sentinel")
    assert set(pick(blank, ACTIVE)) == {SENTINEL}
    assert SENTINEL not in pick(blank, "DCGM_FI_DEV_GPU_UTIL")


@pytest.mark.parametrize(("kind", "test"), [
    ("nan", math.isnan), ("inf", math.isinf), ("sentinel", lambda v: v == SENTINEL),
])  # fmt: skip
def test_bad_values_fall_on_the_named_field_and_node(physics, kind, test):
    samples = parse(spoilt(physics, kind))
    assert all(map(test, pick(samples, ACTIVE)))
    assert not any(map(test, pick(samples, "DCGM_FI_DEV_FB_USED")))
    one = parse(spoilt(physics, kind, node=NODE, field="DCGM_FI_DEV_FB_USED"))
    assert sum(map(test, pick(one, "DCGM_FI_DEV_FB_USED"))) == 8
    assert not any(map(test, pick(one, ACTIVE)))


def test_half_of_the_nodes_vanish_or_one(physics):
    assert len(pick(parse(spoilt(physics, "vanish")), ACTIVE)) == 56
    gone = parse(spoilt(physics, "vanish", node=NODE))
    assert len(pick(gone, ACTIVE)) == 104
    assert pick(gone, ACTIVE, Hostname=NODE) == []
    ksm = parse(spoilt(physics, "vanish", "ksm", node=NODE))
    assert pick(ksm, "kube_node_info", node=NODE) == []
    assert len(pick(ksm, "kube_node_info")) == 13


def test_a_second_exporter_repeats_every_gpu(physics):
    samples = parse(spoilt(physics, "second-exporter", node=NODE))
    by_uuid = [dict(pairs)["UUID"] for name, pairs in samples if name == ACTIVE]
    assert len(by_uuid) == 120
    assert len(set(by_uuid)) == 112


def test_repeats_stand_twice_in_one_answer(physics):
    text = spoilt(physics, "repeats", node=NODE)
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if line.startswith(ACTIVE)]
    assert len(lines) == 120
    assert len(set(lines)) == 112


@pytest.mark.parametrize(("kind", "sign"), [("late", -1), ("future", 1)])
def test_samples_carry_wrong_times(physics, kind, sign):
    text = spoilt(physics, kind, "vllm", amount=300.0)
    stamps = {int(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert stamps == {int(1000 * (NOW_S + sign * 300))}
    assert parse(text)


def test_a_fault_ends_and_another_takes_its_place():
    state = Misbehaviour()
    state.add(Fault("eastus", "dcgm", "hang", 100.0), 0.0)
    state.add(Fault("eastus", "dcgm", "hang", 200.0), 50.0)
    assert [f.until_s for f in state.active("eastus", "dcgm", 60.0)] == [200.0]
    assert state.active("uksouth", "dcgm", 60.0) == []
    assert state.active("eastus", "dcgm", 200.0) == []
    state.clear("eastus", "dcgm")
    assert state.faults == []


def test_what_does_not_exist_is_refused():
    state = Misbehaviour()
    with pytest.raises(FaultDoesNotFit, match="only on dcgm"):
        state.add(Fault("eastus", "vllm", "second-exporter", 1.0), 0.0)
    with pytest.raises(FaultDoesNotFit, match="hang"):
        state.add(Fault("eastus", "dcgm", "hang", 1.0, node=NODE), 0.0)
    with pytest.raises(NoSuchThing, match="fault"):
        state.add(Fault("eastus", "dcgm", "explode", 1.0), 0.0)
    with pytest.raises(NoSuchThing, match="variant"):
        state.show("eastus", "ksm", "old-names")
    with pytest.raises(NoSuchThing, match="exporter"):
        state.clear("eastus", "node-exporter")


@asynccontextmanager
async def serving(physics, *faults):
    state = Misbehaviour(faults=list(faults))
    app = metrics_app(
        {"eastus": physics}, time_factor=10.0, unreachable=lambda _: False,
        misbehaviour=lambda: state,
    )  # fmt: skip
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield lambda path="/eastus/dcgm", **more: session.get(server.make_url(path), **more)


async def test_bad_answers_over_http(physics):
    async with serving(physics, fault("http-500")) as get, get() as answer:
        assert answer.status == 500
    async with serving(physics, fault("html")) as get, get() as answer:
        assert answer.status == 200
        assert (await answer.text()).startswith("<!doctype html>")
    async with serving(physics, fault("truncated")) as get, get() as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    async with serving(physics, fault("slow", amount=0.2)) as get, get() as answer:
        assert parse(await answer.text())


async def test_a_hanging_exporter_never_answers_and_lets_the_others_be(physics):
    async with serving(physics, fault("hang")) as get:
        with pytest.raises(asyncio.TimeoutError):
            await get(timeout=aiohttp.ClientTimeout(total=0.3))
        async with get("/eastus/vllm") as answer:
            assert answer.status == 200


async def test_floods_are_valid_and_the_bomb_is_small(physics):
    async with serving(physics, fault("huge", amount=1.0)) as get, get() as answer:
        body = await answer.text()
        assert 0.9 < len(body) / 2**20 < 1.1
        assert re.match(r"# TYPE flood_bytes gauge\nflood_bytes\{", body)
    async with (
        serving(physics, fault("gzip-bomb", amount=8.0)) as get,
        get(headers={"Accept-Encoding": "gzip"}) as answer,
    ):
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(await answer.read()) > 8 * 2**20 - 100


async def test_a_liar_repeats_itself_and_tells_the_truth_afterwards():
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    physics = physics_of(store, seconds=10)
    async with serving(physics, Fault("eastus", "vllm", "lie", NOW_S + 40)) as get:
        bodies = []
        for second in (12, 30, 50):
            physics.tick(NOW_S + second)
            async with get("/eastus/vllm") as answer:
                bodies.append(await answer.text())
    assert bodies[0] == bodies[1] != bodies[2]


async def test_probes_over_http(physics):
    async with serving(physics) as get:
        async with get("/eastus/probe?target=uksouth&module=icmp") as answer:
            assert pick(parse(await answer.text()), "probe_success") == [1]
        async with get("/eastus/probe?target=nowhere") as answer:
            assert answer.status == 400


def test_every_text_fault_leaves_a_readable_answer(physics):
    store_physics = physics_of(showcase(), seconds=4)
    for kind, about in KINDS.items():
        if about.place != "text" or kind in ("repeats", "lie"):
            continue
        for exporter in about.only or ("dcgm", "vllm", "ksm"):
            made = fault(kind, exporter, amount=about.amount)
            parse(spoil(made, render(exporter, store_physics), now_s=NOW_S))
