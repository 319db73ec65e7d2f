"""What the fabric measures itself, as promises of plans ask for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fabric.core.points import EXACT
from fabric.models import OperatingPoint


def recall_lower(
    labels: Mapping[str, Any], start: datetime, end: datetime
) -> list[tuple[datetime, float]]:
    """The highest bound of recall@10 that an effort of the index in use was measured to reach
    within the collection's time limit; the newest measurement holds until the next."""
    points = OperatingPoint.objects.filter(
        index__collection__name=labels["collection"], index__store=labels["store"],
        measured_at__lte=end,
    ).exclude(effort=EXACT).select_related("index__collection")  # fmt: skip
    able = [p for p in points if p.p95_ms <= p.index.collection.limit_ms]
    if not able:
        return []
    return [(max(p.measured_at for p in able), max(p.recall_lower for p in able))]
