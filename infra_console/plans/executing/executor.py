"""From an approved plan to its end. Safe to call at any time, any number of times, by anyone.

The lease decides who works; the plan's state decides what is done: start, steps, verification, or
clearing up after an end. Whatever is not finished within a turn is handed out again by the sweep.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from infra_console.cluster.errors import ClusterError
from infra_console.fleet.queries import tier_key
from infra_console.plans import clock
from infra_console.plans.approving.freezes import frozen_plan
from infra_console.plans.errors import Drifted, LockHeld, WrongState, describe_drift
from infra_console.plans.executing.cleanup import lift_our_cordons
from infra_console.plans.executing.patience import begin_anew
from infra_console.plans.executing.runner import Progress, Runner
from infra_console.plans.facts.drift import changes_ahead, check_drift
from infra_console.plans.holding.fence import EXECUTOR, Fence, Halted, NotArmed
from infra_console.plans.holding.interrupted import close_interrupted
from infra_console.plans.holding.lease import LeaseLost, acquire_lease, release_lease
from infra_console.plans.holding.locks import release_locks, take_locks
from infra_console.plans.holding.orders import undo_until
from infra_console.plans.holding.outbox import order_next_turn
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.safety import is_armed, is_killed
from infra_console.plans.settling.settlement import settle_at
from infra_console.plans.settling.verification import VERIFY_FOR, verify
from infra_console.plans.spec import is_unchanged
from infra_console.plans.states import STEP_ENDED, Mode, PlanState, StepState
from infra_console.plans.steps.base import Blocked, Failed
from infra_console.plans.steps.registry import installed_kinds, unknown_kind
from infra_console.plans.taking_back.compensation import write_down
from infra_console.telemetry.sources import current_sources

log = logging.getLogger(__name__)

ACTIVE = frozenset(
    {
        PlanState.APPROVED,
        PlanState.EXECUTING,
        PlanState.VERIFYING,
        PlanState.ABORTED,
        PlanState.FAILED,
        PlanState.ROLLING_BACK,
    }
)
READS_DOCUMENT = ACTIVE - {PlanState.ABORTED, PlanState.FAILED}
BUSY_RETRY_S = 5.0
# A turn that ends with work due so soon orders the next one itself: the sweep comes too late.
NEXT_TURN_S = 1.0


def execute(plan_id: UUID, *, sleep: Callable[[float], None] = time.sleep) -> str:
    """Work on a plan for one turn; the answer says what happened, for the log.

    An unexpected error leaves the lease to run out, so that the next try is half a minute away.
    """
    if not Plan.objects.filter(id=plan_id, state__in=ACTIVE).exists():
        return "nothing to do"
    lease = acquire_lease(plan_id)
    if lease is None:
        return "finished, or another worker is on it"
    close_interrupted(lease)
    turn = _Turn(plan_id, lease, sleep)
    try:
        retry_s = turn.work()
    except Halted as halt:
        _say(plan_id, halt.reason)
        begin_anew(plan_id)
        retry_s = halt.retry_s
    except LeaseLost:
        log.warning("Plan %s: lease lost at epoch %s", plan_id, lease.epoch)
        return "lease lost"
    except WrongState as err:  # somebody paused, aborted or withdrew it while we worked
        log.info("Plan %s: %s", plan_id, err)
        retry_s = 0.0
    release_lease(lease, retry_s=retry_s)
    if turn.goes_on:
        order_next_turn(plan_id)
    return "worked"


class _Turn:
    """One worker's turn at one plan; each method returns the seconds until the next."""

    def __init__(self, plan_id: UUID, lease: Any, sleep: Callable[[float], None]) -> None:
        self.plan = Plan.objects.select_related("execution").get(id=plan_id)
        self.lease = lease
        self.sleep = sleep
        self.tier_key = tier_key()
        self.goes_on = False  # the turn was over in the middle of the work

    def work(self) -> float:
        if self.plan.state in READS_DOCUMENT and (why := _unreadable(self.plan)):
            return self._wait_for_version(why)
        return self._do()

    def _do(self) -> float:
        match self.plan.state:
            case PlanState.APPROVED:
                return self._start()
            case PlanState.EXECUTING:
                return self._run()
            case PlanState.VERIFYING:
                return verify(self.plan, tier_key=self.tier_key)
            case PlanState.ABORTED | PlanState.FAILED:
                return self._clear_up()
            case PlanState.ROLLING_BACK:
                return self._go_back()
        return 0.0

    def _start(self) -> float:
        """Check that the plan may begin at all, take its locks and begin."""
        if self.plan.expires_at <= clock.now():
            return self._end(PlanState.EXPIRED, "approved, but not started before its time ran out")
        if held_until := undo_until(self.plan):
            wait_s = (held_until - clock.now()).total_seconds()
            raise Halted(f"starts not before {held_until:%Y-%m-%d %H:%M:%S} UTC", retry_s=wait_s)
        spec = self.plan.spec
        if not is_unchanged(self.plan.document, self.plan.hash):
            return self._end(PlanState.VOID, "the document is not the one that was approved")
        if is_killed():
            raise Halted("the kill switch is engaged", retry_s=BUSY_RETRY_S)
        try:
            check_drift(spec.preconditions, tier_key=self.tier_key)
        except Drifted as drift:
            return self._end(PlanState.VOID, str(drift))
        except ClusterError as err:
            raise Halted(f"waits to begin: {err}", retry_s=BUSY_RETRY_S) from err
        armed = all(is_armed(lock.cluster, lock.tier) for lock in spec.locks)
        if armed and (held := frozen_plan(self.plan)):
            raise Halted(held.words, retry_s=BUSY_RETRY_S)
        self._begin(Mode.REAL if armed else Mode.DRY_RUN)
        return self._run()

    def _wait_for_version(self, why: str) -> float:
        """What another version of the console wrote is not carried on by guesswork."""
        if self.plan.state in {PlanState.EXECUTING, PlanState.ROLLING_BACK}:
            return self._move(PlanState.PAUSED, why)
        raise Halted(why, retry_s=BUSY_RETRY_S)

    def _begin(self, mode: Mode) -> None:
        why = "armed" if mode == Mode.REAL else "not armed: a rehearsal with the server's dry run"
        try:
            with journal() as moves:
                if mode == Mode.REAL:
                    take_locks(self.plan)
                # The execution's row first: an approval taken back at this moment locks it too.
                Execution.objects.filter(plan=self.plan).update(
                    mode=mode, started_at=clock.now(), outcome=""
                )
                moves.move(self.plan.id, to=PlanState.EXECUTING, who=EXECUTOR, why=why)
                write_down(self.plan)
        except LockHeld as err:
            raise Halted(str(err), retry_s=BUSY_RETRY_S) from err
        self.plan.refresh_from_db()

    def _run(self) -> float:
        """Carry out the steps, and say how it went."""
        fence = self._fence()
        _say(self.plan.id, "")
        # Again under the locks, and each turn: a pause or a wait may have lasted for hours.
        if changes := changes_ahead(self.plan, tier_key=self.tier_key):
            return self._drifted(changes)
        try:
            progress = Runner(self.plan, fence, tier_key=self.tier_key, sleep=self.sleep).run()
        except NotArmed as err:
            progress = Progress(stop=Blocked(str(err)))
        match progress.stop:
            case Blocked(reason):
                return self._move(PlanState.PAUSED, reason)
            case Failed(reason):
                self._move(PlanState.FAILED, reason)
                return self._clear_up()
        return self._steps_done(fence) if progress.finished else self._go_on(progress)

    def _go_on(self, progress: Progress) -> float:
        self.goes_on = progress.retry_s < NEXT_TURN_S
        return progress.retry_s

    def _drifted(self, changes: Sequence[str]) -> float:
        """Void while nothing was written; later it has failed, and is cleared up after."""
        written = Step.objects.filter(plan=self.plan).exclude(prior=None).exists()
        if not written:
            return self._end(PlanState.VOID, str(Drifted(changes)))
        self._move(PlanState.FAILED, f"{describe_drift(changes)}. What is done stays done.")
        return self._clear_up()

    def _steps_done(self, fence: Fence) -> float:
        if fence.dry_run:
            return self._rehearsed()
        until = clock.now() + VERIFY_FOR
        Execution.objects.filter(plan=self.plan).update(verify_until=until)
        self._move(PlanState.VERIFYING, "every step is done")
        return verify(self.plan, tier_key=self.tier_key)

    def _rehearsed(self) -> float:
        if current_sources():
            shadow = settle_at(clock.now())
            Execution.objects.filter(plan=self.plan).update(settle_at=shadow)
        return self._end(PlanState.REHEARSED, "every write was checked by the server")

    def _go_back(self) -> float:
        """Carry out the compensations; what is not as the plan left it waits for a person."""
        fence = self._fence()
        if not is_unchanged(self.plan.document, self.plan.hash):
            return self._move(PlanState.PAUSED, "the document is not the one that was approved")
        try:
            take_locks(self.plan)
        except LockHeld as err:
            raise Halted(
                f"waits to go back: plan {err.by} is working there", retry_s=BUSY_RETRY_S
            ) from err
        _say(self.plan.id, "")
        runner = Runner(self.plan, fence, tier_key=self.tier_key, back=True, sleep=self.sleep)
        try:
            progress = runner.run()
        except NotArmed as err:
            progress = Progress(stop=Blocked(str(err)))
        if progress.stop:
            return self._move(PlanState.PAUSED, f"on the way back: {progress.stop.reason}")
        if not progress.finished:
            return self._go_on(progress)
        self._leave_nothing(fence)
        return self._end(PlanState.ROLLED_BACK, "everything stands as it did before the plan")

    def _clear_up(self) -> float:
        """After an abort or a failure: no cordon of ours stays, no lock, no open step."""
        self._leave_nothing(self._fence())
        self._finish(self.plan.state_reason)
        return 0.0

    def _leave_nothing(self, fence: Fence) -> None:
        """Lift every cordon of this plan; no step of it stays open."""
        if not fence.dry_run:
            try:
                lift_our_cordons(self.plan, fence)
            except ClusterError as err:
                raise Halted(f"cordons remain: {err}", retry_s=BUSY_RETRY_S) from err
        Step.objects.filter(plan=self.plan).exclude(state__in=STEP_ENDED).update(
            state=StepState.SKIPPED, finished_at=clock.now(), next_try_at=None
        )

    def _fence(self) -> Fence:
        self.plan = Plan.objects.select_related("execution").get(id=self.plan.id)
        dry_run = self.plan.execution.mode != Mode.REAL
        return Fence(self.lease, state=self.plan.state, dry_run=dry_run)

    def _end(self, state: PlanState, why: str) -> float:
        """The end in one transaction: a worker that dies over it leaves no lock behind."""
        with journal() as moves:
            self._finish(why)
            self.plan = moves.move(self.plan.id, to=state, who=EXECUTOR, why=why)
        return 0.0

    def _move(self, state: PlanState, why: str) -> float:
        with journal() as moves:
            self.plan = moves.move(self.plan.id, to=state, who=EXECUTOR, why=why)
        return 0.0

    def _finish(self, outcome: str) -> None:
        Execution.objects.filter(plan=self.plan).update(finished_at=clock.now(), outcome=outcome)
        release_locks(self.plan)


def _unreadable(plan: Plan) -> str:
    """Why this version cannot work on the plan; empty when it can."""
    try:
        kinds = {step.kind for step in plan.spec.steps}
    except ValueError:
        return (
            "this version of the console cannot read the plan's document; "
            "resume with the version that proposed it, or abort"
        )
    if plan.state == PlanState.APPROVED and (unknown := sorted(kinds - installed_kinds())):
        return unknown_kind(unknown[0])
    return ""


def _say(plan_id: UUID, outcome: str) -> None:
    """What the page shows while nothing moves."""
    Execution.objects.filter(plan_id=plan_id).update(outcome=outcome)
