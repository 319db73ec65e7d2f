"""Plans as rows. Every change of state is a compare-and-set in services, never `save()`."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from infra_console.plans.spec import PlanSpec
from infra_console.plans.states import Decision, Mode, PlanState, StepState

HASH_LENGTH = 64
USERNAME_LENGTH = 150


class Plan(models.Model):
    """One proposed change. `document` is the PlanSpec that `hash` covers; `version` counts moves
    of state, for compare-and-set and for pages that follow it live."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(unique=True)
    state = models.CharField(max_length=16, choices=PlanState.choices)
    state_reason = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    domain = models.CharField(max_length=32)
    title = models.CharField(max_length=250)
    summary = models.TextField()
    document = models.JSONField()
    hash = models.CharField(max_length=HASH_LENGTH)
    moves_key = models.CharField(max_length=HASH_LENGTH, db_index=True)
    authors = models.JSONField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    urgent = models.CharField(max_length=250, blank=True)  # why people are asked at once
    held_back = models.BooleanField(default=False)  # by the cap on requests per shift
    asked_at = models.DateTimeField(null=True, db_index=True)  # when people were asked
    superseded_by = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="supersedes"
    )

    class Meta:
        ordering = ("-number",)
        indexes = (models.Index(fields=("state", "-number"), name="plans_by_state"),)

    def __str__(self) -> str:
        return f"plan {self.number}"

    @property
    def spec(self) -> PlanSpec:
        return PlanSpec.model_validate(self.document)


class Transition(models.Model):
    """One move of a plan from state to state: who, when, why."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="transitions")
    from_state = models.CharField(max_length=16, blank=True)
    to_state = models.CharField(max_length=16, choices=PlanState.choices)
    who = models.CharField(max_length=USERNAME_LENGTH)
    at = models.DateTimeField()
    why = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} → {self.to_state}"


class Approval(models.Model):
    """A named person's decision on one plan hash; one that stands a person.

    `roles` are those that the person held then. A taken-back approval stays as a row. An envelope
    decides as `envelope:N`.
    """

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="approvals")
    plan_hash = models.CharField(max_length=HASH_LENGTH)
    by = models.CharField(max_length=USERNAME_LENGTH)
    decision = models.CharField(max_length=8, choices=Decision.choices)
    reason = models.TextField(blank=True)
    roles = models.JSONField(default=list)
    envelope = models.ForeignKey(  # by which the plan was approved in advance
        "plans.Envelope", null=True, on_delete=models.PROTECT, related_name="approvals"
    )
    start_at = models.DateTimeField(null=True)  # the plan may not start before it
    at = models.DateTimeField()
    taken_back_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("plan", "by"),
                condition=Q(taken_back_at=None),
                name="one_standing_decision_a_person",
            ),
        )

    def __str__(self) -> str:
        return f"{self.decision} by {self.by}"


class Execution(models.Model):
    """One carrying-out of a plan. The lease says who works on it; a lower epoch writes nothing."""

    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="execution")
    mode = models.CharField(max_length=8, choices=Mode.choices, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_epoch = models.PositiveBigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)  # when a waiting step wants to be tried again
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    verify_until = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    settle_at = models.DateTimeField(null=True)
    rollback_at = models.DateTimeField(null=True)  # since then every step leads back
    verification = models.JSONField(default=dict)
    outcome = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"execution of {self.plan}"


class Step(models.Model):
    """One idempotent operation of an execution. `prior` is what stood there before we wrote;
    `undo` how it is taken back, written before the first step; `back` steps are what does that."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="steps")
    index = models.PositiveIntegerField()
    key = models.CharField(max_length=250)
    kind = models.CharField(max_length=63)
    title = models.CharField(max_length=250)
    cluster = models.CharField(max_length=63)
    tier = models.CharField(max_length=16)
    wave = models.PositiveIntegerField()
    target = models.JSONField()
    params = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=StepState.choices, default=StepState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    detail = models.TextField(blank=True)
    prior = models.JSONField(null=True)
    result = models.JSONField(null=True)
    undo = models.JSONField(null=True)
    back = models.BooleanField(default=False)

    class Meta:
        ordering = ("index",)
        constraints = (
            models.UniqueConstraint(fields=("plan", "key"), name="step_once_a_plan"),
            models.UniqueConstraint(fields=("plan", "index"), name="step_order"),
        )

    def __str__(self) -> str:
        return f"{self.key} of {self.plan}"


class LockRow(models.Model):
    """A (cluster, tier) pair held by the one plan that executes there."""

    cluster = models.CharField(max_length=63)
    tier = models.CharField(max_length=16)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="held_locks")
    taken_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("cluster", "tier"), name="one_holder_a_lock"),
        )

    def __str__(self) -> str:
        return f"{self.cluster}/{self.tier}"


class Arming(models.Model):
    """Permission to write to one tier of one cluster until it expires.

    It holds for the kubeconfig context that the cluster's name led to when it was given.
    """

    cluster = models.CharField(max_length=63)
    tier = models.CharField(max_length=16)
    context = models.CharField(max_length=253)
    armed_by = models.CharField(max_length=USERNAME_LENGTH)
    armed_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("cluster", "tier")
        constraints = (
            models.UniqueConstraint(fields=("cluster", "tier"), name="one_arming_a_pair"),
        )

    def __str__(self) -> str:
        return f"{self.cluster}/{self.tier} until {self.expires_at:%Y-%m-%d %H:%M}"


class KillSwitch(models.Model):
    """One row, id 1: engaged stops every write of ours."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    engaged = models.BooleanField(default=False)
    by = models.CharField(max_length=USERNAME_LENGTH, blank=True)
    at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    def __str__(self) -> str:
        return "engaged" if self.engaged else "released"


class Outbox(models.Model):
    """Work that must follow a committed change, written in the same transaction as it.

    It is not sent before `not_before`: until then an approval may be taken back.
    """

    kind = models.CharField(max_length=32)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="outbox")
    created_at = models.DateTimeField()
    not_before = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("kind", "plan"), name="one_order_a_plan"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.plan}"


class Settlement(models.Model):
    """Promised against realised, over the horizon from `begins_at` to `ends_at`.

    `shadow`: the plan was not carried out, and this is what happened without it. `harms` are the
    signs that it would have hurt; `harmful` is null where that cannot be told, see `harm_note`.
    """

    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="settlement")
    at = models.DateTimeField(db_index=True)
    begins_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    shadow = models.BooleanField(default=False)
    harms = models.JSONField(default=list)
    harmful = models.BooleanField(null=True)
    harm_note = models.TextField(blank=True)
    promises = models.JSONField()
    kept_count = models.PositiveIntegerField()
    missed_count = models.PositiveIntegerField()
    unknown_count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"settlement of {self.plan}"
