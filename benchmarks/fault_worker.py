"""A worker that is a process of its own, so that it can be killed as the kernel kills.

`Workers` starts one helper, which sets Django up once and forks a worker for each order: a line of
JSON with the plan, the cluster's kubeconfig, and the boundary at which the worker kills itself
with SIGKILL (0 for none). The helper answers with a line when that worker is gone: how it ended.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import django

BETWEEN_TURNS_S = 0.05
UNFINISHED = ("worked", "lease lost")  # what a turn answers that may be followed by another
PROGRAM = (sys.executable, "-m", "benchmarks.fault_worker")


class Workers:
    """The helper process, and orders to it. Use as a context manager."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def __enter__(self) -> "Workers":
        self._helper = subprocess.Popen(
            PROGRAM,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.communicate(timeout=20)

    def work(self, plan: UUID, kubeconfig: str, *, kill_at: int = 0) -> int:
        """One turn of one worker; its exit code, -9 when it was killed.

        With a boundary to die at it takes turn after turn, however long a turn is here.
        """
        order = {"plan": str(plan), "kubeconfig": kubeconfig, "kill_at": kill_at}
        self._helper.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]
        return int(self._helper.stdout.readline())  # type: ignore[union-attr]

    def start(self, plan: UUID, kubeconfig: str) -> int:
        """Start a worker and do not wait; its process id."""
        order = {"plan": str(plan), "kubeconfig": kubeconfig, "kill_at": 0, "wait": False}
        self._helper.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]
        return int(self._helper.stdout.readline())  # type: ignore[union-attr]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "infra_console.settings")
    django.setup()
    from benchmarks.fault_timers import short_timers  # noqa: PLC0415 - after the set-up

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    real = bool(os.environ.get("FAULT_REAL_TIMERS"))
    with nullcontext() if real else short_timers():
        for line in sys.stdin:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _work(order)
            sys.stdout.write(f"{_ended(pid) if order.get('wait', True) else pid}\n")
            sys.stdout.flush()


def _ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _work(order: Mapping[str, Any]) -> None:
    """In the fork: a turn at the plan, and the end of the process whatever happens."""
    from django.conf import settings  # noqa: PLC0415 - after the set-up

    from benchmarks.fault_boundaries import (  # noqa: PLC0415
        Boundaries,
        kill_process,
        watched,
    )
    from infra_console.plans.executing import executor  # noqa: PLC0415

    code = 1
    try:
        settings.KUBECONFIG = order["kubeconfig"]
        with watched(Boundaries(order["kill_at"], kill_process)):
            while executor.execute(UUID(order["plan"])) in UNFINISHED and order["kill_at"]:
                time.sleep(BETWEEN_TURNS_S)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
