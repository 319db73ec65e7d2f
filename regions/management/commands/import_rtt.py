"""`manage.py import_rtt FILE`: a matrix of round-trip times that somebody measured elsewhere."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from regions.core.errors import MatrixInvalid
from regions.services import import_matrix


class Command(BaseCommand):
    help = (
        "Import round-trip times: a square CSV in milliseconds, the source in the first column. "
        "Probes that are fresh come before it, estimates after it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--measured", required=True, metavar="DATE", help="when (ISO 8601, UTC unless said)"
        )
        parser.add_argument("--source", default="", help="whose; else the file's name")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            row = import_matrix(
                file.read_text(encoding="utf-8-sig"),
                source=options["source"] or file.name,
                measured_at=_moment(options["measured"]),
                by="command:import_rtt",
            )
        except (MatrixInvalid, OSError, UnicodeDecodeError) as err:
            raise CommandError(f"{file.name}: {err}. The times stay as they were.") from err
        pairs = sum(len(row.document[origin]) for origin in row.document)
        self.stdout.write(f"{pairs} round-trip times of {row.source} imported.")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise CommandError(f"--measured: {text!r} is no ISO 8601 date") from err
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
