"""A document's pictures as PNG, drawn by a browser where there is one.

One process (draw.py) draws all of a report's pictures and is ended, with its browser, when it
takes too long. Without pictures a report stands all the same: their numbers become tables.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile

from django.conf import settings

from infra_console.embedded.child import kill_session
from infra_console.reports.sections import Document

log = logging.getLogger(__name__)

LIMIT_S = 90.0  # a loaded machine takes 15 s for its browser's start
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser() -> str:
    """The program that draws: the one named in the environment, else the first on PATH."""
    named = os.environ.get("BROWSER_PATH", "")
    if named:
        return named if shutil.which(named) else ""
    return next((found for name in BROWSERS if (found := shutil.which(name))), "")


def draw(document: Document, *, limit_s: float = LIMIT_S) -> tuple[dict[str, str], str]:
    """PNGs (base64) by picture name, and why there are none; empty when all is well."""
    figures = {p.name: p.figure for section in document.sections for p in section.pictures}
    if not figures:
        return {}, ""
    program = browser()
    if not program:
        return {}, "no browser is installed on the worker's machine to draw them"
    with tempfile.TemporaryDirectory(prefix="infra-console-draw-") as home:
        return _drawn(json.dumps(figures), program, home, limit_s)


def _drawn(figures: str, program: str, home: str, limit_s: float) -> tuple[dict[str, str], str]:
    # Nothing of our environment: a browser needs no password.
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "TMPDIR": home}
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_console.reports.draw"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=settings.BASE_DIR, env=env | {"BROWSER_PATH": program}, start_new_session=True,
    )  # fmt: skip
    try:
        out, said = process.communicate(figures.encode(), timeout=limit_s)
        if process.returncode == 0:
            return dict(json.loads(out)), ""
        log.warning(
            "The report's pictures were not drawn: %s", said[-2000:].decode(errors="replace")
        )
        return {}, "the browser failed; the worker's log says how"
    except subprocess.TimeoutExpired:
        return {}, f"the browser took longer than {limit_s:g} s"
    except (OSError, ValueError) as err:
        log.warning("The report's pictures were not drawn: %s", err)
        return {}, "the browser failed; the worker's log says how"
    finally:
        kill_session(process)
        process.communicate()
