"""kube-state-metrics of what makes pods: Deployments, ReplicaSets, StatefulSets and Jobs."""

from collections.abc import Callable, Iterator

from tiers.twin.exporters.ksm.families import Family, Group, value
from tiers.twin.exporters.ksm.values import (
    condition,
    condition_rows,
    count_at,
    created,
    deleted,
    generation,
    known_at,
    named,
    owner_rows,
    share,
    spec,
    state_rows,
    status,
    time_at,
)
from tiers.twin.exporters.text import Row, labels
from tiers.twin.kube.resources import DEPLOYMENTS, JOBS, REPLICA_SETS, STATEFUL_SETS, Obj

_OWNER = ("owner_kind", "owner_name", "owner_is_controller")
_EXPERIMENTAL = "EXPERIMENTAL"


def _replicas(obj: Obj) -> float:
    return float(spec(obj).get("replicas", 1))


def _rolling(key: str, *, up: bool) -> Callable[[Obj], float | None]:
    def read(deployment: Obj) -> float | None:
        rolling = (spec(deployment).get("strategy") or {}).get("rollingUpdate") or {}
        if key not in rolling:
            return None
        return share(rolling[key], int(_replicas(deployment)), up=up)

    return read


def _plain_owners(obj: Obj) -> Iterator[Row]:
    for owner in obj["metadata"].get("ownerReferences") or ():
        yield labels({"owner_kind": owner["kind"], "owner_name": owner["name"]}), 1.0


def _state_of(kind: str) -> Callable[[Obj], Iterator[Row]]:
    def rows(job: Obj) -> Iterator[Row]:
        if found := condition(job, kind):
            yield from state_rows(found["status"])

    return rows


def _failures(job: Obj) -> Iterator[Row]:
    failed = float(status(job).get("failed") or 0)
    reason = (condition(job, "Failed") or {}).get("reason")
    yield labels({"reason": reason}) if failed and reason else "", failed


def _revision(key: str) -> Callable[[Obj], Iterator[Row]]:
    def rows(stateful_set: Obj) -> Iterator[Row]:
        if found := status(stateful_set).get(key):
            yield labels({"revision": found}), 1.0

    return rows


def _retention(stateful_set: Obj) -> Iterator[Row]:
    policy = spec(stateful_set).get("persistentVolumeClaimRetentionPolicy")
    if policy:
        pairs = {"when_deleted": policy.get("whenDeleted", "Retain")}
        yield labels(pairs | {"when_scaled": policy.get("whenScaled", "Retain")}), 1.0


DEPLOYMENT_GROUP = Group(
    DEPLOYMENTS, ("namespace", "deployment"), named("deployment"),
    (
        value("kube_deployment_created", created),
        value("kube_deployment_deletion_timestamp", deleted, stability=_EXPERIMENTAL),
        value("kube_deployment_status_replicas", count_at("status", "replicas")),
        value("kube_deployment_status_replicas_ready", count_at("status", "readyReplicas")),
        value("kube_deployment_status_replicas_available",
              count_at("status", "availableReplicas")),
        value("kube_deployment_status_replicas_unavailable",
              count_at("status", "unavailableReplicas")),
        value("kube_deployment_status_replicas_updated", count_at("status", "updatedReplicas")),
        value("kube_deployment_status_terminating_replicas",
              known_at("status", "terminatingReplicas"), stability="ALPHA"),
        value("kube_deployment_status_observed_generation",
              count_at("status", "observedGeneration")),
        Family("kube_deployment_status_condition",
               lambda d: condition_rows(d, reason=True), ("condition", "reason", "status")),
        value("kube_deployment_spec_replicas", _replicas),
        value("kube_deployment_spec_paused", count_at("spec", "paused")),
        value("kube_deployment_spec_strategy_rollingupdate_max_unavailable",
              _rolling("maxUnavailable", up=False)),
        value("kube_deployment_spec_strategy_rollingupdate_max_surge",
              _rolling("maxSurge", up=True)),
        value("kube_deployment_metadata_generation", generation),
        Family("kube_deployment_owner", _plain_owners, ("owner_kind", "owner_name"),
               stability="ALPHA"),
    ),
)  # fmt: skip
REPLICA_SET_GROUP = Group(
    REPLICA_SETS, ("namespace", "replicaset"), named("replicaset"),
    (
        value("kube_replicaset_created", created),
        value("kube_replicaset_status_replicas", count_at("status", "replicas")),
        value("kube_replicaset_status_fully_labeled_replicas",
              count_at("status", "fullyLabeledReplicas")),
        value("kube_replicaset_status_ready_replicas", count_at("status", "readyReplicas")),
        value("kube_replicaset_status_terminating_replicas",
              known_at("status", "terminatingReplicas"), stability="ALPHA"),
        value("kube_replicaset_status_observed_generation",
              count_at("status", "observedGeneration")),
        value("kube_replicaset_spec_replicas", _replicas),
        value("kube_replicaset_metadata_generation", generation),
        Family("kube_replicaset_owner", owner_rows, _OWNER),
    ),
)  # fmt: skip
STATEFUL_SET_GROUP = Group(
    STATEFUL_SETS, ("namespace", "statefulset"), named("statefulset"),
    (
        value("kube_statefulset_created", created),
        value("kube_statefulset_deletion_timestamp", deleted),
        value("kube_statefulset_status_replicas", count_at("status", "replicas")),
        value("kube_statefulset_status_replicas_current", count_at("status", "currentReplicas")),
        value("kube_statefulset_status_replicas_ready", count_at("status", "readyReplicas")),
        value("kube_statefulset_status_replicas_available",
              count_at("status", "availableReplicas")),
        value("kube_statefulset_status_replicas_updated", count_at("status", "updatedReplicas")),
        value("kube_statefulset_status_observed_generation",
              count_at("status", "observedGeneration")),
        value("kube_statefulset_replicas", _replicas),
        value("kube_statefulset_ordinals_start", known_at("spec", "ordinals", "start")),
        value("kube_statefulset_metadata_generation", generation),
        Family("kube_statefulset_persistentvolumeclaim_retention_policy", _retention,
               ("when_deleted", "when_scaled")),
        Family("kube_statefulset_status_current_revision", _revision("currentRevision"),
               ("revision",)),
        Family("kube_statefulset_status_update_revision", _revision("updateRevision"),
               ("revision",)),
    ),
)  # fmt: skip
JOB_GROUP = Group(
    JOBS, ("namespace", "job_name"), named("job_name"),
    (
        Family("kube_job_info", lambda job: [("", 1.0)]),
        value("kube_job_created", created),
        Family("kube_job_owner", owner_rows, _OWNER),
        value("kube_job_spec_parallelism", known_at("spec", "parallelism")),
        value("kube_job_spec_completions", known_at("spec", "completions")),
        value("kube_job_spec_active_deadline_seconds",
              known_at("spec", "activeDeadlineSeconds")),
        value("kube_job_status_active", count_at("status", "active")),
        value("kube_job_status_ready", known_at("status", "ready"), stability=_EXPERIMENTAL),
        value("kube_job_status_succeeded", count_at("status", "succeeded")),
        Family("kube_job_status_failed", _failures, ("reason",)),
        value("kube_job_status_suspended", count_at("spec", "suspend"),
              stability=_EXPERIMENTAL),
        value("kube_job_status_start_time", time_at("status", "startTime")),
        value("kube_job_status_completion_time", time_at("status", "completionTime")),
        Family("kube_job_complete", _state_of("Complete"), ("condition",)),
        Family("kube_job_failed", _state_of("Failed"), ("condition",)),
    ),
)  # fmt: skip
