"""Whether a node suits a pod, whatever room it has: selectors, affinity, taints, readiness."""

from collections.abc import Mapping

from tiers.twin.controllers import pods
from tiers.twin.kube.resources import Obj

UNMATCHED = "node(s) didn't match Pod's node affinity/selector"


def obstacle(pod: Obj, node: Obj) -> str:
    """Why a node cannot take a pod; empty when it can."""
    if not is_selected(pod, node):
        return UNMATCHED
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not tolerates(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not pods.is_ready(node):
        return "node(s) were not ready"
    return ""


def is_selected(pod: Obj, node: Obj) -> bool:
    """Whether nodeSelector and required node affinity name this node."""
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = _node_affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = (required or {}).get("nodeSelectorTerms") or ()
    return required is None or any(_matches(term, node) for term in terms)


def dislike(pod: Obj, node: Obj) -> int:
    """How little a node that suits is wanted: soft taints count, preferred terms are deducted."""
    soft = [
        taint
        for taint in node["spec"].get("taints") or ()
        if taint["effect"] == "PreferNoSchedule" and not tolerates(pod, taint)
    ]
    preferred = _node_affinity(pod).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    liked = sum(int(p["weight"]) for p in preferred if _matches(p["preference"], node))
    return 100 * len(soft) - liked


def tolerates(pod: Obj, taint: Obj) -> bool:
    for toleration in pod["spec"].get("tolerations") or ():
        if (toleration.get("effect") or taint["effect"]) != taint["effect"]:
            continue
        if toleration.get("operator") == "Exists":
            if (toleration.get("key") or taint["key"]) == taint["key"]:
                return True
        elif (toleration.get("key"), toleration.get("value", "")) == (
            taint["key"],
            taint.get("value", ""),
        ):
            return True
    return False


def _node_affinity(pod: Obj) -> Obj:
    return dict((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {})


def _matches(term: Obj, node: Obj) -> bool:
    """A term without any requirement matches nothing."""
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    tests = [(e, labels) for e in term.get("matchExpressions") or ()]
    tests += [(e, fields) for e in term.get("matchFields") or ()]
    return bool(tests) and all(_holds(e, values) for e, values in tests)


def _holds(requirement: Obj, labels: Mapping[str, str]) -> bool:
    held, values = labels.get(requirement["key"]), requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return held in values
        case "NotIn":
            return held not in values
        case "Exists":
            return held is not None
        case "DoesNotExist":
            return held is None
        case operator:
            return _compares(held, operator, values)


def _compares(held: str | None, operator: str, values: list[str]) -> bool:
    """Gt and Lt: both sides whole numbers."""
    try:
        number, bound = int(held or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
