"""HorizontalPodAutoscalers: replicas within bounds at once, and after a metric in between.

Desired is the metric's total over its target per pod, unless it is within 10 % of now; the highest
recommendation of the last five minutes (shortened) counts on the way down, so a Deployment whose
replicas somebody patches by hand is put back at the next round. A workload at zero is left alone,
as the real controller leaves it. What was recommended lately is kept in an annotation.

Limits: CPU and memory have no data in the twin; a policy's period is one step since the last scale.
"""

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from tiers.twin.controllers import events, pods
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.pods import status_of
from tiers.twin.controllers.quantities import quantity
from tiers.twin.controllers.scaling import Metric, find_target, set_replicas
from tiers.twin.kube.resources import HPAS, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

METRIC_KEY, FALLBACK_KEY = "twin/metric", "twin/fallback-replicas"
RECENT_KEY = "twin/recommendations"
BY, MANAGER = "horizontal-pod-autoscaler", "kube-controller-manager"
TOLERANCE = 0.1
_DOWN_WINDOW_S = 300.0
_UP_POLICIES: tuple[Obj, ...] = ({"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15})  # fmt: skip
_DOWN_POLICIES: tuple[Obj, ...] = ({"type": "Percent", "value": 100, "periodSeconds": 15},)


@dataclass(frozen=True)
class Wish:
    """Replicas that are wanted, why, and what was in the way."""

    replicas: int
    why: str = ""
    limited: str = ""
    stabilized: bool = False


def tick(store: ClusterStore, now: datetime, config: ControllerConfig, metric: Metric) -> None:
    for hpa in store.all(HPAS):
        _keep(store, hpa, now, config, metric)


def no_metric(_namespace: str, _workload: str, _metric: str) -> None:
    return None


def _keep(
    store: ClusterStore, hpa: Obj, now: datetime, config: ControllerConfig, metric: Metric
) -> None:
    namespace, spec = hpa["metadata"]["namespace"], hpa["spec"]
    found = find_target(store, namespace, spec["scaleTargetRef"])
    if found is None:
        _say(store, hpa, now, {}, AbleToScale=("False", "FailedGetScale",
             "the HPA controller was unable to get the target's current scale"))  # fmt: skip
        return
    resource, target = found
    current = int(target["spec"].get("replicas", 1))
    least, most = int(spec.get("minReplicas", 1)), int(spec["maxReplicas"])
    if current == 0 and least > 0:
        _say(store, hpa, now, _counts(current, 0), ScalingActive=("False", "ScalingDisabled",
             "scaling is disabled since the replica count of the target is zero"))  # fmt: skip
    elif current > most:
        why = "Current number of replicas above Spec.MaxReplicas"
        _scale(store, hpa, resource, target, Wish(most, why), now, followed=False)
    elif current < least:
        why = "Current number of replicas below Spec.MinReplicas"
        _scale(store, hpa, resource, target, Wish(least, why), now, followed=False)
    else:
        _follow(store, hpa, resource, target, now, config, metric)


def _follow(
    store: ClusterStore, hpa: Obj, resource: Resource, target: Obj, now: datetime,
    config: ControllerConfig, metric: Metric,
) -> None:  # fmt: skip
    """Scale by the metrics; without any of them the count stays as it is."""
    current = int(target["spec"].get("replicas", 1))
    proposals = _proposals(hpa, target, metric)
    known = [p for p in proposals if p is not None]
    proposal = max(known, default=current)
    if not known or (len(known) < len(proposals) and proposal < current):
        _say(store, hpa, now, _counts(current, current), ScalingActive=("False", *_unknown(
             hpa, proposals)))  # fmt: skip
        return
    hpa, recent = _remember(store, hpa, proposal, current, now, config)
    steady = _steady(hpa, recent, proposal, current, now, config)
    wish = _within(hpa, _paced(hpa, steady, current, now, config), proposal)
    why = "All metrics below target" if wish.replicas < current else "metric above target"
    _scale(store, hpa, resource, target, Wish(wish.replicas, why, wish.limited, steady != proposal),
           now)  # fmt: skip


def _unknown(hpa: Obj, proposals: list[int | None]) -> tuple[str, str]:
    """Which of the metrics could not be read: its kind is in the reason."""
    entries = list(hpa["spec"].get("metrics") or ())
    first = next((e for e, p in zip(entries, proposals, strict=True) if p is None), None)
    kind = str((first or {}).get("type", ""))
    return (
        f"FailedGet{kind}Metric",
        f"the HPA was unable to compute the replica count: unable to get {kind.lower()} metric",
    )


def _proposals(hpa: Obj, target: Obj, metric: Metric) -> list[int | None]:
    return [_proposal(hpa, target, entry, metric) for entry in hpa["spec"].get("metrics") or ()]


def _proposal(hpa: Obj, target: Obj, entry: Obj, metric: Metric) -> int | None:
    source = entry.get("pods") or entry.get("external")
    if source is None:
        return None
    metadata, goal = target["metadata"], source["target"]
    name = (hpa["metadata"].get("annotations") or {}).get(METRIC_KEY) or source["metric"]["name"]
    average = metric(metadata["namespace"], metadata["name"], name)
    if average is None:
        fallback = (hpa["metadata"].get("annotations") or {}).get(FALLBACK_KEY)
        return int(fallback) if fallback else None
    ready = int(target["status"].get("readyReplicas", 0))
    current = int(target["spec"].get("replicas", 1))
    per_pod = float(quantity(goal.get("averageValue") or goal.get("value")))
    wanted = average * ready / per_pod
    if "averageValue" not in goal:
        wanted *= current  # against one target for the total, its ratio scales the count
    return current if abs(wanted / current - 1.0) <= TOLERANCE else ceil(wanted)


def _behavior(hpa: Obj, way: str) -> Obj:
    return dict((hpa["spec"].get("behavior") or {}).get(way) or {})


def _window_s(hpa: Obj, way: str, default_s: float, config: ControllerConfig) -> float:
    return config.shortened(_behavior(hpa, way).get("stabilizationWindowSeconds", default_s))


Recent = list[tuple[int, datetime]]


def _remember(
    store: ClusterStore, hpa: Obj, proposal: int, current: int, now: datetime,
    config: ControllerConfig,
) -> tuple[Obj, Recent]:  # fmt: skip
    """What was recommended lately; written again when it changes, and four times a window."""
    notes = hpa["metadata"].get("annotations") or {}
    window_s = max(
        _window_s(hpa, "scaleDown", _DOWN_WINDOW_S, config), _window_s(hpa, "scaleUp", 0, config)
    )
    parts = [part.split("@") for part in notes.get(RECENT_KEY, "").split(",") if part]
    recent = [(int(count), parse_time(at)) for count, at in parts]
    recent = [(n, at) for n, at in recent if (now - at).total_seconds() <= window_s]
    recent = recent or [(current, now)]
    if recent[-1][0] != proposal or (now - recent[-1][1]).total_seconds() > window_s / 4:
        recent.append((proposal, now))
    text = ",".join(f"{count}@{rfc3339(at)}" for count, at in recent)
    metadata = hpa["metadata"] | {"annotations": notes | {RECENT_KEY: text}}
    return store.put(HPAS, {**hpa, "metadata": metadata}), recent


def _steady(
    hpa: Obj, recent: Recent, proposal: int, current: int, now: datetime, config: ControllerConfig
) -> int:
    """Down to the highest, up to the lowest of what was recommended within each window."""
    down_s = _window_s(hpa, "scaleDown", _DOWN_WINDOW_S, config)
    up_s = _window_s(hpa, "scaleUp", 0.0, config)
    ages = [(count, (now - at).total_seconds()) for count, at in recent]
    highest = max([proposal, *(count for count, age in ages if age <= down_s)])
    lowest = min([proposal, *(count for count, age in ages if up_s > 0 and age <= up_s)])
    return min(max(current, lowest), highest)


def _paced(hpa: Obj, wanted: int, current: int, now: datetime, config: ControllerConfig) -> int:
    """No further in one step than the policies of that direction allow."""
    if wanted == current:
        return current
    up = wanted > current
    rules = _behavior(hpa, "scaleUp" if up else "scaleDown")
    policies = rules.get("policies") or (_UP_POLICIES if up else _DOWN_POLICIES)
    if rules.get("selectPolicy") == "Disabled":
        return current
    last = status_of(hpa).get("lastScaleTime")
    since_s = (now - parse_time(last)).total_seconds() if last else float("inf")
    steps = [
        0 if since_s < config.shortened(p["periodSeconds"])
        else p["value"] if p["type"] == "Pods" else ceil(current * p["value"] / 100)
        for p in policies
    ]  # fmt: skip
    step = int(min(steps) if rules.get("selectPolicy") == "Min" else max(steps))
    return min(wanted, current + step) if up else max(wanted, current - step)


def _within(hpa: Obj, paced: int, proposal: int) -> Wish:
    least, most = int(hpa["spec"].get("minReplicas", 1)), int(hpa["spec"]["maxReplicas"])
    if max(paced, proposal) > most:
        return Wish(min(paced, most), limited="TooManyReplicas")
    if proposal < least:
        return Wish(max(paced, least), limited="TooFewReplicas")
    return Wish(paced)


_LIMITS = {
    "TooManyReplicas": "the desired replica count is more than the maximum replica count",
    "TooFewReplicas": "the desired replica count is less than the minimum replica count",
}


def _scale(
    store: ClusterStore, hpa: Obj, resource: Resource, target: Obj, wish: Wish, now: datetime,
    *, followed: bool = True,
) -> None:  # fmt: skip
    """Set the replicas and say so; outside the bounds no metric was asked (`followed`)."""
    current = int(target["spec"].get("replicas", 1))
    counts = _counts(int(target["status"].get("replicas", 0)), wish.replicas)
    able = ("True", "ReadyForNewScale", "recommended size matches current size")
    if wish.stabilized:
        able = ("True", "ScaleDownStabilized", "recent recommendations were higher than "
                "current one, applying the highest recent recommendation")  # fmt: skip
    if wish.replicas != current:
        set_replicas(store, resource, target, wish.replicas, now, by=MANAGER)
        counts["lastScaleTime"] = rfc3339(now)
        said = f"the HPA controller was able to update the target scale to {wish.replicas}"
        able = ("True", "SucceededRescale", said)
        said = f"New size: {wish.replicas}; reason: {wish.why}"
        events.record(store, hpa, "SuccessfulRescale", said, now, by=BY)
    if not followed:
        _say(store, hpa, now, counts, AbleToScale=able)
        return
    limit = _LIMITS.get(wish.limited, "the desired count is within the acceptable range")
    _say(
        store, hpa, now, counts, AbleToScale=able,
        ScalingActive=("True", "ValidMetricFound", "the HPA was able to compute a replica count"),
        ScalingLimited=(str(bool(wish.limited)), wish.limited or "DesiredWithinRange", limit),
    )  # fmt: skip


def _counts(current: int, desired: int) -> Obj:
    return {"currentReplicas": current, "desiredReplicas": desired}


def _say(
    store: ClusterStore, hpa: Obj, now: datetime, counts: Obj, **conditions: tuple[str, str, str]
) -> None:
    status = status_of(hpa) | counts
    if "AbleToScale" not in conditions:
        conditions["AbleToScale"] = ("True", "SucceededGetScale", "the HPA controller was able "
                                     "to get the target's current scale")  # fmt: skip
    for kind, (value, reason, message) in conditions.items():
        status = pods.with_condition(status, kind, value, now, reason=reason, message=message)
    if "generation" in hpa["metadata"]:
        status["observedGeneration"] = hpa["metadata"]["generation"]
    fresh = store.get(HPAS, hpa["metadata"]["namespace"], hpa["metadata"]["name"])
    store.put(HPAS, {**fresh, "status": status})
