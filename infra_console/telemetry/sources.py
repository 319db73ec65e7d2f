"""Which sources there are: declared in the fleet file or the environment, or kept in the console.

A cluster belongs to one source. Where both claim it the declared one has it: who may write files
on the console's host outranks who may sign in.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from django.conf import settings
from pydantic import SecretStr

from infra_console.fleet.models import Cluster
from infra_console.fleet.queries import current_fleet
from infra_console.fleet.source_config import SourceConfig
from infra_console.telemetry.adapters.gate import gate_of
from infra_console.telemetry.adapters.paced import PacedSource, held_of
from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.connection import LOOPBACK, Connection, Limits
from infra_console.telemetry.errors import SecretsUnreadable, SourceError, SourceRefused
from infra_console.telemetry.fragments import DEFAULT_JOBS, TIER_LABEL, Jobs
from infra_console.telemetry.models import DataSource
from infra_console.telemetry.pace import Pace, Use, pace_of
from infra_console.telemetry.ports import MetricSource, Rules
from infra_console.telemetry.rules import configured_tier_key, tier_label_of
from infra_console.telemetry.sealing import unseal
from infra_console.telemetry.series import LIVE_MARGIN_S, Answer
from infra_console.telemetry.usage import share_use

ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class BoundSource:
    """A source with its place in the fleet: the clusters whose series it owns."""

    id: str
    clusters: frozenset[str]
    scrape_interval_s: float
    source: MetricSource
    jobs: Jobs = field(default_factory=lambda: DEFAULT_JOBS)
    pace: Pace = field(default_factory=Pace)
    tier_label: str = TIER_LABEL  # the tier key's, as kube-state-metrics names it

    @property
    def recent_s(self) -> float:
        """How old the newest scrape of a target that is still there may be."""
        return 2 * self.scrape_interval_s + LIVE_MARGIN_S + self.pace.held_s


@dataclass(frozen=True, slots=True)
class BrokenSource:
    """A source that cannot be asked at all, and says so to every question."""

    error: SourceError

    def instant(self, *_: object, **__: object) -> Answer:
        raise self.error

    def range(self, *_: object, **__: object) -> Answer:
        raise self.error

    def window(self, *_: object, **__: object) -> Answer:
        raise self.error

    def rules(self) -> Rules:
        raise self.error

    def ready(self) -> datetime:
        raise self.error


def current_sources() -> tuple[BoundSource, ...]:
    """Every source with the clusters it owns; without a fleet there are none."""
    if not Cluster.objects.exists() and current_fleet() is None:
        return ()
    declared = declared_sources()
    taken = {cluster for config in declared for cluster in config.clusters}
    names = {config.id for config in declared}
    found = [bound_config(config) for config in declared]
    for row in DataSource.objects.exclude(id__in=names):
        free = frozenset(row.clusters) - taken
        found.append(bound_row(row, clusters=free))
        taken |= free
    share_use({bound.id: bound.pace for bound in found})
    tier_label = tier_label_of(configured_tier_key())
    return tuple(replace(bound, tier_label=tier_label) for bound in found)


def declared_sources() -> tuple[SourceConfig, ...]:
    """The fleet file's sources; settings.PROMETHEUS_URL overrides the address of the first.

    Where the file names none, that address is a source of its own for every cluster that no source
    kept in the console owns.
    """
    fleet = current_fleet()
    if fleet is None:
        return ()
    url = settings.PROMETHEUS_URL
    if fleet.sources:
        first = fleet.sources[0].model_copy(update={"url": url} if url else {})
        return (first, *fleet.sources[1:])
    if not url:
        return ()
    kept = {cluster for row in DataSource.objects.all() for cluster in row.clusters}
    free = tuple(c.id for c in fleet.clusters if c.id not in kept)
    return (SourceConfig(id=ENVIRONMENT, url=url, clusters=free),)


def bound_config(config: SourceConfig) -> BoundSource:
    """A declared source, its secrets read from where the declaration says they are."""

    def connect() -> Connection:
        return Connection(
            url=config.url,
            username=config.username,
            password=_referred(config.id, config.password),
            bearer_token=_referred(config.id, config.bearer_token),
            headers={name: SecretStr(value) for name, value in config.headers.items()},
            params=config.params,
            post=config.post,
            ca_pem=_file(config.id, config.ca_file),
            client_cert_pem=_file(config.id, config.client_cert_file),
            client_key_pem=_referred(config.id, config.client_key),
            server_name=config.server_name,
            skip_verify=config.skip_verify,
            networks=settings.SOURCE_NETWORKS | {LOOPBACK},
        )

    return _bound(
        config.id, frozenset(config.clusters), config.scrape_interval_s, config.timeout_s,
        jobs={str(name): words for name, words in config.jobs.items()}, connect=connect,
        caps=caps_of(config),
    )  # fmt: skip


def bound_row(row: DataSource, *, clusters: frozenset[str] | None = None) -> BoundSource:
    """A source kept in the console."""

    def connect() -> Connection:
        try:
            secrets = unseal(row.sealed)
        except SecretsUnreadable as err:
            raise SourceRefused(row.id, str(err)) from err
        headers = secrets.get("headers")
        return Connection(
            url=row.url,
            username=row.username,
            password=SecretStr(str(secrets.get("password", ""))),
            bearer_token=SecretStr(str(secrets.get("bearer_token", ""))),
            headers={n: SecretStr(str(v)) for n, v in headers.items()}
            if isinstance(headers, dict)
            else {},
            params=row.params,
            post=row.post,
            ca_pem=row.ca_pem,
            client_cert_pem=row.client_cert_pem,
            client_key_pem=SecretStr(str(secrets.get("client_key", ""))),
            server_name=row.server_name,
            skip_verify=row.skip_verify,
            networks=settings.SOURCE_NETWORKS,
        )

    return _bound(
        row.id, frozenset(row.clusters) if clusters is None else clusters, row.scrape_interval_s,
        row.timeout_s, jobs=row.jobs, connect=connect, caps=caps_of(row),
    )  # fmt: skip


def _bound(
    source_id: str,
    clusters: frozenset[str],
    scrape_interval_s: float,
    timeout_s: float,
    *,
    jobs: Mapping[str, Sequence[str]],
    connect: Callable[[], Connection],
    caps: Use,
) -> BoundSource:
    pace, held = pace_of(source_id, caps), held_of(source_id)
    try:
        connection = connect()
    except SourceError as err:
        source: MetricSource = BrokenSource(err)
    else:
        gate = gate_of(f"{source_id} {connection.url}")
        limits = Limits(timeout_s=timeout_s)
        asked = PrometheusSource(connection, gate=gate, pace=pace, limits=limits)
        source = PacedSource(source_id, asked, pace, held)
    words = {**DEFAULT_JOBS, **{name: tuple(found) for name, found in jobs.items() if found}}
    return BoundSource(source_id, clusters, scrape_interval_s, source, words, pace)


class Capped(Protocol):
    """Whatever carries a source's caps: declared, kept or about to be."""

    @property
    def max_queries_per_min(self) -> int: ...
    @property
    def max_series_per_min(self) -> int: ...
    @property
    def max_mib_per_min(self) -> int: ...


def caps_of(source: Capped) -> Use:
    """What may be fetched from the source in a minute."""
    return Use(
        source.max_queries_per_min, source.max_series_per_min, source.max_mib_per_min * 2**20
    )


def _referred(source_id: str, reference: str) -> SecretStr:
    kind, _, where = reference.partition(":")
    if not reference:
        return SecretStr("")
    if kind == "file":
        return SecretStr(_file(source_id, where).strip())
    if where not in os.environ:
        raise SourceRefused(source_id, f"the variable {where}, which is to hold a secret, is unset")
    return SecretStr(os.environ[where])


def _file(source_id: str, path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise SourceRefused(source_id, f"{path} cannot be read") from err
