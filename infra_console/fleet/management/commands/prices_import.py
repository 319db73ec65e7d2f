"""`manage.py prices_import FILE`: prices of pools, from a price book or a cloud's price list."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.imports import import_prices
from infra_console.fleet.list_prices import book_rows, is_list, list_prices
from infra_console.fleet.queries import current_fleet
from infra_console.fleet.tables import PriceRow, read_csv_rows, read_table


class Command(BaseCommand):
    help = (
        "Add prices to the price book: CSV or YAML with pool, usd_per_gpu_hour, valid_from and "
        "source, or a list of instance prices by cloud, region and SKU."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--cloud", default="", help="of a price list, read this cloud alone")
        parser.add_argument(
            "--region", action="append", default=[], metavar="OURS=THEIRS",
            help="the list's name of a region of the fleet; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--reserved-at-list", action="store_true", help="price reserved pools at list price too"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be imported")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            rows, left = self._rows(file, options)
            changed = 0
            if rows and not options["dry_run"]:
                changed = import_prices(
                    rows, source=file.name, by="command:prices_import", now=timezone.now()
                )
        except (TableInvalid, OSError) as err:
            raise CommandError(f"{err}. The price book stays as it was.") from err
        self._tell(rows, left, changed, options)

    def _rows(self, file: Path, options: dict[str, Any]) -> tuple[list[PriceRow], dict[str, str]]:
        data = file.read_bytes()
        if not file.name.endswith((".yaml", ".yml")):
            table = read_csv_rows(data, name=file.name)
            if is_list(table):
                return self._from_list(table, file.name, options)
        return read_table(data, name=file.name, row=PriceRow), {}

    def _from_list(
        self, table: list[dict[str, str]], name: str, options: dict[str, Any]
    ) -> tuple[list[PriceRow], dict[str, str]]:
        config = current_fleet()
        if config is None:
            raise CommandError("No fleet file was applied: a price list needs its pools.")
        region_of = {c.id: c.region for c in config.clusters}
        pairs = [text.partition("=") for text in options["region"]]
        if any(not theirs for _, _, theirs in pairs):
            raise CommandError("--region is written as OURS=THEIRS")
        return book_rows(
            [(p, region_of[p.cluster]) for p in config.pools],
            list_prices(table, name=name),
            cloud=options["cloud"],
            regions={ours: theirs for ours, _, theirs in pairs},
            reserved_too=options["reserved_at_list"],
        )

    def _tell(
        self, rows: list[PriceRow], left: dict[str, str], changed: int, options: dict[str, Any]
    ) -> None:
        if options["json"]:
            document = {
                "rows": [row.model_dump(mode="json") for row in rows],
                "changed": changed, "not_priced": left,
            }  # fmt: skip
            self.stdout.write(json.dumps(document, indent=1))
            return
        verb = "would be added" if options["dry_run"] else f"read, {changed} new or changed"
        self.stdout.write(f"Price book: {len(rows)} prices {verb}.")
        for pool, why in sorted(left.items()):
            self.stdout.write(f"  {pool}: not priced, {why}")
