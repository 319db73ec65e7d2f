"""Servers and Celery's own processes that stop, on servers apart from those of this test session.

They run as the benchmark does: in a process of its own, which starts what it halts.
"""

import json
import os
import subprocess
import sys

SEED = os.environ.get("FAULT_SEED", "1")
KINDS = ("PostgreSQL away", "Valkey emptied", "Valkey away for five", "two beats", "beat dead")


def test_nothing_is_broken_by_servers_that_stop() -> None:
    print(f"seed {SEED}")
    words = [word for kind in KINDS for word in ("--kind", kind)]
    command = (sys.executable, "-m", "benchmarks.faults", "--first-seed", SEED, *words)
    own = {k: v for k, v in os.environ.items() if not k.startswith("INFRA_CONSOLE_")}
    done = subprocess.run(
        command, check=False, env=own, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["violated"] == []
    assert found["runs"] >= len(KINDS)
