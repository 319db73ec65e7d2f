"""What the page of data sources shows of each; no secret is ever among it."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra_console.fleet.source_config import SourceConfig
from infra_console.telemetry.connection import shown_url
from infra_console.telemetry.expected import Expected, cap_words, expected_reading
from infra_console.telemetry.models import DataSource, SourceHealth
from infra_console.telemetry.pace import Use
from infra_console.telemetry.sources import ENVIRONMENT, caps_of, declared_sources
from infra_console.telemetry.usage import SourceFetch, fetched


@dataclass(frozen=True, slots=True)
class SourceCard:
    """One source. `declared` says where, empty when it is kept in the console."""

    id: str
    url: str
    flavour: str
    clusters: Sequence[str]
    declared: str
    overruled: Sequence[str]
    health: SourceHealth | None
    skip_verify: bool
    facts: Sequence[tuple[str, str]]
    fetch: SourceFetch | None
    caps: Use

    @property
    def budget(self) -> str:
        """The caps that are set, in words; empty where none is."""
        named = (
            (self.caps.queries, "questions"),
            (self.caps.series, "series"),
            (self.caps.bytes // 2**20, "MiB"),
        )
        return ", ".join(f"{cap:,} {what}" for cap, what in named if cap)

    @property
    def expected(self) -> Expected:
        """What reading it costs, by the size of its clusters."""
        return expected_reading([c for c in self.clusters if c not in self.overruled])

    @property
    def cap_words(self) -> str:
        return cap_words(self.expected.total, self.caps)


def source_cards() -> list[SourceCard]:
    """Declared sources first, then those kept in the console, each with what was last seen."""
    declared = declared_sources()
    health = {row.source_id: row for row in SourceHealth.objects.all()}
    fetch = fetched()
    taken = {cluster for config in declared for cluster in config.clusters}
    names = {config.id for config in declared}
    cards = [_declared(config, health.get(config.id), fetch.get(config.id)) for config in declared]
    for row in DataSource.objects.all():
        overruled = row.clusters if row.id in names else sorted(taken & set(row.clusters))
        cards.append(_kept(row, health.get(row.id), overruled, fetch.get(row.id)))
    return cards


def _declared(
    config: SourceConfig, health: SourceHealth | None, fetch: SourceFetch | None
) -> SourceCard:
    where = "the environment" if config.id == ENVIRONMENT else "the fleet file"
    auth = "bearer" if config.bearer_token else "basic" if config.username else "none"
    facts = _facts(
        config, auth, headers=sorted(config.headers), ca=config.ca_file,
        certificate=config.client_cert_file,
    )  # fmt: skip
    return SourceCard(
        config.id, shown_url(config.url), config.flavour, config.clusters, where, (), health,
        config.skip_verify, facts, fetch, caps_of(config),
    )  # fmt: skip


def _kept(
    row: DataSource,
    health: SourceHealth | None,
    overruled: Sequence[str],
    fetch: SourceFetch | None,
) -> SourceCard:
    facts = _facts(
        row, row.auth, headers=row.header_names, ca="of its own" if row.ca_pem else "",
        certificate="yes" if row.client_cert_pem else "",
    )  # fmt: skip
    facts.append(("Changed", f"by {row.changed_by}, {row.changed_at:%Y-%m-%d %H:%M} UTC"))
    return SourceCard(
        row.id, shown_url(row.url), row.flavour, row.clusters, "", overruled, health,
        row.skip_verify, facts, fetch, caps_of(row),
    )  # fmt: skip


def _facts(
    source: SourceConfig | DataSource,
    auth: str,
    *,
    headers: Sequence[str],
    ca: str,
    certificate: str,
) -> list[tuple[str, str]]:
    """What differs from a plain source, in words."""
    jobs = "; ".join(f"{name}: {', '.join(words)}" for name, words in source.jobs.items() if words)
    facts = [
        ("Authorisation", auth),
        ("Scraped every", f"{source.scrape_interval_s:g} s"),
        ("Timeout", f"{source.timeout_s:g} s"),
        ("Asked by", "POST" if source.post else ""),
        ("Headers", ", ".join(headers)),
        ("In every query", ", ".join(f"{k}={v}" for k, v in source.params.items())),
        ("Authority", ca),
        ("Client certificate", certificate),
        ("Server name", source.server_name),
        ("Jobs", jobs),
    ]
    return [(name, value) for name, value in facts if value]
