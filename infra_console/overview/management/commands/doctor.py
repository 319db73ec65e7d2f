"""`manage.py doctor`: ask every dependency whether it is usable."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from infra_console.overview.doctor import Check, run_checks


class Command(BaseCommand):
    help = "Check every dependency; exit code 1 when one is unusable."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the checks as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = run_checks()
        ok = all(check.ok for check in checks)
        if options["json"]:
            report = {"ok": ok, "checks": [asdict(check) for check in checks]}
            self.stdout.write(json.dumps(report, indent=1))
        else:
            self.stdout.write("\n".join(_line(check) for check in checks))
        raise SystemExit(0 if ok else 1)


def _line(check: Check) -> str:
    text = f"{'ok ' if check.ok else 'BAD'}  {check.name}: {check.detail}"
    return text if check.ok or not check.remedy else f"{text}\n     → {check.remedy}"
