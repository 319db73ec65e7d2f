"""An API server that refuses, is slow, lies, or loses the answer of a write that took effect."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.fault_timers import scaled
from benchmarks.faults_bench import Bench
from infra_console.plans import services
from infra_console.plans.models import Plan
from tests.infra_console.kube import CLUSTER
from tiers.twin.kube.faults import Match

CHANCE = 0.3
WRITES = (Match(verb="patch"), Match(verb="create", subresource="eviction"))


def at_random(kind: str, bench: Bench, *, chance: float = CHANCE, times: int = 12) -> None:
    """Any request may be struck, reads too; then two plans whose writes alone are."""
    for match in (Match(), *WRITES)[: 1 if bench.few else 3]:
        bench.faults.add(kind, match, probability=chance, times=times, seconds=scaled(20))
        _carry_on(bench, what=f"{match.verb or 'any request'} {match.subresource}".strip())
        bench.faults.clear()


def each_write_once(kind: str, bench: Bench) -> None:
    """Every write of a plan is struck, the first time that it is tried."""
    for match in WRITES:
        bench.faults.add(kind, match, times=1)
    _carry_on(bench, what="each kind of write")
    for _ in range(3):
        bench.faults.add(kind, Match(verb="patch", resource="nodes"), times=1, probability=0.5)
        _carry_on(bench, what="one patch of a node")
        bench.faults.clear()


def list_that_expired(bench: Bench) -> None:
    """410 to a list that is read in pages, once and again."""
    bench.faults.add("gone", Match(verb="list"), times=3)
    _carry_on(bench, what="410 to three lists")


def half_open(bench: Bench) -> None:
    """Every connection is taken and never answered, for several timeouts; then it is over."""
    plan = bench.next_plan()
    bench.strike(plan, bench.rng.randrange(1, 8), partial(_hang, bench))
    bench.finish(plan)
    _go_on_if_paused(bench, plan)
    bench.judge(plan)


def _hang(bench: Bench) -> None:
    bench.faults.add("hang", minutes=scaled(60) / 60)


def cut_off(bench: Bench) -> None:
    """The cluster is away in the middle of a plan, for longer than a worker's turn."""
    plan = bench.next_plan()
    bench.strike(plan, bench.rng.randrange(2, 6), partial(_cut, bench))
    bench.finish(plan)
    bench.judge(plan)


def _cut(bench: Bench) -> None:
    bench.twin.run(bench.twin.servers.partition(CLUSTER))

    async def heal() -> None:
        await asyncio.sleep(scaled(60))
        await bench.twin.servers.heal(CLUSTER)

    asyncio.run_coroutine_threadsafe(heal(), bench.twin.loop)


def _carry_on(bench: Bench, *, what: str) -> None:
    plan = bench.next_plan()
    bench.finish(plan)
    _go_on_if_paused(bench, plan)
    bench.judge(plan, what=what)


def _go_on_if_paused(bench: Bench, plan: Plan) -> None:
    """A person looks, finds the API well again, and resumes."""
    plan.refresh_from_db()
    if plan.state == "paused":
        bench.faults.clear()
        services.resume_execution(plan.id, by=bench.operator, reason="it answers again")
        bench.finish(plan)


FAULTS: Mapping[str, Callable[[Bench], None]] = {
    "API 409": partial(at_random, "conflict"),
    "API 410": list_that_expired,
    "API 429 with Retry-After": partial(at_random, "throttle", times=4),
    "API 500": partial(at_random, "error"),
    "API 503": partial(at_random, "unavailable", times=4),
    "API timeout": partial(at_random, "hang", times=4),
    "API connection reset": partial(at_random, "reset"),
    "API half-open": half_open,
    "API cut off": cut_off,
    "API applied, then lost": partial(each_write_once, "lost"),
}
