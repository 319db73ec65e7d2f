"""What doubtful metrics hold back in a plan under way: the steps that take capacity away.

Who names the doubts is settings.PLAN_SHRINK_DOUBTS: the domain that plans freezes by the same
rule. A step that has begun to write is finished, growth goes on, and a way back is never asked
about. A drain is asked about each time, for each time it may evict. A plan that was made under
doubt takes only nodes that nobody runs on, and goes on with those.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from infra_console.cluster.errors import ClusterError
from infra_console.cluster.reads import list_pods
from infra_console.plans.models import Plan, Step

NODE_KINDS = frozenset({"node.cordon", "node.drain"})
STOPS_WORK = frozenset({"kueue.signal", "kueue.deactivate"})
# Kinds that set a count, or bounds, from one value to another.
COUNTED = frozenset(
    {
        "workload.scale",
        "workload.scale_ordinal",
        "workload.bound",
        "machines.scale",
        "kueue.set_quota",
        "quota.cap",
        "git.change",
    }
)

ADVICE = (
    "taking away is frozen; growing goes on. Resume once they are fresh again, roll back, or abort"
)

Doubts = Callable[[], Mapping[str, str]]


def shrink_doubts() -> Mapping[str, str]:
    """Why nothing may be taken away now, by cluster; empty where all is certain."""
    asked: Doubts = import_string(settings.PLAN_SHRINK_DOUBTS)
    return asked()


def takes_capacity(kind: str, params: Mapping[str, Any]) -> bool:
    """Whether a step takes GPUs away from a tier; one whose values cannot be compared may."""
    if kind in NODE_KINDS | STOPS_WORK:
        return True
    return kind in COUNTED and _lowers(params.get("from"), params.get("to"))


def _lowers(before: Any, after: Any) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return any(_lowers(before.get(part), after.get(part)) for part in ("min", "max"))
    if before == after:
        return False
    try:
        return float(after) < float(before)
    except (TypeError, ValueError):
        return True


def certain(plan: Plan, due: Sequence[Step]) -> tuple[list[Step], str]:
    """The due steps without those that doubt holds back, and why (empty when none is held)."""
    opening = [s for s in due if s.prior is None and takes_capacity(s.kind, s.params)]
    doubts = shrink_doubts() if opening else {}
    held = [s for s in opening if s.cluster in doubts and not _is_spare(plan, s)]
    going = [s for s in due if s not in held]
    why = "; ".join(doubts[cluster] for cluster in sorted({s.cluster for s in held}))
    return going, f"{why}; {ADVICE}" if held else ""


def _is_spare(plan: Plan, step: Step) -> bool:
    """A node that a plan made under doubt takes, while nobody runs on it."""
    if step.kind not in NODE_KINDS or not plan.document["evidence"].get("doubts"):
        return False
    try:
        pods = list_pods(step.cluster, node=step.target["name"])
    except ClusterError:  # whoever runs there is unknown
        return False
    return all(p.stays_on_drain for p in pods)
