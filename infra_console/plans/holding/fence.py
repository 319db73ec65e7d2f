"""The last look before every write: is this still our execution, and may anything be written?"""

import threading
import time
from collections.abc import Callable
from typing import Any

from infra_console.audit.services import record_audit
from infra_console.cluster.errors import ClusterError
from infra_console.plans.errors import NotOwned
from infra_console.plans.holding.lease import Lease, renew_lease
from infra_console.plans.holding.ownership import RENEW_EVERY_S, hold
from infra_console.plans.models import Plan
from infra_console.plans.places import is_own
from infra_console.plans.safety import is_armed, is_killed

EXECUTOR = "system:executor"
KILLED_RETRY_S = 2.0
NOT_OWNED_RETRY_S = 10.0


class Halted(Exception):
    """Nothing may be written now; the worker lets go and is called again later."""

    def __init__(self, reason: str, *, retry_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_s = retry_s


class NotArmed(Exception):
    """The pair was disarmed, or its arming ran out, in the middle of the work."""

    def __init__(self, cluster: str, tier: str) -> None:
        super().__init__(f"{cluster}/{tier} is no longer armed; arm it and resume, or abort")


class Fence:
    """Passed before each write of one execution by one worker."""

    def __init__(self, lease: Lease, *, state: str, dry_run: bool) -> None:
        self.lease = lease
        self.dry_run = dry_run
        self._state = state
        self._owned_until: dict[str, float] = {}  # by this process's monotonic clock
        self._asking = threading.Lock()

    def check(self, cluster: str, tier: str) -> None:
        """Raise unless this worker may write here now.

        Raises:
            LeaseLost, Halted, NotArmed: see each.
        """
        self._check_standing()
        if not self.dry_run and not is_armed(cluster, tier):
            raise NotArmed(cluster, tier)

    def _check_standing(self) -> None:
        """Lease, state and kill switch: what even clearing up must pass."""
        renew_lease(self.lease)
        state = Plan.objects.values_list("state", flat=True).get(id=self.lease.plan_id)
        if state != self._state:
            raise Halted(f"the plan is {state}", retry_s=0.0)
        if is_killed():
            raise Halted("the kill switch is engaged", retry_s=KILLED_RETRY_S)

    def write(
        self, *, cluster: str, tier: str, step: str, what: str, call: Callable[[], Any]
    ) -> Any:
        """One write between two audit rows; a refusal by the cluster is closed with its reason."""
        self.check(cluster, tier)
        if self._check_owned(cluster):
            self.check(cluster, tier)  # the cluster may have let us wait for longer than the lease
        return self._audited(step, what, call)

    def clear_up(self, *, cluster: str, what: str, call: Callable[[], Any]) -> Any:
        """Take one mark of ours off. This needs no arming: a disarmed plan must not hold a node.

        Raises:
            LeaseLost, Halted: see each. ClusterError: the cluster refused.
        """
        self._check_standing()
        if self._check_owned(cluster):
            self._check_standing()
        return self._audited("clear up", what, call)

    def _check_owned(self, cluster: str) -> bool:
        """Of two consoles one writes; a rehearsal writes nothing. Whether that took time."""
        if self.dry_run or is_own(cluster) or self._is_owned(cluster):
            return False
        with self._asking:  # steps at once would take each other for another console
            if not self._is_owned(cluster):
                self._hold(cluster)
        return True

    def _is_owned(self, cluster: str) -> bool:
        return time.monotonic() < self._owned_until.get(cluster, 0.0)

    def _hold(self, cluster: str) -> None:
        try:
            hold(cluster)
        except NotOwned as err:
            raise Halted(str(err), retry_s=NOT_OWNED_RETRY_S) from err
        self._owned_until[cluster] = time.monotonic() + RENEW_EVERY_S

    def _audited(self, step: str, what: str, call: Callable[[], Any]) -> Any:
        detail = {"step": step, "what": what, "epoch": self.lease.epoch, "dry_run": self.dry_run}
        opened = self._audit("step.writing", detail)
        try:
            result = call()
        except ClusterError as err:
            self._audit("step.refused", detail | {"opened": opened, "why": str(err)})
            raise
        self._audit("step.written", detail | {"opened": opened})
        return result

    def _audit(self, action: str, detail: dict[str, Any]) -> int:
        return record_audit(
            actor=EXECUTOR,
            action=action,
            object_kind="plan",
            object_id=str(self.lease.plan_id),
            detail=detail,
        )
