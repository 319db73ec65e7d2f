"""`manage.py prepare`: what must be true of the database and files before processes start.

One process does it all, because starting Python five times would cost a restart its 15 seconds.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from infra_console.embedded.demo_data import arm_demo_clusters, ensure_demo_users


class Command(BaseCommand):
    help = "Migrate, collect static files and read the fleet file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fleet", type=Path, required=True, help="the fleet file")
        parser.add_argument("--demo-users", type=Path, help="make demo users; keep passwords here")
        parser.add_argument("--arm", action="store_true", help="arm the clusters of a new demo")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=1)
        call_command("collectstatic", interactive=False, verbosity=0)
        call_command("fleet_apply", str(options["fleet"]))
        users_file: Path | None = options["demo_users"]
        if users_file is not None and ensure_demo_users(users_file) and options["arm"]:
            self.stdout.write(f"Armed {arm_demo_clusters()} pairs of cluster and tier.")
