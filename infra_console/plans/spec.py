"""What a plan says, as plain values: moves, evidence, guards, promises, preconditions, steps.

A domain builds a `PlanSpec` and hands it to `services.propose_plan`; the executor and the
settlement need nothing else, so they know no domain. Everything in the document goes into the
hash that an approval binds to.
"""

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Tier = Literal["inference", "training", "operational"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ObjectRef(_Frozen):
    """One Kubernetes object, by cluster and name (`namespace` empty for cluster-scoped kinds)."""

    cluster: str
    kind: str
    namespace: str = ""
    name: str


class Lock(_Frozen):
    """One (cluster, tier) pair that a plan holds alone while it executes; or a place of our own."""

    cluster: str
    tier: Tier


class StepSpec(_Frozen):
    """One idempotent operation. `kind` is a key of settings.PLAN_STEP_KINDS.

    Steps of one `wave` of one cluster may run at once; waves run in order. `tier` names the lock.
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9._/:-]+$", max_length=250)]
    kind: str
    title: str
    target: ObjectRef
    tier: Tier
    wave: int = Field(ge=0)
    params: dict[str, Any] = {}


class Guard(_Frozen):
    """A floor that no step may break: ready schedulable GPUs of a tier in one cluster."""

    kind: Literal["floor"] = "floor"
    cluster: str
    tier: Tier
    min_ready_gpus: int = Field(ge=0)


class Budget(_Frozen):
    """At most so many nodes of one cluster cordoned or moving at once."""

    kind: Literal["moving_nodes"] = "moving_nodes"
    cluster: str
    max_nodes: int = Field(ge=1)


class Promise(_Frozen):
    """What the plan expects: a catalogue query with labels, a bound, judged after the horizon."""

    title: str
    query: str
    labels: dict[str, str]
    op: Literal[">=", "<=", "=="]
    bound: float
    unit: str
    aggregate: Literal["avg", "min", "max", "last"] = "avg"
    verifies: bool = False  # also checked at verification, not only at settlement


class Harm(_Frozen):
    """A sign that the plan, not carried out, would have hurt: what a catalogue query came to.

    It is seen when `aggregate op bound` holds over the horizon: `p10` below a bound, or `p90` above
    one, for at least a tenth of it. Series that share the labels are added up.
    """

    title: str
    query: str
    labels: dict[str, str | tuple[str, ...]]
    op: Literal["<", ">"]
    bound: float
    unit: str
    aggregate: Literal["avg", "min", "max", "p10", "p90"]


class Precondition(_Frozen):
    """A semantic fact the plan relies on: node uid, tier label, unschedulable, ready, replicas."""

    target: ObjectRef
    facts: dict[str, Any]


class Move(_Frozen):
    """One change of capacity within a cluster, as people read it; or of the share of a route's
    requests (`from_replicas`, `to_replicas`: weights) that the region in `pool` gets; or an index
    built anew as `workload` says, beside the one in use."""

    kind: Literal["node", "scale", "route", "rebuild"]
    target: ObjectRef
    pool: str = ""
    workload: str = ""
    from_tier: Tier | None = None
    to_tier: Tier | None = None
    from_replicas: int | None = None
    to_replicas: int | None = None
    gpus: int
    evicts: tuple[str, ...] = ()
    reason: str


class Evidence(_Frozen):
    """The inputs snapshot: where each number came from and how old it was."""

    cycle_id: str
    taken_at: datetime
    ages_s: dict[str, float | None]
    states: dict[str, str]
    demand: list[dict[str, Any]] = []
    forecast_models: dict[str, str] = {}
    objective: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()  # what its input lacks: such a plan only grows


class PlanSpec(_Frozen):
    """One proposed change, whole. Money is per hour in US dollars; delta below zero saves."""

    schema_: Literal["plan/1"] = Field(default="plan/1", alias="schema")
    domain: str
    title: str
    summary: str
    moves: tuple[Move, ...]
    steps: tuple[StepSpec, ...]
    locks: tuple[Lock, ...]
    guards: tuple[Guard, ...]
    budgets: tuple[Budget, ...] = ()
    promises: tuple[Promise, ...]
    preconditions: tuple[Precondition, ...]
    evidence: Evidence
    usd_per_hour_delta: float | None = None
    gain_usd: float | None = None
    harms: tuple[Harm, ...] = ()
    losses: tuple[str, ...] = ()  # what cannot be taken back, in words
    urgent: str = ""  # why people are to be asked at once, whatever they were asked before


# Keys that older documents lack: left out of the hash while empty, so that theirs still holds.
SINCE_THEN = ("harms", "losses", "urgent")


def canonical_json(spec: PlanSpec) -> str:
    """The one text form of a spec: sorted keys, no spaces, JSON types only."""
    document = spec.model_dump(mode="json", by_alias=True)
    for key in SINCE_THEN:
        if not document[key]:
            del document[key]
    if not document["evidence"]["doubts"]:
        del document["evidence"]["doubts"]
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def plan_hash(spec: PlanSpec) -> str:
    """SHA-256 of the canonical form: what an approval binds to. 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def is_unchanged(document: dict[str, Any], held_hash: str) -> bool:
    """Whether a stored document is the one that was hashed.

    As it is stored first: a later version reads members into it that it did not have. As it is
    read else: a database may write a number in other digits.
    """
    stored = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(stored.encode()).hexdigest() == held_hash:
        return True
    try:
        return plan_hash(PlanSpec.model_validate(document)) == held_hash
    except ValueError:
        return False


def moves_key(spec: PlanSpec) -> str:
    """SHA-256 of the moves alone: a new cycle with the same moves keeps the plan under review."""
    moves = [
        {k: v for k, v in move.model_dump(mode="json").items() if k != "reason"}
        for move in spec.moves
    ]
    text = json.dumps(sorted(moves, key=json.dumps), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
