"""What the checker replays, as plain rows. Times are aware; ids are text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

NO_LOG = "no API audit log was given"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan with its execution; `real` when it was carried out, not rehearsed."""

    id: str
    number: int
    state: str
    hash: str
    document: Mapping[str, Any]
    document_hash: str  # computed anew from the document
    authors: Sequence[str]
    created_at: datetime
    expires_at: datetime
    real: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_expires_at: datetime | None = None
    not_before: datetime | None = None

    def __str__(self) -> str:
        return f"plan {self.number}"


@dataclass(frozen=True, slots=True)
class StepRow:
    """`undo` are the kinds that were written down to take it back; `back`, that it is one such."""

    plan: str
    key: str
    kind: str
    state: str
    cluster: str
    name: str
    undo: tuple[str, ...] = ()
    back: bool = False
    took: bool = False  # it took the field over from somebody


@dataclass(frozen=True, slots=True)
class TransitionRow:
    plan: str
    from_state: str
    to_state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A decision. `ratify_before` is set for one that a person gave alone, in an emergency."""

    plan: str
    hash: str
    by: str
    decision: str
    at: datetime
    taken_back_at: datetime | None = None
    ratify_before: datetime | None = None
    ratified_by: str = ""
    envelope: int | None = None  # by which it was given in advance


@dataclass(frozen=True, slots=True)
class EnvelopeRow:
    """An approval given in advance, with its bounds; `opens` equal to `closes` is the whole day."""

    id: int
    author: str
    approved_by: str
    approved_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime
    clusters: Sequence[str]
    tiers: Sequence[str]
    step_kinds: Sequence[str]
    plan_gpus: int
    total_gpus: int
    opens: time
    closes: time
    time_zone: str

    def __str__(self) -> str:
        return f"envelope {self.id}"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    seq: int
    at: datetime
    actor: str
    action: str
    object_id: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One write that reached an API server; `ours` when the console sent it."""

    at: datetime
    cluster: str  # empty when the log does not say
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    body: Any
    took_effect: bool
    ours: bool

    def __str__(self) -> str:
        kind = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {kind} {self.name} at {self.at.isoformat(timespec='milliseconds')}"


@dataclass(frozen=True, slots=True)
class History:
    """`requests` is None without an API log, `nodes` (by cluster, before the run) None if unknown.

    `skew` is how far the console's clock and the API server's may be apart.
    """

    now: datetime
    plans: Sequence[PlanRow] = ()
    steps: Sequence[StepRow] = ()
    transitions: Sequence[TransitionRow] = ()
    approvals: Sequence[ApprovalRow] = ()
    envelopes: Sequence[EnvelopeRow] = ()
    audit: Sequence[AuditEntry] = ()
    comments: Sequence[tuple[str, str]] = ()  # (plan, who)
    requests: Sequence[Request] | None = None
    nodes: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
    tier_key: str = "infra-console.dev/tier"
    skew: timedelta = field(default=timedelta(0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ok` is None when nothing broke but something could not be checked: see `not_checked`."""

    checked: int
    violations: Sequence[str] = ()
    not_checked: str = ""

    @property
    def ok(self) -> bool | None:
        if self.violations:
            return False
        return None if self.not_checked else True
