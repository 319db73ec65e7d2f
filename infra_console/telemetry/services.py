"""The one writer of data sources and of what was last seen of them."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from infra_console.access.roles import can
from infra_console.audit.services import record_audit
from infra_console.fleet.models import Cluster
from infra_console.telemetry.drafts import Draft, check_draft, moved_host
from infra_console.telemetry.errors import (
    SecretsUnreadable,
    SourceInvalid,
    SourceMissing,
    SourceNotYours,
)
from infra_console.telemetry.models import DataSource, SourceHealth
from infra_console.telemetry.queries import forget_cached
from infra_console.telemetry.sealing import seal, unseal
from infra_console.telemetry.sources import declared_sources

ADDRESS_OF_NEW = "new"  # where a source's own page would stand, the form for a new one does
# Any constant of ours will do.
OWNERSHIP_LOCK = 7_401_002


@transaction.atomic
def save_source(draft: Draft, *, by: User, new: bool) -> DataSource:
    """Keep a source as written; credentials that were not given again stay as they are.

    Credentials do not follow to another address, which could be anybody's: give them again.

    Raises:
        SourceNotYours, SourceInvalid, SourceMissing: see each; nothing was changed.
    """
    _require(by)
    if draft.id == ADDRESS_OF_NEW:
        raise SourceInvalid([f"id: {draft.id} is a page of its own"])
    with connection.cursor() as cursor:  # who owns which cluster is decided one after another
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [OWNERSHIP_LOCK])
    row = DataSource.objects.filter(id=draft.id).first()
    if row is None and not new:
        raise SourceMissing(draft.id)
    if row is not None and new:
        raise SourceInvalid([f"id: there is a source {draft.id} already"])
    _check_ownership(draft)
    before = _secrets_of(row) if row else {}
    if row and before and moved_host(row, draft):
        before = {}
    secrets = draft.kept_secrets(before)
    check_draft(draft, secrets)
    headers = secrets.get("headers")
    row, _ = DataSource.objects.update_or_create(
        id=draft.id,
        defaults={
            **draft.columns(),
            "header_names": sorted(headers) if isinstance(headers, dict) else [],
            "sealed": seal(secrets),
            "changed_by": by.get_username(),
            "changed_at": timezone.now(),
        },
    )
    detail = draft.columns() | {
        "headers": row.header_names,
        "new_secrets": sorted([*draft.secrets, *(["headers"] if draft.headers else [])]),
    }
    _tell(by, "source.added" if new else "source.changed", row.id, detail)
    return row


@transaction.atomic
def remove_source(source_id: str, *, by: User) -> None:
    """Forget a source and its credentials; its clusters' numbers are unknown from then on.

    Raises:
        SourceNotYours, SourceMissing: see each; nothing was changed.
    """
    _require(by)
    row = DataSource.objects.select_for_update().filter(id=source_id).first()
    if row is None:
        raise SourceMissing(source_id)
    detail = {"url": row.url, "clusters": row.clusters}
    row.delete()
    SourceHealth.objects.filter(source_id=source_id).delete()
    _tell(by, "source.removed", source_id, detail)


def note_health(source_id: str, problem: str, *, at: datetime) -> SourceHealth:
    """Remember how a source was found; `since` moves only when good turns bad, or back."""
    problem = problem[:500]
    row, is_new = SourceHealth.objects.get_or_create(
        source_id=source_id, defaults={"problem": problem, "since": at, "checked_at": at}
    )
    if not is_new:
        turned = bool(row.problem) != bool(problem)
        row.problem, row.checked_at, row.since = problem, at, at if turned else row.since
        row.save(update_fields=["problem", "checked_at", "since"])
    return row


def note_rules(source_id: str, difference: str, *, at: datetime) -> None:
    """Remember what a source's loaded recording rules lack; empty where nothing is, or is told."""
    SourceHealth.objects.filter(source_id=source_id).update(rules=difference, rules_at=at)


def _require(by: User) -> None:
    if not can(by, "source.manage"):
        raise SourceNotYours(by.get_username())


def _check_ownership(draft: Draft) -> None:
    """A cluster's series come from one source, or they would be counted twice."""
    declared = {s.id: s.clusters for s in declared_sources()}
    if draft.id in declared:
        raise SourceInvalid([f"id: {draft.id} is declared: change it where it is declared"])
    owned = {
        row.id: tuple(row.clusters) for row in DataSource.objects.exclude(id=draft.id)
    } | declared
    known = set(Cluster.objects.values_list("id", flat=True))
    problems = [
        f"clusters: the fleet has no {name}" for name in draft.clusters if name not in known
    ]
    problems += [
        f"clusters: {name} belongs to the source {other}"
        for other, clusters in owned.items()
        for name in sorted(set(draft.clusters) & set(clusters))
    ]
    if problems:
        raise SourceInvalid(problems)


def _secrets_of(row: DataSource) -> dict[str, object]:
    try:
        return unseal(row.sealed)
    except SecretsUnreadable:
        return {}


def _tell(by: User, action: str, source_id: str, detail: dict[str, object]) -> None:
    record_audit(
        actor=by.get_username(), action=action, object_kind="source", object_id=source_id,
        detail=detail,
    )  # fmt: skip
    transaction.on_commit(forget_cached)
