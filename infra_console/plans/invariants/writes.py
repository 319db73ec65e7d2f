"""The console's own account of its writes, and which request of the API log each of them was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra_console.plans.invariants.history import AuditEntry, History, Request

OPENED = "step.writing"
REFUSED = "step.refused"
CLOSED = frozenset({"step.written", REFUSED, "step.interrupted"})
# Our ownership Lease and its namespace say who we are and move no capacity.
HOUSEKEEPING = frozenset({"leases", "namespaces"})


@dataclass(frozen=True, slots=True)
class Write:
    """One intended write: opened before, closed after with `outcome`, or not closed (empty)."""

    plan: str
    step: str
    what: str
    dry_run: bool
    seq: int
    opened_at: datetime
    closed_at: datetime | None
    outcome: str
    hand_back: bool = False  # of a field that was taken over, to whoever owned it

    def __str__(self) -> str:
        return f"{self.what!r} (audit row {self.seq})"


@dataclass(frozen=True, slots=True)
class Account:
    """Our writes; those that took effect beside their requests; and requests that none explains."""

    writes: Sequence[Write]
    effects: Sequence[tuple[Write, Request | None]]
    unexplained: Sequence[Request]


def real_writes(history: History) -> list[Write]:
    """Every write that was meant to persist, in order."""
    closing = {int(r.detail.get("opened", 0)): r for r in history.audit if r.action in CLOSED}
    opened = [r for r in history.audit if r.action == OPENED and not r.detail.get("dry_run")]
    return [_write(row, closing.get(row.seq)) for row in sorted(opened, key=lambda r: r.seq)]


def account(history: History) -> Account:
    """Lay the audit rows and the API log beside each other, one request to one write.

    Without a log a write took effect when the audit says that the cluster accepted it.
    """
    writes = real_writes(history)
    if history.requests is None:
        done: list[tuple[Write, Request | None]] = [
            (w, None) for w in writes if w.outcome == "step.written"
        ]
        return Account(writes, done, ())
    clusters = {(s.plan, s.key): s.cluster for s in history.steps}
    left, effects, unexplained = list(writes), [], []
    for request in sorted(our_mutations(history), key=lambda r: r.at):
        able = [w for w in left if _explains(w, request, clusters, history)]
        if not able:
            unexplained.append(request)
            continue
        found = min(able, key=lambda w: (not _was_open(w, request), w.outcome == REFUSED, w.seq))
        left.remove(found)
        effects.append((found, request))
    return Account(writes, effects, unexplained)


def changed_paths(body: Any) -> list[str]:
    """What a JSON patch changes; of anything else, all of the object."""
    if not isinstance(body, list):
        return [""]
    return [str(o["path"]) for o in body if o.get("op") != "test"]


def our_mutations(history: History) -> list[Request]:
    requests = history.requests or ()
    return [r for r in requests if r.ours and r.took_effect and r.resource not in HOUSEKEEPING]


def _write(row: AuditEntry, closing: AuditEntry | None) -> Write:
    return Write(
        plan=row.object_id,
        step=str(row.detail.get("step", "")),
        what=str(row.detail.get("what", "")),
        dry_run=False,
        seq=row.seq,
        opened_at=row.at,
        closed_at=closing.at if closing else None,
        outcome=closing.action if closing else "",
        hand_back=bool(row.detail.get("hand_back")),
    )


def _was_open(write: Write, request: Request) -> bool:
    """Whether the write was open at that very moment, clocks taken at their word.

    Within the skew of clocks a refused write and the one that tried again both explain a request;
    it belongs to the one that was open.
    """
    return write.opened_at <= request.at and (
        write.closed_at is None or request.at <= write.closed_at
    )


def _explains(
    write: Write, request: Request, clusters: dict[tuple[str, str], str], history: History
) -> bool:
    """Whether the write was open at that moment, and speaks of that object of that cluster."""
    cluster = clusters.get((write.plan, write.step), "")
    if cluster and request.cluster and cluster != request.cluster:
        return False
    began = write.opened_at - history.skew <= request.at
    ended = write.closed_at is not None and write.closed_at + history.skew < request.at
    named = request.name in write.what.replace("/", " ").split()
    return began and not ended and named
