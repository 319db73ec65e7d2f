"""Carrying out the steps of one execution, wave by wave in each cluster.

Clusters do not wait for each other, and a step that waits does not hold up its wave. Steps of one
wave are tried one after the other; neighbours whose kind says so, side by side. Each result is
recorded under the lease as it comes, so a worker that dies loses at most the records of what was in
flight, and a step that is tried again finds its write already there.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from infra_console.cluster.errors import (
    ClusterError,
    ClusterUnavailable,
    InvalidRequest,
    ObjectConflict,
    ObjectMissing,
)
from infra_console.cluster.reads import list_nodes
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.approving.freezes import thawed
from infra_console.plans.executing.doubting import certain
from infra_console.plans.executing.patience import patient
from infra_console.plans.holding.crew import Crew
from infra_console.plans.holding.fence import Fence, Halted
from infra_console.plans.holding.guards import GuardRail
from infra_console.plans.holding.lease import renew_lease
from infra_console.plans.models import Plan, Step
from infra_console.plans.spec import ObjectRef, PlanSpec
from infra_console.plans.states import STEP_ENDED, StepState
from infra_console.plans.steps.base import (
    Blocked,
    Done,
    Failed,
    Outcome,
    Skipped,
    StepContext,
    Waiting,
)
from infra_console.plans.steps.registry import is_side_by_side, step_kind, unknown_kind
from infra_console.plans.taking_back.taken import remember_taken

# How long one task keeps at it before it lets go.
WORK_S = 20.0
# Steps tried side by side; each costs a connection to the database while the turn lasts.
AT_ONCE = 8
CONFLICT_RETRY_S = 2.0
FIRST_RETRY_S, LONGEST_BACKOFF_S = 0.25, 8.0  # where the server does not say when
# A server that asks for an hour would have a closed node wait for it, and nobody told.
LONGEST_RETRY_S = 60.0
FREEZE_RETRY_S = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the steps stand: all ended, or when to look again, or why to stop."""

    finished: bool = False
    retry_s: float = 0.0
    stop: Blocked | Failed | None = None


class Runner:
    """One worker's turn at one execution's steps."""

    def __init__(
        self,
        plan: Plan,
        fence: Fence,
        *,
        tier_key: str,
        back: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plan = plan
        self._back = back
        self._spec: PlanSpec = plan.spec
        self._fence = fence
        self._tier_key = tier_key
        self._sleep = sleep
        self._failures: Counter[int] = Counter()  # of each step since it got on, by this worker

    def run(self) -> Progress:
        """Try what can be tried until all is done, somebody must look, or the turn is over."""
        with Crew(AT_ONCE) as crew:
            return self._until(time.monotonic() + WORK_S, crew)

    def _until(self, turn_ends: float, crew: Crew) -> Progress:
        while True:
            steps = list(Step.objects.filter(plan=self._plan, back=self._back))
            # Left by a worker that died before it could move the plan.
            if failed := next((s for s in steps if s.state == StepState.FAILED), None):
                return Progress(stop=Failed(failed.detail))
            if all(s.state in STEP_ENDED for s in steps):
                return Progress(finished=True)
            due, wait_s = runnable(steps, now=clock.now())
            due, doubt = self._certain(self._thawed(steps, due))
            if stop := self._try_all(due, crew):
                return Progress(stop=stop)
            if doubt and not due:
                return Progress(stop=Blocked(doubt))
            if time.monotonic() + wait_s > turn_ends:
                return Progress(retry_s=wait_s)
            if not due:
                self._sleep(wait_s)

    def _thawed(self, steps: list[Step], due: list[Step]) -> list[Step]:
        """The due steps that no freeze window holds back.

        Raises:
            Halted: every one of them is held.
        """
        if self._fence.dry_run:
            return due
        going, why = thawed(self._plan, steps, due)
        if due and not going:
            raise Halted(why, retry_s=FREEZE_RETRY_S)
        return going

    def _certain(self, due: list[Step]) -> tuple[list[Step], str]:
        """Giving back is always allowed, and a rehearsal takes nothing."""
        return (due, "") if self._fence.dry_run or self._back else certain(self._plan, due)

    def _try_all(self, due: list[Step], crew: Crew) -> Blocked | Failed | None:
        """One try of each due step, recorded; what somebody must look at ends it."""
        stop: Blocked | Failed | None = None
        for at_once, run in groupby(due, key=lambda step: is_side_by_side(step.kind)):
            for step, outcome in self._tries(list(run), crew if at_once else None):
                self._record(step, outcome)
                stop = stop or _stop_in(outcome)
            if stop:
                break
        return stop

    def _tries(self, steps: list[Step], crew: Crew | None) -> Iterator[tuple[Step, Outcome]]:
        """Each step with its outcome, side by side where there is a crew for it.

        After one that somebody must look at none is begun.
        """
        # Other connections would not see what a transaction around us has not committed.
        if crew is None or len(steps) == 1 or connection.in_atomic_block:
            for step in steps:
                outcome = self._try(step)
                yield step, outcome
                if _stop_in(outcome):
                    return
        else:
            yield from crew.each(self._try, steps, enough=lambda tried: bool(_stop_in(tried)))

    def _try(self, step: Step) -> Outcome:
        """One try of one step, not recorded."""
        self._fence.check(step.cluster, step.tier)
        Step.objects.filter(pk=step.pk).update(
            state=StepState.RUNNING,
            attempts=F("attempts") + 1,
            started_at=Coalesce("started_at", clock.now()),
        )
        step.refresh_from_db()
        outcome = patient(step, self._outcome(step))
        if self._back and isinstance(outcome, Failed):
            outcome = Blocked(outcome.reason)  # a way back is never given up, a person looks
        return outcome

    def _outcome(self, step: Step) -> Outcome:
        try:
            kind = step_kind(step.kind)
        except (KeyError, ImportError):
            return Blocked(unknown_kind(step.kind))
        context = self._context(step)
        try:
            outcome = kind.rehearse(context) if self._fence.dry_run else kind.run(context)
        except ClusterError as err:
            self._failures[step.pk] += 1
            return _outcome_of(err, failures=self._failures[step.pk])
        self._failures.pop(step.pk, None)
        return outcome

    def _context(self, step: Step) -> StepContext:
        def write(what: str, call: Callable[[], Any]) -> Any:
            written = self._fence.write(
                cluster=step.cluster, tier=step.tier, step=step.key, what=what, call=call
            )
            self._failures.pop(step.pk, None)
            return written

        def keep_prior(prior: Mapping[str, Any]) -> None:
            with transaction.atomic():
                Step.objects.filter(pk=step.pk).update(prior=dict(prior))
                remember_taken(step, prior)

        return StepContext(
            plan_id=str(self._plan.id),
            epoch=self._fence.lease.epoch,
            target=ObjectRef.model_validate(step.target),
            tier=step.tier,
            params=step.params,
            attempts=step.attempts,
            prior=step.prior,
            tier_key=self._tier_key,
            guards=GuardRail(
                step.cluster,
                tier_key=self._tier_key,
                guards=self._spec.guards,
                budgets=self._spec.budgets,
                list_nodes=list_nodes,
            ),
            dry_run=self._fence.dry_run,
            authorised_write=write,
            keep_prior=keep_prior,
        )

    def _record(self, step: Step, outcome: Outcome) -> None:
        """Write the result down, unless the lease was lost in the meantime."""
        with transaction.atomic():
            renew_lease(self._fence.lease)
            Step.objects.filter(pk=step.pk).update(**self._columns(outcome))
            publish(kind="plan", id=str(self._plan.id), version=self._plan.version)

    def _columns(self, outcome: Outcome) -> dict[str, Any]:
        now = clock.now()
        match outcome:
            case Done(detail):
                ended = StepState.REHEARSED if self._fence.dry_run else StepState.DONE
                return {"state": ended, "detail": detail, "finished_at": now, "next_try_at": None}
            case Skipped(reason):
                left = StepState.SKIPPED
                return {"state": left, "detail": reason, "finished_at": now, "next_try_at": None}
            case Waiting(reason, retry_s):
                again = now + timedelta(seconds=retry_s)
                return {"state": StepState.WAITING, "detail": reason, "next_try_at": again}
            case Blocked(reason):
                return {"state": StepState.WAITING, "detail": reason, "next_try_at": None}
            case Failed(reason):
                return {"state": StepState.FAILED, "detail": reason, "finished_at": now}


def _stop_in(outcome: Outcome) -> Blocked | Failed | None:
    return outcome if isinstance(outcome, Blocked | Failed) else None


def runnable(steps: list[Step], *, now: datetime) -> tuple[list[Step], float]:
    """The steps to try now, and the seconds until the next one is due when there is none.

    In each cluster only the first wave that is not finished counts.
    """
    open_steps = [s for s in steps if s.state not in STEP_ENDED]
    wave: dict[str, int] = {}
    for step in open_steps:
        wave[step.cluster] = min(step.wave, wave.get(step.cluster, step.wave))
    turn = [s for s in open_steps if s.wave == wave[s.cluster]]
    due = [s for s in turn if s.next_try_at is None or s.next_try_at <= now]
    waits = [(s.next_try_at - now).total_seconds() for s in turn if s.next_try_at]
    return due, max(0.0, min(waits, default=0.0))


def _outcome_of(err: ClusterError, *, failures: int = 1) -> Outcome:
    """What a cluster's refusal means for the step, which has failed so often in a row."""
    match err:
        case ObjectConflict():
            return Waiting(f"changed while we looked: {err.problem}", CONFLICT_RETRY_S)
        case ClusterUnavailable(retryable=True, retry_after_s=wait_s):
            backoff_s = min(FIRST_RETRY_S * 2 ** (failures - 1), LONGEST_BACKOFF_S)
            return Waiting(str(err), min(max(wait_s, backoff_s), LONGEST_RETRY_S))
        case ObjectMissing():
            return Failed(f"gone: {err.problem}")
        case InvalidRequest():
            return Failed(f"refused: {err.problem}")
        case _:
            return Blocked(str(err))
