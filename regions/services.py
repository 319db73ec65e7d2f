"""The one writer of what the regions keep, and the proposer of plans of routes."""

from collections import defaultdict
from datetime import datetime

from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from infra_console.audit.services import record_audit
from infra_console.cluster.errors import ClusterError, ClusterNotConfigured
from infra_console.fleet.queries import list_regions
from infra_console.live.services import publish
from infra_console.plans.errors import SpecInvalid
from infra_console.plans.safety import require_right
from infra_console.plans.services import propose_plan
from infra_console.telemetry.errors import SourceError
from regions.core.errors import MatrixInvalid, UnknownRegion
from regions.core.matrix import parse_matrix
from regions.models import Drain, MatrixImport, RouteLook
from regions.route_plans import route_plan
from regions.routing import look

LOOK_TASK = "regions.look_routes"
MESSAGE_LIFE_S = 60.0
LOOKS_KEPT = 200


@transaction.atomic
def import_matrix(text: str, *, source: str, measured_at: datetime, by: str) -> MatrixImport:
    """Keep a matrix of round-trip times as the newest; rows of regions we do not have are dropped.

    Args:
        measured_at: when its values were measured, which is their age on every page.

    Raises:
        MatrixInvalid: what is wrong and where; nothing was changed.
    """
    if measured_at > timezone.now():
        raise MatrixInvalid("measured at", "it is in the future")
    ours = {region.id for region in list_regions()}
    times = parse_matrix(text, only=ours) if ours else {}
    if not times:
        raise MatrixInvalid("the first line", "no two regions of the fleet stand in it")
    document: dict[str, dict[str, float]] = defaultdict(dict)
    for (origin, target), time in sorted(times.items()):
        document[origin][target] = time.ms
    row = MatrixImport.objects.create(
        document=document, source=source[:200], measured_at=measured_at,
        imported_at=timezone.now(), imported_by=by,
    )  # fmt: skip
    record_audit(
        actor=by, action="regions.matrix_imported", object_kind="rtt_matrix",
        object_id=str(row.pk),
        detail={"source": row.source, "measured_at": measured_at.isoformat(), "pairs": len(times)},
    )  # fmt: skip
    return row


def look_at_routes(*, by: str = "", ask_id: int | None = None) -> RouteLook:
    """Look at every route, keep what was seen, and propose a plan if somebody asked for one."""
    row = RouteLook.objects.filter(id=ask_id or 0).first() or RouteLook.objects.create(
        asked_by=by, asked_at=timezone.now()
    )
    if row.seen_at is not None:
        return row  # a task that runs twice asks once
    columns: dict[str, object] = {"seen_at": timezone.now()}
    try:
        if not settings.KUBECONFIG:  # else every region would look lost from here
            raise ClusterNotConfigured("routes", "this worker has no kubeconfig to read them with")
        board = look()
        columns["document"] = board.document()
        if row.asked_by and (spec := route_plan(board)):
            plan = propose_plan(spec, authors=_authors(row.asked_by))
            columns["plan_number"] = plan.number
    except (ClusterError, SourceError, SpecInvalid) as err:
        columns["problem"] = str(err)[:500]
    RouteLook.objects.filter(id=row.id).update(**columns)
    RouteLook.objects.filter(id__lte=row.id - LOOKS_KEPT).delete()
    publish(kind="routes", id="all", version=row.id)
    row.refresh_from_db()
    return row


@transaction.atomic
def ask_for_routes(*, by: User) -> RouteLook:
    """Have a worker with cluster rights look and propose, in this person's name.

    Raises:
        NotAllowed: they may not; nothing was asked.
    """
    require_right(by, "plan.propose")
    row = RouteLook.objects.create(asked_by=by.get_username(), asked_at=timezone.now())
    _audit(by, "regions.routes_asked", str(row.pk), {})
    transaction.on_commit(lambda: _send(row.pk), robust=True)
    return row


@transaction.atomic
def drain(region: str, *, by: User, reason: str) -> Drain:
    """Give a region nothing new from the next proposal on; who drains is an author of that plan.

    Raises:
        NotAllowed: they may not. UnknownRegion: the fleet has none of the name.
    """
    require_right(by, "plan.propose")
    if region not in {one.id for one in list_regions()}:
        raise UnknownRegion(region)
    values = {"by": by.get_username(), "at": timezone.now(), "reason": reason.strip()[:250]}
    row, _ = Drain.objects.update_or_create(region=region, defaults=values)
    _audit(by, "regions.drained", region, {"reason": row.reason})
    return row


@transaction.atomic
def open_again(region: str, *, by: User) -> None:
    """Let a drained region be given requests again.

    Raises:
        NotAllowed: they may not; nothing was changed.
    """
    require_right(by, "plan.propose")
    if Drain.objects.filter(region=region).delete()[0]:
        _audit(by, "regions.opened", region, {})


def _authors(by: str) -> list[str]:
    """Who asked, and whoever set a drain: it is a standing policy behind the plan."""
    drainers = Drain.objects.order_by("region").values_list("by", flat=True)
    return list(dict.fromkeys([by, *drainers]))


def _audit(by: User, action: str, key: str, detail: dict[str, object]) -> None:
    publish(kind="routes", id="all", version=int(timezone.now().timestamp() * 1000))
    record_audit(
        actor=by.get_username(), action=action, object_kind="region", object_id=key, detail=detail
    )


def _send(row_id: int) -> None:
    current_app.send_task(LOOK_TASK, args=[row_id], expires=MESSAGE_LIFE_S, retry=False)
