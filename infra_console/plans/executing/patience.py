"""How long a step may wait before a person is asked; the time of a stop does not count."""

from datetime import timedelta
from uuid import UUID

from infra_console.plans import clock
from infra_console.plans.models import Step
from infra_console.plans.states import StepState
from infra_console.plans.steps.base import Blocked, Outcome, Waiting

PATIENCE = timedelta(minutes=30)


def patient(step: Step, outcome: Outcome) -> Outcome:
    """A step that waited too long needs a person."""
    since = step.started_at
    if isinstance(outcome, Waiting) and since and clock.now() - since > PATIENCE:
        minutes = PATIENCE.total_seconds() / 60
        return Blocked(f"waited {minutes:.0f} minutes: {outcome.reason}")
    return outcome


def begin_anew(plan_id: UUID) -> None:
    """The plan was stopped: steps that wait, or were stopped in the middle, count from now."""
    stopped = Step.objects.filter(plan_id=plan_id, state__in=(StepState.WAITING, StepState.RUNNING))
    stopped.update(started_at=None, next_try_at=None)
