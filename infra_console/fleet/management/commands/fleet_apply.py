"""`manage.py fleet_apply FILE`: read a fleet file into the database."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import ProtectedError

from infra_console.fleet.config import load_fleet_file
from infra_console.fleet.errors import FleetFileInvalid
from infra_console.fleet.services import apply_fleet_config


class Command(BaseCommand):
    help = "Read a fleet file (docs/connect.md) into the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            config = load_fleet_file(file)
            apply_fleet_config(config, by="command:fleet_apply")
        except FleetFileInvalid as err:
            raise CommandError(f"{err}. The fleet stays as it was.") from err
        except ProtectedError as err:
            raise CommandError(f"Still in use: {err}. The fleet stays as it was.") from err
        self.stdout.write(
            f"Fleet: {len(config.regions)} regions, {len(config.clusters)} clusters, "
            f"{len(config.pools)} pools, {len(config.workloads)} workloads."
        )
