"""Load tests in simulation, model costs and histogram quantiles."""

import math

import numpy as np
import pytest

from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.buckets import TTFT_EDGES_S, quantile_from_counts
from tiers.core.simulate.capacity import highest_rate_rps, measure
from tiers.core.simulate.errors import SloOutOfReach
from tiers.core.simulate.profiles import SERVED_MODELS

CHAT_7B = SERVED_MODELS["chat-7b"].costs()
LENGTHS = Lengths(400.0, 0.8, 100.0, 0.6)


def test_the_highest_rate_meets_the_objective_and_a_fifth_more_does_not():
    rate = highest_rate_rps(CHAT_7B, LENGTHS, slo_ttft_p95_s=0.5, seed=1, measure_s=120.0)
    at = measure(CHAT_7B, LENGTHS, rate_rps=rate, replicas=1, seed=1, measure_s=120.0)
    above = measure(CHAT_7B, LENGTHS, rate_rps=1.2 * rate, replicas=1, seed=1, measure_s=120.0)
    assert at.ttft_p95_s <= 0.5 < above.ttft_p95_s
    assert at.within(0.5) >= 0.95 > above.within(0.5)


def test_an_objective_below_one_prompt_is_out_of_reach():
    with pytest.raises(SloOutOfReach):
        highest_rate_rps(CHAT_7B, LENGTHS, slo_ttft_p95_s=0.001, seed=1, measure_s=60.0)


def test_more_replicas_at_the_same_load_each_wait_no_longer():
    one = measure(CHAT_7B, LENGTHS, rate_rps=14.0, replicas=1, seed=2, measure_s=120.0)
    four = measure(CHAT_7B, LENGTHS, rate_rps=56.0, replicas=4, seed=2, measure_s=120.0)
    assert four.ttft_p95_s < 1.05 * one.ttft_p95_s


def test_a_service_without_requests_has_unknown_latency_not_zero():
    idle = measure(CHAT_7B, LENGTHS, rate_rps=0.0, replicas=1, seed=1, measure_s=10.0)
    assert math.isnan(idle.ttft_p95_s)
    assert math.isnan(idle.within(0.5))
    assert idle.busy == 0.0


def test_model_costs_are_those_of_the_hardware_they_assume():
    chat_70b = SERVED_MODELS["chat-70b"].costs()
    # A batch of 32 on 4 x H100.
    assert 0.025 < chat_70b.base_s + 32 * chat_70b.per_sequence_s < 0.035
    assert 9_000 < 1.0 / chat_70b.per_prompt_token_s < 12_000
    for model in SERVED_MODELS.values():
        assert model.costs().kv_tokens > 18_432, model.id
        assert 0.0 < model.host_share < 0.25
        assert 0.3 < model.memory_share < 0.6


def test_poisson_requests_have_their_rate_and_mean_lengths():
    lengths = Lengths(500.0, 0.9, 200.0, 0.7)
    made = poisson_requests(np.random.default_rng(4), lengths, 20.0, 100.0, 1100.0)
    assert len(made) == pytest.approx(20_000, rel=0.03)
    assert made.arrival_s.min() > 100.0
    assert made.arrival_s.max() <= 1100.0
    assert made.prompt_tokens.mean() == pytest.approx(lengths.prompt_mean, rel=0.05)
    assert made.output_tokens.mean() == pytest.approx(lengths.output_mean, rel=0.05)


def test_histogram_quantile_interpolates_inside_the_bucket_as_prometheus_does():
    counts = np.zeros(len(TTFT_EDGES_S) + 1, dtype=np.int64)
    assert math.isnan(quantile_from_counts(counts, TTFT_EDGES_S, 0.95))
    counts[TTFT_EDGES_S.index(0.5)] = 90
    counts[TTFT_EDGES_S.index(1.0)] = 10
    assert quantile_from_counts(counts, TTFT_EDGES_S, 0.95) == pytest.approx(0.875)
    counts[-1] = 100
    assert quantile_from_counts(counts, TTFT_EDGES_S, 0.95) == TTFT_EDGES_S[-1]
