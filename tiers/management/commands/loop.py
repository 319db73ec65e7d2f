"""`manage.py loop`: run the planning loop in this process and print what each cycle found."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tiers import cycle as cycles
from tiers import queries
from tiers.errors import CycleRunning, NoFleet
from tiers.models import Cycle, CycleState
from tiers.services import SYSTEM_AUTHOR
from tiers.timelines import P50, P95
from tiers.training import load_active_model


class Command(BaseCommand):
    help = (
        "Telemetry, ledger, demand, forecast, allocation and proposals; one cycle with --once. "
        "Exit code 0 when the cycle planned, 3 when its inputs froze it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one cycle, then stop")
        parser.add_argument("--json", action="store_true", help="print the cycle as JSON")
        parser.add_argument(
            "--prometheus-only",
            action="store_true",
            help="read the fleet from metrics alone: no cluster rights are used",
        )
        parser.add_argument("--as", dest="by", default=SYSTEM_AUTHOR, metavar="USER",
                            help="the plans' author")  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            cycle = self._cycle(options)
            if cycle:
                self.stdout.write(render(cycle, as_json=options["json"]))
            if cycle and options["once"]:
                raise SystemExit(3 if cycle.state == CycleState.FROZEN else 0)
            time.sleep(settings.CYCLE_EVERY_S)

    def _cycle(self, options: dict[str, Any]) -> Cycle | None:
        """The cycle, or None where another one is at work and the next may do."""
        try:
            return cycles.run_cycle(
                by=options["by"],
                now=timezone.now(),
                load_model=load_active_model,
                prometheus_only=options["prometheus_only"],
            )
        except CycleRunning as err:
            if options["once"]:
                raise CommandError(str(err)) from err
            self.stderr.write(str(err))
            return None
        except NoFleet as err:
            raise CommandError(str(err)) from err


def render(cycle: Cycle, *, as_json: bool) -> str:
    report = {
        "schema": "cycle/1",
        "id": str(cycle.pk),
        "state": cycle.state,
        "verdict": cycle.verdict,
        "requested_by": cycle.requested_by,
        "started_at": cycle.started_at.isoformat(),
        "finished_at": cycle.finished_at.isoformat() if cycle.finished_at else None,
        "ledger_gpus": queries.ledger_summary(),
        "forecasts": [_forecast_line(f) for f in cycle.forecasts.all()],
        **cycle.document,
    }
    return json.dumps(report, indent=1) if as_json else _text(report)


def _forecast_line(forecast: Any) -> dict[str, Any]:
    two_hours, four_hours = forecast.quantiles[11], forecast.quantiles[23]
    return {
        "cluster": forecast.cluster,
        "workload": forecast.workload,
        "unit": forecast.unit,
        "now": forecast.last_value,
        "p50_2h": two_hours[P50],
        "p95_2h": two_hours[P95],
        "p50_4h": four_hours[P50],
        "p95_4h": four_hours[P95],
        "model_2h": forecast.model_2h,
        "model_4h": forecast.model_4h,
        "coverage_95": forecast.coverage_95,
    }


def _text(report: dict[str, Any]) -> str:
    lines = [f"Cycle {report['id']} {report['state']}: {report['verdict']}"]
    gpus = ", ".join(f"{n} {state}" for state, n in report["ledger_gpus"].items())
    lines.append(f"Ledger: {gpus or 'nothing seen'}.")
    lines += [f"Plan {p['number']} ({p['state']}): {p['title']}" for p in report.get("plans", [])]
    lines += [f"Note: {note}" for note in report.get("notes", [])]
    return "\n".join(lines)
