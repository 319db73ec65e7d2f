"""Upper limits of GPUs: a ResourceQuota's hard limit, a Karpenter NodePool's limit.

Both are maps whose keys are owned one by one, so an apply of the GPU key owns that key alone. A
limit stops what comes; it takes nothing away from who is there, so `used` may stand above it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.answers import read_json
from infra_console.cluster.apply import Versioned, apply_fields, give_back, versioned
from infra_console.cluster.client import client_for
from infra_console.cluster.errors import InvalidRequest
from infra_console.cluster.managers import Manager, other_owners
from infra_console.cluster.objects import GPU
from infra_console.cluster.places import read_object
from infra_console.cluster.scaling import KINDS

QUOTA, NODE_POOL = "ResourceQuota", "NodePool"
# By kind: the map of the spec, its key, and the map of the status that tells what is used.
FIELDS: Mapping[str, tuple[str, str, str]] = {
    QUOTA: ("hard", f"requests.{GPU}", "used"),
    NODE_POOL: ("limits", GPU, "resources"),
}


@dataclass(frozen=True, slots=True)
class CapState:
    """A limit of GPUs. `text` is how it is written, None where there is none; `used` is None where
    nobody has counted yet; `owners` own it beside us."""

    at: Versioned
    text: str | None
    used: int | None
    owners: tuple[Manager, ...]
    annotations: Mapping[str, str]

    @property
    def gpus(self) -> int | None:
        return None if self.text is None else whole(self.text)


def read_cap(cluster_id: str, kind: str, namespace: str, name: str) -> CapState:
    """Raises ClusterError; InvalidRequest where the limit is no number of GPUs."""
    if kind == QUOTA:
        call = kubernetes.CoreV1Api(client_for(cluster_id)).read_namespaced_resource_quota
        what = f"read {QUOTA} {namespace}/{name}"
        item = read_json(cluster_id, what, call, name=name, namespace=namespace)
    else:
        item = read_object(cluster_id, KINDS[kind], namespace, name)
    try:
        return cap_state(kind, item)
    except (InvalidOperation, ValueError) as err:
        raise InvalidRequest(cluster_id, f"{kind} {name}: its limit is no number: {err}") from err


def cap_state(kind: str, item: Mapping[str, Any]) -> CapState:
    meta, (field, key, counted) = item["metadata"], FIELDS[kind]
    limit = ((item.get("spec") or {}).get(field) or {}).get(key)
    used = ((item.get("status") or {}).get(counted) or {}).get(key)
    version = "v1" if kind == QUOTA else KINDS[kind].api_version
    state = CapState(
        at=versioned(version, kind, item),
        text=None if limit is None else str(limit),
        used=None if used is None else whole(str(used)),
        owners=other_owners(item, ("spec", field, key)),
        annotations=meta.get("annotations") or {},
    )
    if state.text is not None:
        whole(state.text)
    return state


def whole(text: str) -> int:
    """A number of GPUs. Raises InvalidOperation or ValueError."""
    amount = Decimal(text.removesuffix("k")) * (1000 if text.endswith("k") else 1)
    if amount != amount.to_integral_value():
        raise ValueError(f"{text} is not whole")
    return int(amount)


def apply_cap(
    cluster_id: str,
    held: CapState,
    text: str | None,
    *,
    annotations: Mapping[str, str],
    force: bool = False,
    dry_run: bool,
) -> None:
    """Set the limit; None leaves it out, as it was before ours, or to whoever else owns it.

    Args:
        force: take it from whoever owns it; only ever with an admin's leave.

    Raises:
        FieldOwned: another manager owns it. ObjectConflict: the object changed since it was read.
    """
    field, key, _ = FIELDS[held.at.kind]
    call, place = _patch(cluster_id, held)
    fields = {} if text is None else {field: {key: text}}
    more: dict[str, Any] = {"annotations": annotations, "force": force, "dry_run": dry_run}
    apply_fields(cluster_id, held.at, call, fields, **more | place)


def give_back_cap(
    cluster_id: str, held: CapState, text: str | None, *, manager: str, dry_run: bool
) -> None:
    """Write the limit in the name of its former owner; None takes it off.

    Raises:
        ObjectConflict: the object changed since it was read; nothing was written.
    """
    field, key, _ = FIELDS[held.at.kind]
    call, place = _patch(cluster_id, held)
    fields = {field: {key: text}}
    give_back(cluster_id, held.at, call, fields, manager=manager, dry_run=dry_run, **place)


def _patch(cluster_id: str, held: CapState) -> tuple[Callable[..., Any], dict[str, str]]:
    """The client's call and where the object is."""
    kind = held.at.kind
    if kind == QUOTA:
        api = kubernetes.CoreV1Api(client_for(cluster_id))
        return api.patch_namespaced_resource_quota, {"namespace": held.at.namespace}
    return KINDS[kind].verb(cluster_id, "patch"), KINDS[kind].place("")
