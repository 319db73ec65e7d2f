"""Workers that die at every boundary of one execution, each boundary once."""

from collections.abc import Callable
from typing import Any

import pytest

from infra_console.plans.executing import executor
from infra_console.plans.executing.runner import Runner
from infra_console.plans.holding.fence import Fence
from infra_console.plans.models import Execution, Plan, Step
from infra_console.plans.steps.base import Done
from tests.infra_console.plans.conftest import let_lease_run_out

Boundaries = list[str]


class Killed(BaseException):
    """The worker is gone at this instant."""


def before_each_write(patch: pytest.MonkeyPatch) -> Boundaries:
    """Between the audit row and the request."""
    return _around_writes(patch, lambda call: (_die, call))


def after_each_write(patch: pytest.MonkeyPatch) -> Boundaries:
    """Between a write that took effect and its record."""

    def then_die(call: Callable[[], Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
        return (lambda: (call(), _die())), call

    return _around_writes(patch, then_die)


def after_each_step(patch: pytest.MonkeyPatch) -> Boundaries:
    """Between a step that is done and its record."""
    seen: Boundaries = []
    real = Runner._record

    def record(self: Runner, step: Step, outcome: Any) -> None:
        if isinstance(outcome, Done) and step.key not in seen:
            seen.append(step.key)
            _die()
        real(self, step, outcome)

    patch.setattr(Runner, "_record", record)
    return seen


def survive(plan: Plan, turns: int = 80) -> Plan:
    """As the sweep would: each time a worker dies, another takes the plan up."""
    for _ in range(turns):
        try:
            executor.execute(plan.id)
        except Killed:
            let_lease_run_out(plan)
        plan.refresh_from_db()
        if plan.state not in executor.ACTIVE:
            break
        Execution.objects.filter(plan=plan).update(not_before=None)
    return plan


def _die() -> None:
    raise Killed


def _around_writes(patch: pytest.MonkeyPatch, dying: Callable[..., Any]) -> Boundaries:
    seen: Boundaries = []
    real = Fence._audited

    def audited(self: Fence, step: str, what: str, call: Callable[[], Any]) -> Any:
        boundary = f"{step}: {what.partition(' at ')[0]}"  # a request names its moment
        first, later = dying(call)
        if boundary in seen:
            return real(self, step, what, later)
        seen.append(boundary)
        return real(self, step, what, first)

    patch.setattr(Fence, "_audited", audited)
    return seen
