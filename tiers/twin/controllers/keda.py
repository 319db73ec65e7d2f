"""KEDA: each ScaledObject owns an HPA `keda-hpa-<name>`; whoever moves it changes the ScaledObject.

Bounds and triggers are copied into the HPA at every round, so a change made to the HPA itself does
not last. Pausing deletes the HPA and holds the replicas. Below one replica KEDA scales by itself:
to zero (or `idleReplicaCount`) when the trigger has been quiet for the cooldown, and back.

Pausing only the way down (`paused-scale-in`) disables the HPA's scale-down.

A trigger that cannot be read leaves the replicas alone; with `fallback` they go to its number once
it has failed more often than the threshold, at one question each HPA period.

Limits: triggers are read for the vLLM metric that their query names; others have no answer, and
only those with a query can fail.
"""

import re
from datetime import datetime

from tiers.twin.controllers import events, keda_fallback, pods
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.hpa import FALLBACK_KEY, METRIC_KEY
from tiers.twin.controllers.pods import status_of
from tiers.twin.controllers.scaling import Metric, find_target, set_replicas
from tiers.twin.kube.resources import HPAS, SCALED_OBJECTS, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

PAUSED_KEY = "autoscaling.keda.sh/paused"
PAUSED_REPLICAS_KEY = "autoscaling.keda.sh/paused-replicas"
PAUSED_SCALE_IN_KEY = "autoscaling.keda.sh/paused-scale-in"
BY = "keda-operator"
_METRIC = re.compile(r"vllm:\w+")
_COOLDOWN_S = 300.0


def tick(store: ClusterStore, now: datetime, config: ControllerConfig, metric: Metric) -> None:
    for scaled in store.all(SCALED_OBJECTS):
        namespace = scaled["metadata"]["namespace"]
        found = find_target(store, namespace, scaled["spec"]["scaleTargetRef"])
        if found is None:
            _say(store, scaled, now, Ready=("False", "ScaledObjectCheckFailed",
                 "ScaledObject doesn't have correct scaleTargetRef specification"))  # fmt: skip
        elif _is_paused(scaled):
            _pause(store, scaled, *found, now)
        else:
            _run(store, scaled, *found, now, config, metric)


def _notes(obj: Obj) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def _is_paused(scaled: Obj) -> bool:
    notes = _notes(scaled)
    return PAUSED_REPLICAS_KEY in notes or notes.get(PAUSED_KEY) == "true"


def hpa_name(scaled: Obj) -> str:
    advanced = (scaled["spec"].get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    return str(advanced.get("name") or f"keda-hpa-{scaled['metadata']['name']}")


def _pause(
    store: ClusterStore, scaled: Obj, resource: Resource, target: Obj, now: datetime
) -> None:
    namespace, name = scaled["metadata"]["namespace"], hpa_name(scaled)
    if store.find(HPAS, namespace, name) is not None:
        store.remove(HPAS, namespace, name)
    held = _notes(scaled).get(PAUSED_REPLICAS_KEY, "")
    if held.isdigit() and int(held) != target["spec"].get("replicas", 1):
        set_replicas(store, resource, target, int(held), now, by=BY)
    _say(store, scaled, now, Ready=_READY,
         Paused=("True", "ScaledObjectPaused", "ScaledObject is paused"))  # fmt: skip


_READY = (
    "True", "ScaledObjectReady", "ScaledObject is defined correctly and is ready for scaling",
)  # fmt: skip


def _run(
    store: ClusterStore, scaled: Obj, resource: Resource, target: Obj, now: datetime,
    config: ControllerConfig, metric: Metric,
) -> None:  # fmt: skip
    average = metric(
        target["metadata"]["namespace"], target["metadata"]["name"], _metric_name(scaled)
    )
    failing = average is None and any(map(_query, _triggers(scaled)))
    failed = keda_fallback.failures(store, scaled, now, config, failing=failing)
    current = int(target["spec"].get("replicas", 1))
    instead = keda_fallback.replicas(scaled, failed, current)
    _keep_hpa(store, scaled, instead, now)
    active = _is_active(scaled, target, average)
    status = dict(status_of(scaled))
    asked = [_external_name(scaled, n) for n in range(len(_triggers(scaled)))]
    status |= {"health": keda_fallback.health(asked, failed), "externalMetricNames": asked}
    if active or "lastActiveTime" not in status:
        status["lastActiveTime"] = rfc3339(now)
    status.setdefault("originalReplicaCount", target["spec"].get("replicas", 1))
    status |= {"hpaName": hpa_name(scaled), "scaleTargetKind": _kind(target)}
    _scale_to_and_from_zero(store, scaled, resource, target, now, config, active=active)
    words = ("True", "ScalerActive", "Scaling is performed because triggers are active")
    if not active:
        words = ("False", "ScalerNotActive", "Scaling is not performed because triggers are "
                 "not active")  # fmt: skip
    _say(
        store, {**scaled, "status": status}, now, Ready=_READY, Active=words,
        Paused=("False", "ScaledObjectUnpaused", "pause annotation removed for ScaledObject"),
        Fallback=_NO_FALLBACK if instead is None else _FALLBACK,
    )  # fmt: skip


_FALLBACK = ("True", "FallbackExists", "At least one trigger is falling back on this scaled object")
_NO_FALLBACK = ("False", "NoFallbackFound", "No fallbacks are active on this scaled object")


def _kind(target: Obj) -> str:
    return f"{target['apiVersion']}.{target['kind']}"


def _bounds(scaled: Obj) -> tuple[int, int]:
    spec = scaled["spec"]
    return int(spec.get("minReplicaCount", 0)), int(spec.get("maxReplicaCount", 100))


def _keep_hpa(store: ClusterStore, scaled: Obj, instead: int | None, now: datetime) -> None:
    namespace, name = scaled["metadata"]["namespace"], hpa_name(scaled)
    held, made = store.find(HPAS, namespace, name), _hpa(scaled)
    if instead is not None:
        made["metadata"]["annotations"][FALLBACK_KEY] = str(instead)
    if held is None:
        store.create(HPAS, made, now)
        said = f"Created HPA {name}"
        events.record(store, scaled, "KEDAScalersStarted", said, now, by=BY)
        return
    notes = {k: v for k, v in _notes(held).items() if k != FALLBACK_KEY}
    notes |= made["metadata"]["annotations"]
    if held["spec"] != made["spec"] or notes != _notes(held):
        metadata = held["metadata"] | {"annotations": notes}
        store.put(HPAS, {**held, "metadata": metadata, "spec": made["spec"]})


def _hpa(scaled: Obj) -> Obj:
    metadata, (least, most) = scaled["metadata"], _bounds(scaled)
    reference = scaled["spec"]["scaleTargetRef"]
    kind = {"apiVersion": "apps/v1", "kind": "Deployment"}
    advanced = (scaled["spec"].get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    rules = dict(advanced.get("behavior") or {})
    if _notes(scaled).get(PAUSED_SCALE_IN_KEY) == "true":
        rules["scaleDown"] = (rules.get("scaleDown") or {}) | {"selectPolicy": "Disabled"}
    behavior = {"behavior": rules} if rules else {}
    owner = pods.owner_reference(scaled, api_version="keda.sh/v1alpha1", kind="ScaledObject")
    return {
        "metadata": {
            "name": hpa_name(scaled),
            "namespace": metadata["namespace"],
            "labels": {"scaledobject.keda.sh/name": metadata["name"]},
            "annotations": {METRIC_KEY: _metric_name(scaled)},
            "ownerReferences": [owner],
        },
        "spec": {
            "scaleTargetRef": kind | {"name": reference["name"]} | reference,
            "minReplicas": max(1, least),
            "maxReplicas": most,
            "metrics": [_external(scaled, n) for n in range(len(_triggers(scaled)))],
            **behavior,
        },
        "status": {},
    }


def _triggers(scaled: Obj) -> list[Obj]:
    return list(scaled["spec"].get("triggers") or ())


def _query(trigger: Obj) -> str:
    return str((trigger.get("metadata") or {}).get("query", ""))


def _metric_name(scaled: Obj) -> str:
    for trigger in _triggers(scaled):
        if found := _METRIC.search(_query(trigger)):
            return found[0]
    return ""


def _external_name(scaled: Obj, number: int) -> str:
    return f"s{number}-{_triggers(scaled)[number]['type']}"


def _external(scaled: Obj, number: int) -> Obj:
    trigger = _triggers(scaled)[number]
    labels = {"scaledobject.keda.sh/name": scaled["metadata"]["name"]}
    threshold = str((trigger.get("metadata") or {}).get("threshold", "1"))
    metric = {"name": _external_name(scaled, number), "selector": {"matchLabels": labels}}
    goal = {"type": "AverageValue", "averageValue": threshold}
    return {"type": "External", "external": {"metric": metric, "target": goal}}


def _is_active(scaled: Obj, target: Obj, average: float | None) -> bool:
    """Whether the trigger's total is above its activation threshold; unknown counts as active."""
    if average is None:
        return bool(target["spec"].get("replicas", 1))
    first = (_triggers(scaled) or [{}])[0].get("metadata") or {}
    total = average * target["status"].get("readyReplicas", 0)
    return bool(total > float(first.get("activationThreshold", 0)))


def _scale_to_and_from_zero(
    store: ClusterStore, scaled: Obj, resource: Resource, target: Obj, now: datetime,
    config: ControllerConfig, *, active: bool,
) -> None:  # fmt: skip
    spec, current = scaled["spec"], int(target["spec"].get("replicas", 1))
    least, _ = _bounds(scaled)
    idle = spec.get("idleReplicaCount", 0 if least == 0 else None)
    if current == 0 and (active or least > 0):
        set_replicas(store, resource, target, max(1, least), now, by=BY)
    elif idle is not None and not active and current > idle:
        since = parse_time(status_of(scaled).get("lastActiveTime", rfc3339(now)))
        cooldown_s = config.shortened(spec.get("cooldownPeriod", _COOLDOWN_S))
        if (now - since).total_seconds() >= cooldown_s:
            set_replicas(store, resource, target, int(idle), now, by=BY)
            said = f"Deactivated {_kind(target)} from {current} to {idle}"
            events.record(store, scaled, "KEDAScaleTargetDeactivated", said, now, by=BY)


def _say(
    store: ClusterStore, scaled: Obj, now: datetime, **conditions: tuple[str, str, str]
) -> None:
    status = status_of(scaled)
    for kind, (value, reason, message) in conditions.items():
        status = pods.with_condition(status, kind, value, now, reason=reason, message=message)
    metadata = scaled["metadata"]
    fresh = store.get(SCALED_OBJECTS, metadata["namespace"], metadata["name"])
    store.put(SCALED_OBJECTS, {**fresh, "status": status})
