"""The event simulation against queueing theory: c replicas that serve one request at a time."""

import math

import numpy as np
import pytest
from scipy.stats import poisson

from tiers.core.simulate.serving import Requests, Service, ServingCosts, simulate

TOKEN_S = 1e-6
SERVICE_S = 0.5
REQUESTS = 1_000_000
BATCHES = 40


def one_at_a_time(queue_limit: int = 10**6) -> ServingCosts:
    """An iteration is one whole request: `TOKEN_S` per prompt token, one output token."""
    return ServingCosts(0.0, 0.0, TOKEN_S, 10**9, 10**9, 1, queue_limit=queue_limit)


def poisson_trace(seed: int, rate_rps: float, count: int, *, exponential: bool) -> Requests:
    rng = np.random.default_rng(seed)
    at = np.cumsum(rng.exponential(1.0 / rate_rps, count))
    service = rng.exponential(SERVICE_S, count) if exponential else np.full(count, SERVICE_S)
    prompt = np.maximum(1, np.rint(service / TOKEN_S)).astype(np.int64)
    return Requests(at, prompt, np.ones(count, dtype=np.int64))


def waits(servers: int, rho: float, *, seed: int, exponential: bool) -> np.ndarray:
    """Waits in order of arrival, without the first tenth."""
    rate = rho * servers / SERVICE_S
    trace = poisson_trace(seed, rate, REQUESTS, exponential=exponential)
    done = simulate(one_at_a_time(), servers, trace, float(trace.arrival_s[-1]) + 1e5)
    return done.queue_s[np.argsort(done.request_id)][REQUESTS // 10 :]


def check(found: np.ndarray, mean_s: float, p95_s: float) -> None:
    """Within 3.5 standard errors by batch means, which are themselves small."""
    batches = np.array_split(found, BATCHES)
    for expected, statistic in ((mean_s, np.mean), (p95_s, lambda x: np.quantile(x, 0.95))):
        values = np.array([statistic(batch) for batch in batches])
        error = values.std(ddof=1) / math.sqrt(BATCHES)
        assert abs(values.mean() - expected) < 3.5 * error + 1e-9
        assert error < 0.04 * expected


def erlang_b(servers: int, load: float) -> float:
    """Share of refused requests of M/M/c/c at an offered load (Erlang 1917)."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def mmc(servers: int, rho: float) -> tuple[float, float]:
    """Mean and p95 wait of M/M/c by Erlang C: P(wait > t) = C exp(-(c mu - lambda) t)."""
    blocked = erlang_b(servers, rho * servers)
    waits_share = blocked / (1.0 - rho * (1.0 - blocked))
    drain = servers * (1.0 - rho) / SERVICE_S
    return waits_share / drain, math.log(waits_share / 0.05) / drain


def mdc(servers: int, rho: float) -> tuple[float, float]:
    """Mean and p95 wait of M/D/c: Crommelin 1932 and Franx 2001."""
    load, size = servers * rho, 40 * servers
    turns = np.arange(1, 2000)
    mean = np.sum(
        poisson.sf(turns * servers - 1, turns * load)
        - poisson.sf(turns * servers, turns * load) / rho
    )
    # States one service time later: who is in service leaves, a Poisson number arrives.
    step = np.zeros((size, size))
    for n in range(size):
        left = max(0, n - servers)
        step[n, left:] = poisson.pmf(np.arange(size - left), load)
    step[:, -1] += 1.0 - step.sum(axis=1)
    queue_at_most = np.cumsum(np.linalg.matrix_power(step, 4096)[0])[servers:]

    def at_most(x: float) -> float:
        k = int(x / SERVICE_S) + 1
        j = np.arange(k * servers)
        arrived = poisson.pmf(j, (k * SERVICE_S - x) * load / SERVICE_S)
        return float(arrived @ queue_at_most[k * servers - 1 - j])

    low, high = 0.0, 20.0 * SERVICE_S
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if at_most(middle) < 0.95 else (low, middle)
    return float(mean) * SERVICE_S, high


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.7), (4, 0.8), (16, 0.9)])
def test_mmc_waits_follow_erlang_c(servers, rho):
    check(waits(servers, rho, seed=21, exponential=True), *mmc(servers, rho))


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.7), (4, 0.8), (16, 0.9)])
def test_mdc_waits_follow_crommelin(servers, rho):
    mean, p95 = mdc(servers, rho)
    if servers == 1:
        assert mean == pytest.approx(rho * SERVICE_S / (2.0 * (1.0 - rho)))
    check(waits(servers, rho, seed=22, exponential=False), mean, p95)


def test_without_a_queue_the_refused_share_follows_erlang_b():
    servers, load, count = 8, 6.0, 200_000
    service = Service(one_at_a_time(queue_limit=0), max_replicas=servers)
    for _ in range(servers):
        service.add_replica()
    trace = poisson_trace(23, load / SERVICE_S, count, exponential=True)
    service.advance(float(trace.arrival_s[-1]) + 100.0, trace)
    assert service.refused / count == pytest.approx(erlang_b(servers, load), rel=0.03)


def test_littles_law_holds_for_a_batching_service():
    costs = ServingCosts(0.02, 0.0002, 0.0001, 512, 40_000, 64)
    rng, rate, until = np.random.default_rng(24), 12.0, 4000.0
    at = np.sort(rng.uniform(0.0, until, int(rate * until)))
    prompt = rng.integers(50, 800, len(at))
    service = Service(costs, max_replicas=2)
    service.add_replica()
    service.add_replica()
    trace, looks, times = Requests(at, prompt, rng.integers(20, 200, len(at))), [], []
    for now in np.arange(1.0, until + 1.0):
        times += service.advance(now, trace.between(service.now_s, now)).e2e_s.tolist()
        looks.append(service.in_system)
    assert np.mean(looks) == pytest.approx(rate * np.mean(times), rel=0.02)
