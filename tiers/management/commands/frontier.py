"""`manage.py frontier`: the latency-cost frontier of a snapshot. Needs no database."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from tiers.core.allocate import allocate
from tiers.core.frontier.report import POINTS, frontier_report, groups_at_peak
from tiers.snapshot_files import read_snapshot


class Command(BaseCommand):
    help = "Cost in USD per hour against the largest p95 over its objective, from a snapshot."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--snapshot", required=True, type=Path, help="snapshot/1 as JSON")
        parser.add_argument("--points", type=int, default=POINTS, help="at most so many points")
        parser.add_argument(
            "--listed", action="store_true", help="count paid GPUs too, at their list price"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        snapshot = read_snapshot(options["snapshot"])
        report = frontier_report(
            snapshot,
            groups_at_peak(snapshot, allocate(snapshot).steps),
            points=max(2, options["points"]),
            listed=options["listed"],
        )
        self.stdout.write(json.dumps(report, indent=1) if options["json"] else _text(report))


def _text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['total_points']} points at the {report['quantile']:.1%} quantile of demand; "
        f"it ends where {report['stopped_by']}",
        "usd/h      p95/objective  usd per ms",
        *(_line(point) for point in report["points"]),
        "now:      " + _line(report["current"]),
        "proposed: " + _line(report["proposed"]),
    ]
    if report["assumed_latency"]:
        lines.append("assumed curve of latency: " + ", ".join(report["assumed_latency"]))
    return "\n".join(lines)


def _line(point: dict[str, Any]) -> str:
    ratio, price = point["latency_ratio"], point.get("usd_per_ms")
    return (
        f"{point['usd_per_hour']:>9.2f}  {'not stable' if ratio is None else f'{ratio:.3f}':>12}"
        f"  {'' if price is None else f'{price:.4f}':>10}"
    )
