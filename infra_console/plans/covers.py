"""Whether an envelope covers a plan: each bound, and what no envelope may ever cover. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from infra_console.plans.changes import tier_changes
from infra_console.plans.envelope_models import Envelope
from infra_console.plans.quorum import blast_radius
from infra_console.plans.spec import Evidence, PlanSpec

CERTAIN = frozenset({"live", "delayed"})


def gpus_of(spec: PlanSpec) -> int:
    """What a plan takes from an envelope."""
    return blast_radius(spec).gpus


def outside(envelope: Envelope, spec: PlanSpec, *, at: datetime) -> list[str]:
    """Why an envelope does not cover a plan at a time; empty when it does.

    Its state, its expiry and the GPUs that are left are decided where they are taken.
    """
    radius = blast_radius(spec)
    reasons = [*never(spec)]
    if more := sorted(radius.clusters - set(envelope.clusters)):
        reasons.append(f"it is not for {', '.join(more)}")
    if more := sorted(radius.tiers - set(envelope.tiers)):
        reasons.append(f"it is not for the tier {', '.join(more)}")
    if more := sorted({step.kind for step in spec.steps} - set(envelope.step_kinds)):
        reasons.append(f"it does not allow {', '.join(more)}")
    if radius.gpus > envelope.plan_gpus:
        reasons.append(f"{radius.gpus} GPUs move, at most {envelope.plan_gpus} a plan may")
    if not is_open(envelope, at):
        reasons.append(f"it is for {hours(envelope)}")
    return reasons


def never(spec: PlanSpec) -> Iterator[str]:
    """Why no envelope covers a plan, whatever it allows."""
    yield from in_doubt(spec.evidence)
    for loss in spec.losses:
        yield f"it cannot be taken back: {loss}"
    for tier in sorted(blast_radius(spec).at_floor):
        yield f"{tier} is left at its floor"
    for change in tier_changes(spec):
        if change.delta_gpus < 0 and change.after_gpus is None:
            yield f"what {change.tier} in {change.cluster} keeps is unknown"
    for step in spec.steps:
        before, after = step.params.get("from"), step.params.get("to")
        if isinstance(before, int) and isinstance(after, int) and after < before:
            floor = step.params.get("floor")
            if floor is None or after <= floor:
                yield f"{step.target.name} is left at its floor"


def in_doubt(evidence: Evidence) -> Iterator[str]:
    """What of a plan's input is not certain: a person decides then, though it only grows."""
    for doubt in evidence.doubts:
        yield f"its input is in doubt: {doubt}"
    for source, state in sorted(evidence.states.items()):
        if state not in CERTAIN:
            yield f"its input is in doubt: {source} was {state}"
    for source, age_s in sorted(evidence.ages_s.items()):
        if age_s is None:
            yield f"its input is in doubt: the age of {source} is unknown"


def is_open(envelope: Envelope, at: datetime) -> bool:
    """Whether a time is among its hours of the day, in its own zone."""
    local = at.astimezone(ZoneInfo(envelope.time_zone)).time()
    opens, closes = envelope.opens, envelope.closes
    if opens < closes:
        return opens <= local < closes
    return local >= opens or local < closes  # over midnight; the whole day when they are equal


def opens_at(envelope: Envelope, after: datetime) -> datetime:
    """When its hours begin next, in UTC."""
    local = after.astimezone(ZoneInfo(envelope.time_zone))
    opening = local.replace(
        hour=envelope.opens.hour, minute=envelope.opens.minute, second=0, microsecond=0
    )
    return (opening if opening > local else opening + timedelta(days=1)).astimezone(UTC)


def hours(envelope: Envelope) -> str:
    """Its hours as people read them."""
    if envelope.opens == envelope.closes:
        return f"every hour of the day ({envelope.time_zone})"
    return f"{envelope.opens:%H:%M} to {envelope.closes:%H:%M} {envelope.time_zone}"
