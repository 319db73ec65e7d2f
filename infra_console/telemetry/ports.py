"""What telemetry asks of the outside: one Prometheus-compatible source."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from infra_console.telemetry.fragments import Jobs
from infra_console.telemetry.series import Answer

Rules = tuple[tuple[str, str], ...]  # (what is recorded, with its labels; the expression)


def rule_name(record: str, labels: Mapping[str, str]) -> str:
    """What a rule records, with the labels that it adds."""
    return record + "".join(f"{{{name}={value}}}" for name, value in sorted(labels.items()))


class MetricSource(Protocol):
    """One source of series. Every call ends within its timeout and raises only `SourceError`s."""

    def ready(self) -> datetime:
        """The source's own time; asked with a question that needs no data."""
        ...

    def instant(self, promql: str, *, at: datetime) -> Answer:
        """The value of each series at `at`: one sample a series, stamped with the query time."""
        ...

    def range(self, promql: str, *, start: datetime, end: datetime, step_s: float) -> Answer:
        """Each series at start, start + step, … ≤ end; a missing sample is left out."""
        ...

    def window(self, selector: str, *, at: datetime, window_s: float) -> Answer:
        """The samples of a plain selector as they were stored, with their own times."""
        ...

    def rules(self) -> Rules:
        """The recording rules it has loaded; a source that does not tell them refuses."""
        ...


class SourceIdentity(Protocol):
    """A source's place in the fleet."""

    @property
    def id(self) -> str: ...

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters whose series it owns; what it says of others is left aside."""
        ...

    @property
    def scrape_interval_s(self) -> float: ...

    @property
    def jobs(self) -> Jobs:
        """By which words its exporters' jobs are known."""
        ...
