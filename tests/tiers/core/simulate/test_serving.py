"""The event simulation of serving: worked examples, conservation, replicas that come and go."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.errors import EmptyRequest, NoPlaceForReplica, NotAscending
from tiers.core.simulate.serving import (
    ReplicaSeconds,
    Requests,
    Service,
    ServingCosts,
    simulate,
)

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


NONE = Requests(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


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


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rate_rps=st.floats(0.5, 40.0),
    grow_cache=st.booleans(),
    events=st.lists(
        st.tuples(
            st.sampled_from(["add", "load", "drain", "lose"]), st.floats(0.1, 4.0),
            st.integers(0, 3),
        ),
        min_size=1, max_size=12,
    ),
)  # fmt: skip
def test_requests_and_replica_seconds_are_conserved(seed, rate_rps, grow_cache, events):
    costs = replace(FAST, kv_tokens=3000, queue_limit=30, grow_cache=grow_cache)
    service = Service(costs, max_replicas=4)
    until = 5.0 + sum(wait for _, wait, _ in events)
    arrivals = trace(seed, rate_rps, until)
    came: dict[int, float] = {}
    last_end: dict[int, float] = {}
    finished, here_s = 0, 0.0

    def advance(now_s: float) -> None:
        nonlocal finished, here_s
        done = service.advance(now_s, arrivals.between(service.now_s, now_s))
        finished += len(done)
        for place, end in zip(done.replica, done.arrival_s + done.e2e_s, strict=True):
            last_end[int(place)] = float(end)
        for place in [p for p in came if not service.present(p)]:
            here_s += last_end[place] - came.pop(place)

    for what, wait_s, place in events:
        if what in ("add", "load") and len(came) < 4:
            came[service.add_replica(load_s=2.0 if what == "load" else 0.0)] = service.now_s
        elif what == "drain":
            service.drain_replica(place)
        elif what == "lose":
            service.lose_replica(place)
        for gone in [p for p in came if not service.present(p)]:
            here_s += service.now_s - came.pop(gone)
        advance(service.now_s + wait_s)
    advance(until)
    assert finished + service.in_system + service.refused == len(arrivals)
    here_s += sum(until - at for at in came.values())
    assert service.replica_seconds().total == pytest.approx(here_s)
    for place in range(4):
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


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    one, two = (simulate(FAST, 2, trace(5, 12.0, 60.0), 90.0) for _ in range(2))
    assert np.array_equal(one.e2e_s, two.e2e_s)
    other = simulate(FAST, 2, trace(6, 12.0, 60.0), 90.0)
    assert not np.array_equal(one.e2e_s, other.e2e_s)


@pytest.mark.parametrize("grow_cache", [False, True])
@pytest.mark.parametrize("step_s", [0.013, 0.7, 9.0])
def test_slices_give_one_run_to_the_last_bit(step_s, grow_cache):
    # A cache so small that it is full, and a replica that loads in the middle.
    costs = replace(FAST, kv_tokens=4000, grow_cache=grow_cache, per_context_token_s=3e-7)
    arrivals = trace(7, 25.0, 40.0)
    whole, sliced = (Service(costs, max_replicas=3) for _ in range(2))
    for service in (whole, sliced):
        service.add_replica()
        service.add_replica()
        service.add_replica(load_s=17.3)
    one = whole.advance(200.0, arrivals)
    parts = []
    for until in [*np.arange(step_s, 200.0, step_s), 200.0]:
        parts.append(sliced.advance(until, arrivals.between(sliced.now_s, until)))
    for name in ("request_id", "replica", "queue_s", "ttft_s", "e2e_s"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(one, name))
    assert (whole.preempted > 0) == grow_cache
    for counter in ("busy_s", "idle_s", "sums_s", "itl_counts", "output_tokens", "marks", "turn"):
        assert np.array_equal(getattr(whole.arrays, counter), getattr(sliced.arrays, counter))
    assert whole.replica_seconds() == sliced.replica_seconds()


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


def test_a_replica_serves_once_it_has_loaded():
    service = Service(ROUND, max_replicas=1)
    place = service.add_replica(load_s=30.0)
    assert service.present(place)
    assert len(service.advance(20.0, requests((10.0, 50, 1)))) == 0
    assert (service.waiting, service.running) == (1, 0)
    done = service.advance(60.0, NONE)
    assert done.queue_s.tolist() == [20.0]
    assert done.ttft_s.tolist() == [21.5]
    assert service.replica_seconds() == ReplicaSeconds(loading=30.0, busy=1.5, idle=28.5)


def test_a_replica_that_is_drained_or_lost_while_it_loads_leaves_at_once():
    service = Service(ROUND, max_replicas=2)
    one, two = service.add_replica(load_s=30.0), service.add_replica(load_s=30.0)
    service.advance(10.0, NONE)
    service.drain_replica(one)
    service.lose_replica(two)
    service.advance(50.0, requests((40.0, 50, 1)))
    assert not service.present(one)
    assert not service.present(two)
    assert service.waiting == 1
    assert service.replica_seconds() == ReplicaSeconds(loading=20.0, busy=0.0, idle=0.0)


def test_requests_that_ask_for_nothing_are_refused_as_input():
    service = Service(ROUND, max_replicas=1)
    for empty in ((5.0, 0, 1), (5.0, 1, 0)):
        with pytest.raises(EmptyRequest):
            service.advance(10.0, requests(empty))
    assert service.now_s == 0.0


def test_time_and_arrivals_never_run_backwards():
    service = Service(ROUND, max_replicas=1)
    with pytest.raises(NotAscending):
        service.advance(10.0, requests((5.0, 1, 1), (4.0, 1, 1)))
    with pytest.raises(NotAscending):
        service.advance(10.0, requests((11.0, 1, 1)))
    service.advance(10.0, requests((5.0, 1, 1)))
    with pytest.raises(NotAscending):
        service.advance(9.0, requests((9.0, 1, 1)))
