"""Whose the mapped fields are and what we may take over of them, as the arming page shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra_console.cluster.models import OwnedLook, TakeOver
from infra_console.cluster.takeovers import FIELDS
from infra_console.fleet.queries import list_clusters


@dataclass(frozen=True, slots=True)
class OwnedRow:
    """One manager's fields of one kind; `leave` is who let us take them over, None when nobody did.

    `objects` is None where they were not seen: the leave is older than the look, or nobody owns
    them any more.
    """

    kind: str
    field: str
    manager: str
    applies: bool
    objects: int | None
    names: tuple[str, ...]
    leave: TakeOver | None


@dataclass(frozen=True, slots=True)
class OwnedCluster:
    """One cluster's rows, and how old they are; `seen_at` is None where nobody has ever looked."""

    cluster: str
    rows: tuple[OwnedRow, ...]
    unread: tuple[str, ...]
    seen_at: datetime | None
    problem: str
    waits: bool


def owned_clusters() -> list[OwnedCluster]:
    """Every cluster of the fleet, in its order."""
    looks = {look.cluster: look for look in OwnedLook.objects.all()}
    leaves: dict[str, dict[tuple[str, str], TakeOver]] = {}
    for leave in TakeOver.objects.all():
        leaves.setdefault(leave.cluster, {})[leave.kind, leave.manager] = leave
    return [_cluster(c.id, looks.get(c.id), leaves.get(c.id, {})) for c in list_clusters()]


def _cluster(
    cluster: str, look: OwnedLook | None, leaves: Mapping[tuple[str, str], TakeOver]
) -> OwnedCluster:
    found: list[dict[str, Any]] = look.found if look else []
    seen = {(one["kind"], one["manager"]) for one in found}
    rows = [_seen(one, leaves.get((one["kind"], one["manager"]))) for one in found]
    rows += [_unseen(leave) for key, leave in sorted(leaves.items()) if key not in seen]
    return OwnedCluster(
        cluster=cluster,
        rows=tuple(rows),
        unread=tuple(look.unread if look else ()),
        seen_at=look.seen_at if look else None,
        problem=look.problem if look else "",
        waits=bool(look and look.answered_at is None),
    )


def _seen(one: Mapping[str, Any], leave: TakeOver | None) -> OwnedRow:
    return OwnedRow(
        kind=one["kind"],
        field=FIELDS[one["kind"]],
        manager=one["manager"],
        applies=one["applies"],
        objects=one["objects"],
        names=tuple(one["names"]),
        leave=leave,
    )


def _unseen(leave: TakeOver) -> OwnedRow:
    field = FIELDS.get(leave.kind, leave.kind)
    return OwnedRow(leave.kind, field, leave.manager, False, None, (), leave)
