"""Lease objects (`coordination.k8s.io/v1`): who holds a name, and when they last said so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.client import FIELD_MANAGER, client_for
from infra_console.cluster.errors import ObjectConflict, ObjectMissing, translated

MICRO_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A Lease as read. `renewed` is the server's text: its holder's clock, good for comparing."""

    holder: str
    renewed: str
    annotations: Mapping[str, str]
    resource_version: str
    transitions: int = 0


def read_lease(cluster_id: str, namespace: str, name: str) -> LeaseState | None:
    """The Lease; None when it, or its namespace, is not there."""
    call: Any = kubernetes.CoordinationV1Api(client_for(cluster_id)).read_namespaced_lease
    try:
        with translated(cluster_id, f"read lease {namespace}/{name}"):
            held = json.loads(call(name=name, namespace=namespace, _preload_content=False).data)
    except ObjectMissing:
        return None
    spec, metadata = held.get("spec") or {}, held["metadata"]
    return LeaseState(
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        annotations=metadata.get("annotations") or {},
        resource_version=metadata["resourceVersion"],
        transitions=spec.get("leaseTransitions") or 0,
    )


def write_lease(
    cluster_id: str,
    namespace: str,
    name: str,
    *,
    holder: str,
    duration_s: int,
    at: datetime,
    annotations: Mapping[str, str],
    held: LeaseState | None,
) -> None:
    """Create the Lease, or renew or take over the one that was read.

    Raises:
        ObjectConflict: somebody wrote it since. ObjectMissing: there is no such namespace.
    """
    taken = held is not None and held.holder != holder
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": duration_s,
        "renewTime": at.astimezone(UTC).strftime(MICRO_TIME),
        "leaseTransitions": (held.transitions if held else 0) + taken,
    }
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    metadata["annotations"] = dict(annotations)
    api, options = kubernetes.CoordinationV1Api(client_for(cluster_id)), {"namespace": namespace}
    if held is None:
        call: Any = api.create_namespaced_lease
    else:
        metadata["resourceVersion"] = held.resource_version
        call, options["name"] = api.replace_namespaced_lease, name
    kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    body = {**kind, "metadata": metadata, "spec": spec}
    with translated(cluster_id, f"write lease {namespace}/{name}"):
        call(**options, body=body, field_manager=FIELD_MANAGER, _preload_content=False).drain_conn()


def create_namespace(cluster_id: str, name: str) -> None:
    """Make a namespace; one that is there already is as good."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    call: Any = kubernetes.CoreV1Api(client_for(cluster_id)).create_namespace
    try:
        with translated(cluster_id, f"create namespace {name}"):
            call(body=body, field_manager=FIELD_MANAGER, _preload_content=False).drain_conn()
    except ObjectConflict:
        return
