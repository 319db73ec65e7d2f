"""What the HTTP API of plans takes and answers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema


class PlanSummary(Schema):
    id: UUID
    number: int
    state: str
    state_reason: str
    version: int
    domain: str
    title: str
    authors: list[str]
    hash: str
    created_at: datetime
    expires_at: datetime
    urgent: str
    held_back: bool


class StepOut(Schema):
    key: str
    kind: str
    title: str
    state: str
    attempts: int
    detail: str
    started_at: datetime | None
    finished_at: datetime | None
    back: bool


class TransitionOut(Schema):
    from_state: str
    to_state: str
    who: str
    at: datetime
    why: str


class ApprovalOut(Schema):
    by: str
    decision: str
    reason: str
    plan_hash: str
    at: datetime
    start_at: datetime | None
    taken_back_at: datetime | None


class QuorumOut(Schema):
    """The approvals that the plan needs and has; `rules` are the titles of those that ask more."""

    needed: int
    approvers: list[str]
    missing: int
    roles_missing: list[str]
    rules: list[str]


class CommentOut(Schema):
    by: str
    at: datetime
    text: str


class PlanOut(PlanSummary):
    summary: str
    document: dict[str, Any]
    steps: list[StepOut]
    transitions: list[TransitionOut]
    approvals: list[ApprovalOut]
    quorum: QuorumOut
    frozen: str
    comments: list[CommentOut]
    settlement: dict[str, Any] | None


class PlanList(Schema):
    items: list[PlanSummary]
    next_cursor: str


class DecisionIn(Schema):
    """`hash` is the plan that was read: a plan that differs is refused."""

    hash: str
    reason: str = ""


class ApproveIn(DecisionIn):
    """`start_at`: the execution begins no earlier; before the plan expires."""

    start_at: datetime | None = None


class ReasonIn(Schema):
    reason: str = ""


class CommentIn(Schema):
    text: str = ""  # refused when empty, but only after the right


class ObjectBackOut(Schema):
    """One object of a way back; `stops` says what would pause it there.

    `evicts` is null where nobody here can tell.
    """

    cluster: str
    kind: str
    name: str
    steps: list[str]
    now: str
    then: str
    evicts: list[str] | None
    stops: list[str]


class WayBackOut(Schema):
    """What a rollback would do, as a worker with cluster rights saw it at `seen_at` (null: nobody
    has looked, POST to `looks/way_back`); `missing` is why you may not start it."""

    allowed: bool
    missing: list[str]
    objects: list[ObjectBackOut]
    seen_at: datetime | None
    asked_at: datetime | None
    problem: str


class CheckOut(Schema):
    """One policy check; `passed` is null where it is unknown, `seen_at` null for what is known here
    and now; `waits` when people are still to act."""

    rule: str
    passed: bool | None
    words: str
    seen_at: datetime | None
    plan_id: UUID | None
    waits: bool


class LookOut(Schema):
    """What a worker with cluster rights saw of a plan."""

    kind: str
    asked_by: str
    asked_at: datetime
    answered_at: datetime | None
    seen_at: datetime | None
    problem: str
    document: dict[str, Any] | None
