"""The one writer of what operators import beside the fleet file: contract list and price book."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from infra_console.audit.services import record_audit
from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.models import PoolPrice, Reservation
from infra_console.fleet.tables import PriceRow, ReservationRow


@transaction.atomic
def import_reservations(
    rows: Sequence[ReservationRow], *, source: str, by: str, now: datetime
) -> int:
    """Make the contract list say what the file says: lines gone from it are removed.

    Raises:
        TableInvalid: an id stands twice.
    """
    ids = [row.id for row in rows]
    _once(ids, source)
    Reservation.objects.exclude(id__in=ids).delete()
    for row in rows:
        Reservation.objects.update_or_create(
            id=row.id,
            defaults={
                **row.model_dump(exclude={"id"}),
                "source": source, "imported_at": now, "imported_by": by,
            },
        )  # fmt: skip
    _audit("reservations.imported", source, len(rows), by)
    return len(rows)


@transaction.atomic
def import_prices(rows: Sequence[PriceRow], *, source: str, by: str, now: datetime) -> int:
    """Add prices to the book; history stays, a pool's price of the same day is replaced.

    Returns:
        How many prices are new or changed.

    Raises:
        TableInvalid: a pool has two prices on one day.
    """
    _once([f"{row.pool} on {row.valid_from}" for row in rows], source)
    changed = 0
    for row in rows:
        known = PoolPrice.objects.filter(pool=row.pool, valid_from=row.valid_from).first()
        if known and known.usd_per_gpu_hour == row.usd_per_gpu_hour and known.source == row.source:
            continue
        PoolPrice.objects.update_or_create(
            pool=row.pool,
            valid_from=row.valid_from,
            defaults={
                "usd_per_gpu_hour": row.usd_per_gpu_hour, "source": row.source,
                "imported_at": now, "imported_by": by,
            },
        )  # fmt: skip
        changed += 1
    _audit("prices.imported", source, len(rows), by)
    return changed


def _once(names: Sequence[str], source: str) -> None:
    if repeated := sorted(name for name, times in Counter(names).items() if times > 1):
        raise TableInvalid(source, f"names {', '.join(repeated[:5])} more than once")


def _audit(action: str, source: str, rows: int, by: str) -> None:
    record_audit(
        actor=by, action=action, object_kind="fleet", object_id="1",
        detail={"source": source, "rows": rows},
    )  # fmt: skip
