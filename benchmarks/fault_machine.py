"""Random orders of what can happen to plans, against a small model of what may come of it.

Proposals, approvals, edits, expiry, dying workers, redelivery, drift and time; after each the
database is compared with `fault_model`, and at the end of each run all plans are brought to their
end and the checker replays it. Steps set objects in memory, so that thousands of them cost seconds;
leases, outbox, lifecycle, audit and the executor's turns are the product's own, on a database whose
clock is put on.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from benchmarks.fault_boundaries import Boundaries, Killed, watched
from benchmarks.fault_memory import KIND, World, world_in_memory
from benchmarks.fault_model import LEASE, LIFE, NAMES, Known, Model
from infra_console.plans import services
from infra_console.plans.errors import PlanError
from infra_console.plans.executing import executor
from infra_console.plans.executing.sweep import orphaned_plans
from infra_console.plans.invariants.checker import check
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.models import Plan, Transition
from infra_console.plans.spec import PlanSpec, Precondition, StepSpec
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import deployment_ref, scale_move, spec
from tests.people import person

TIER, APPROVER = "inference", "bo"
AT_WORK = ("approved", "executing")
STEPS_A_RUN, RUNS_AT_ONCE = 50, 40
# No sum of these comes near the end of a lease or of an approval: a slow machine changes nothing.
SHORT, PAST_LEASE, PAST_LIFE = timedelta(seconds=16), LEASE + timedelta(seconds=10), LIFE * 1.02
TURNS_TO_END = 40


class PlansMachine(RuleBasedStateMachine):
    """Each rule does one thing to the product and to the model."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self._undone = transaction.atomic()
        self._undone.__enter__()
        World.begin()
        World.put_clock(timedelta(0))
        self.model = Model()
        self.approver = User.objects.get(username=APPROVER)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._all_come_to_an_end()
        finally:
            transaction.set_rollback(True)
            self._undone.__exit__(None, None, None)

    @initialize(name=st.sampled_from(NAMES))
    def first(self, name: str) -> None:
        self._propose_new(name)

    @precondition(lambda self: not self.model.of_state("proposed"))
    @rule(name=st.sampled_from(NAMES))
    def propose(self, name: str) -> None:
        self._propose_new(name)

    @rule(which=st.integers(0, 5), times=st.sampled_from([1.1, 2.0]))
    def edit(self, which: int, times: float) -> None:
        """The same moves on other terms: another plan, unless the first is on its way."""
        old = self._one(which, "proposed")
        self._propose(old.name, to=old.to, gain=old.gain * times)

    @rule(which=st.integers(0, 5))
    def approve(self, which: int) -> None:
        self._approve(self._one(which, "proposed"))

    @rule(name=st.sampled_from(NAMES))
    def propose_and_approve(self, name: str) -> None:
        self._propose_new(name)
        self._approve(self.model.plans[-1])

    @rule(which=st.integers(0, 5))
    def reject(self, which: int) -> None:
        known = self._one(which)
        may = known.state == "proposed"
        done = _tried(lambda: services.reject_plan(known.id, by=self.approver, reason="no"))
        assert done == may, f"rejecting {known}: {done}"
        known.path += ["rejected"] if may else []

    @precondition(lambda self: self.model.of_state("proposed", "approved"))
    @rule()
    def expire(self) -> None:
        assert services.expire_due() == self.model.expire()

    @precondition(lambda self: self.model.ordered())
    @rule(which=st.integers(0, 5), times=st.integers(1, 5))
    def deliver(self, which: int, times: int) -> None:
        """The same message, once or several times."""
        known = self._one(which, *AT_WORK)
        for _ in range(times):
            executor.execute(known.id)
            self.model.turn(known)

    @precondition(lambda self: self.model.of_state(*AT_WORK))
    @rule(which=st.integers(0, 5), boundary=st.integers(1, 4))
    def kill(self, which: int, boundary: int) -> None:
        """A worker that dies before or after its write, or its record."""
        known, died = self._one(which, *AT_WORK), False
        with watched(Boundaries(boundary)):
            try:
                executor.execute(known.id)
            except Killed:
                died = True
        assert died == self.model.turn(known, dies_at=boundary)

    @rule(name=st.sampled_from(NAMES))
    def drift(self, name: str) -> None:
        World.replicas[name] += 1
        self.model.replicas[name] += 1

    @rule(passed=st.sampled_from([SHORT, SHORT, PAST_LEASE, PAST_LEASE, PAST_LIFE]))
    def time(self, passed: timedelta) -> None:
        self._pass(passed)

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        type(self).steps += 1
        columns = ("id", "state", "held_locks__plan", "outbox__plan")
        held = sorted(Plan.objects.values_list(*columns))
        assert held == sorted(self._row(known) for known in self.model.plans)

    @invariant()
    def the_world_is_what_the_model_makes_of_it(self) -> None:
        assert World.objects == self.model.objects
        assert len(World.log) == sum(known.effects for known in self.model.plans)

    def _row(self, known: Known) -> tuple[Any, ...]:
        """The plan's state, its lock and its order, as the database must hold them."""
        locked, ordered = known.state == "executing", known in self.model.ordered()
        return known.id, known.state, known.id if locked else None, known.id if ordered else None

    def _one(self, which: int, *likely: str) -> Known:
        """Mostly the newest of the states where something may be done, else one of the newest."""
        fitting, plans = self.model.of_state(*likely), self.model.plans
        return fitting[-1] if fitting and which > 1 else plans[-1 - which % len(plans)]

    def _propose_new(self, name: str) -> None:
        self._propose(name, to=len(self.model.plans) + 1, gain=1.0)

    def _propose(self, name: str, *, to: int, gain: float) -> None:
        standing = self.model.standing(name, to, gain)
        plan = services.propose_plan(_document(name, to, gain), authors=["planner"])
        if standing is None:
            assert plan.id not in {known.id for known in self.model.plans}
            self.model.proposed(plan.id, name, to, gain)
        else:
            assert plan.id == standing.id, f"{standing} was there, and plan {plan.number} came"

    def _approve(self, known: Known) -> None:
        plan, may = Plan.objects.get(id=known.id), self.model.may_approve(known)
        done = _tried(
            lambda: services.approve_plan(
                plan.id, by=self.approver, plan_hash=plan.hash, reason="fits"
            )
        )
        assert done == may, f"approving {known}: {done}"
        known.path += ["approved"] if may else []

    def _pass(self, passed: timedelta) -> None:
        self.model.now += passed
        World.put_clock(self.model.now)

    def _all_come_to_an_end(self) -> None:
        """As the sweep would: what has nobody working on it is handed out until all has ended."""
        known_by_id: dict[UUID, Known] = {known.id: known for known in self.model.plans}
        for _ in range(TURNS_TO_END):
            self._pass(PAST_LEASE)
            for plan_id in sorted(orphaned_plans(), key=list(known_by_id).index):
                executor.execute(plan_id)
                self.model.turn(known_by_id[plan_id])
                self.the_database_says_what_the_model_says()
            if not self.model.of_state(*AT_WORK):
                break
        assert not self.model.of_state(*AT_WORK), self.model.plans
        self._judge()

    def _judge(self) -> None:
        moves = Transition.objects.order_by("id").values_list("plan_id", "to_state")
        for known in self.model.plans:
            assert [to for plan_id, to in moves if plan_id == known.id] == known.path
        verdicts = check(read_history(requests=World.log, nodes={CLUSTER: []}))
        assert {name: v.violations for name, v in verdicts.items() if v.violations} == {}


def _document(name: str, to: int, gain: float) -> PlanSpec:
    target = deployment_ref(name)
    step = StepSpec(
        key=f"{CLUSTER}/{name}/set", kind=KIND, title=f"Set {name}", target=target, tier=TIER,
        wave=0, params={"to": to},
    )  # fmt: skip
    relied_on = Precondition(target=target, facts={"replicas": World.replicas[name]})
    return spec(
        moves=(scale_move(name, to - 1, to),), steps=(step,), gain_usd=gain, guards=(), budgets=(),
        locks=({"cluster": CLUSTER, "tier": TIER},), preconditions=(relied_on,),
    )  # fmt: skip


def _tried(act: Callable[[], object]) -> bool:
    try:
        act()
    except PlanError:
        return False
    return True


def run_machine(steps: int, seed: int, *, shrink: bool = False) -> int:
    """At least so many steps, in runs of fifty; how many were taken.

    Raises: AssertionError with an order of rules that breaks the model; with `shrink`, which may
    take minutes, with the shortest.
    """
    PlansMachine.steps = 0
    person("approver", name=APPROVER)
    services.arm(CLUSTER, TIER, by=person("operator", name="cy"), hours=24 * 7)
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    with world_in_memory():
        while (left := steps - PlansMachine.steps) > 0:
            options = hypothesis_settings(
                max_examples=min(RUNS_AT_ONCE, ceil(left / STEPS_A_RUN)),
                stateful_step_count=STEPS_A_RUN, deadline=None, database=None, phases=phases,
                suppress_health_check=list(HealthCheck), print_blob=False,
            )  # fmt: skip
            PlansMachine._hypothesis_internal_use_seed = seed + PlansMachine.steps
            run_state_machine_as_test(PlansMachine, settings=options)
    return PlansMachine.steps
