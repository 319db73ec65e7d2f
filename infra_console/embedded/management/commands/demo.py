"""`manage.py demo`: the whole console on a simulated fleet."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from infra_console.embedded.errors import EXIT_CODE, EmbeddedError
from infra_console.embedded.prometheus import RETENTION_DAYS
from infra_console.embedded.stack import StackOptions, run_stack
from infra_console.embedded.twin_files import HISTORY_DAYS


class Command(BaseCommand):
    help = "Run the whole console on a simulated fleet until Ctrl-C."
    requires_system_checks: list[str] = []  # noqa: RUF012  Django's own spelling; prepare checks

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server")
        parser.add_argument("--state", type=Path, help="folder that keeps everything")
        parser.add_argument("--demand", type=Path, help="a demand trace instead of the built-in")
        parser.add_argument("--time-factor", type=float, help="how much drains and loads are cut")
        parser.add_argument("--size", type=int, help="times the fleet of 168 nodes")
        past = parser.add_mutually_exclusive_group()
        past.add_argument("--history-days", type=_days, default=HISTORY_DAYS,
                          help="days of metrics before the first start")  # fmt: skip
        past.add_argument("--no-history", action="store_true", help="begin with empty metrics")
        parser.add_argument("--dry-run", action="store_true", help="leave every cluster unarmed")

    def handle(self, *args: Any, **options: Any) -> None:
        stack = StackOptions(
            state_dir=(options["state"] or settings.STATE_DIR).resolve(),
            demo=True,
            port=options["port"],
            demand=options["demand"],
            time_factor=options["time_factor"],
            size=options["size"],
            history_days=0 if options["no_history"] else options["history_days"],
            armed=not options["dry_run"],
        )
        try:
            run_stack(stack)
        except EmbeddedError as err:
            self.stderr.write(str(err))
            raise SystemExit(EXIT_CODE) from err


def _days(text: str) -> int:
    """As many as the server keeps, at most."""
    days = int(text)
    if not 1 <= days <= RETENTION_DAYS:
        raise ValueError
    return days
