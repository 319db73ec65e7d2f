"""The compiled loop against the same model in plain Python, and against a trace done by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_serving import latencies, serve
from tiers.core.simulate.arrivals import Lengths, poisson_requests
from tiers.core.simulate.serving import Requests, Service, ServingCosts

COSTS = ServingCosts(0.02, 0.0002, 0.0001, 512, 20_000, 32, queue_limit=10_000)
LENGTHS = Lengths(200.0, 0.8, 100.0, 0.6, prompt_cap=2000, output_cap=500)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rate_rps=st.floats(1.0, 20.0),
    replicas=st.integers(1, 3),
    kv_tokens=st.integers(2600, 9000),
    max_batch=st.integers(1, 40),
    chunk_tokens=st.integers(20, 600),
    grow_cache=st.booleans(),
    per_context_token_s=st.sampled_from([0.0, 1e-6, 1e-5]),
)
def test_the_loop_does_what_the_plain_model_does(
    seed, rate_rps, replicas, kv_tokens, max_batch, chunk_tokens, grow_cache, per_context_token_s
):
    costs = replace(COSTS, kv_tokens=kv_tokens, max_batch=max_batch, chunk_tokens=chunk_tokens,
                    grow_cache=grow_cache, per_context_token_s=per_context_token_s)  # fmt: skip
    trace = poisson_requests(np.random.default_rng(seed), LENGTHS, rate_rps, 0.0, 15.0)
    plain = serve(costs, replicas, trace)
    service = Service(costs, max_replicas=replicas)
    for _ in range(replicas):
        service.add_replica()
    done = service.advance(1e5, trace)
    order = np.argsort(done.request_id)
    ttft_s, e2e_s = latencies(plain)
    assert done.replica[order].tolist() == [s.replica for s in plain]
    assert service.preempted == sum(s.preemptions for s in plain)
    for found, expected in (
        (done.queue_s, np.array([s.begun_s - s.arrival_s for s in plain])),
        (done.ttft_s, ttft_s),
        (done.e2e_s, e2e_s),
    ):
        np.testing.assert_allclose(found[order], expected, rtol=0.0, atol=1e-7)


def test_a_trace_done_by_hand():
    """Two places a replica, chunks of 100 tokens, a queue of two, a second replica from 11.5 s.

    Replica 0, iteration by iteration (1 s + 0.5 s a decoding sequence + 0.01 s a prompt token):
       0.00  reads A 100                                to  2.00  A's first token
       2.00  A decodes, reads B 99 of 150               to  4.49
       4.49  A decodes, reads B 51                      to  6.50  A ends, B's first token
       6.50  C has A's place: B decodes, reads C 50     to  8.50  B ends, C's only token
       8.50  D: reads 40                                to  9.90  D's first token
       9.90  G joined: D decodes, reads G 60            to 12.00  G's only token
      12.00  D decodes twice, 1.5 s each                to 15.00  D ends
    E finds two waiting and is refused; F is longer than the cache. H finds replica 0 full; replica
    1 has loaded at 11.5 s and reads its 30 tokens until 12.8 s.
    """
    costs = ServingCosts(1.0, 0.5, 0.01, 100, 1000, 2, queue_limit=2)
    rows = {
        "A": (0.0, 100, 3), "B": (1.0, 150, 2), "C": (1.5, 50, 1), "D": (2.5, 40, 4),
        "E": (3.0, 10, 1), "F": (5.0, 900, 200), "G": (9.0, 60, 1), "H": (11.0, 30, 1),
    }  # fmt: skip
    at, prompt, output = zip(*rows.values(), strict=True)
    service = Service(costs, max_replicas=2)
    service.add_replica()
    service.add_replica(load_s=11.5)
    done = service.advance(20.0, Requests(np.array(at), np.array(prompt), np.array(output)))
    names = [list(rows)[i] for i in done.request_id]
    assert names == ["A", "B", "C", "G", "H", "D"]
    assert done.queue_s.tolist() == pytest.approx([0.0, 1.0, 5.0, 0.9, 0.5, 6.0])
    assert done.ttft_s.tolist() == pytest.approx([2.0, 5.5, 7.0, 3.0, 1.8, 7.4])
    assert done.e2e_s.tolist() == pytest.approx([6.5, 7.5, 7.0, 3.0, 1.8, 12.5])
    assert done.replica.tolist() == [0, 0, 0, 0, 1, 0]
    assert service.refused == 2
    spent = service.replica_seconds()
    assert spent.loading == pytest.approx(11.5)
    assert spent.busy == pytest.approx(15.0 + 1.3)
    assert spent.idle == pytest.approx(5.0 + 7.2)


def test_a_full_cache_preempts_the_youngest_and_computes_it_again():
    """Cache of 14: A (4 + 6) and B (4 + 3) fit at first and not with their output.

    0.0 reads A to 1.4; reads B (A decodes) to 3.3: A holds 6, B 5. Then 1 token each at 2 s: to 5.3
    (A 7, B 6 tokens, 13 held). One token is free, two are wanted: B goes, having made 2 of 3.
    A decodes alone at 1.5 s; its other 3 tokens end at 9.8. B reads 4 + 2 again: 9.8 + 1.6 = 11.4.
    """
    costs = ServingCosts(1.0, 0.5, 0.1, 100, 14, 2, grow_cache=True)
    service = Service(costs, max_replicas=1)
    service.add_replica()
    done = service.advance(50.0, Requests(np.array([0.0, 0.5]), np.array([4, 4]), np.array([6, 3])))
    assert done.request_id.tolist() == [0, 1]
    assert done.e2e_s.tolist() == pytest.approx([9.8, 11.4 - 0.5])
    assert done.ttft_s.tolist() == pytest.approx([1.4, 3.3 - 0.5])
    assert service.preempted == 1
    a = service.arrays
    assert a.output_tokens[0] == 9
    assert a.prompt_tokens[0] == 4 + 4 + 6
    assert a.kv_held[0] == a.kv_reserved[0] == 0
    # A: 1.9 + 2 + 3 x 1.5; B: 2, then from its preemption at 5.3 to 11.4.
    assert a.sums_s[0, 1] == pytest.approx(1.9 + 2.0 + 4.5 + 2.0 + 6.1)
