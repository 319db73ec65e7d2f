"""How often GPUs fail, are repaired and are taken away, from the ledger's own history.

    failures:  GPUs that became broken / GPU-hours of supply
    repairs:   GPUs that stopped being broken / GPU-hours broken
    spot:      GPUs whose spot node went away / GPU-hours of spot supply

A rate per hour is believed once five events were seen, or so many hours were watched that the prior
expects five. Until then the prior stands, and is marked as one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

SUPPLY_STATES = frozenset(
    {"serving", "training", "operational", "idle-allocated", "free-usable", "free-stranded"}
)
ENOUGH_EVENTS = 5
_SETTLING = timedelta(minutes=1)  # what stands so at the first look did not become so then
# Kokolis et al., "Revisiting Reliability in Large-Scale Machine Learning Research Clusters"
# (arXiv:2410.21680): 6.5 node failures per 1,000 node-days in the larger of two clusters.
FAILURES_PER_HOUR = 6.5 / 1000 / 24
# Assumed: a broken node is back after a day.
REPAIRS_PER_HOUR = 1 / 24
# Assumed: AWS's Spot Advisor puts GPU types into its last class, "over 20 %" of instances a month,
# at least 3e-4 an hour; three times that.
SPOT_PER_HOUR = 1e-3


@dataclass(frozen=True, slots=True)
class Spell:
    """GPUs of one node in one ledger state for a while; `until` None is still so."""

    node: str
    state: str
    gpus: int
    since: datetime
    until: datetime | None
    spot: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """Events per hour of each GPU (or node: they go together)."""

    per_hour: float
    origin: Literal["own history", "default"]
    events: int
    gpu_hours: float


@dataclass(frozen=True, slots=True)
class Rates:
    failures: Rate
    repairs: Rate
    spot: Rate


def rates(
    spells: Iterable[Spell],
    *,
    now: datetime,
    gpus_per_node: int = 8,
    supply_gpu_hours: float = 0.0,
    begun: datetime | None = None,
) -> Rates:
    """The rates of a fleet.

    Args:
        spells: those broken and those on spot nodes at the least, ended and standing.
        supply_gpu_hours: of supply that no spell is given for.
        begun: since when it was watched, where that is before the first spell.
    """
    known = list(spells)
    fresh = min([s.since for s in known] + ([begun] if begun else []), default=now) + _SETTLING
    supply, broken, spot = _Count(supply_gpu_hours), _Count(), _Count()
    # What stays broken and changes hands neither failed nor was repaired.
    starts = {(s.node, s.since) for s in known if s.state == "broken"}
    ends = {(s.node, s.until) for s in known if s.state == "broken"}
    standing = {s.node for s in known if s.until is None}
    last: dict[str, Spell] = {}
    for spell in known:
        hours = ((spell.until or now) - spell.since).total_seconds() / 3600 * spell.gpus
        if spell.state == "broken":
            broken.hours += hours
            if spell.since > fresh and (spell.node, spell.since) not in ends:
                supply.add((spell.node, spell.since), spell.gpus)
            if spell.until is not None and (spell.node, spell.until) not in starts:
                broken.add((spell.node, spell.until), spell.gpus)
        elif spell.state in SUPPLY_STATES:
            supply.hours += hours
            spot.hours += hours if spell.spot else 0.0
        if spell.spot and spell.node not in standing and spell.until is not None:
            held = last.get(spell.node)
            if held is None or held.until is None or held.until < spell.until:
                last[spell.node] = spell
    for node, spell in last.items():
        spot.add((node, spell.until or now), gpus_per_node)
    return Rates(
        failures=supply.rate(FAILURES_PER_HOUR, gpus_per_node),
        repairs=broken.rate(REPAIRS_PER_HOUR, gpus_per_node),
        spot=spot.rate(SPOT_PER_HOUR, gpus_per_node),
    )


@dataclass(slots=True)
class _Count:
    """Hours watched and events seen; GPUs of one node at one time are one event."""

    hours: float = 0.0
    gpus: int = 0
    events: set[tuple[str, datetime]] = field(default_factory=set)

    def add(self, event: tuple[str, datetime], gpus: int) -> None:
        self.events.add(event)
        self.gpus += gpus

    def rate(self, prior: float, gpus_per_node: int) -> Rate:
        expected = self.hours / gpus_per_node * prior
        if self.hours and max(len(self.events), expected) >= ENOUGH_EVENTS:
            return Rate(self.gpus / self.hours, "own history", len(self.events), self.hours)
        return Rate(prior, "default", len(self.events), self.hours)
