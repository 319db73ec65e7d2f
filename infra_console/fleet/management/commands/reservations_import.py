"""`manage.py reservations_import FILE`: the contract list that the ledger is held against."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.imports import import_reservations
from infra_console.fleet.tables import ReservationRow, read_table


class Command(BaseCommand):
    help = "Replace the contract list by a CSV or YAML file: id, start, end, gpus and a scope."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            rows = read_table(file.read_bytes(), name=file.name, row=ReservationRow)
            count = import_reservations(
                rows, source=file.name, by="command:reservations_import", now=timezone.now()
            )
        except (TableInvalid, OSError) as err:
            raise CommandError(f"{err}. The contract list stays as it was.") from err
        self.stdout.write(f"Contract list: {count} reservations.")
