"""`manage.py recording_rules`: the rules to load at a metric source, for the fleet's tier key."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from infra_console.telemetry.rules import configured_tier_key, recording_rules


class Command(BaseCommand):
    help = (
        "Print the recording rules to load at each metric source, with the node label that the "
        "applied fleet file names as tier key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tier-key", help="instead of the fleet file's")
        parser.add_argument("--output", type=Path, metavar="FILE", help="instead of the screen")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = recording_rules(options["tier_key"] or configured_tier_key())
        except ValueError as err:
            raise CommandError(str(err)) from err
        if options["output"]:
            options["output"].write_text(text)
        else:
            self.stdout.write(text, ending="")
