"""The event simulation of serving: worked examples, conservation, a formula, slices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.errors import NoPlaceForReplica, NotAscending
from tiers.core.simulate.serving import Requests, Service, ServingCosts, simulate

ROUND = ServingCosts(
    base_s=1.0, per_sequence_s=0.5, per_prompt_token_s=0.01,
    chunk_tokens=100, kv_tokens=1000, max_batch=4, queue_limit=50,
)  # fmt: skip
FAST = ServingCosts(
    base_s=0.02, per_sequence_s=0.0002, per_prompt_token_s=0.0001,
    chunk_tokens=512, kv_tokens=20_000, max_batch=32, queue_limit=200,
)  # fmt: skip
LENGTHS = Lengths(300.0, 0.8, 60.0, 0.6)


def requests(*rows: tuple[float, int, int]) -> Requests:
    at, prompt, output = zip(*rows, strict=True)
    return Requests(np.array(at), np.array(prompt), np.array(output))


def trace(seed: int, rate_rps: float, until_s: float) -> Requests:
    return poisson_requests(np.random.default_rng(seed), LENGTHS, rate_rps, 0.0, until_s)


def test_one_request_takes_its_prompt_iteration_and_one_iteration_per_further_token():
    done = simulate(ROUND, 1, requests((2.0, 50, 3)), 100.0)
    assert done.ttft_s.tolist() == [1.0 + 0.01 * 50]
    assert done.e2e_s.tolist() == [1.5 + 2 * 1.5]


def test_a_prompt_longer_than_the_budget_is_read_in_chunks():
    done = simulate(ROUND, 1, requests((0.5, 250, 1)), 100.0)
    assert done.ttft_s[0] == pytest.approx(3 * 1.0 + 0.01 * 250)


def test_a_request_that_arrives_in_an_iteration_joins_at_its_end():
    # First: prompt 0..1.5, then decodes at 1.5 s a token. Second arrives at 2.0, inside the token
    # 1.5..3.0, joins at 3.0: prompt with one sequence decoding = 1 + 0.5 + 0.2 = 1.7 s.
    done = simulate(ROUND, 1, requests((0.0, 50, 10), (2.0, 20, 1)), 100.0)
    second = done.request_id.tolist().index(1)
    assert done.queue_s[second] == pytest.approx(3.0 - 2.0)
    assert done.ttft_s[second] == pytest.approx(3.0 + 1.7 - 2.0)
    # First: 1.5, one token to 3.0, one to 4.7, seven more at 1.5 s.
    assert done.e2e_s[1 - second] == pytest.approx(4.7 + 7 * 1.5)


def test_cache_that_is_reserved_makes_the_next_request_wait():
    done = simulate(ROUND, 1, requests((0.0, 80, 800), (0.1, 100, 100)), 3000.0)
    # The first holds 880 of 1,000 tokens until its end at 1.8 + 799 x 1.5.
    assert done.ttft_s[1] == pytest.approx(1.8 + 799 * 1.5 + 2.0 - 0.1)


def test_requests_longer_than_the_cache_or_beyond_the_queue_are_refused():
    service = Service(ROUND, max_replicas=1)
    service.advance(1.0, requests((0.5, 900, 200)))
    assert (service.refused, service.in_system) == (1, 0)
    service.advance(2.0, requests(*[(1.5, 10, 10)] * 60))
    assert (service.refused, service.waiting) == (11, 50)


def test_a_request_goes_to_the_replica_with_most_free_cache():
    done = simulate(ROUND, 2, requests((0.0, 100, 50), (0.1, 10, 5), (0.2, 10, 5)), 500.0)
    assert dict(zip(done.request_id.tolist(), done.replica.tolist(), strict=True)) == {
        0: 0, 1: 1, 2: 1,
    }  # fmt: skip


def check_cache(service: Service, place: int) -> None:
    """The cache's two accounts are what the sequences of the replica add up to."""
    a = service.arrays
    readers = a.readers[place]
    order = (a.reading_head[place] + np.arange(readers)) % a.reading.shape[1]
    reading = a.reading[place, order]
    decoding = a.decoding[place, : a.running[place] - readers]
    read = a.prompt[reading] + a.made[reading] - a.prompt_left[reading]
    # A sequence ends at `end_turn`, at which all its output is made.
    made = a.output[decoding] - (a.end_turn[decoding] - a.turn[place])
    assert a.kv_held[place] == read.sum() + (a.prompt[decoding] + made).sum()
    if service.costs.grow_cache:
        held = (a.prompt[reading] + a.made[reading]).sum() + (a.prompt[decoding] + made).sum()
    else:
        rows = np.append(reading, decoding)
        held = (a.prompt[rows] + a.output[rows]).sum()
    assert a.kv_reserved[place] == held <= service.costs.kv_tokens


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rate_rps=st.floats(0.5, 60.0),
    replicas=st.integers(1, 4),
    lose_at_s=st.floats(1.0, 19.0),
)
def test_every_request_is_finished_waiting_running_or_refused(seed, rate_rps, replicas, lose_at_s):
    service = Service(FAST, max_replicas=replicas)
    places = [service.add_replica() for _ in range(replicas)]
    arrivals = trace(seed, rate_rps, 20.0)
    finished = len(service.advance(lose_at_s, arrivals.between(0.0, lose_at_s)))
    service.lose_replica(places[0])
    finished += len(service.advance(20.0, arrivals.between(lose_at_s, 20.0)))
    assert finished + service.in_system + service.refused == len(arrivals)
    for place in places:
        check_cache(service, place)


def test_everything_that_finished_is_in_the_counters():
    service = Service(FAST, max_replicas=2)
    for _ in range(2):
        service.add_replica()
    done = service.advance(600.0, trace(3, 10.0, 100.0))
    a = service.arrays
    assert service.in_system == 0
    assert a.finished.sum() == a.ttft_counts.sum() == a.e2e_counts.sum() == len(done)
    assert a.prompt_tokens.sum() == done.prompt_tokens.sum()
    assert a.output_tokens.sum() == done.output_tokens.sum()
    assert a.itl_counts.sum() == (done.output_tokens - 1).sum()
    assert a.sums_s[:, 0].sum() == pytest.approx(done.ttft_s.sum())
    # A token's gap lies between the first token and the end of its request.
    assert a.sums_s[:, 1].sum() == pytest.approx((done.e2e_s - done.ttft_s).sum())
    assert a.kv_held.sum() == a.kv_reserved.sum() == 0


def test_mean_wait_at_batch_one_follows_pollaczek_khinchine():
    costs = ServingCosts(0.0, 0.0, 0.001, 10_000, 10_000, 1, queue_limit=5000)
    service_s, rate_rps = 0.5, 1.4
    rng = np.random.default_rng(11)
    n = 60_000
    at = np.cumsum(rng.exponential(1.0 / rate_rps, n))
    arrivals = Requests(at, np.full(n, 500), np.ones(n, dtype=np.int64))
    done = simulate(costs, 1, arrivals, float(at[-1]) + 100.0)
    rho = rate_rps * service_s
    expected = rho * service_s / (2.0 * (1.0 - rho))
    assert (done.ttft_s - service_s).mean() == pytest.approx(expected, rel=0.05)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    one, two = (simulate(FAST, 2, trace(5, 12.0, 60.0), 90.0) for _ in range(2))
    assert np.array_equal(one.e2e_s, two.e2e_s)
    other = simulate(FAST, 2, trace(6, 12.0, 60.0), 90.0)
    assert not np.array_equal(one.e2e_s, other.e2e_s)


@pytest.mark.parametrize("step_s", [0.013, 0.7, 9.0])
def test_slices_give_the_events_of_one_run(step_s):
    arrivals = trace(7, 25.0, 40.0)
    whole = simulate(FAST, 3, arrivals, 60.0)
    service = Service(FAST, max_replicas=3)
    for _ in range(3):
        service.add_replica()
    parts = []
    for until in [*np.arange(step_s, 60.0, step_s), 60.0]:
        part = arrivals.between(service.now_s, until)
        parts.append(service.advance(until, part))
    for name in ("request_id", "replica", "ttft_s", "e2e_s"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))


def test_tokens_are_booked_while_a_long_batch_decodes():
    service = Service(ROUND, max_replicas=1)
    service.add_replica()
    service.advance(10.0, requests((0.0, 50, 300)))
    # Prompt to 1.5 s gives one token; then 5 whole iterations of 1.5 s up to 9.0 s.
    assert service.arrays.output_tokens[0] == 6
    assert service.kv_usage(0) == pytest.approx(56 / 1000)
    assert service.arrays.busy_s[0] == pytest.approx(9.0)


def test_a_draining_replica_finishes_its_requests_and_takes_no_more():
    service = Service(ROUND, max_replicas=2)
    first = service.add_replica()
    service.advance(1.0, requests((0.5, 50, 4)))
    service.drain_replica(first)
    done = service.advance(50.0, requests((2.0, 10, 1)))
    assert done.request_id.tolist() == [0]
    assert not service.present(first)
    assert service.waiting == 1


def test_requests_of_a_lost_replica_start_anew_in_their_old_order():
    service = Service(ROUND, max_replicas=2)
    first = service.add_replica()
    service.advance(5.0, requests((1.0, 50, 100), (2.0, 20, 50), (3.0, 20, 10)))
    service.lose_replica(first)
    assert (service.waiting, service.requeued) == (3, 3)
    service.add_replica()
    done = service.advance(800.0, requests((6.0, 10, 1)))
    assert sorted(done.request_id.tolist()) == [0, 1, 2, 3]
    assert done.arrival_s[done.request_id == 0][0] == 1.0
    assert done.ttft_s[done.request_id == 0][0] > 4.0


def test_a_new_replica_takes_waiting_requests_at_once():
    service = Service(ROUND, max_replicas=1)
    service.advance(10.0, requests((1.0, 50, 1)))
    place = service.add_replica()
    done = service.advance(20.0, requests((15.0, 50, 1)))
    assert done.ttft_s.tolist() == pytest.approx([9.0 + 1.5, 1.5])
    with pytest.raises(NoPlaceForReplica):
        service.add_replica()
    assert service.present(place)


def test_time_and_arrivals_never_run_backwards():
    service = Service(ROUND, max_replicas=1)
    with pytest.raises(NotAscending):
        service.advance(10.0, requests((5.0, 1, 1), (4.0, 1, 1)))
    with pytest.raises(NotAscending):
        service.advance(10.0, requests((11.0, 1, 1)))
    service.advance(10.0, requests((5.0, 1, 1)))
    with pytest.raises(NotAscending):
        service.advance(9.0, requests((9.0, 1, 1)))
