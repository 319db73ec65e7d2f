"""The one writer of what the regions keep."""

from collections import defaultdict
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from infra_console.audit.services import record_audit
from infra_console.fleet.queries import list_regions
from regions.core.errors import MatrixInvalid
from regions.core.matrix import parse_matrix
from regions.models import MatrixImport


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
