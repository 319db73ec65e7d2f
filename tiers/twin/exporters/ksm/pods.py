"""kube-state-metrics of pods."""

from collections.abc import Callable, Iterator

from tiers.twin.exporters.ksm.containers import INIT, container_families
from tiers.twin.exporters.ksm.families import Family, Group, value
from tiers.twin.exporters.ksm.values import (
    condition,
    created,
    deleted,
    owner_rows,
    quantity,
    sanitise,
    seconds,
    spec,
    state_rows,
    status,
    time_at,
)
from tiers.twin.exporters.text import Row, labels
from tiers.twin.kube.resources import PODS, Obj
from tiers.twin.profile import JOB_NAME_KEY

PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
QOS_CLASSES = ("BestEffort", "Burstable", "Guaranteed")
REASONS = (
    "Evicted", "NodeAffinity", "NodeLost", "PreemptionByScheduler", "SchedulingGated", "Shutdown",
    "TerminationByKubelet", "UnexpectedAdmissionError",
)  # fmt: skip
DISRUPTIONS = (
    "PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI", "DeletionByPodGC",
    "TerminationByKubelet",
)  # fmt: skip
_EXPERIMENTAL = "EXPERIMENTAL"


def _identify(pod: Obj) -> str:
    meta = pod["metadata"]
    return labels({"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"]})


def _info(pod: Obj) -> Iterator[Row]:
    owner = (pod["metadata"].get("ownerReferences") or [{}])[0]
    yield (
        labels(
            {
                "host_ip": status(pod).get("hostIP") or "",
                "pod_ip": status(pod).get("podIP") or "",
                "node": spec(pod).get("nodeName") or "",
                "created_by_kind": owner.get("kind", ""),
                "created_by_name": owner.get("name", ""),
                "priority_class": spec(pod).get("priorityClassName", ""),
                "host_network": str(bool(spec(pod).get("hostNetwork"))).lower(),
            }
        ),
        1.0,
    )


def _ips(pod: Obj) -> Iterator[Row]:
    for one in status(pod).get("podIPs") or ():
        yield labels({"ip": one["ip"], "ip_family": "6" if ":" in one["ip"] else "4"}), 1.0


def _allowed_labels(pod: Obj) -> Iterator[Row]:
    job = (pod["metadata"].get("labels") or {}).get(JOB_NAME_KEY)
    yield labels({f"label_{sanitise(JOB_NAME_KEY)}": job}) if job else "", 1.0


def _phases(pod: Obj) -> Iterator[Row]:
    phase = status(pod).get("phase") or "Pending"
    return ((f'phase="{one}"', float(one == phase)) for one in PHASES)


def _qos(pod: Obj) -> Iterator[Row]:
    if held := status(pod).get("qosClass"):
        for one in QOS_CLASSES:
            yield f'qos_class="{one}"', float(one == held)


def _state_of(kind: str) -> Callable[[Obj], Iterator[Row]]:
    def rows(pod: Obj) -> Iterator[Row]:
        if found := condition(pod, kind):
            yield from state_rows(found["status"])

    return rows


def _since(kind: str, state: str = "True") -> Callable[[Obj], float | None]:
    """When a condition came to the state it is in, if that is the one asked for."""

    def read(pod: Obj) -> float | None:
        found = condition(pod, kind)
        if found is None or found["status"] != state or "lastTransitionTime" not in found:
            return None
        return seconds(found["lastTransitionTime"])

    return read


def _unschedulable(pod: Obj) -> float | None:
    found = condition(pod, "PodScheduled") or {}
    refused = found.get("status") == "False" and found.get("reason") == "Unschedulable"
    return 1.0 if refused else None


def _completion(pod: Obj) -> float | None:
    ends = [
        (c.get("state") or {}).get("terminated", {}).get("finishedAt")
        for c in status(pod).get("containerStatuses") or ()
    ]
    return max((seconds(end) for end in ends if end), default=None)


def _reason(pod: Obj) -> Iterator[Row]:
    if found := status(pod).get("reason"):
        yield f'reason="{found if found in REASONS else "Other"}"', 1.0


def _disruption(pod: Obj) -> Iterator[Row]:
    found = condition(pod, "DisruptionTarget") or {}
    if found.get("status") == "True":
        reason = found.get("reason", "")
        yield f'reason="{reason if reason in DISRUPTIONS else "Other"}"', 1.0


def _tolerations(pod: Obj) -> Iterator[Row]:
    for one in spec(pod).get("tolerations") or ():
        pairs = {k: str(one[k]) for k in ("key", "operator", "value", "effect") if k in one}
        if "tolerationSeconds" in one:
            pairs["toleration_seconds"] = str(one["tolerationSeconds"])
        yield labels(pairs), 1.0


def _overhead(resource: str) -> Callable[[Obj], float | None]:
    def read(pod: Obj) -> float | None:
        found = (spec(pod).get("overhead") or {}).get(resource)
        return None if found is None else quantity(str(found))

    return read


def _named(name: str, key: str, default: str = "") -> Callable[[Obj], Iterator[Row]]:
    """One row with a field of the spec as a label; none where it is empty."""

    def rows(pod: Obj) -> Iterator[Row]:
        if found := spec(pod).get(key) or default:
            yield labels({name: found}), 1.0

    return rows


def _claims(pod: Obj) -> Iterator[Row]:
    made = {c["name"]: c for c in status(pod).get("resourceClaimStatuses") or ()}
    for one in spec(pod).get("resourceClaims") or ():
        given = one.get("resourceClaimName") or made.get(one["name"], {}).get("resourceClaimName")
        template = one.get("resourceClaimTemplateName", "")
        pairs = {"claim_name": one["name"], "resourceclaim_name": given or ""}
        yield labels(pairs | {"resourceclaim_template_name": template}), 1.0


def _volumes(pod: Obj) -> Iterator[tuple[dict[str, str], bool]]:
    for one in spec(pod).get("volumes") or ():
        if claim := one.get("persistentVolumeClaim"):
            pairs = {"volume": one["name"], "persistentvolumeclaim": claim["claimName"]}
            yield pairs, bool(claim.get("readOnly"))


POD_GROUP = Group(
    PODS, ("namespace", "pod", "uid"), _identify,
    (
        Family("kube_pod_info", _info, (
            "host_ip", "pod_ip", "node", "created_by_kind", "created_by_name", "priority_class",
            "host_network")),
        Family("kube_pod_ips", _ips, ("ip", "ip_family"), stability=_EXPERIMENTAL),
        value("kube_pod_start_time", time_at("status", "startTime")),
        value("kube_pod_completion_time", _completion),
        Family("kube_pod_owner", owner_rows, ("owner_kind", "owner_name", "owner_is_controller")),
        Family("kube_pod_labels", _allowed_labels, (f"label_{sanitise(JOB_NAME_KEY)}",)),
        Family("kube_pod_status_phase", _phases, ("phase",)),
        Family("kube_pod_status_qos_class", _qos, ("qos_class",), stability=_EXPERIMENTAL),
        Family("kube_pod_status_ready", _state_of("Ready"), ("condition",)),
        Family("kube_pod_status_scheduled", _state_of("PodScheduled"), ("condition",)),
        *container_families("container", "containers", "containerStatuses"),
        *container_families("init_container", INIT, "initContainerStatuses"),
        value("kube_pod_status_initialized_time", _since("Initialized"),
              stability=_EXPERIMENTAL),
        value("kube_pod_status_ready_time", _since("Ready"), stability=_EXPERIMENTAL),
        value("kube_pod_status_container_ready_time", _since("ContainersReady"),
              stability=_EXPERIMENTAL),
        value("kube_pod_overhead_cpu_cores", _overhead("cpu"), stability=_EXPERIMENTAL),
        value("kube_pod_overhead_memory_bytes", _overhead("memory"), stability=_EXPERIMENTAL),
        Family("kube_pod_runtimeclass_name_info",
               _named("runtimeclass_name", "runtimeClassName"), ("runtimeclass_name",),
               stability=_EXPERIMENTAL),
        value("kube_pod_created", created),
        value("kube_pod_deletion_timestamp", deleted, stability=_EXPERIMENTAL),
        Family("kube_pod_restart_policy", _named("type", "restartPolicy", "Always"), ("type",)),
        Family("kube_pod_spec_volumes_persistentvolumeclaims_info",
               lambda pod: ((labels(pairs | {"ephemeral": "false"}), 1.0)
                            for pairs, _ in _volumes(pod)),
               ("volume", "persistentvolumeclaim", "ephemeral")),
        Family("kube_pod_spec_volumes_persistentvolumeclaims_readonly",
               lambda pod: ((labels(pairs | {"ephemeral": "false"}), float(read_only))
                            for pairs, read_only in _volumes(pod)),
               ("volume", "persistentvolumeclaim", "ephemeral")),
        Family("kube_pod_status_reason", _reason, ("reason",), stability=_EXPERIMENTAL),
        Family("kube_pod_status_disruption_reason", _disruption, ("reason",),
               stability=_EXPERIMENTAL),
        value("kube_pod_status_scheduled_time", _since("PodScheduled")),
        value("kube_pod_status_unschedulable", _unschedulable),
        value("kube_pod_status_unscheduled_time", _since("PodScheduled", "False"),
              stability=_EXPERIMENTAL),
        Family("kube_pod_tolerations", _tolerations,
               ("key", "operator", "value", "effect", "toleration_seconds"),
               stability=_EXPERIMENTAL),
        Family("kube_pod_service_account",
               _named("service_account", "serviceAccountName", "default"), ("service_account",),
               stability=_EXPERIMENTAL),
        Family("kube_pod_scheduler", _named("name", "schedulerName", "default-scheduler"),
               ("name",), stability=_EXPERIMENTAL),
        Family("kube_pod_resourceclaim_info", _claims,
               ("claim_name", "resourceclaim_name", "resourceclaim_template_name"),
               stability=_EXPERIMENTAL),
    ),
)  # fmt: skip
