"""What all processes fetch of each source, shared through the database every few seconds."""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from infra_console.telemetry.models import SourceUse
from infra_console.telemetry.pace import Pace, Use

SHARE_EVERY_S = 10.0
RECENT = timedelta(seconds=75)  # a minute, and the time until it is shared
FORGET = timedelta(hours=1)
_shared: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class SourceFetch:
    """One source's last minute over all processes."""

    used: Use
    pace: str


def share_use(paces: Mapping[str, Pace]) -> None:
    """Tell what this process fetched, and learn what the others did; now and then."""
    now_s = time.monotonic()
    due = [name for name in paces if now_s - _shared.get(name, -SHARE_EVERY_S) >= SHARE_EVERY_S]
    if not due:
        return
    now, process = timezone.now(), f"{socket.gethostname()[:60]}:{os.getpid()}"
    for name in due:
        _shared[name] = now_s
        used = paces[name].used
        SourceUse.objects.update_or_create(
            source_id=name,
            process=process,
            defaults={
                "at": now, "queries": used.queries, "series": used.series, "bytes": used.bytes,
                "pace": paces[name].words,
            },
        )  # fmt: skip
    SourceUse.objects.filter(at__lt=now - FORGET).delete()
    others = SourceUse.objects.filter(at__gte=now - RECENT).exclude(process=process)
    found = _by_source(others)
    for name in due:
        there = found.get(name, SourceFetch(Use(), ""))
        paces[name].others, paces[name].others_words = there.used, there.pace


def fetched() -> dict[str, SourceFetch]:
    """What was fetched in the last minute, by source, and what its budget does."""
    return _by_source(SourceUse.objects.filter(at__gte=timezone.now() - RECENT))


def _by_source(rows: Iterable[SourceUse]) -> dict[str, SourceFetch]:
    found: dict[str, SourceFetch] = {}
    for row in rows:
        known = found.get(row.source_id, SourceFetch(Use(), ""))
        used = known.used + Use(row.queries, row.series, row.bytes)
        found[row.source_id] = SourceFetch(used, max(known.pace, row.pace, key=len))
    return found
