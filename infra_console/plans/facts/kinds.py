"""The facts that a precondition may name of kinds beside nodes and Deployments, by kind.

A domain adds a kind by naming its reader in settings.PLAN_FACTS.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from infra_console.cluster.bounds import read_bounds
from infra_console.cluster.caps import read_cap
from infra_console.cluster.scaling import read_scaled
from infra_console.plans.facts.kueue_facts import KUEUE_FACTS
from infra_console.plans.spec import ObjectRef


def _numbered(target: ObjectRef) -> dict[str, Any]:
    held = read_scaled(target.cluster, target.kind, target.namespace, target.name)
    return {
        "uid": held.uid,
        "replicas": held.replicas,
        "group_size": held.group_size,
        "owners": [m.name for m in held.owners],
    }


def _bounds(target: ObjectRef) -> dict[str, Any]:
    held = read_bounds(target.cluster, target.kind, target.namespace, target.name)
    return {
        "uid": held.at.uid,
        "min": held.low,
        "max": held.high,
        "owners": [m.name for m in held.owners],
    }


def _counted(target: ObjectRef) -> dict[str, Any]:
    held = read_scaled(target.cluster, target.kind, target.namespace, target.name)
    return {"uid": held.uid, "replicas": held.replicas, "autoscaled": held.autoscaled}


def _capped(target: ObjectRef) -> dict[str, Any]:
    held = read_cap(target.cluster, target.kind, target.namespace, target.name)
    return {"uid": held.at.uid, "limit": held.gpus, "owners": [m.name for m in held.owners]}


def _pool(target: ObjectRef) -> dict[str, Any]:
    return _counted(target) | _capped(target)


FACTS: Mapping[str, Callable[[ObjectRef], dict[str, Any]]] = {
    "StatefulSet": _numbered,
    "LeaderWorkerSet": _numbered,
    "HorizontalPodAutoscaler": _bounds,
    "ScaledObject": _bounds,
    "MachineDeployment": _counted,
    "NodePool": _pool,
    "ResourceQuota": _capped,
    **KUEUE_FACTS,
}


def read_facts(target: ObjectRef) -> dict[str, Any]:
    """The facts of one object; none for kinds that nobody reads. Raises ClusterError."""
    if target.kind in FACTS:
        return FACTS[target.kind](target)
    path = settings.PLAN_FACTS.get(target.kind)
    read: Callable[[ObjectRef], dict[str, Any]] | None = import_string(path) if path else None
    return read(target) if read else {}
