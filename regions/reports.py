"""The regions' section of a report: how the tail of the first token's time varied in each."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from infra_console.fleet.queries import list_clusters
from infra_console.reports.figures import ranges
from infra_console.reports.sections import Column, Period, Picture, Section, table
from infra_console.telemetry.queries import read_range
from infra_console.telemetry.series import Array, Reading

TAILS = (
    Column(title="Region"), Column(title="Median", format="ms", unit="ms"),
    Column(title="Worst tenth from", format="ms", unit="ms"),
    Column(title="Worst", format="ms", unit="ms"), Column(title="Worst at (UTC)", format="time"),
    Column(title="Its model"), Column(title="Measured", format="percent"),
)  # fmt: skip


def tails(period: Period) -> Section:
    """The p95 of each region's worst model, window by window."""
    reading = read_range(
        "ttft_p95_seconds", start=period.start, end=period.end, step_s=period.step_s
    )
    regions: dict[str, list[str]] = {}
    for cluster in list_clusters():
        regions.setdefault(cluster.region_id, []).append(cluster.id)
    rows = [_row(region, clusters, reading) for region, clusters in sorted(regions.items())]
    known = [row for row in rows if row[1] is not None]
    picture = Picture(
        name="tails", title="p95 by region: median, and from the best to the worst tenth",
        alt="; ".join(f"{row[0]} median {row[1]:.0f} ms, worst {row[3]:.0f} ms" for row in known),
        figure=ranges(
            [row[0] for row in known], [row[7] for row in known], [row[1] for row in known],
            [row[2] for row in known], axis="time to first token, p95 (ms)",
        ),
    )  # fmt: skip
    missing = [f"{row[0]}: no p95 in this period" for row in rows if row[1] is None]
    return Section(
        key="tails", title="Tails by region",
        sentences=(
            "Each window is the p95 of five minutes of the region's slowest model, interpolated "
            "within vLLM's buckets.",
        ),
        tables=(table("Time to first token, p95", TAILS, [row[:7] for row in rows],
                      empty="No region is configured."),),
        pictures=(picture,) if known else (),
        missing=tuple(([reading.error] if reading.error else []) + missing),
    )  # fmt: skip


def _row(region: str, clusters: list[str], reading: Reading) -> tuple[Any, ...]:
    """The table's columns, and last the lowest tenth for the picture."""
    series = [s for c in clusters for s in reading.select(cluster=c)]
    values: Array = np.array([s.values for s in series]) if series else np.full((1, 1), np.nan)
    seen = ~np.isnan(values).all(axis=0)
    if not seen.any():
        return (region, None, None, None, None, None, 0.0, None)
    worst = 1000 * np.nanmax(values[:, seen], axis=0)
    place = int(worst.argmax())
    at = datetime.fromtimestamp(float(series[0].times[seen][place]), UTC)
    model = series[int(np.nanargmax(values[:, seen][:, place]))].labels.get("model_name", "")
    low, middle, high = np.quantile(worst, (0.1, 0.5, 0.9))
    return (
        region, float(middle), float(high), float(worst[place]), at.strftime("%Y-%m-%d %H:%M"),
        model, float(seen.mean()), float(low),
    )  # fmt: skip
