"""The web process serves pages without torch: seconds and memory that only workers pay."""

import subprocess
import sys

from django.conf import settings

LOOK = """
import sys
import infra_console.asgi
from django.urls import get_resolver
from infra_console.api.application import api
import tiers.forecast_views, tiers.training_runs, tiers.reports

assert get_resolver().url_patterns and api.urls
sys.exit(", ".join(n for n in ("torch", "tiers.training") if n in sys.modules) or 0)
"""


def test_serving_pages_and_api_imports_neither_torch_nor_what_trains(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=settings.BASE_DIR, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
