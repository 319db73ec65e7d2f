"""What holds of the numbers whatever happens: none runs backwards, sums fit their buckets."""

import numpy as np
import pytest

from tests.tiers.twin.exporters.text import parse
from tests.tiers.twin.objects import NOW, NOW_S, add_pod, change_pod, small_cluster
from tests.tiers.twin.test_physics import NODE, physics_with
from tiers.twin.exporters.dcgm import render_dcgm
from tiers.twin.exporters.vllm import render_vllm
from tiers.twin.kube.resources import PODS, RESOURCE_CLAIMS

HISTOGRAMS = (
    "vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds",
    "vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds",
    "vllm:request_prompt_tokens", "vllm:request_generation_tokens",
)  # fmt: skip
NODES = [NODE, "eastus-h100-reserved-02"]


Series = dict[tuple[str, str], float]
"""One pod's values by name and `le` or reason."""


def by_pod(text: str) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for (name, pairs), value in parse(text).items():
        labels = dict(pairs)
        more = labels.get("le") or labels.get("finished_reason") or ""
        found.setdefault(labels["pod"], {})[name, more] = value
    return found


def check_histogram(series: Series, name: str) -> None:
    rows = sorted((float(le), v) for (n, le), v in series.items() if n == f"{name}_bucket")
    counts = [count for _, count in rows]
    assert counts == sorted(counts) and rows[-1][0] == float("inf")
    assert counts[-1] == series[f"{name}_count", ""]
    low, high, before, edge = 0.0, 0.0, 0.0, 0.0
    for upper, count in rows:
        if count > before:
            low, high = low + (count - before) * edge, high + (count - before) * upper
        before, edge = count, upper
    total = series[f"{name}_sum", ""]
    assert low * (1 - 1e-9) - 1e-6 <= total <= high * (1 + 1e-9) + 1e-6, name


def check(series: Series) -> None:
    for name in HISTOGRAMS:
        check_histogram(series, name)
    firsts = series["vllm:time_to_first_token_seconds_count", ""]
    gaps = series["vllm:inter_token_latency_seconds_count", ""]
    made = series["vllm:generation_tokens_total", ""]
    assert made == firsts + gaps, "every token is a first one or ends a gap"
    ended = sum(v for (n, _), v in series.items() if n == "vllm:request_success_total")
    assert ended == series["vllm:e2e_request_latency_seconds_count", ""]
    assert ended == series["vllm:request_generation_tokens_count", ""]


def is_counter(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


@pytest.mark.parametrize("seed", [1, 2])
def test_counters_of_a_pod_never_run_backwards_and_agree_while_pods_come_and_go(seed):
    rng, store = np.random.default_rng(seed), small_cluster()
    physics = physics_with(store, chat_7b=12.0, chat_70b=2.0)
    before: dict[str, Series] = {}
    for step in range(1, 50):
        if rng.random() < 0.3:
            model = str(rng.choice(["chat-7b", "chat-70b"]))
            add_pod(store, f"{model}-x-{step}", node=str(rng.choice(NODES)))
        here = [p["metadata"]["name"] for p in store.all(PODS)]
        if here and rng.random() < 0.2:
            name = str(rng.choice(here))
            if rng.random() < 0.5:
                store.remove(PODS, "inference", name)
            else:
                change_pod(store, name, deletionTimestamp="2026-11-24T12:30:00Z")
        physics.tick(NOW_S + 2.0 * step)
        seen = by_pod(render_vllm(physics))
        for pod, series in seen.items():
            check(series)
            for key, was in before.get(pod, {}).items():
                assert not is_counter(key[0]) or series[key] >= was, key
        before = seen


def test_a_reset_begins_everything_at_zero_and_stays_consistent():
    store = small_cluster()
    for number in range(2):
        add_pod(store, f"chat-70b-x-{number}", gpus=4)
    physics = physics_with(store, chat_70b=4.0)
    for step in range(1, 31):
        physics.tick(NOW_S + 2.0 * step)
    spent = physics.models["chat-70b"].service.replica_seconds().total
    physics.reset_request_counters()
    for series in by_pod(render_vllm(physics)).values():
        assert not any(v for (name, _), v in series.items() if is_counter(name))
    assert physics.models["chat-70b"].service.replica_seconds().total == pytest.approx(spent)
    for step in range(31, 40):
        physics.tick(NOW_S + 2.0 * step)
        for series in by_pod(render_vllm(physics)).values():
            check_histogram(series, "vllm:inter_token_latency_seconds")


def test_gpus_held_through_a_claim_are_the_pods_in_the_exporter_too():
    store = small_cluster()
    pod = add_pod(store, "chat-70b-x-a", gpus=0)
    results = [{"driver": "gpu.nvidia.com", "pool": NODE, "device": f"gpu-{n}"} for n in range(4)]
    user = {"resource": "pods", "name": "chat-70b-x-a", "uid": pod["metadata"]["uid"]}
    claim = {
        "metadata": {"name": "held", "namespace": "inference"},
        "spec": {},
        "status": {"allocation": {"devices": {"results": results}}, "reservedFor": [user]},
    }
    store.create(RESOURCE_CLAIMS, claim, NOW)
    physics = physics_with(store, chat_70b=2.0)
    for step in range(1, 31):
        physics.tick(NOW_S + 2.0 * step)
    seen = parse(render_dcgm(physics))
    held = [v for (n, labels), v in seen.items()
            if n == "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
            and dict(labels)["pod"] == "chat-70b-x-a"]  # fmt: skip
    assert len(held) == 4 and min(held) > 0.1


def test_every_gpu_that_pods_hold_is_reported_once_with_its_pod():
    store, rng = small_cluster(), np.random.default_rng(5)
    wanted = {}
    for number, node in enumerate(NODES):
        left = 8
        while left:
            gpus = int(rng.integers(1, left + 1))
            name = f"chat-7b-x-{number}{left}"
            add_pod(store, name, node=node, gpus=gpus)
            wanted[name], left = gpus, left - gpus
    physics = physics_with(store)
    physics.tick(NOW_S + 2)
    seen = parse(render_dcgm(physics))
    held: dict[str, int] = {}
    for name, labels in seen:
        pod = dict(labels)["pod"]
        if name == "DCGM_FI_DEV_POWER_USAGE" and pod:
            held[pod] = held.get(pod, 0) + 1
    assert held == wanted
