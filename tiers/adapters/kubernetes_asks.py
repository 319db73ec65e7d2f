"""Work that waits and the quotas it waits for, from one cluster's API.

Kueue's Workloads say it for gangs, conditions and container states for pods. A cluster without
Kueue answers 404 to its kinds, one whose rights do not reach them 403: what they would say is then
unknown, and pods are read all the same.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from kubernetes import client as kubernetes

from infra_console.cluster.client import client_for
from infra_console.cluster.errors import ClusterError, translated
from infra_console.cluster.objects import GPU, pod_state
from tiers.core.demand.gangs import RunningGang
from tiers.core.waiting import Ask, Release
from tiers.facts import FleetFacts

GROUP, VERSION = "kueue.x-k8s.io", "v1beta2"
PAGE_OBJECTS = 500
Items = list[dict[str, Any]]


def read_workloads(cluster: str) -> Items:
    """Kueue's Workloads; none where there is no Kueue or our rights do not reach them."""
    return _or_none(lambda: _custom(cluster, "workloads")) or []


def read_asks(cluster: str, facts: FleetFacts, workloads: Items) -> tuple[list[Ask], list[Release]]:
    """Everything of the cluster that waits for GPUs, gangs as one, and what ends by a deadline.

    Raises:
        ClusterError: pods cannot be read.
    """
    gangs = [ask for item in workloads if (ask := _workload_ask(item, facts)) is not None]
    pending = [p for p in pods_raw(cluster, phase="Pending") if pod_state(p).gpus]
    ends = [end for item in workloads if (end := _release(item, facts)) is not None]
    return gangs + _pod_asks(pending, facts), ends


def running_gangs(workloads: Items, facts: FleetFacts) -> list[RunningGang]:
    """The gangs that a queue has let in and that have not ended, by the name of their Job."""
    return [gang for item in workloads if (gang := _running_gang(item, facts)) is not None]


def read_quotas(cluster: str) -> dict[str, int] | None:
    """GPUs of nominal quota by ClusterQueue and of ResourceQuota by namespace; None: unreadable."""
    queues = _or_none(lambda: _custom(cluster, "clusterqueues"))
    limits = _limits(cluster)
    if queues is None and limits is None:
        return None
    found = {f"queue {q['metadata']['name']}": _nominal_gpus(q) for q in queues or ()}
    for item in limits or ():
        hard = (item.get("spec") or {}).get("hard") or {}
        if f"requests.{GPU}" in hard:
            name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            found[name] = _whole(hard[f"requests.{GPU}"])
    return found


def pods_raw(cluster: str, *, phase: str = "") -> Items:
    """Pods of the cluster as the API's JSON, in one phase or in all."""
    api = kubernetes.CoreV1Api(client_for(cluster))
    options = {"field_selector": f"status.phase={phase}"} if phase else {}
    return _pages(cluster, "list pods", api.list_pod_for_all_namespaces, **options)


# --- gangs ------------------------------------------------------------------------------------


def _workload_ask(item: Mapping[str, Any], facts: FleetFacts) -> Ask | None:
    meta, spec = item["metadata"], item.get("spec") or {}
    conditions = _conditions(item)
    gpus, per_pod = _gang_gpus(spec)
    if not gpus or {"Admitted", "Finished"} & _true(conditions):
        return None
    said = [str(c["message"]) for c in conditions.values()
            if c.get("status") == "False" and c.get("message")]  # fmt: skip
    if spec.get("active") is False:
        said.append("deactivated")
    return Ask(
        namespace=meta["namespace"],
        name=meta["name"],
        tier=facts.tier_of_namespace(meta["namespace"]),
        gpus=gpus,
        gpus_per_pod=per_pod,
        since=_time(meta.get("creationTimestamp")),
        priority=spec.get("priority"),
        queue=spec.get("queueName") or "",
        said=tuple(said),
    )


def _running_gang(item: Mapping[str, Any], facts: FleetFacts) -> RunningGang | None:
    meta, spec, conditions = item["metadata"], item.get("spec") or {}, _conditions(item)
    tier, true = facts.tier_of_namespace(meta["namespace"]), _true(conditions)
    if tier is None or "Admitted" not in true or "Finished" in true:
        return None
    release = _release(item, facts)
    owners = [o["name"] for o in meta.get("ownerReferences") or () if o.get("kind") == "Job"]
    return RunningGang(
        namespace=meta["namespace"],
        name=owners[0] if owners else meta["name"],
        tier=tier,
        gpus=_gang_gpus(spec)[0],
        priority=spec.get("priority"),
        started_at=_time(conditions["Admitted"].get("lastTransitionTime")),
        deadline_at=release.at if release else None,
    )


def _release(item: Mapping[str, Any], facts: FleetFacts) -> Release | None:
    """When an admitted gang ends at the latest; None where it has no deadline."""
    spec, conditions = item.get("spec") or {}, _conditions(item)
    tier = facts.tier_of_namespace(item["metadata"]["namespace"])
    limit_s, true = spec.get("maximumExecutionTimeSeconds"), _true(conditions)
    if not limit_s or tier is None or "Admitted" not in true or "Finished" in true:
        return None
    began = _time(conditions["Admitted"].get("lastTransitionTime"))
    gpus, _ = _gang_gpus(spec)
    return Release(began + timedelta(seconds=limit_s), tier, gpus) if began else None


def _gang_gpus(spec: Mapping[str, Any]) -> tuple[int, int]:
    """GPUs of a gang, and of its largest pod."""
    sets = spec.get("podSets") or ()
    per_pod = [_spec_gpus((s.get("template") or {}).get("spec") or {}) for s in sets]
    counts = [int(s.get("count") or 1) for s in sets]
    return sum(n * c for n, c in zip(per_pod, counts, strict=True)), max(per_pod, default=0)


def _conditions(item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = (item.get("status") or {}).get("conditions") or ()
    return {c.get("type", ""): c for c in found}


def _true(conditions: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {kind for kind, c in conditions.items() if c.get("status") == "True"}


# --- pods -------------------------------------------------------------------------------------


def _pod_asks(pending: Items, facts: FleetFacts) -> list[Ask]:
    gangs: dict[tuple[str, str], Items] = defaultdict(list)
    for pod in pending:
        state = pod_state(pod)
        job = state.labels.get("batch.kubernetes.io/job-name", "")
        gangs[state.namespace, job or state.name].append(pod)
    return [_pods_ask(namespace, name, pods, facts) for (namespace, name), pods in gangs.items()]


def _pods_ask(namespace: str, name: str, pods: Items, facts: FleetFacts) -> Ask:
    states = [pod_state(p) for p in pods]
    spec = pods[0].get("spec") or {}
    return Ask(
        namespace=namespace,
        name=name,
        tier=facts.tier_of_namespace(namespace),
        gpus=sum(s.gpus for s in states),
        gpus_per_pod=max(s.gpus for s in states),
        since=min((s.created_at for s in states if s.created_at), default=None),
        priority=spec.get("priority"),
        said=tuple(dict.fromkeys(words for p in pods for words in _pod_said(p))),
    )


def _pod_said(pod: Mapping[str, Any]) -> Iterator[str]:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            yield f"{waiting['reason']}: {waiting.get('message', container.get('image', ''))}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield str(condition.get("message") or condition.get("reason") or "not scheduled")


# --- reading ----------------------------------------------------------------------------------


def _limits(cluster: str) -> Items | None:
    def read() -> Items:
        api = kubernetes.CoreV1Api(client_for(cluster))
        return _pages(cluster, "list quotas", api.list_resource_quota_for_all_namespaces)

    return _or_none(read)


def _custom(cluster: str, plural: str) -> Items:
    api = kubernetes.CustomObjectsApi(client_for(cluster))
    return _pages(
        cluster, f"list {plural}", api.list_cluster_custom_object,
        group=GROUP, version=VERSION, plural=plural,
    )  # fmt: skip


def _pages(cluster: str, what: str, call: Callable[..., Any], **options: Any) -> Items:
    found: Items = []
    token = ""
    while True:
        more = {"_continue": token} if token else {}
        with translated(cluster, what):
            answer = call(**options, **more, limit=PAGE_OBJECTS, _preload_content=False)
            page = json.loads(answer.data)
        found += page.get("items") or []
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return found


def _or_none(read: Callable[[], Items]) -> Items | None:
    try:
        return read()
    except ClusterError:
        return None


def _nominal_gpus(queue: Mapping[str, Any]) -> int:
    return sum(
        _whole(resource.get("nominalQuota"))
        for group in (queue.get("spec") or {}).get("resourceGroups") or ()
        for flavor in group.get("flavors") or ()
        for resource in flavor.get("resources") or ()
        if resource.get("name") == GPU
    )


def _spec_gpus(spec: Mapping[str, Any]) -> int:
    return pod_state({"metadata": {"name": "", "namespace": ""}, "spec": spec}).gpus


def _whole(text: Any) -> int:
    """A quantity of GPUs; `1k` is a thousand."""
    raw = str(text or 0)
    return int(raw[:-1]) * 1000 if raw.endswith("k") else int(float(raw))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
