"""The latency formula against limits known by hand and against the event simulation."""

from itertools import pairwise
from math import inf

import numpy as np
import pytest

from tiers.core.latency.mix import Mix
from tiers.core.latency.model import ServiceLatency, service_latency
from tiers.core.latency.occupancy import occupancy, places, saturation_rps
from tiers.core.latency.prompts import inflow, iterations
from tiers.core.simulate.arrivals import Lengths
from tiers.core.simulate.capacity import measure
from tiers.core.simulate.profiles import SERVED_MODELS
from tiers.core.simulate.serving import ServingCosts

LENGTHS = Lengths(900.0, 0.9, 230.0, 0.7)
COSTS = SERVED_MODELS["chat-70b"].costs()


def _at(load: float, replicas: int) -> ServiceLatency:
    rate = load * replicas * saturation_rps(COSTS, Mix.of(LENGTHS))
    return service_latency(COSTS, LENGTHS, rate_rps=rate, replicas=replicas)


def test_without_prompt_or_batch_cost_sequences_are_poisson() -> None:
    costs = ServingCosts(0.02, 0.0, 0.0, chunk_tokens=2048, kv_tokens=10**9, max_batch=10**4)
    mix = Mix.of(LENGTHS)
    state = occupancy(costs, mix, rate_rps=10.0, replicas=1, nodes=2001)
    mean = 10.0 * mix.output_mean * 0.02
    assert state.mean == pytest.approx(mean, rel=1e-3)
    assert state.decoding.std() == pytest.approx(np.sqrt(mean), rel=0.03)
    assert state.waits == pytest.approx(0.0, abs=1e-9)


def test_saturation_is_where_all_places_are_taken() -> None:
    mix = Mix.of(LENGTHS)
    rate, held = saturation_rps(COSTS, mix), places(COSTS, mix)
    # An iteration at saturation decodes `held` tokens and reads the prompts that come meanwhile.
    iteration_s = (COSTS.base_s + held * COSTS.per_sequence_s) / (
        1 - rate * mix.prompt_mean * COSTS.per_prompt_token_s
    )
    assert held / (mix.output_mean * iteration_s) == pytest.approx(rate)


def test_prompts_that_come_are_prompts_that_are_read() -> None:
    mix = Mix.of(LENGTHS)
    stream = inflow(LENGTHS, mix, rate_rps=3.0, replicas=1)
    met = iterations(COSTS, stream, decoding=60.0)
    read = met.chunk_law @ np.arange(met.full + 1) * 64 / (met.seconds @ met.chunk_law)
    assert read == pytest.approx(stream.tokens_per_s, rel=0.01)


def test_an_idle_service_answers_in_its_own_prompt_and_two_iterations_at_most() -> None:
    found = service_latency(COSTS, LENGTHS, rate_rps=0.001, replicas=4)
    own_s = COSTS.base_s + 900 * COSTS.per_prompt_token_s
    assert own_s < found.ttft_p50_s < own_s + 2 * COSTS.base_s
    assert found.itl_mean_s == pytest.approx(COSTS.base_s, rel=0.01)


@pytest.mark.parametrize(("replicas", "load"), [(1, 0.6), (2, 0.8), (5, 0.9), (10, 0.7)])
def test_first_token_is_within_fifteen_percent_of_the_event_simulation(
    replicas: int, load: float
) -> None:
    rate = load * replicas * saturation_rps(COSTS, Mix.of(LENGTHS))
    found = service_latency(COSTS, LENGTHS, rate_rps=rate, replicas=replicas)
    seen = measure(
        COSTS, LENGTHS, rate_rps=rate, replicas=replicas, seed=5, warm_s=300,
        measure_s=60_000 / rate, step_s=50,
    )  # fmt: skip
    assert found.ttft_p95_s == pytest.approx(seen.ttft_p95_s, rel=0.15)
    assert found.decoding == pytest.approx(seen.running / replicas, rel=0.15)


def test_more_load_is_never_faster_and_more_replicas_never_slower() -> None:
    by_load = [_at(load, 4).ttft_p95_s for load in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)]
    assert all(one < two for one, two in pairwise(by_load))
    by_replicas = [
        service_latency(COSTS, LENGTHS, rate_rps=12.0, replicas=n).ttft_p95_s
        for n in (3, 4, 5, 6, 8, 12)
    ]
    assert all(one >= two for one, two in pairwise(by_replicas))
    # Convex: each replica more helps less than the one before it.
    gains = [one - two for one, two in pairwise(by_replicas[:4])]
    assert gains == sorted(gains, reverse=True)


def test_beyond_saturation_there_is_no_steady_state() -> None:
    found = _at(1.02, 3)
    assert found.ttft_p95_s == inf
    assert found.waits == 1.0
    assert found.load == pytest.approx(1.02)
