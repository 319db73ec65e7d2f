"""Looks at sources whose outcome is remembered: the Test button, the doctor, and each minute."""

from datetime import datetime

from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.models import SourceHealth
from infra_console.telemetry.probe import Finding, examine
from infra_console.telemetry.services import note_health
from infra_console.telemetry.sources import BoundSource, current_sources


def examine_and_note(bound: BoundSource, *, now: datetime) -> tuple[SourceHealth, list[Finding]]:
    """A thorough look; whether the source answers is remembered with since when."""
    findings = examine(bound, now=now)
    silent = next((f.detail for f in findings if f.name == "answers" and not f.ok), "")
    return note_health(bound.id, silent, at=now), findings


def watch_sources(*, now: datetime) -> dict[str, str]:
    """Ask every source whether it answers, and remember; what each said, empty when well."""
    said: dict[str, str] = {}
    for bound in current_sources():
        try:
            bound.source.ready()
            problem = ""
        except SourceError as err:
            problem = err.problem
        note_health(bound.id, problem, at=now)
        said[bound.id] = problem
    return said
