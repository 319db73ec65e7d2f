"""Nothing reads a metric source past its budget: who may hold the client, and who asks a source.

The counter is in `PrometheusSource`, the caps in `PacedSource`; `sources.py` puts both together.
A file that is missing here reads some other way: give it a source of `current_sources()`.
"""

import re
from pathlib import Path

from django.conf import settings

from infra_console.telemetry.adapters.paced import PacedSource
from infra_console.telemetry.models import DataSource
from infra_console.telemetry.pace import Use
from infra_console.telemetry.sources import bound_row

T = "infra_console/telemetry/"


def files_with(pattern: str) -> set[str]:
    found = re.compile(pattern)
    return {
        str(path.relative_to(settings.BASE_DIR))
        for package in ("infra_console", "tiers", "fabric", "regions")
        for path in (settings.BASE_DIR / package).rglob("*.py")
        if found.search(Path(path).read_text())
    }


def test_one_adapter_holds_the_client():
    assert files_with(r"(?:from|import) prometheus_api_client") == {T + "adapters/prometheus.py"}
    # Webhooks tell a queue of a checkpoint: they are no reads of a source.
    assert files_with(r"import .*\bBoundedSession\b") == {
        T + "adapters/prometheus.py",
        T + "webhooks.py",
    }


def test_sources_are_made_where_their_budget_is():
    # An adoption look at an address that is no source yet counts what it fetches, and says so; a
    # backtest is one question that a person asks of an address they name.
    assert files_with(r"\bPrometheusSource\(") - {T + "adapters/prometheus.py"} == {
        T + "sources.py",
        "tiers/looking.py",
        "tiers/series_prometheus.py",
    }
    assert "pace=where.pace" in (settings.BASE_DIR / "tiers/looking.py").read_text()


def test_who_asks_a_source_asks_one_that_is_bound_to_its_budget():
    asking = files_with(r"source\.(?:instant|range|window|rules)\b")
    assert asking == {
        T + "health.py", T + "moments.py", T + "probe.py", T + "queries.py",
        T + "adapters/paced.py", "regions/adapters/probes.py", "tiers/series_prometheus.py",
    }  # fmt: skip


def test_a_source_that_is_bound_counts_and_is_held_to_its_caps():
    row = DataSource(id="counted", url="http://127.0.0.1:9", max_queries_per_min=7)
    bound = bound_row(row)
    assert isinstance(bound.source, PacedSource)
    assert bound.pace.caps == Use(queries=7)
    assert bound.source._pace is bound.source._source._pace is bound.pace
