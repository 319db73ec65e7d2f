"""`manage.py verify_audit`: check the audit chain; exit code 1 when it was tampered with."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from infra_console.audit.queries import ChainReport, verify_chain


class Command(BaseCommand):
    help = "Check that no audit row was edited, removed, reordered or cut off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        report = verify_chain()
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report) | {"ok": report.ok}))
        else:
            self.stdout.write(_words(report))
        if not report.ok:
            sys.exit(1)


def _words(report: ChainReport) -> str:
    if not report.ok:
        return f"Broken at {report.broken_at}: {report.problem}"
    sound = f"{report.rows} rows sound; head {report.head_seq} {report.head_hash}"
    if not report.heads:
        return f"{sound}\nNo exported head was found: rows cut off the end would not be seen."
    return f"{sound}\nProven by exported heads up to row {report.proven_to}."
