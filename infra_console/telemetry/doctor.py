"""Whether each metric source answers, has the series we need, and is fresh."""

from datetime import UTC, datetime

from infra_console.overview.doctor import Check
from infra_console.telemetry.ages import (
    WINDOW_S,
    ages_from_up,
    cluster_freshness,
    exporters_missing,
)
from infra_console.telemetry.catalogue import EXPORTERS, SCRAPES, VLLM, fill, spec_of
from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.series import Freshness
from infra_console.telemetry.sources import BoundSource, current_sources


def check_sources() -> list[Check]:
    """One check a source for its clusters' scrapes, one for the recording rules."""
    sources = current_sources()
    if not sources:
        return [
            Check(
                "metric sources",
                ok=False,
                detail="the fleet names none",
                remedy="name a [[sources]] entry in the fleet file and run manage.py fleet_apply",
            )
        ]
    now = datetime.now(UTC)
    return [check for source in sources for check in _check(source, now)]


def _check(bound: BoundSource, now: datetime) -> list[Check]:
    name = f"metric source {bound.id}"
    try:
        up = bound.source.window(SCRAPES, at=now, window_s=WINDOW_S)
        recorded = bound.source.instant(fill(spec_of("nodes_total").promql, {}), at=now)
    except SourceError as err:
        remedy = (
            "check that it runs and that its address is reachable from here"
            if err.retryable
            else "check its address, version and access rights"
        )
        return [Check(name, ok=False, detail=err.problem, remedy=remedy)]
    ages = ages_from_up(up, at_s=now.timestamp())
    states = {
        cluster: cluster_freshness(
            ages, cluster=cluster, scrape_interval_s=bound.scrape_interval_s
        ).state
        for cluster in bound.clusters
    }
    unknown = {
        cluster: missing
        for cluster in sorted(bound.clusters)
        if (missing := exporters_missing(ages, cluster=cluster, exporters=EXPORTERS))
    }
    old = sorted(c for c, state in states.items() if state is not Freshness.LIVE)
    return [
        Check(
            name,
            ok=not old,
            detail=f"{len(states) - len(old)} of {len(states)} clusters live"
            + (f"; not live: {', '.join(f'{c} ({states[c]})' for c in old)}" if old else ""),
            remedy="every target needs the label `cluster`; see the source's target page"
            if old
            else "",
        ),
        _exporters(bound, unknown),
        Check(
            f"recording rules at {bound.id}",
            ok=bool(recorded.series),
            detail="installed" if recorded.series else "cluster:nodes:count has no series",
            remedy="" if recorded.series else "load deploy/prometheus/rules.yml at the source",
        ),
    ]


def _exporters(bound: BoundSource, unknown: dict[str, list[str]]) -> Check:
    """Numbers of an exporter that no job is known as count as down. A cluster that serves no model
    has no vLLM."""
    bad = any(name != VLLM for names in unknown.values() for name in names)
    lacks = "; ".join(f"{c} has no job called {' or '.join(names)}" for c, names in unknown.items())
    return Check(
        f"exporters at {bound.id}",
        ok=not bad,
        detail=lacks or f"every cluster has jobs of {', '.join(EXPORTERS)}",
        remedy="let the names of their jobs contain these words: docs/connect.md" if bad else "",
    )
