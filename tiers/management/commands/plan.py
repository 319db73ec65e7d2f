"""`manage.py plan`: the allocator on a snapshot. Needs no database and no cluster."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from tiers.core.allocate import Allocation, allocate
from tiers.core.gangs import gang_starts
from tiers.core.snapshot import Snapshot
from tiers.snapshot_files import read_snapshot


class Command(BaseCommand):
    help = "Choose groups per pool and workload for a snapshot, with price, bound and reasons."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--snapshot", required=True, type=Path, help="snapshot/1 as JSON")
        parser.add_argument("--explain", action="store_true", help="print every reason")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        snapshot = read_snapshot(options["snapshot"])
        found = allocate(snapshot)
        report = plan_report(found)
        if snapshot.gangs:
            _add_gangs(report, snapshot, found)
        if options["json"]:
            self.stdout.write(json.dumps(report, indent=1))
        else:
            self.stdout.write(_text(report, explain=options["explain"]))


def plan_report(found: Allocation) -> dict[str, Any]:
    """The contract's answer: groups by step, the moves to be made now and those of later steps."""
    return {
        "objective_usd": round(found.objective_usd, 4),
        "capacity_usd": round(found.capacity_usd, 4),
        "moves_usd": round(found.moves_usd, 4),
        "shortfall_usd": round(found.shortfall_usd, 4),
        "reserved_usd": round(found.reserved_usd, 4),
        "bound_usd": round(found.bound_usd, 4),
        "gap": None if found.gap is None else round(found.gap, 6),
        "gain_usd": round(found.gain_usd, 4),
        "allocation": [
            {"step": step, "pool": pool, "workload": workload, "groups": groups}
            for step, held in enumerate(found.steps)
            for (pool, workload), groups in sorted(held.items())
        ],
        "moves": [
            {
                "step": m.step,
                "region": m.region,
                "pool": m.pool,
                "workload": m.workload,
                "groups": m.groups,
                "gpus": m.gpus,
            }
            for m in (*found.moves, *found.later)
        ],
        "fallbacks": [asdict(f) for f in found.fallbacks],
        "reasons": [
            *(
                {"about": f"{m.workload} on {m.pool}", "why": m.reason}
                for m in (*found.moves, *found.later)
            ),
            *({"about": "floor", "why": text} for text in found.unmet_floors),
            *({"about": "unserved", "why": text} for text in found.unserved),
            *({"about": "refused", "why": text} for text in found.refused),
            *({"about": held.about, "why": held.words} for held in found.held),
            *({"about": f"{f.workload} on {f.pool}", "why": f.words()} for f in found.fallbacks),
        ],
    }


def _add_gangs(report: dict[str, Any], snapshot: Snapshot, found: Allocation) -> None:
    """What becomes of each waiting gang, and its reason."""
    starts = gang_starts(snapshot, found.steps)
    report["gangs"] = [
        {**asdict(start), "stops": [{"workload": w, "groups": n} for w, n in start.stops]}
        for start in starts
    ]
    hours = snapshot.step_s / 3600
    report["reasons"] += [
        {"about": f"gang {start.gang}", "why": start.words(hours)} for start in starts
    ]


def _text(report: dict[str, Any], *, explain: bool) -> str:
    gap = "unknown" if report["gap"] is None else f"{report['gap']:.2%}"
    lines = [
        f"objective {report['objective_usd']:.2f} USD = capacity {report['capacity_usd']:.2f} + "
        f"moves {report['moves_usd']:.2f} + shortfall {report['shortfall_usd']:.2f}",
        f"bound {report['bound_usd']:.2f} USD, gap {gap}; reserved (paid anyway) "
        f"{report['reserved_usd']:.2f} USD; {report['gain_usd']:.2f} USD better than no change",
        *(_move_line(m) for m in report["moves"]),
    ]
    if not any(m["step"] == 0 for m in report["moves"]):
        lines.append("No change is worth its price.")
    if explain:
        lines += [f"{reason['about']}: {reason['why']}" for reason in report["reasons"]]
    return "\n".join(lines)


def _move_line(move: dict[str, Any]) -> str:
    when = f"step {move['step']}" if move["step"] else "now"
    return f"{when}: {move['groups']:+d} groups of {move['workload']} on {move['pool']}"
