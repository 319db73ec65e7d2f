"""PostgreSQL, Valkey and beat restarted, emptied or away, with Celery's own processes at work.

Outages are shortened: a minute of PostgreSQL to 3 s, five of Valkey to 7.5 s, half an hour without
a beat to 6 s (four leases as they are shortened here).
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import redis
from django.conf import settings

from benchmarks.fault_processes import halt, hung, revive
from benchmarks.faults_bench import Bench, Stuck
from infra_console.plans.models import Plan, Step

LATENCY_S = 0.02  # so that a plan takes long enough to be caught in the middle
BEGIN_S, END_S = 60.0, 600.0
APPROVE_S = 10.0
POSTGRES_AWAY_S, VALKEY_AWAY_S, BEAT_DEAD_S = 3.0, 7.5, 6.0


def server_away(name: str, seconds: float, bench: Bench) -> None:
    """Halted in the middle of a plan, and started again."""
    plan = _begun(bench)
    halt(name)
    time.sleep(seconds)
    revive(name)
    _end(bench, plan, what="in the middle")
    _end(bench, bench.next_plan(), what="the next one")  # do the workers listen again?


def valkey_flushed(bench: Bench) -> None:
    """Every message is lost: that of a plan just approved, and those under way."""
    plan = _begun(bench)
    redis.from_url(settings.BROKER_URL).flushall()
    _end(bench, plan, what="in the middle")
    bench.processes.kill("worker")  # nobody takes the order before it is lost
    waiting = bench.next_plan()
    redis.from_url(settings.BROKER_URL).flushall()
    _end(bench, waiting, what="before it began")


def approved_without_valkey(bench: Bench) -> None:
    """An approval is kept and answered while the broker is away; the sweep orders it later."""
    plan = bench.proposed()
    halt("valkey")
    _approve_soon(bench, plan)
    time.sleep(VALKEY_AWAY_S)
    revive("valkey")
    _end(bench, plan, what="approved meanwhile")


def approved_while_valkey_hangs(bench: Bench) -> None:
    """A broker that takes connections and never answers does not hold an approval up."""
    plan = bench.proposed()
    with hung("valkey"):
        _approve_soon(bench, plan)
    _end(bench, plan, what="approved meanwhile")


def _approve_soon(bench: Bench, plan: Plan) -> None:
    began = time.monotonic()
    bench.approved(plan)
    took_s = time.monotonic() - began
    bench.expect(took_s < APPROVE_S, f"the approval took {took_s:.1f} s without a broker")


def two_beats(bench: Bench) -> None:
    bench.processes.start("beat-2")
    try:
        for number in (1, 2):
            _end(bench, bench.next_plan(), what=f"plan {number}")
    finally:
        bench.processes.kill("beat-2", for_good=True)


def beat_dead(bench: Bench) -> None:
    """No sweep runs: a plan whose order was lost waits, and is caught up once beat is back."""
    bench.processes.kill("beat", for_good=True)
    bench.processes.kill("worker")
    plan = bench.next_plan()
    redis.from_url(settings.BROKER_URL).flushall()
    bench.processes.wait(lambda: False, within_s=BEAT_DEAD_S)
    plan.refresh_from_db()
    bench.expect(plan.state == "approved", f"{plan} is {plan.state} without any order")
    bench.processes.start("beat")
    _end(bench, plan, what="after the beat came back")


def worker_killed(bench: Bench) -> None:
    plan = _begun(bench)
    killed_at = time.monotonic()
    bench.processes.kill("worker")
    _end(bench, plan, what="in the middle")
    bench.resumed.append(time.monotonic() - killed_at)


def _begun(bench: Bench) -> Plan:
    """A plan on its way: a step has been tried."""
    bench.faults.latency_s = LATENCY_S
    plan = bench.next_plan()
    tried = Step.objects.filter(plan=plan, attempts__gt=0)
    at_work = bench.processes.wait(tried.exists, within_s=BEGIN_S)
    bench.expect(at_work, f"no worker began {plan} within {BEGIN_S:.0f} s")
    time.sleep(bench.rng.uniform(0, 0.4))
    return plan


def _end(bench: Bench, plan: Plan, *, what: str) -> None:
    stuck = Stuck(plan)
    bench.processes.wait(lambda: bench.is_over(plan) or stuck(), within_s=END_S)
    bench.judge(plan, what=what)


FAULTS: Mapping[str, Callable[[Bench], None]] = {
    "Celery worker killed (SIGKILL)": worker_killed,
    "PostgreSQL restarted": partial(server_away, "postgres", 0.0),
    "PostgreSQL away for a minute": partial(server_away, "postgres", POSTGRES_AWAY_S),
    "Valkey restarted": partial(server_away, "valkey", 0.0),
    "Valkey emptied (FLUSHALL)": valkey_flushed,
    "Valkey away for five minutes": partial(server_away, "valkey", VALKEY_AWAY_S),
    "approved while Valkey is away": approved_without_valkey,
    "approved while Valkey hangs": approved_while_valkey_hangs,
    "two beats": two_beats,
    "beat dead for half an hour": beat_dead,
}
