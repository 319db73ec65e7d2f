"""A stored observation of the small fleet, for tests of pages."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from tiers.models import Observation


def observed(*, age_s: float = 1, at: datetime | None = None, **north: Any) -> Observation:
    """Cluster `north` seen `age_s` ago; keywords replace parts of its entry."""
    now = at or timezone.now()
    seen_at = (now - timedelta(seconds=age_s)).isoformat()
    entry: dict[str, Any] = {
        "region": "north",
        "seen_at": seen_at,
        "reachable": True,
        "gpus": 24,
        "ledger": {"serving": 8, "training": 8, "free-usable": 8},
        "tiers": {
            "inference": tier(8, busy_gpus=7.5, floor_gpus=8),
            "training": tier(16, busy_gpus=8.0, pending_gpus=24),
            "operational": tier(0, busy_gpus=None),
        },
        "workloads": {"chat": service(0.6)},
    }
    document = {
        "schema": "observation/1",
        "taken_at": now.isoformat(),
        "source": "kubernetes",
        "unreadable": {} if north.get("reachable", True) else {"north": "connection refused"},
        "clusters": {"north": entry | north},
    }
    return Observation.objects.create(at=now, document=document)


def tier(gpus: int, **changes: Any) -> dict[str, Any]:
    entry = {
        "nodes": gpus // 8, "nodes_moving": 0, "gpus": gpus,
        "gpus_ready": gpus, "held_gpus": gpus, "pending_gpus": 0, "busy_gpus": None,
        "floor_gpus": 0,
    }  # fmt: skip
    return entry | changes


def service(slo_ratio: float | None) -> dict[str, Any]:
    """A model whose p95 is this share of its limit of one second."""
    return {
        "model": "chat", "replicas": 2, "ready": 2, "rps": 12.5, "waiting": 0.0, "slo_ms": 1000,
        "ttft_p95_ms": None if slo_ratio is None else 1000 * slo_ratio,
        "slo_ratio": slo_ratio,
    }  # fmt: skip
