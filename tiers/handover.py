"""The handover: what changed since a given hour and by whom, for the person who takes over."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from infra_console.audit.models import AuditRow
from infra_console.plans.models import Plan
from tiers.models import FleetChange
from tiers.queries import clusters_in

LONGEST = timedelta(days=7)
MOST_ROWS = 300
UNDECIDED = ("plan.proposed", "plan.superseded", "plan.expired")
ONE_GO = timedelta(minutes=5)
# What machines do a hundred times a shift; each plan's page tells its steps.
NOISE = ("step.", "token.", "cycle.")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a person or the console did, from the audit trail."""

    at: datetime
    actor: str
    action: str
    object: str
    plan_id: str = ""
    times: int = 1  # how often in a row; `object` names the first of them


def deeds(*, since: datetime, region: str = "") -> tuple[list[Deed], bool]:
    """What was done since, newest first, and whether there is more than is shown."""
    rows = AuditRow.objects.filter(at__gte=since).order_by("-seq")
    for prefix in NOISE:
        rows = rows.exclude(action__startswith=prefix)
    # What the console proposed and dropped by itself decided nothing.
    rows = rows.exclude(actor__startswith="system:", action__in=UNDECIDED)
    found = list(rows[: MOST_ROWS + 1])
    plans = _plans(r.object_id for r in found if r.object_kind == "plan")
    clusters = set(clusters_in(region)) if region else None
    told = []
    for row in found[:MOST_ROWS]:
        plan = plans.get(row.object_id)
        if clusters is not None and plan is not None and not _touches(plan, clusters):
            continue
        name = f"plan {plan.number}: {plan.document['title']}" if plan else ""
        kind = f"{row.object_kind} {row.object_id}".strip()
        told.append(Deed(row.at, row.actor, row.action, name or kind, str(plan.pk) if plan else ""))
    return _in_rows(told), len(found) > MOST_ROWS


def _in_rows(told: list[Deed]) -> list[Deed]:
    """What one person did many times in a row, as one line with the newest time."""
    lines: list[Deed] = []
    for deed in told:
        last = lines[-1] if lines else None
        alike = last and (last.actor, last.action) == (deed.actor, deed.action)
        if last and alike and not deed.plan_id and last.at - deed.at < ONE_GO:
            lines[-1] = replace(last, times=last.times + 1)
        else:
            lines.append(deed)
    return lines


def _plans(ids: Iterable[str]) -> dict[str, Plan]:
    return {str(p.pk): p for p in Plan.objects.filter(pk__in=set(ids))}


def _touches(plan: Plan, clusters: set[str]) -> bool:
    return any(lock["cluster"] in clusters for lock in plan.document["locks"])


def fleet_changes(*, since: datetime, region: str = "") -> tuple[list[FleetChange], bool]:
    """What changed in the clusters since, newest first, and whether there is more than is shown."""
    rows = FleetChange.objects.filter(at__gte=since, cluster__in=clusters_in(region))
    found = list(rows[: MOST_ROWS + 1])
    return found[:MOST_ROWS], len(found) > MOST_ROWS


def since_of(text: str, *, now: datetime) -> datetime:
    """The hour a person asked for, in UTC, at most a week ago; else eight hours ago."""
    fallback = now - timedelta(hours=8)
    try:
        asked = datetime.fromisoformat(text)
    except ValueError:
        return fallback
    asked = asked.replace(tzinfo=asked.tzinfo or now.tzinfo)
    return max(asked, now - LONGEST) if asked < now else fallback
