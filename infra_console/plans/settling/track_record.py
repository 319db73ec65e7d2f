"""The console's own track record: what plans promised against what came of it, by mode, and how
many of those that were not carried out would have hurt. By it an operator decides to arm."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Case, CharField, Count, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncDate

from infra_console.fleet.queries import list_clusters
from infra_console.plans import clock
from infra_console.plans.models import Plan, Settlement

SPANS = (7, 30, 90)  # days
DAYS = 30
MODES = ("executed", "shadow")
NEWEST = 50
SEARCHED = 5000  # settlements looked through when a region is asked for
_MODE = Case(
    When(shadow=True, then=Value("shadow")), default=Value("executed"), output_field=CharField()
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Settled plans of one mode (or one end), and their promises. `harmful`, `harmless` and
    `untold` are of shadows alone."""

    name: str
    plans: int = 0
    kept: int = 0
    missed: int = 0
    unknown: int = 0
    harmful: int = 0
    harmless: int = 0
    untold: int = 0

    @property
    def kept_share(self) -> float | None:
        """Of the promises that could be measured; None where none could."""
        known = self.kept + self.missed
        return self.kept / known if known else None

    @property
    def told(self) -> int:
        return self.harmful + self.harmless


@dataclass(frozen=True, slots=True)
class Day:
    """One day of one mode."""

    day: date
    mode: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """`by_mode` has a line for each mode, `by_end` for each state in which shadows ended."""

    days: int
    since: datetime
    by_mode: tuple[Tally, ...]
    by_end: tuple[Tally, ...]
    daily: tuple[Day, ...]

    @property
    def shadow(self) -> Tally:
        return self.by_mode[MODES.index("shadow")]

    @property
    def harmful_in_30_days(self) -> float | None:
        """Harmful shadows at this rate; None while none could be told."""
        return self.shadow.harmful * DAYS / self.days if self.shadow.told else None

    def as_json(self) -> dict[str, Any]:
        return {
            "days": self.days,
            "since": self.since.isoformat(),
            "harmful_in_30_days": self.harmful_in_30_days,
            "by_mode": [_line(tally) for tally in self.by_mode],
            "by_end": [_line(tally) for tally in self.by_end],
            "daily": [
                {"day": d.day.isoformat(), "mode": d.mode} | _line(d.tally) for d in self.daily
            ],
        }


def track_record(*, days: int = DAYS, region: str = "") -> TrackRecord:
    """What was settled in the last days, of one region when given."""
    since = clock.now() - timedelta(days=days)
    rows = _settled(since, region)
    modes = {name: tally for (name,), tally in _tallies(rows, "mode").items()}
    ends = _tallies(rows.filter(shadow=True), "plan__state")
    daily = _tallies(rows.annotate(day=TruncDate("at")), "day", "mode")
    return TrackRecord(
        days=days,
        since=since,
        by_mode=tuple(modes.get(mode, Tally(mode)) for mode in MODES),
        by_end=tuple(ends[key] for key in sorted(ends)),
        daily=tuple(Day(day, mode, tally) for (day, mode), tally in sorted(daily.items())),
    )


def newest_settled(
    *, days: int = DAYS, region: str = "", harmful: bool = False, limit: int = NEWEST
) -> list[Settlement]:
    """The newest settlements with their plans, only the harmful ones when asked so."""
    rows = _settled(clock.now() - timedelta(days=days), region).select_related("plan")
    if harmful:
        rows = rows.filter(harmful=True)
    return list(rows.order_by("-at", "-id")[:limit])


def _settled(since: datetime, region: str) -> QuerySet[Settlement]:
    rows = Settlement.objects.filter(at__gte=since).annotate(mode=_MODE)
    if not region:
        return rows
    here = {c.id for c in list_clusters(region_id=region)}
    newest = Plan.objects.filter(settlement__at__gte=since).order_by("-number")[:SEARCHED]
    found = [p.id for p in newest if here & {k["cluster"] for k in p.document["locks"]}]
    return rows.filter(plan_id__in=found)


def _tallies(rows: QuerySet[Settlement], *by: str) -> dict[tuple[Any, ...], Tally]:
    """One tally for each value of these columns, in one query; named by the last of them."""
    counted = rows.order_by().values(*by).annotate(
        plans=Count("id"),
        kept=Sum("kept_count"),
        missed=Sum("missed_count"),
        unknown=Sum("unknown_count"),
        harms_seen=Count("id", filter=Q(harmful=True)),
        harmless=Count("id", filter=Q(harmful=False)),
        untold=Count("id", filter=Q(shadow=True, harmful=None)),
    )  # fmt: skip
    return {tuple(row[name] for name in by): _tally(row, by[-1]) for row in counted}


def _tally(row: dict[str, Any], name: str) -> Tally:
    return Tally(
        name=str(row[name]),
        plans=row["plans"],
        kept=row["kept"],
        missed=row["missed"],
        unknown=row["unknown"],
        harmful=row["harms_seen"],
        harmless=row["harmless"],
        untold=row["untold"],
    )


def _line(tally: Tally) -> dict[str, Any]:
    return asdict(tally) | {"kept_share": tally.kept_share}


def ratios(settlements: Sequence[Settlement]) -> list[tuple[Settlement, str, float]]:
    """Each measured promise with a bound above zero: what came of it over what was promised."""
    return [
        (settled, promise["title"], promise["realised"] / promise["bound"])
        for settled in settlements
        for promise in settled.promises
        if promise["realised"] is not None and promise["bound"] > 0
    ]
