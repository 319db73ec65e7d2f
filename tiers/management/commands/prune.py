"""`manage.py prune`: remove what is older than it is kept for (docs/stored.md)."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from tiers.retention import prune


class Command(BaseCommand):
    help = "Remove observations, cycles, ledger history and sessions that are out of date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, help="keep this many days of ledger history and changes"
        )
        parser.add_argument("--dry-run", action="store_true", help="count, remove nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days must be at least 1: the handover reads yesterday.")
        found = prune(now=timezone.now(), dry_run=options["dry_run"], ledger_days=options["days"])
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "rows": found}))
            return
        verb = "would go" if options["dry_run"] else "removed"
        for what, rows in found.items():
            self.stdout.write(f"{what}: {rows} {verb}")
