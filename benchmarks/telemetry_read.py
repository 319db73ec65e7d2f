"""The console's side of `benchmarks.telemetry`: each reading in a process of its own, timed.

No database: the fleet file says who is who, and the one source is handed in.
"""

import json
import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "infra_console.settings")
django.setup()

from infra_console.fleet.config import load_fleet_file  # noqa: E402  after the set-up
from infra_console.telemetry import queries  # noqa: E402
from infra_console.telemetry.adapters.prometheus import PrometheusSource  # noqa: E402
from infra_console.telemetry.catalogue import CATALOGUE  # noqa: E402
from infra_console.telemetry.queries import (  # noqa: E402
    fleet_freshness,
    forget_cached,
    read_instant,
    read_range,
)
from infra_console.telemetry.sources import BoundSource  # noqa: E402
from tiers.adapters.prometheus_fleet import PrometheusFleet  # noqa: E402
from tiers.facts import fleet_facts  # noqa: E402
from tiers.observation import build_observation, read_metrics  # noqa: E402

ROUNDS = 3
RECORDED = (
    "arrivals_rps", "ttft_p95_seconds", "ttft_within_slo", "requests_waiting", "requests_running",
    "kv_cache_usage", "gpus_busy", "gpus_present", "gpus_requested", "tier_gpus", "nodes_ready",
    "nodes_total",
)  # fmt: skip


class Counting:
    """A source that counts the series it was given."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.series = 0

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._source, name)

        def counted(*words: Any, **options: Any) -> Any:
            answer = ask(*words, **options)
            self.series += len(answer.series)
            return answer

        return counted


def _source(url: str) -> Counting:

    return Counting(PrometheusSource(url, timeout_s=60.0))


def _in_force(clusters: frozenset[str], source: Counting) -> None:

    bound = (BoundSource("benchmark", clusters, 30.0, source),)
    queries.current_sources = lambda: bound


def demand(url: str, fleet_file: str) -> dict[str, Any]:
    """Into demand: every recorded number, ages and doubts; then the fleet from metrics alone."""

    facts, source = fleet_facts(load_fleet_file(Path(fleet_file))), _source(url)
    _in_force(frozenset(facts.cluster_ids), source)
    before_mib, took, readings = _anew(), [], {}
    for _ in range(ROUNDS):
        forget_cached()
        source.series, began = 0, time.perf_counter()
        readings = {name: read_instant(name) for name in RECORDED}
        metrics, seen = read_metrics(), fleet_freshness()
        took.append(time.perf_counter() - began)
    demand_series, demand_mib = source.series, _peak_mib()
    source.series, began = 0, time.perf_counter()
    state = PrometheusFleet(facts).read(facts.cluster_ids)
    document = build_observation(facts, state, metrics, now=datetime.now(UTC), previous=None)
    fleet_s = time.perf_counter() - began
    return {
        "demand_s": round(sorted(took)[ROUNDS // 2], 3),
        "demand_worst_s": round(max(took), 3),
        "demand_series_fetched": demand_series,
        "demand_peak_mib": round(demand_mib - before_mib, 1),
        "fleet_s": round(fleet_s, 3),
        "fleet_series_fetched": source.series,
        "peak_mib": round(_peak_mib() - before_mib, 1),
        "state": str(seen.state),
        "age_s": seen.age_s and round(seen.age_s, 1),
        "unreadable": sorted(set(state.unreadable.values()))[:3],
        "gpus_in_ledger": sum(c["gpus"] or 0 for c in document["clusters"].values()),
        "numbers": {n: len(r.series) for n, r in readings.items()},
        "arrivals_rps": round(sum(s.last or 0 for s in readings["arrivals_rps"].series), 1),
        "notes": sorted({note for r in readings.values() for note in r.notes})[:5],
    }


def history(url: str) -> dict[str, Any]:

    source = _source(url)
    _in_force(frozenset({"big"}), source)
    before_mib, now, began = _anew(), datetime.now(UTC), time.perf_counter()
    reading = read_range(
        "arrivals_rps", start=now - timedelta(days=28), end=now, step_s=600.0, mean=True
    )
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "series": len(reading.series),
        "points": sum(len(s.values) for s in reading.series),
        "known": round(float(sum((s.values == s.values).mean() for s in reading.series)) / 200, 4),
        "peak_mib": round(_peak_mib() - before_mib, 1),
        "error": reading.error,
    }


def exporter(url: str) -> dict[str, Any]:
    """What is seen of a cluster whose only exporter is a file: GPUs, and nothing else."""
    _in_force(frozenset({"one"}), _source(url))
    readings = {name: read_instant(name) for name in CATALOGUE if name != "witnesses"}
    known = {name: r for name, r in readings.items() if r.series}
    seen = fleet_freshness().clusters["one"]
    return {
        "state": str(seen.state),
        "doubts": seen.doubts,
        "known": {
            name: [{**s.labels, "value": s.last, "state": str(s.state)} for s in r.series]
            for name, r in known.items()
        },
        "unknown": sorted(set(readings) - set(known)),
        "zeros": [n for n, r in known.items() if any(s.last == 0 for s in r.series)],
    }


def _peak_mib() -> float:
    """The most memory held since the last call of `_anew`; the parent's own does not count."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def _anew() -> float:
    """Begin the high-water mark anew; what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_mib()


if __name__ == "__main__":
    part, *words = sys.argv[1:]
    print(json.dumps({"demand": demand, "history": history, "exporter": exporter}[part](*words)))
