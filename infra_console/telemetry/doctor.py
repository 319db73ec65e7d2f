"""Whether each metric source answers, has the series we need, and is fresh."""

from collections.abc import Iterable
from datetime import UTC, datetime

from infra_console.overview.doctor import Check
from infra_console.telemetry.health import examine_and_note
from infra_console.telemetry.models import SourceHealth
from infra_console.telemetry.probe import Finding
from infra_console.telemetry.sources import BoundSource, current_sources


def check_sources() -> list[Check]:
    """What was found at every source, thing by thing."""
    sources = current_sources()
    if not sources:
        return [
            Check(
                "metric sources",
                ok=False,
                detail="there is none",
                remedy="name a [[sources]] entry in the fleet file and run manage.py fleet_apply, "
                "or add one on the page Data sources",
            )
        ]
    now = datetime.now(UTC)
    return [check for source in sources for check in _check(source, now)]


def _check(bound: BoundSource, now: datetime) -> Iterable[Check]:
    health, findings = examine_and_note(bound, now=now)
    for finding in findings:
        yield Check(
            f"metric source {bound.id}: {finding.name}",
            ok=finding.ok,
            detail=finding.detail + ("" if finding.ok else _since(finding, health)),
            remedy=finding.remedy,
        )


def _since(finding: Finding, health: SourceHealth) -> str:
    """When it was last well, or since when the source is silent; nothing where nobody knows."""
    if finding.since:
        return f"; last well {finding.since:%d %b %H:%M} UTC"
    return f"; since {health.since:%d %b %H:%M} UTC" if health.problem else ""
