"""The arithmetic of a server, checked by hand."""

import pytest

from tests.tiers.core.profiles.runs import a_setup
from tiers.core.profiles.roofline import COMPUTE_SHARE, LAYER_MS, MEMORY_SHARE, roofline
from tiers.core.profiles.setups import columns


def test_one_request_on_one_gpu_reads_the_weights_once() -> None:
    base = roofline(columns([a_setup(gpus=1, concurrency=1, input_tokens=1024, output_tokens=256)]))
    weights_ms = 1e3 * 8.03e9 * 2 / (3.35e12 * MEMORY_SHARE)  # 8.0 ms
    cache_ms = 1e3 * 131072 * (1024 + 128) / (3.35e12 * MEMORY_SHARE)
    tokens_ms = (1 + 4) * 1e3 * 2 * 8.03e9 / (989e12 * COMPUTE_SHARE)
    assert base.tpot_ms[0] == pytest.approx(weights_ms + cache_ms + tokens_ms + 32 * LAYER_MS)


def test_a_mixture_of_experts_reads_more_weights_as_the_batch_grows() -> None:
    one, many = (
        roofline(columns([a_setup(model="DeepSeek-V3", gpus=8, precision="fp8", concurrency=c)]))
        for c in (1, 1000)
    )
    assert one.weights_ms[0] < 0.12 * many.weights_ms[0]
    whole_ms = 1e3 * 671e9 / (8 * 3.35e12 * MEMORY_SHARE)
    assert many.weights_ms[0] == pytest.approx(whole_ms, rel=1e-3)


def test_load_and_fewer_gpus_never_make_a_token_faster() -> None:
    loads = roofline(columns([a_setup(concurrency=c) for c in (1, 8, 64, 256)]))
    gpus = roofline(columns([a_setup(gpus=g) for g in (8, 4, 2, 1)]))
    assert (loads.tpot_ms[1:] > loads.tpot_ms[:-1]).all()
    assert (gpus.tpot_ms[1:] > gpus.tpot_ms[:-1]).all()
