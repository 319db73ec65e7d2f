"""vLLM's request histograms, from the simulation's log."""

import pytest

from tests.tiers.twin.exporters.showcase import physics_of
from tests.tiers.twin.exporters.text import parse, pick
from tests.tiers.twin.objects import NOW_S, add_pod, small_cluster
from tiers.twin.metrics import render

POD = {"pod": "chat-70b-x-a"}


@pytest.fixture(scope="module")
def physics():
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    return physics_of(store, seconds=60)


def total(samples, name, part="sum"):
    return pick(samples, f"vllm:{name}_{part}", **POD)[0]


def test_a_requests_time_divides_into_queue_prefill_and_decode(physics):
    samples = parse(render("vllm", physics))
    parts = [f"request_{name}_time_seconds" for name in ("queue", "prefill", "decode")]
    whole = total(samples, "e2e_request_latency_seconds")
    assert sum(total(samples, part) for part in parts) == pytest.approx(whole)
    ended = sum(pick(samples, "vllm:request_success_total", **POD))
    names = (*parts, "request_prompt_tokens", "request_generation_tokens")
    assert {total(samples, name, "count") for name in names} == {ended}


def test_lengths_fall_into_buckets_of_one_two_and_five(physics):
    samples = parse(render("vllm", physics))
    name = "vllm:request_prompt_tokens_bucket"
    edges = [dict(pairs)["le"] for n, pairs in samples if n == name and set(POD.items()) <= pairs]
    assert edges[:4] == ["1.0", "2.0", "5.0", "10.0"]
    assert edges[-2:] == ["10000.0", "+Inf"]
    made = pick(samples, "vllm:generation_tokens_total", **POD)[0]
    assert 0 < total(samples, "request_generation_tokens") <= made


def test_a_reset_leaves_requests_in_flight_and_counters_at_zero():
    store = small_cluster()
    add_pod(store, "chat-70b-x-a", gpus=4)
    physics = physics_of(store, seconds=30)
    running = physics.models["chat-70b"].service.running
    physics.reset_request_counters()
    samples = parse(render("vllm", physics))
    assert pick(samples, "vllm:num_requests_running", **POD) == [running]
    for name in ("prompt_tokens_total", "time_to_first_token_seconds_count",
                 "request_prompt_tokens_count"):  # fmt: skip
        assert pick(samples, f"vllm:{name}", **POD) == [0]
    physics.tick(NOW_S + 32)
    physics.tick(NOW_S + 60)
    assert total(parse(render("vllm", physics)), "e2e_request_latency_seconds", "count") > 0
