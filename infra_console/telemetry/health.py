"""Looks at sources whose outcome is remembered: the Test button, the doctor, and each minute."""

from datetime import datetime, timedelta

from infra_console.telemetry.errors import SourceError
from infra_console.telemetry.models import SourceHealth
from infra_console.telemetry.probe import Finding, examine
from infra_console.telemetry.rules import configured_tier_key, rules_difference
from infra_console.telemetry.services import note_health, note_rules
from infra_console.telemetry.sources import BoundSource, current_sources

RULES_EVERY = timedelta(minutes=10)
RULES_REMEDY = "load what manage.py recording_rules prints; manage.py up does so as it starts"


def examine_and_note(bound: BoundSource, *, now: datetime) -> tuple[SourceHealth, list[Finding]]:
    """A thorough look; whether the source answers is remembered with since when."""
    findings = examine(bound, now=now)
    silent = next((f.detail for f in findings if f.name == "answers" and not f.ok), "")
    health = note_health(bound.id, silent, at=now)
    if not silent:
        findings += _look_at_rules(bound, now)
    return health, findings


def watch_sources(*, now: datetime) -> dict[str, str]:
    """Ask every source whether it answers, and remember; what each said, empty when well."""
    said: dict[str, str] = {}
    for bound in current_sources():
        try:
            bound.source.ready()
            problem = ""
        except SourceError as err:
            problem = err.problem
        health = note_health(bound.id, problem, at=now)
        said[bound.id] = problem
        if not problem and (health.rules_at is None or now - health.rules_at >= RULES_EVERY):
            _look_at_rules(bound, now)
    return said


def _look_at_rules(bound: BoundSource, now: datetime) -> list[Finding]:
    """What its loaded rules lack. Nothing is said of one that tells of none: another server may
    evaluate them for it, and whether their series are there is looked at apart."""
    try:
        loaded = bound.source.rules()
    except SourceError:
        loaded = ()
    words = rules_difference(loaded, tier_key=configured_tier_key()) if loaded else ""
    note_rules(bound.id, words, at=now)
    if not loaded:
        return []
    detail = words or "they are those that this fleet needs"
    return [Finding("loaded rules", not words, detail, RULES_REMEDY if words else "")]
