"""Which sources there are, from the fleet file and the settings."""

from dataclasses import dataclass

from django.conf import settings

from infra_console.fleet.queries import current_fleet
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.ports import MetricSource


@dataclass(frozen=True, slots=True)
class BoundSource:
    """A source with its place in the fleet: the clusters whose series it owns."""

    id: str
    clusters: frozenset[str]
    scrape_interval_s: float
    source: MetricSource


def current_sources() -> tuple[BoundSource, ...]:
    """The fleet's sources; settings.PROMETHEUS_URL overrides the address of the first.

    Without a fleet file, or with one that names no source, there are none.
    """
    fleet = current_fleet()
    if fleet is None:
        return ()
    return tuple(
        BoundSource(
            id=config.id,
            clusters=frozenset(config.clusters),
            scrape_interval_s=config.scrape_interval_s,
            source=PrometheusSource((settings.PROMETHEUS_URL if number == 0 else "") or config.url),
        )
        for number, config in enumerate(fleet.sources)
    )
