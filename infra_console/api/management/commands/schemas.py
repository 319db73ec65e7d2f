"""`manage.py schemas`: write the JSON Schema of every document contract into docs/schemas/."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string


class Command(BaseCommand):
    help = "Write docs/schemas/*.json from the models that settings.SCHEMAS names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; exit code 1 when one is outdated"
        )

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        outdated = [p for p, text in schema_files().items() if not _is_current(p, text)]
        if not check:
            for path in outdated:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(schema_files()[path])
        for path in outdated:
            self.stdout.write(f"{'outdated' if check else 'wrote'} {path.name}")
        raise SystemExit(1 if check and outdated else 0)


def schema_files() -> dict[Path, str]:
    """The text of each schema file, by path."""
    folder = settings.BASE_DIR / "docs" / "schemas"
    return {
        folder / f"{name}.json": json.dumps(
            import_string(path).model_json_schema(by_alias=True), indent=1, sort_keys=True
        )
        + "\n"
        for name, path in settings.SCHEMAS.items()
    }


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text
