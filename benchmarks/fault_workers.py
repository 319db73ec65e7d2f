"""Workers that die, are gone, or are told twice; a way back cut short; an upgrade on the way."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from benchmarks.fault_boundaries import die
from benchmarks.fault_timers import scaled
from benchmarks.faults_bench import Bench
from infra_console.plans import services
from infra_console.plans.models import Execution, Outbox, Plan, Step
from infra_console.plans.states import STEP_ENDED
from infra_console.plans.taking_back.rollback import roll_back

PROCESS_KILLS = 3
LATE = timedelta(hours=9)


def killed_at_every_boundary(bench: Bench) -> None:
    whole = bench.next_plan()
    total = bench.strike(whole, 0, lambda: None)
    bench.judge(whole, what="undisturbed")
    for number in bench.boundaries(total, few=3):
        plan = bench.next_plan()
        bench.kill_and_finish(plan, number)
        bench.judge(plan, what=f"killed at boundary {number} of {total}")


def killed_process(bench: Bench) -> None:
    """SIGKILL to a process: right after a write and before its record, and at random boundaries."""
    for number in (2, *bench.boundaries(12, few=1))[: 2 if bench.few else PROCESS_KILLS]:
        plan = bench.next_plan()
        code = bench.workers.work(plan.id, settings.KUBECONFIG, kill_at=number)
        killed_at = time.monotonic()
        bench.finish(plan)
        bench.resumed.append(time.monotonic() - killed_at)
        bench.expect(code == -signal.SIGKILL, f"the worker ended with {code}, not killed")
        bench.judge(plan, what=f"process killed at boundary {number}")


def all_workers_gone(bench: Bench) -> None:
    """Two workers at two plans are killed at once, and nobody comes for several leases."""
    bench.faults.latency_s = 0.02
    plan = bench.next_plan()
    at_work = [bench.workers.start(plan.id, settings.KUBECONFIG) for _ in range(2)]
    _until(lambda: Step.objects.filter(plan=plan, attempts__gt=0).exists())
    for pid in at_work:
        os.kill(pid, signal.SIGKILL)
    time.sleep(scaled(120))
    bench.faults.latency_s = 0.0
    bench.finish(plan)
    bench.judge(plan)


def told_many_times(bench: Bench) -> None:
    """One to five deliveries of each of two plans, at once and in any order."""
    for times in bench.boundaries(5, few=1):
        plans = [bench.next_plan(), bench.next_plan()]
        orders = [plan for plan in plans for _ in range(times)]
        bench.rng.shuffle(orders)
        _at_once([lambda p=p: bench.deliver(p) for p in orders])
        for plan in plans:
            bench.finish(plan)
            bench.deliver(plan)  # once more, long after its end
            # The second relies on what the first changes: it is void, or the first is.
            bench.judge(plan, what=f"told {times} times", ends=("verified", "void"))
        if plans[0].state == plans[1].state == "void":
            bench.expect(False, "both plans are void: neither was carried out")
        bench.settle_turn()


def told_hours_late(bench: Bench) -> None:
    """The message arrives after the approval has run out; one of an ended plan does nothing."""
    late = bench.next_plan()
    pass_time(late, LATE)
    bench.deliver(late)
    bench.judge(late, what="begun too late", ends=("expired",))
    bench.settle_turn()
    done = bench.next_plan()
    bench.finish(done)
    before = bench.twin.mutations()
    bench.deliver(done)
    bench.expect(bench.twin.mutations() == before, "a late message wrote")
    bench.judge(done, what="told again after its end")


def way_back_interrupted(bench: Bench) -> None:
    total = _way_back(bench, 0)
    for number in bench.boundaries(total, few=2):
        _way_back(bench, number, of=total)


def _way_back(bench: Bench, number: int, *, of: int = 0) -> int:
    plan = bench.next_plan()
    bench.finish(plan)
    roll_back(plan.id, by=bench.operator, reason="give it back")
    passed = bench.kill_and_finish(plan, number)
    bench.settle_turn()
    bench.judge(plan, what=f"way back killed at {number} of {of}", ends=("rolled_back",))
    return passed


def upgraded_in_flight(bench: Bench) -> None:
    """Killed midway; the code that goes on finds words of another version in the rows."""
    plan = bench.next_plan()
    bench.strike(plan, 6, die)
    for step in Step.objects.filter(plan=plan):
        Step.objects.filter(pk=step.pk).update(params={**step.params, "of_another_version": 1})
    bench.finish(plan)
    kept = Step.objects.filter(plan=plan, params__has_key="of_another_version").count()
    bench.expect(kept == Step.objects.filter(plan=plan).count(), "an unknown param was lost")
    bench.judge(plan, what="a param of another version")
    _unknown_kind(bench)
    _unknown_member(bench)
    _older_document(bench)


def _unknown_kind(bench: Bench) -> None:
    """A step kind that this version lacks waits for a person; with it the plan goes on."""
    plan = bench.next_plan()
    bench.strike(plan, 6, die)
    open_step = Step.objects.filter(plan=plan).exclude(state__in=STEP_ENDED).last()
    if open_step is None:
        bench.expect(False, "no step was left open")
        return
    Step.objects.filter(pk=open_step.pk).update(kind="of.another_version")
    bench.finish(plan)
    bench.judge(plan, what="a step kind of another version", ends=("paused",))
    Step.objects.filter(pk=open_step.pk).update(kind=open_step.kind)
    services.resume_execution(plan.id, by=bench.operator, reason="the right version is back")
    bench.finish(plan)
    bench.judge(plan, what="the right version is back")


def _unknown_member(bench: Bench) -> None:
    """A document with a member of a newer version is not carried on by guesswork."""
    plan = bench.next_plan()
    bench.strike(plan, 6, die)
    kept = plan.document
    Plan.objects.filter(id=plan.id).update(document={**kept, "of_a_newer_version": True})
    bench.finish(plan, within_s=scaled(60))
    plan.refresh_from_db()
    bench.expect(plan.state == "paused", f"{plan} is {plan.state} with an unreadable document")
    Plan.objects.filter(id=plan.id).update(document=kept)
    if plan.state == "paused":
        services.resume_execution(plan.id, by=bench.operator, reason="the right version is back")
    bench.finish(plan)
    bench.judge(plan, what="a member of a newer version")


def _older_document(bench: Bench) -> None:
    """A plan from before a member was added starts, and goes back, as it was approved."""
    plan = services.propose_plan(bench.document(), authors=["planner"])
    older = {key: value for key, value in plan.document.items() if key != "gain_usd"}
    text = json.dumps(older, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    held = hashlib.sha256(text.encode()).hexdigest()
    Plan.objects.filter(id=plan.id).update(document=older, hash=held)
    services.approve_plan(plan.id, by=bench.approvers[0], plan_hash=held, reason="fits")
    bench.finish(plan)
    bench.judge(plan, what="a document of an older version")
    roll_back(plan.id, by=bench.operator, reason="give it back")
    bench.finish(plan)
    bench.judge(plan, what="back by an older version's plan", ends=("rolled_back",))


def pass_time(plan: Plan, passed: timedelta) -> None:
    """As if this time had passed since: every moment written down moves back."""
    Plan.objects.filter(id=plan.id).update(
        created_at=F("created_at") - passed, expires_at=F("expires_at") - passed
    )
    plan.transitions.update(at=F("at") - passed)
    plan.approvals.update(at=F("at") - passed)
    Outbox.objects.filter(plan=plan).update(not_before=F("not_before") - passed)
    Execution.objects.filter(plan=plan, lease_expires_at__gt=timezone.now()).update(
        lease_expires_at=F("lease_expires_at") - passed
    )


def _at_once(calls: list[Callable[[], None]]) -> None:
    def run(call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def _until(condition: Callable[[], bool], *, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


FAULTS: Mapping[str, Callable[[Bench], None]] = {
    "worker killed at every boundary": killed_at_every_boundary,
    "worker process killed (SIGKILL)": killed_process,
    "all workers gone": all_workers_gone,
    "told 1-5 times, out of order": told_many_times,
    "told hours late": told_hours_late,
    "way back interrupted": way_back_interrupted,
    "upgrade in flight": upgraded_in_flight,
}
