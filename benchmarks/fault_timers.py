"""The clocks of an execution, shortened: half an hour of patience in a few seconds.

Every wait of the executor is a name of its module, read when it is used. Only those are changed;
what is done, and in which order, stays as in production.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from infra_console import worker_watch
from infra_console.cluster import client
from infra_console.plans.executing import executor, patience, runner
from infra_console.plans.holding import fence, lease, ownership
from infra_console.plans.settling import verification
from infra_console.plans.steps import drain, node, workload

SCALE = 20
# The twin of the runs lives a hundred times faster than a cluster: its polls are shorter still.
POLL_S = 0.05
VERIFY_S = 4.0  # for the fifteen minutes in which a cluster must stand as planned


def scaled(seconds: float) -> float:
    """Seconds of life as seconds of a run."""
    return seconds / SCALE


def shortened() -> dict[tuple[Any, str], Any]:
    """Each name that holds a wait, with what it holds during a run."""
    return {
        (lease, "LEASE_FOR"): timedelta(seconds=scaled(30)),
        (client, "CONNECT_TIMEOUT_S"): scaled(5),
        (client, "READ_TIMEOUT_S"): scaled(15),
        (executor, "BUSY_RETRY_S"): scaled(5),
        (fence, "KILLED_RETRY_S"): scaled(2),
        (fence, "NOT_OWNED_RETRY_S"): scaled(10),
        (ownership, "LEASE_S"): round(scaled(60)),
        (ownership, "RENEW_EVERY_S"): scaled(15),
        (patience, "PATIENCE"): timedelta(seconds=scaled(1800)),
        (runner, "WORK_S"): scaled(20),
        (runner, "CONFLICT_RETRY_S"): POLL_S,
        (runner, "FIRST_RETRY_S"): POLL_S,
        (runner, "LONGEST_BACKOFF_S"): scaled(8),
        (runner, "LONGEST_RETRY_S"): scaled(5),  # a server's Retry-After is whole seconds
        (executor, "VERIFY_FOR"): timedelta(seconds=VERIFY_S),
        (verification, "VERIFY_FOR"): timedelta(seconds=VERIFY_S),
        (verification, "POLL_S"): scaled(5),
        (verification, "UNREAD_POLL_S"): scaled(15),
        (drain, "DRAIN_POLL_S"): POLL_S,
        (node, "BUDGET_POLL_S"): POLL_S,
        (worker_watch, "ASK_EVERY_S"): 2.0,  # a worker takes some seconds to start, unscaled
        (drain, "MAX_RETRY_S"): scaled(10),
        (workload, "POLL_S"): POLL_S,
    }


@contextmanager
def short_timers() -> Iterator[None]:
    with ExitStack() as changed:
        for (module, name), value in shortened().items():
            changed.enter_context(patch.object(module, name, value))
        yield
