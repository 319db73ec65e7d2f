"""`manage.py demand`: what models, gangs and jobs need now and next, and the supply beside it."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tiers.core.fleet_state import TIERS
from tiers.demand_document import demand_document
from tiers.demand_queries import DemandPage, DemandRow, demand_page
from tiers.supply_queries import SupplyRow


class Command(BaseCommand):
    help = (
        "Say how many GPUs are needed now and in the next hours, by what, and what will be there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--region", default="")
        parser.add_argument("--tier", default="", choices=("", *TIERS))
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, region: str, tier: str, **options: Any) -> None:
        page = demand_page(region=region, tier=tier, now=timezone.now())
        if page is None:
            raise CommandError("Nothing was observed yet: workers look within a minute of start.")
        if options["json"]:
            self.stdout.write(json.dumps(demand_document(page), indent=1, default=str))
        else:
            self._tell(page)

    def _tell(self, page: DemandPage) -> None:
        for row in page.rows:
            self.stdout.write(_row_words(row))
        for gang in page.gangs:
            end = f"ends about {gang.ends_by:%d %b %H:%M} UTC, " if gang.ends_by else ""
            self.stdout.write(
                f"{gang.tier} in {gang.cluster}: {gang.name}, {gang.gpus} GPUs, {gang.state} since "
                f"{gang.since:%d %b %H:%M} UTC; {end}{gang.basis}"
            )
        for supply in page.supply:
            self.stdout.write(_supply_words(supply))
        for where, words in page.unknown:
            self.stdout.write(f"unknown: {where}: {words}")


def _row_words(row: DemandRow) -> str:
    need = row.need
    gpus = "an unknown number of GPUs" if need.gpus is None else (
        f"{'at least ' if need.at_least else ''}{need.gpus:.1f} GPUs")  # fmt: skip
    held = "unknown" if row.held_gpus is None else str(row.held_gpus)
    by = f", throughput: {row.throughput.origin}" if row.throughput else ""
    peak = f", p95 of the next 4 h {row.peak.p95:.1f}" if row.peak else ""
    more = f"; {row.correction.words}" if row.correction else ""
    return f"{row.workload} in {row.region}: needs {gpus} now{peak}, holds {held}{by}{more}"


def _supply_words(row: SupplyRow) -> str:
    if row.now is None or not row.steps:
        return f"supply of {row.gpu_type} in {row.region}: unknown"
    last = row.steps[-1]
    return (
        f"supply of {row.gpu_type} in {row.region}: {row.now.gpus} now, at {last.at:%H:%M} UTC "
        f"{last.expected:.0f} ({last.low:.0f} to {last.high:.0f})"
    )
