"""`manage.py up`: the console for a real fleet; docs/connect.md says what it reads."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from infra_console.embedded.errors import EXIT_CODE, EmbeddedError
from infra_console.embedded.stack import StackOptions, run_stack


class Command(BaseCommand):
    help = (
        "Run the console on the fleet that INFRA_CONSOLE_FLEET_FILE describes, until Ctrl-C. "
        "PostgreSQL, the broker or Prometheus are not started where INFRA_CONSOLE_DATABASE_URL, "
        "INFRA_CONSOLE_BROKER_URL or INFRA_CONSOLE_PROMETHEUS_URL names yours."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012  Django's own spelling; prepare checks

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server")
        parser.add_argument("--state", type=Path, help="folder that keeps everything")

    def handle(self, *args: Any, **options: Any) -> None:
        state_dir = (options["state"] or settings.STATE_DIR).resolve()
        try:
            run_stack(StackOptions(state_dir=state_dir, demo=False, port=options["port"]))
        except EmbeddedError as err:
            self.stderr.write(str(err))
            raise SystemExit(EXIT_CODE) from err
