"""The words for where a plan, an execution and a step are."""

from django.db.models import TextChoices


class PlanState(TextChoices):
    PROPOSED = "proposed"
    APPROVED = "approved"
    EXECUTING = "executing"
    PAUSED = "paused"
    VERIFYING = "verifying"
    SETTLED = "settled"
    VERIFIED = "verified"  # the cluster agrees, metrics are unknown
    REHEARSED = "rehearsed"  # approved while unarmed: server dry-run only
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    VOID = "void"  # what the plan relied on has changed
    ABORTED = "aborted"
    FAILED = "failed"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class StepState(TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    REHEARSED = "rehearsed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Mode(TextChoices):
    REAL = "real"
    DRY_RUN = "dry_run"


class Decision(TextChoices):
    APPROVE = "approve"
    REJECT = "reject"


LIVE = frozenset(
    {
        PlanState.APPROVED,
        PlanState.EXECUTING,
        PlanState.PAUSED,
        PlanState.VERIFYING,
        PlanState.ROLLING_BACK,
    }
)
STEP_ENDED = frozenset({StepState.DONE, StepState.REHEARSED, StepState.SKIPPED, StepState.FAILED})
