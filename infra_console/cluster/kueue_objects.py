"""Kueue's objects (`kueue.x-k8s.io/v1beta2`) as the console needs them, from the API's JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from infra_console.cluster.managers import Manager, other_owners

FlavorResource = tuple[str, str]
SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20}


@dataclass(frozen=True, slots=True)
class QuotaState:
    """The nominal quota of one resource of one flavour. `raw` is the value as the server keeps it:
    8 and "8" are one amount and two values. `path` leads to the resource in the object."""

    flavor: str
    resource: str
    amount: int
    raw: Any
    flavor_path: str
    path: str


@dataclass(frozen=True, slots=True)
class ClusterQueueState:
    """A ClusterQueue. `reserved` and `borrowed` are its status; `observed` says that this status is
    of the current spec, as far as Kueue tells. `owners` are the others who own resourceGroups."""

    name: str
    uid: str
    annotations: Mapping[str, str]
    quotas: tuple[QuotaState, ...]
    reserved: Mapping[FlavorResource, int]
    borrowed: Mapping[FlavorResource, int]
    cohort: str
    active: bool
    why_inactive: str
    observed: bool
    owners: tuple[Manager, ...]
    resource_version: str

    def quota(self, flavor: str, resource: str) -> QuotaState | None:
        found = (q for q in self.quotas if (q.flavor, q.resource) == (flavor, resource))
        return next(found, None)

    def total(self, resource: str) -> int:
        return sum(q.amount for q in self.quotas if q.resource == resource)


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """A Workload: one gang to Kueue. `usage` is what it holds; `owners` are the others who own
    `spec.active`; `cluster_queue` is empty while it holds no quota."""

    namespace: str
    name: str
    uid: str
    annotations: Mapping[str, str]
    local_queue: str
    cluster_queue: str
    active: bool
    reserved: bool
    admitted: bool
    requeued: bool | None
    finished: bool
    usage: Mapping[FlavorResource, int]
    job_kind: str
    job_name: str
    owners: tuple[Manager, ...]
    resource_version: str

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class FlavorState:
    """A ResourceFlavor: the nodes that carry all its labels."""

    name: str
    node_labels: Mapping[str, str]

    def covers(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.node_labels.items())


def cluster_queue_state(item: Mapping[str, Any]) -> ClusterQueueState:
    meta, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    active = _condition(status, "Active")
    seen = active.get("observedGeneration")
    held = status.get("flavorsReservation") or ()
    return ClusterQueueState(
        name=meta["name"],
        uid=meta.get("uid", ""),
        annotations=meta.get("annotations") or {},
        quotas=tuple(_quotas(spec)),
        reserved=_amounts(held, "total"),
        borrowed=_amounts(held, "borrowed"),
        cohort=spec.get("cohortName") or "",
        active=active.get("status") == "True",
        why_inactive=str(active.get("message") or active.get("reason") or "it has no status yet"),
        observed=bool(active) and (seen is None or seen >= int(meta.get("generation") or 0)),
        owners=other_owners(item, ("spec", "resourceGroups")),
        resource_version=meta.get("resourceVersion", ""),
    )


def workload_state(item: Mapping[str, Any]) -> WorkloadState:
    meta, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    owners = meta.get("ownerReferences") or ()
    owner: Mapping[str, Any] = next((o for o in owners if o.get("controller")), {})
    admission = status.get("admission") or {}
    requeued = _condition(status, "Requeued").get("status")
    return WorkloadState(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta.get("uid", ""),
        annotations=meta.get("annotations") or {},
        local_queue=spec.get("queueName") or "",
        cluster_queue=admission.get("clusterQueue") or "",
        active=spec.get("active", True) is not False,
        reserved=_is_true(status, "QuotaReserved"),
        admitted=_is_true(status, "Admitted"),
        requeued=None if requeued is None else requeued == "True",
        finished=_is_true(status, "Finished"),
        usage=_usage(admission),
        job_kind=owner.get("kind", ""),
        job_name=owner.get("name", ""),
        owners=other_owners(item, ("spec", "active")),
        resource_version=meta.get("resourceVersion", ""),
    )


def flavor_state(item: Mapping[str, Any]) -> FlavorState:
    spec = item.get("spec") or {}
    return FlavorState(item["metadata"]["name"], spec.get("nodeLabels") or {})


def amount(text: Any) -> int:
    """A whole Kubernetes quantity. Raises ValueError for one that is not."""
    word = str(text)
    number = word.rstrip("kKMi")
    factor = SUFFIXES.get(word[len(number) :])
    try:
        value = Decimal(number) * factor if factor else None
    except InvalidOperation:
        value = None
    if value is None or value != value.to_integral_value():
        raise ValueError(f"{word!r} is no whole number of GPUs")
    return int(value)


def _quotas(spec: Mapping[str, Any]) -> Iterator[QuotaState]:
    """Those that count whole things; CPU and memory are nobody's here to move."""
    for g, group in enumerate(spec.get("resourceGroups") or ()):
        for f, flavor in enumerate(group.get("flavors") or ()):
            place = f"/spec/resourceGroups/{g}/flavors/{f}"
            for r, resource in enumerate(flavor.get("resources") or ()):
                raw = resource["nominalQuota"]
                if (number := _whole(raw)) is not None:
                    yield QuotaState(
                        flavor=flavor["name"],
                        resource=resource["name"],
                        amount=number,
                        raw=raw,
                        flavor_path=place,
                        path=f"{place}/resources/{r}",
                    )


def _whole(raw: Any) -> int | None:
    try:
        return amount(raw)
    except ValueError:
        return None


def _amounts(flavors: Any, field: str) -> dict[FlavorResource, int]:
    """Of a status; a field that is left out is zero to Kueue."""
    found: dict[FlavorResource, int] = {}
    for flavor in flavors:
        for resource in flavor.get("resources") or ():
            if (number := _whole(resource.get(field, 0))) is not None:
                found[flavor["name"], resource["name"]] = number
    return found


def _usage(admission: Mapping[str, Any]) -> dict[FlavorResource, int]:
    held: dict[FlavorResource, int] = {}
    for part in admission.get("podSetAssignments") or ():
        for resource, flavor in (part.get("flavors") or {}).items():
            number = _whole((part.get("resourceUsage") or {}).get(resource, 0))
            if number is not None:
                held[flavor, resource] = held.get((flavor, resource), 0) + number
    return held


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _is_true(status: Mapping[str, Any], kind: str) -> bool:
    return _condition(status, kind).get("status") == "True"
