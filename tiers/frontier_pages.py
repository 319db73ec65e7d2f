"""What the frontier page shows: the last planned snapshot under the URL's assumptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import QueryDict

from infra_console.numbers import whole_number
from tiers.core.frontier.difference import Row, by_pool, summed
from tiers.core.frontier.report import current_groups, frontier_report
from tiers.core.frontier.what_if import WhatIf
from tiers.core.snapshot import Snapshot
from tiers.frontier_form import Floor, budget_of, floors_shown, what_if_of
from tiers.models import PlannedSnapshot, StandingPolicy
from tiers.policy import past_policies, standing_policy

SHOWN_POINTS = 120
TABLE_POINTS = 16


@dataclass(frozen=True, slots=True)
class FrontierView:
    """The report, where it comes from, and the point that the URL chose."""

    at: datetime
    what_if: WhatIf
    regions: tuple[str, ...]
    report: dict[str, Any]
    chosen: int | None
    changes: tuple[dict[str, Any], ...]
    pools: tuple[Row, ...] = ()
    floors: tuple[Floor, ...] = ()
    budget: float | None = None
    beyond_budget: int = 0  # points that it does not buy

    @property
    def problem(self) -> str:
        """Why there is no point to choose."""
        if self.beyond_budget and not self.report["points"]:
            return "No point is within the budget; the cheapest costs more"
        return f"No allocation is stable: {self.report['stopped_by']}"

    @property
    def as_forecast(self) -> bool:
        """Nothing but the page's defaults is assumed."""
        return self.what_if == WhatIf(give_way=True) and self.budget is None

    @property
    def point(self) -> dict[str, Any] | None:
        return None if self.chosen is None else self.report["points"][self.chosen]

    @property
    def tier_changes(self) -> list[Row]:
        return summed(self.pools)

    @property
    def region_changes(self) -> list[Row]:
        return summed(self.pools, by_region=True)

    @property
    def policy(self) -> StandingPolicy | None:
        return standing_policy()

    @property
    def past(self) -> list[StandingPolicy]:
        return past_policies()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """At most sixteen points for the table, the chosen one among them, with their places."""
        points = self.report["points"]
        step = max(1, len(points) // TABLE_POINTS)
        places = {*range(0, len(points), step), len(points) - 1, self.chosen} - {None, -1}
        return [{"place": i, **points[i]} for i in sorted(p for p in places if p is not None)]


def frontier_view(query: QueryDict) -> FrontierView | None:
    """The page's content, or None before any cycle has planned."""
    kept = PlannedSnapshot.objects.first()
    if kept is None:
        return None
    snapshot = Snapshot.model_validate(kept.snapshot)
    regions = tuple(r.id for r in snapshot.regions)
    what_if = what_if_of(query)
    proposed = {(pool, workload): n for pool, workload, n in kept.groups}
    changed = what_if.apply(snapshot)
    report = frontier_report(changed, proposed, points=SHOWN_POINTS, listed=True)
    budget, total = budget_of(query), len(report["points"])
    if budget is not None:
        report["points"] = [p for p in report["points"] if p["usd_per_hour"] <= budget]
    chosen = _place(query.get("point"), len(report["points"]))
    allocation = report["points"][chosen]["allocation"] if chosen is not None else None
    return FrontierView(
        at=kept.at,
        what_if=what_if,
        regions=regions,
        report=report,
        chosen=chosen,
        changes=tuple(_changes(changed, report["points"][chosen])) if chosen is not None else (),
        pools=tuple(by_pool(snapshot, changed, allocation)) if allocation is not None else (),
        floors=floors_shown(((w.id, w.floor_groups) for w in snapshot.workloads), what_if),
        budget=budget,
        beyond_budget=total - len(report["points"]),
    )


def _changes(snapshot: Snapshot, point: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cells whose groups differ between now and a point, largest change of GPUs first."""
    types = {p.id: (p.region, p.gpu_type) for p in snapshot.pools}
    sizes = {w.id: w.group_gpus for w in snapshot.workloads}
    now: dict[tuple[str, str], int] = {}
    for (pool, workload), n in current_groups(snapshot).items():
        region, gpu_type = types[pool]
        gpus = n * sizes[workload].get(gpu_type, 0)
        now[region, workload] = now.get((region, workload), 0) + gpus
    rows = [
        {
            "region": cell["region"],
            "workload": cell["workload"],
            "gpu_type": cell["gpu_type"],
            "groups": cell["groups"],
            "gpus_now": now.get((cell["region"], cell["workload"]), 0),
            "gpus_then": cell["groups"] * sizes[cell["workload"]][cell["gpu_type"]],
        }
        for cell in point["allocation"]
    ]
    changed = [{**r, "delta": r["gpus_then"] - r["gpus_now"]} for r in rows]
    return sorted((r for r in changed if r["delta"]), key=lambda r: -abs(int(r["delta"])))


def _place(text: str | None, count: int) -> int | None:
    place = whole_number(text or "")
    return None if place is None or not count else min(place, count - 1)
