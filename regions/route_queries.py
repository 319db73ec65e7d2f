"""What the regions page shows of routes: the newest look, with its age."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra_console.plans.queries import PlanAddress, plan_address
from regions.models import Drain, RouteLook
from regions.queries import drained

OLD_AFTER = timedelta(minutes=10)
# A question that nobody has answered in this time is not waited for any more.
OPEN_FOR = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Arc:
    """Requests per second on the way from one region to another, now or as proposed."""

    origin: str
    region: str
    rps: float


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route: percent by region now and as proposed (None: no change)."""

    cluster: str
    model: str
    residency: str
    rps: float | None
    shares: tuple[tuple[str, int, int | None], ...]
    owners: str
    unmet: str
    changes: bool


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The newest look as rows; `waits` while somebody's question is open."""

    seen_at: datetime | None
    is_old: bool
    waits: bool
    problem: str
    plan: PlanAddress | None
    rows: tuple[RouteRow, ...]
    reasons: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    drains: tuple[Drain, ...]
    notes: tuple[str, ...]

    @property
    def moving(self) -> list[RouteRow]:
        """What somebody should look at: routes that would change or leave requests unserved."""
        return [row for row in self.rows if row.changes or row.unmet]

    @property
    def staying(self) -> list[RouteRow]:
        return [row for row in self.rows if not (row.changes or row.unmet)]


def route_table(*, now: datetime | None = None) -> RouteTable:
    at = now or datetime.now(UTC)
    newest, seen = RouteLook.objects.first(), _seen()
    asked = RouteLook.objects.exclude(asked_by="").exclude(seen_at=None).first()
    document: dict[str, Any] = seen.document or {} if seen else {}
    open_ = newest is not None and newest.seen_at is None and newest.asked_at > at - OPEN_FOR
    number = asked.plan_number if asked else None
    return RouteTable(
        seen_at=seen.seen_at if seen else None,
        is_old=_is_old(seen, at),
        waits=open_,
        problem=newest.problem if newest else "",
        plan=plan_address(number) if number else None,
        rows=tuple(_row(route) for route in document.get("routes", ())),
        reasons=tuple((m["model"], m["reason"]) for m in document.get("models", ())),
        lost=tuple(document.get("lost", ())),
        drains=tuple(Drain.objects.order_by("region")),
        notes=tuple(document.get("notes", ())),
    )


def arcs(*, now: datetime | None = None) -> tuple[list[Arc], list[Arc]]:
    """What flows between regions now, and what would under the proposal; none of an old look."""
    seen = _seen()
    if seen is None or _is_old(seen, now or datetime.now(UTC)):
        return [], []
    routes = (seen.document or {}).get("routes", ())
    changed = [r for r in routes if r["then"]]
    return _added(routes, "now"), _added(changed, "then")


def lost_and_drained() -> tuple[set[str], set[str]]:
    """Regions that did not answer at the newest look, and those that are drained."""
    return last_look()[1], drained()


def last_look() -> tuple[datetime | None, set[str]]:
    """When routes were seen last, and the regions that did not answer then."""
    seen = _seen()
    return (seen.seen_at, set((seen.document or {}).get("lost", ()))) if seen else (None, set())


def _seen() -> RouteLook | None:
    return RouteLook.objects.exclude(document=None).first()


def _is_old(seen: RouteLook | None, at: datetime) -> bool:
    return seen is None or seen.seen_at is None or seen.seen_at < at - OLD_AFTER


def _row(route: dict[str, Any]) -> RouteRow:
    then = route["then"]
    regions = [r for r, p in route["now"].items() if p or (then or {}).get(r)]
    return RouteRow(
        cluster=route["cluster"],
        model=route["model"],
        residency=route["residency"],
        rps=route["rps"],
        shares=tuple((r, route["now"][r], then.get(r, 0) if then else None) for r in regions),
        owners=", ".join(route["owners"]),
        unmet=route["unmet"],
        changes=bool(then),
    )


def _added(routes: Any, which: str) -> list[Arc]:
    """Requests/s by way, all models together; routes whose requests are unknown are left out."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for origin, region, rps in _ways(routes, which):
        found[origin, region] += rps
    return [Arc(origin, region, rps) for (origin, region), rps in sorted(found.items())]


def _ways(routes: Any, which: str) -> Iterator[tuple[str, str, float]]:
    for route in routes:
        for region, percent in route[which].items():
            if percent and route["rps"] and region != route["origin"]:
                yield route["origin"], region, route["rps"] * percent / 100
