"""A metric outside the catalogue that holds a time: the newest one that its series tell of."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.escape import matchers
from infra_console.telemetry.sources import current_sources


def newest_moment(
    metric: str, *, cluster: str, namespace: str, pods: Sequence[str], at: datetime
) -> datetime | None:
    """The newest Unix time in seconds that these pods' series hold; None where none is known.

    Exporters whose own labels win call the pod `exported_pod`: both are asked.
    """
    for prefix in ("", "exported_"):
        match = {f"{prefix}namespace": namespace, f"{prefix}pod": list(pods), "cluster": cluster}
        if found := _newest(f"max({metric}{{{matchers(match)}}})", cluster=cluster, at=at):
            return found
    return None


def _newest(promql: str, *, cluster: str, at: datetime) -> datetime | None:
    for bound in current_sources():
        if cluster not in bound.clusters:
            continue
        try:
            series = bound.source.instant(promql, at=at).series
        except SourceError:  # unknown, as from a source that has no such series
            continue
        values = [float(s.values[-1]) for s in series if len(s.values)]
        known = [v for v in values if math.isfinite(v) and v > 0]
        if known:
            return datetime.fromtimestamp(max(known), UTC)
    return None
