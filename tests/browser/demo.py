"""A whole demo as an operator starts it, on free ports and in a folder of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg

from infra_console.embedded.environment import kept_for_shells

CHECKOUT = Path(__file__).resolve().parents[2]
START_S = 240.0
# Beat must not propose in the middle of a test; ten minutes of settlement are cut, and the undo is
# as long as a browser on a busy machine needs to press it.
FAST = {
    "INFRA_CONSOLE_CYCLE_EVERY_S": "86400",
    "INFRA_CONSOLE_SETTLE_AFTER_S": "20",
    "INFRA_CONSOLE_APPROVAL_UNDO_S": "10",
}


@dataclass
class Demo:
    """A running `manage.py demo`."""

    url: str
    state_dir: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def passwords(self) -> dict[str, str]:
        lines = (self.state_dir / "demo-users.txt").read_text().splitlines()
        return dict(line.split() for line in lines if len(line.split()) == 2)

    def manage(self, *words: str) -> str:
        """Run a management command as in a shell: it names the state folder, and may read."""
        named = {
            "INFRA_CONSOLE_STATE": str(self.state_dir),
            "INFRA_CONSOLE_KUBECONFIG": str(self.state_dir / "twin" / "kubeconfig-viewer"),
        }
        result = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=CHECKOUT, env=shell() | named, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        if result.returncode not in {0, 3}:
            raise RuntimeError(f"{words}: {result.stdout[-2000:]}{result.stderr[-2000:]}")
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.manage(*words, "--json"))

    @cached_property
    def database_url(self) -> str:
        return str(kept_for_shells(self.state_dir)["DATABASE_URL"])

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the demo's database: commands take seconds, steps do not."""
        with psycopg.connect(self.database_url) as database:
            return database.execute(sql, values).fetchall()

    def worker_pids(self, queue: str) -> list[int]:
        """Processes of this demo that consume a queue."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
                environment = (path.parent / "environ").read_bytes()
            except OSError:
                continue
            ours = f"INFRA_CONSOLE_STATE={self.state_dir}".encode() in environment.split(b"\0")
            if ours and b"worker" in words and queue.encode() in b" ".join(words):
                found.append(int(path.parent.name))
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()


def start_demo(state_dir: Path, port: int, *words: str) -> Demo:
    """Start a demo and wait until it answers; its log is in the error when it does not."""
    log = state_dir.parent / f"{state_dir.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--state", str(state_dir), "--port", str(port),
             *words],
            cwd=CHECKOUT, env=shell() | FAST, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    demo = Demo(f"http://127.0.0.1:{port}", state_dir, process, log)
    give_up_at = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < give_up_at:
        if _ready(demo.url) and re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return demo
        time.sleep(0.5)
    demo.stop()
    raise RuntimeError(f"the demo did not come up:\n{log.read_text()[-4000:]}")


def shell() -> dict[str, str]:
    """Our environment without what concerns the tests' own console."""
    ours = ("INFRA_CONSOLE_", "DJANGO_SETTINGS_MODULE")
    return {name: text for name, text in os.environ.items() if not name.startswith(ours)}


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
