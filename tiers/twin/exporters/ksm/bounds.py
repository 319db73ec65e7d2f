"""kube-state-metrics of what bounds workloads: namespaces, quotas, budgets, autoscalers."""

from collections.abc import Iterator

from tiers.twin.exporters.ksm.families import Family, Group, value
from tiers.twin.exporters.ksm.values import (
    condition_rows,
    count_at,
    created,
    deleted,
    generation,
    known_at,
    named,
    quantity,
    spec,
    status,
)
from tiers.twin.exporters.text import Row, labels
from tiers.twin.kube.resources import HPAS, NAMESPACES, PDBS, QUOTAS, Obj

_EXPERIMENTAL = "EXPERIMENTAL"
# The metric's source in an autoscaler's spec and status, by its type.
_SOURCES = {
    "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods",
    "Object": "object", "External": "external",
}  # fmt: skip
_TARGETS = (("value", "value"), ("averageValue", "average"), ("averageUtilization", "utilization"))


def _phases(namespace: Obj) -> Iterator[Row]:
    phase = status(namespace).get("phase") or "Active"
    return ((f'phase="{one}"', float(one == phase)) for one in ("Active", "Terminating"))


def _quotas(quota: Obj) -> Iterator[Row]:
    for kind in ("hard", "used"):
        for name, amount in (status(quota).get(kind) or {}).items():
            yield labels({"resource": name, "type": kind}), quantity(str(amount))


def _hpa_info(hpa: Obj) -> Iterator[Row]:
    target = spec(hpa).get("scaleTargetRef") or {}
    yield (
        labels(
            {
                "scaletargetref_api_version": target.get("apiVersion", ""),
                "scaletargetref_kind": target.get("kind", ""),
                "scaletargetref_name": target.get("name", ""),
            }
        ),
        1.0,
    )


def _metrics(sources: list[Obj], part: str) -> Iterator[Row]:
    """Targets (`part` is target) or readings (`current`) of an autoscaler's metrics."""
    for one in sources:
        source = one.get(_SOURCES.get(one.get("type", ""), "")) or {}
        name = source.get("name") or (source.get("metric") or {}).get("name", "")
        for key, kind in _TARGETS:
            if key in (source.get(part) or {}):
                pairs = {"metric_name": name, "metric_target_type": kind}
                pairs |= {"container": source["container"]} if "container" in source else {}
                yield labels(pairs), quantity(str(source[part][key]))


NAMESPACE_GROUP = Group(
    NAMESPACES, ("namespace",), lambda n: labels({"namespace": n["metadata"]["name"]}),
    (
        value("kube_namespace_created", created),
        Family("kube_namespace_status_phase", _phases, ("phase",)),
        Family("kube_namespace_status_condition", condition_rows, ("condition", "status"),
               stability=_EXPERIMENTAL),
    ),
)  # fmt: skip
QUOTA_GROUP = Group(
    QUOTAS, ("namespace", "resourcequota"), named("resourcequota"),
    (
        Family("kube_resourcequota", _quotas, ("resource", "type")),
        value("kube_resourcequota_created", created),
    ),
)  # fmt: skip
BUDGET_GROUP = Group(
    PDBS, ("namespace", "poddisruptionbudget"), named("poddisruptionbudget"),
    (
        value("kube_poddisruptionbudget_created", created),
        value("kube_poddisruptionbudget_status_current_healthy",
              count_at("status", "currentHealthy")),
        value("kube_poddisruptionbudget_status_desired_healthy",
              count_at("status", "desiredHealthy")),
        value("kube_poddisruptionbudget_status_pod_disruptions_allowed",
              count_at("status", "disruptionsAllowed")),
        value("kube_poddisruptionbudget_status_expected_pods",
              count_at("status", "expectedPods")),
        value("kube_poddisruptionbudget_status_observed_generation",
              count_at("status", "observedGeneration")),
    ),
)  # fmt: skip
HPA_GROUP = Group(
    HPAS, ("namespace", "horizontalpodautoscaler"), named("horizontalpodautoscaler"),
    (
        Family("kube_horizontalpodautoscaler_info", _hpa_info, (
            "scaletargetref_api_version", "scaletargetref_kind", "scaletargetref_name"),
            stability=_EXPERIMENTAL),
        value("kube_horizontalpodautoscaler_created", created, stability=_EXPERIMENTAL),
        value("kube_horizontalpodautoscaler_deletion_timestamp", deleted,
              stability=_EXPERIMENTAL),
        value("kube_horizontalpodautoscaler_metadata_generation", generation),
        value("kube_horizontalpodautoscaler_spec_max_replicas",
              count_at("spec", "maxReplicas")),
        value("kube_horizontalpodautoscaler_spec_min_replicas",
              lambda h: float(spec(h).get("minReplicas", 1))),
        Family("kube_horizontalpodautoscaler_spec_target_metric",
               lambda h: _metrics(spec(h).get("metrics") or [], "target"),
               ("metric_name", "metric_target_type", "container"), stability=_EXPERIMENTAL),
        value("kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance",
              known_at("spec", "behavior", "scaleDown", "tolerance"), stability=_EXPERIMENTAL),
        value("kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance",
              known_at("spec", "behavior", "scaleUp", "tolerance"), stability=_EXPERIMENTAL),
        Family("kube_horizontalpodautoscaler_status_target_metric",
               lambda h: _metrics(status(h).get("currentMetrics") or [], "current"),
               ("metric_name", "metric_target_type", "container")),
        Family("kube_horizontalpodautoscaler_status_condition", condition_rows,
               ("condition", "status")),
        value("kube_horizontalpodautoscaler_status_current_replicas",
              count_at("status", "currentReplicas")),
        value("kube_horizontalpodautoscaler_status_desired_replicas",
              count_at("status", "desiredReplicas")),
    ),
)  # fmt: skip
