"""`manage.py forecast`: what is expected, by which model and why, how good it was; retrain."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tiers.core.fleet_state import TIERS
from tiers.forecast_api import Report, report_of
from tiers.forecast_queries import ForecastPage, forecast_page
from tiers.services import request_training


class Command(BaseCommand):
    help = "Say the forecasts in force, what is wrong with them and how good they were."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--region", default="")
        parser.add_argument("--tier", default="", choices=("", *TIERS))
        parser.add_argument("--json", action="store_true", help="the report of the API")
        parser.add_argument("--retrain", action="store_true", help="ask the workers to train now")
        parser.add_argument("--as", dest="by", default="", metavar="USER", help="who asks")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["retrain"]:
            if not options["by"]:
                raise CommandError("Say who asks: --retrain --as USER.")
            run = request_training(by=options["by"], at=timezone.now())
            self.stdout.write(f"Training {run.pk} waits for a worker of the queue `forecast`.")
            return
        page = forecast_page(region=options["region"], tier=options["tier"], now=timezone.now())
        if options["json"]:
            found = Report.model_validate(report_of(page), from_attributes=True)
            self.stdout.write(json.dumps(found.model_dump(mode="json"), indent=1))
        else:
            self.stdout.write("\n".join(_words(page)))


def _words(page: ForecastPage) -> Iterator[str]:
    if page.cycle is None:
        yield "No forecast was made yet: each cycle makes one, `manage.py loop --once` runs one."
    for notice in page.notices:
        yield f"{notice.tone}: {notice.words}"
    for line in page.series:
        two = next(a for a in line.ahead if a.hours == 2)
        models = ", ".join(f"{c.title} to {c.horizon}" for c in line.choices)
        yield (
            f"{line.workload} in {line.cluster}: in 2 h {two.p50:.1f} {line.unit} "
            f"({two.p5:.1f} to {two.p95:.1f}); {models}"
        )
    for missing in page.missing:
        yield f"unknown: {missing.workload} in {missing.cluster}: {missing.why}"
    for score in page.scores:
        yield (
            f"{score['tier']} {score['horizon_min']} min ahead: error {_share(score['error'])}, "
            f"last value {_share(score['naive']['last'])}, {score['judged']} judged"
        )


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
