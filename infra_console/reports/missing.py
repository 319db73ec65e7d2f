"""The last section of a report: which data was missing while its period ran, and now."""

from collections.abc import Iterator

import numpy as np

from infra_console.fleet.queries import list_clusters
from infra_console.reports.models import Report, ReportState
from infra_console.reports.sections import Column, Period, Section, table
from infra_console.telemetry.models import SourceHealth
from infra_console.telemetry.queries import fleet_freshness, read_range
from infra_console.telemetry.series import Freshness, Reading

# A series of each exporter that stands for it.
WITNESSES = {
    "nodes": "nodes_total",
    "GPUs": "gpus_present",
    "models": "arrivals_rps",
}
WHOLE = 0.98


def what_was_missing(period: Period) -> Section:
    """Sources that are silent, clusters that are not fresh, and gaps in the period by cluster."""
    clusters = [cluster.id for cluster in list_clusters()]
    if not clusters:
        return Section(
            key="missing", title="What data was missing",
            missing=("no fleet is configured: everything is unknown",),
        )  # fmt: skip
    readings = {what: _read(name, period) for what, name in WITNESSES.items()}
    shares = {c: [_known_share(r, c) for r in readings.values()] for c in clusters}
    whole = sum(all(s is not None and s >= WHOLE for s in row) for row in shares.values())
    rows: list[tuple[str | float | None, ...]] = [(c, *row) for c, row in shares.items()]
    columns = (Column(title="Cluster"), *(
        Column(title=f"{what} known", format="percent") for what in WITNESSES
    ))  # fmt: skip
    return Section(
        key="missing",
        title="What data was missing",
        sentences=(
            f"{whole} of {len(clusters)} clusters were measured for at least 98 % of the period.",
        ),
        tables=(table("Share of the period that was measured", columns, rows),),
        missing=(*_now(), *_skipped(period), *_errors(readings)),
    )


def _read(name: str, period: Period) -> Reading:
    return read_range(name, start=period.start, end=period.end, step_s=period.step_s)


def _known_share(reading: Reading, cluster: str) -> float | None:
    """Of the period's points those with any sample of the cluster; None when the source failed."""
    found = reading.select(cluster=cluster)
    if not found:
        return None if reading.error else 0.0
    known = ~np.isnan(np.vstack([s.values for s in found])).all(axis=0)
    return float(known.mean())


def _now() -> Iterator[str]:
    """What does not answer while the report is made."""
    fresh = fleet_freshness()
    for cluster, state in sorted(fresh.clusters.items()):
        if state.state is not Freshness.LIVE:
            yield f"{cluster} is {state.state} while this is written"
    for row in SourceHealth.objects.exclude(problem="").order_by("source_id"):
        since = row.since.strftime("%Y-%m-%d %H:%M")
        yield f"source {row.source_id} is silent since {since} UTC: {row.problem}"


def _skipped(period: Period) -> Iterator[str]:
    skipped = Report.objects.filter(
        kind=period.kind, state=ReportState.SKIPPED, slot__lt=period.end, slot__gte=period.start
    )
    for report in skipped.order_by("slot"):
        yield f"the {report.kind} report of {report.slot:%Y-%m-%d %H:%M} UTC was missed, not sent"


def _errors(readings: dict[str, Reading]) -> Iterator[str]:
    for what, reading in readings.items():
        if reading.error:
            yield f"{what}: {reading.error}"
