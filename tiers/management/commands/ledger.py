"""`manage.py ledger`: every GPU in one state, against the contract, and what waits."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tiers.core.ledger_table import GROUPS
from tiers.ledger_queries import ledger_page, waiting_work


class Command(BaseCommand):
    help = "Say where every GPU is; exit code 1 when the ledger does not add up to the fleet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--by", choices=GROUPS, default=GROUPS[0])
        parser.add_argument("--region", default="")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, by: str, region: str, **options: Any) -> None:
        page = ledger_page(by=by, region=region)
        if page is None:
            raise CommandError("Nothing was observed yet: workers look within a minute of start.")
        waiting = waiting_work(region=region)
        if options["json"]:
            document = {
                "fleet": page.fleet, "totals": page.totals, "difference": page.difference,
                "never_read": page.unread, "rows": [asdict(row) for row in page.rows],
                "contract": [asdict(line) for line in page.contract],
                "waiting": [
                    {"cluster": w.cluster, "namespace": w.namespace, "name": w.name,
                     "gpus": w.gpus, "reason": w.reason, "words": w.words, "since": w.since,
                     "starts_by": w.starts_by}
                    for w in waiting
                ],
            }  # fmt: skip
            self.stdout.write(json.dumps(document, indent=1, default=str))
        else:
            self._tell(page, waiting)
        raise SystemExit(1 if page.difference else 0)

    def _tell(self, page: Any, waiting: list[Any]) -> None:
        for row in page.rows:
            states = ", ".join(f"{name} {gpus}" for name, gpus in row.by_state.items())
            self.stdout.write(f"{row.name or 'nobody named'}: {row.total} GPUs: {states}")
        for line in page.contract:
            if line.words:
                self.stdout.write(f"contract, {line.scope}: {line.words}")
        for work in waiting:
            self.stdout.write(
                f"waits: {work.namespace}/{work.name} in {work.cluster}, {work.gpus} GPUs, "
                f"for {work.reason}: {work.words}"
            )
        told = page.difference or f"it adds up to the fleet of {page.fleet} GPUs"
        self.stdout.write(f"Ledger: {told}.")
