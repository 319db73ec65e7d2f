"""Random orders of what can happen to plans, against a small model of what may come of it.

Proposals, approvals, edits, expiry, dying workers, redelivery, drift and time. Steps set objects in
memory, so that thousands of them cost seconds; leases, outbox, lifecycle and the executor's turns
are the product's own, on a database. Time passes by moving every written moment back.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any
from unittest.mock import patch

from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from infra_console.plans import drift, executor, fence, services, verification
from infra_console.plans.errors import PlanError
from infra_console.plans.models import Execution, LockRow, Outbox, Plan, Step
from infra_console.plans.spec import PlanSpec, Precondition, StepSpec
from infra_console.plans.steps.base import Done, Outcome, StepContext, Undo
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import deployment_ref, scale_move, spec
from tests.people import person

KIND = "machine.set"
NAMES = ("chat-a", "chat-b")
STEPS_A_RUN, RUNS_AT_ONCE = 50, 40
LEASE = timedelta(seconds=30)
PASSED = [timedelta(seconds=10), timedelta(seconds=40), timedelta(hours=1), timedelta(hours=30)]
MOVED: Mapping[Any, tuple[str, ...]] = {
    Plan: ("expires_at", "created_at"),
    Execution: ("lease_expires_at", "not_before", "verify_until"),
    Step: ("next_try_at", "started_at"),
    Outbox: ("not_before",),
}


class Died(BaseException):
    """The worker is gone."""


class World:
    """What the steps write to; `writes` counts what took effect, `replicas` is what drifts."""

    objects: dict[str, int] = {}  # noqa: RUF012  one world for the machine that runs
    replicas: dict[str, int] = {}  # noqa: RUF012
    writes: Counter[str] = Counter()  # noqa: RUF012
    dies: str = ""


class SetObject:
    """A step that sets one object in memory; its worker dies before or after it, when told so."""

    def run(self, step: StepContext) -> Outcome:
        name, to = step.target.name, int(step.params["to"])
        if World.objects.get(name) == to:
            return Done("stands")
        step.keep_prior({"was": World.objects.get(name)})
        step.write(f"set {name}", lambda: self._set(step.plan_id, name, to))
        return Done("set")

    def _set(self, plan_id: str, name: str, to: int) -> None:
        dies, World.dies = World.dies, ""
        if dies == "before":
            raise Died
        World.objects[name] = to
        World.writes[plan_id] += 1
        if dies == "after":
            raise Died

    def rehearse(self, step: StepContext) -> Outcome:
        return Done("would be set")

    def undo(self, step: StepSpec) -> tuple[Undo, ...]:
        return ()


@dataclass
class Known:
    """What the model knows of one plan."""

    id: Any
    spec: PlanSpec
    name: str
    replicas: int
    moves: int
    state: str = "proposed"
    age: timedelta = timedelta(0)
    leased: timedelta = timedelta(0)  # of a dead worker, what is left of it

    @property
    def ran_out(self) -> bool:
        return self.age > timedelta(seconds=django_settings.PLAN_TTL_S)


class PlansMachine(RuleBasedStateMachine):
    """Each rule does one thing to the product and says what the model expects of it."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self._undone = transaction.atomic()
        self._undone.__enter__()
        World.objects, World.writes, World.dies = {}, Counter(), ""
        World.replicas = dict.fromkeys(NAMES, 1)
        self.plans: list[Known] = []
        self.approver, operator = person("approver", name="bo"), person("operator", name="cy")
        services.arm(CLUSTER, "inference", by=operator, hours=24 * 7)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._undone.__exit__(None, None, None)

    @rule(name=st.sampled_from(NAMES))
    def propose(self, name: str) -> None:
        self._proposed(self._document(name, len(self.plans) + 2, gain=1.0), name, len(self.plans))

    @precondition(lambda self: self.plans)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """The same moves on other terms: another plan, unless the first is on its way."""
        old = self._any(data)
        to = old.spec.steps[0].params["to"]
        document = self._document(old.name, to, gain=(old.spec.gain_usd or 1.0) * 2)
        self._proposed(document, old.name, old.moves)

    @precondition(lambda self: self.plans)
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        known = self._any(data)
        may = known.state == "proposed" and not known.ran_out
        plan = Plan.objects.get(id=known.id)
        done = _tried(
            lambda: services.approve_plan(
                plan.id, by=self.approver, plan_hash=plan.hash, reason="fits"
            )
        )
        assert done == may, f"approving a plan that is {known.state}: {done}"
        known.state = "approved" if may else known.state

    @precondition(lambda self: self.plans)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        known = self._any(data)
        may = known.state == "proposed"
        done = _tried(lambda: services.reject_plan(known.id, by=self.approver, reason="no"))
        assert done == may, f"rejecting a plan that is {known.state}: {done}"
        known.state = "rejected" if may else known.state

    @rule()
    def expire(self) -> None:
        services.expire_due()
        for known in self.plans:
            if known.state in ("proposed", "approved") and known.ran_out:
                known.state = "expired"

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), times=st.integers(1, 5))
    def deliver(self, data: st.DataObject, times: int) -> None:
        """The same message, once or several times."""
        known = self._any(data)
        for _ in range(times):
            executor.execute(known.id)
        self._expect_run(known)

    @precondition(lambda self: self.plans)
    @rule(data=st.data(), moment=st.sampled_from(["before", "after"]))
    def kill(self, data: st.DataObject, moment: str) -> None:
        """A worker that dies before or after its write."""
        known, World.dies = self._any(data), moment
        try:
            with transaction.atomic():
                executor.execute(known.id)
        except Died:
            pass
        died = not World.dies
        World.dies = ""
        self._expect_run(known, died=died)

    @rule(name=st.sampled_from(NAMES))
    def drift(self, name: str) -> None:
        World.replicas[name] += 1

    @rule(passed=st.sampled_from(PASSED))
    def time(self, passed: timedelta) -> None:
        for model, columns in MOVED.items():
            model.objects.update(**{column: F(column) - passed for column in columns})
        for known in self.plans:
            known.age += passed
            known.leased = max(timedelta(0), known.leased - passed)

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        type(self).steps += 1
        held = dict(Plan.objects.values_list("id", "state"))
        assert held == {known.id: known.state for known in self.plans}

    @invariant()
    def each_plan_took_effect_at_most_once(self) -> None:
        assert all(count == 1 for count in World.writes.values()), World.writes
        done = {str(known.id) for known in self.plans if known.state == "verified"}
        assert done <= set(World.writes), "a plan ended well without an effect"

    @invariant()
    def locks_are_held_by_what_executes(self) -> None:
        held = set(LockRow.objects.values_list("plan_id", flat=True))
        assert held == {known.id for known in self.plans if known.state == "executing"}

    @invariant()
    def an_order_for_each_approval(self) -> None:
        ordered = Counter(Outbox.objects.values_list("plan_id", flat=True))
        assert all(count == 1 for count in ordered.values())
        approved = {k.id for k in self.plans if k.state in ("approved", "executing", "verified")}
        assert approved <= set(ordered)

    def _any(self, data: st.DataObject) -> Known:
        return data.draw(st.sampled_from(self.plans[-4:]))

    def _document(self, name: str, to: int, *, gain: float) -> PlanSpec:
        target = deployment_ref(name)
        step = StepSpec(
            key=f"{CLUSTER}/{name}/set", kind=KIND, title=f"Set {name}", target=target,
            tier="inference", wave=0, params={"to": to},
        )  # fmt: skip
        return spec(
            moves=(scale_move(name, 0, to),), steps=(step,), gain_usd=gain, guards=(), budgets=(),
            locks=({"cluster": CLUSTER, "tier": "inference"},),
            preconditions=(
                Precondition(target=target, facts={"replicas": World.replicas[name]}),
            ),
        )  # fmt: skip

    def _proposed(self, document: PlanSpec, name: str, moves: int) -> None:
        plan = services.propose_plan(document, authors=["planner"])
        on_its_way = ("approved", "executing")
        if any(k.moves == moves and k.state in on_its_way for k in self.plans):
            assert plan.id in {k.id for k in self.plans if k.moves == moves}
            return
        for known in self.plans:
            if known.state == "proposed":
                known.state = "superseded"
        self.plans.append(Known(plan.id, document, name, World.replicas[name], moves))

    def _expect_run(self, known: Known, *, died: bool = False) -> None:
        """What a turn does to a plan, or does not."""
        if known.state == "approved":
            self._expect_start(known, died=died)
        elif known.state == "executing" and not known.leased:
            self._expect_end(known, died=died)

    def _expect_start(self, known: Known, *, died: bool) -> None:
        busy = any(k.state == "executing" for k in self.plans)
        if known.ran_out:
            known.state = "expired"
        elif World.replicas[known.name] != known.replicas:
            known.state = "void"
        elif not busy:
            self._expect_end(known, died=died)

    def _expect_end(self, known: Known, *, died: bool) -> None:
        known.state = "executing" if died else "verified"
        known.leased = LEASE if died else timedelta(0)


def _tried(act: Any) -> bool:
    try:
        act()
    except PlanError:
        return False
    return True


@contextmanager
def world_in_memory() -> Iterator[None]:
    """The executor's eyes and hands, on objects of this process."""

    def facts(target: Any, nodes: Any, *, tier_key: str) -> dict[str, Any]:
        return {"replicas": World.replicas[target.name]}

    with ExitStack() as changed:
        kinds = {**django_settings.PLAN_STEP_KINDS, KIND: f"{__name__}.SetObject"}
        changed.enter_context(patch.object(django_settings, "PLAN_STEP_KINDS", kinds))
        changed.enter_context(patch.object(drift, "facts_of", facts))
        changed.enter_context(patch.object(fence, "hold", lambda cluster: None))
        changed.enter_context(patch.object(verification, "_cluster_problems", lambda *_: []))
        yield


def run_machine(steps: int, seed: int) -> int:
    """At least so many steps, in runs of fifty; how many were taken.

    Raises: AssertionError with the shortest order of rules that breaks the model.
    """
    PlansMachine.steps = 0
    with world_in_memory():
        while (left := steps - PlansMachine.steps) > 0:
            options = hypothesis_settings(
                max_examples=min(RUNS_AT_ONCE, ceil(left / STEPS_A_RUN)),
                stateful_step_count=STEPS_A_RUN, deadline=None, database=None,
                suppress_health_check=list(HealthCheck), print_blob=False,
            )  # fmt: skip
            PlansMachine._hypothesis_internal_use_seed = seed + PlansMachine.steps  # type: ignore[attr-defined]
            run_state_machine_as_test(PlansMachine, settings=options)
    return PlansMachine.steps
