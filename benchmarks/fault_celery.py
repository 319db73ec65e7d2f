"""Celery's worker and beat, with the executor's clocks shortened and the plans' tasks alone.

`python -m benchmarks.fault_celery worker|beat …`, the rest as Celery takes it. With
FAULT_REAL_TIMERS the clocks and the schedule are those of production; with FAULT_KILL_AT the
worker's process kills itself at that boundary.
"""

import os
import sys
from contextlib import ExitStack
from typing import Any

import django

SWEEP_S = 1.0  # the shortest that the schedule's table can say


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "infra_console.settings")
    django.setup()
    # After the set-up: these import models.
    from benchmarks.fault_boundaries import Boundaries, kill_process, watched  # noqa: PLC0415
    from benchmarks.fault_timers import short_timers  # noqa: PLC0415
    from infra_console.celery import app  # noqa: PLC0415

    real = bool(os.environ.get("FAULT_REAL_TIMERS"))
    app.conf.beat_schedule = _schedule(app.conf.beat_schedule, shortened=not real)
    with ExitStack() as changed:
        if not real:
            changed.enter_context(short_timers())
        if kill_at := os.environ.get("FAULT_KILL_AT"):
            changed.enter_context(watched(Boundaries(int(kill_at), kill_process)))
        app.start(sys.argv[1:])


def _schedule(whole: dict[str, Any], *, shortened: bool) -> dict[str, Any]:
    """The entries of plans, as they are or as often as can be."""
    plans = {name: entry for name, entry in whole.items() if entry["task"].startswith("plans.")}
    if not shortened:
        return plans
    often = {"schedule": SWEEP_S, "options": {"expire_seconds": 2}}
    return {name: {**entry, **often} for name, entry in plans.items()}


if __name__ == "__main__":
    main()
