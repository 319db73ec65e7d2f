"""kube-state-metrics of the containers of a pod, ordinary and init ones alike."""

from collections.abc import Callable, Iterator

from tiers.twin.exporters.ksm.families import Family
from tiers.twin.exporters.ksm.values import resources, seconds, spec, status
from tiers.twin.exporters.text import Row, labels
from tiers.twin.kube.resources import Obj

Read = Callable[[Obj], Iterator[Row]]
INIT = "initContainers"
_EXPERIMENTAL = "EXPERIMENTAL"


def container_families(prefix: str, containers: str, statuses: str) -> tuple[Family, ...]:
    """Families named `kube_pod_<prefix>_…` of the containers at a key of a pod's spec."""

    def each(read: Read) -> Read:
        return lambda pod: _each(pod, statuses, read)

    def family(name: str, read: Read, *more: str, stability: str = "STABLE") -> Family:
        return Family(
            f"kube_pod_{prefix}_{name}", each(read), ("container", *more), stability=stability
        )

    restarts = f"kube_pod_{prefix}_status_restarts_total"
    more = ("restart_policy",) if containers == INIT else ()
    info = ("container", "image_spec", "image", "image_id", "container_id", *more)
    return (
        Family(f"kube_pod_{prefix}_info", lambda pod: _info(pod, containers, statuses),
               info),
        family("status_waiting", _in_state("waiting")),
        family("status_waiting_reason", _reason("state", "waiting"), "reason"),
        family("status_running", _in_state("running")),
        family("state_started", _started),
        family("status_terminated", _in_state("terminated")),
        family("status_terminated_reason", _reason("state", "terminated"), "reason",
               stability=_EXPERIMENTAL),
        family("status_last_terminated_reason", _reason("lastState", "terminated"), "reason",
               stability=_EXPERIMENTAL),
        family("status_last_terminated_exitcode", _last_exit_code, stability=_EXPERIMENTAL),
        family("status_last_terminated_timestamp", _last_finish, stability=_EXPERIMENTAL),
        family("status_ready", lambda c: iter([("", float(bool(c.get("ready"))))])),
        Family(restarts, each(lambda c: iter([("", float(c.get("restartCount") or 0))])),
               ("container",), "counter"),
        Family(f"kube_pod_{prefix}_resource_requests",
               lambda pod: _resources(pod, containers, "requests"),
               ("container", "node", "resource", "unit")),
        Family(f"kube_pod_{prefix}_resource_limits",
               lambda pod: _resources(pod, containers, "limits"),
               ("container", "node", "resource", "unit")),
    )  # fmt: skip


def _each(pod: Obj, statuses: str, read: Read) -> Iterator[Row]:
    for one in status(pod).get(statuses) or ():
        name = labels({"container": one["name"]})
        for pairs, number in read(one):
            yield f"{name},{pairs}" if pairs else name, number


def _info(pod: Obj, containers: str, statuses: str) -> Iterator[Row]:
    specs = {c["name"]: c for c in spec(pod).get(containers) or ()}
    for one in status(pod).get(statuses) or ():
        wanted = specs.get(one["name"], {})
        pairs = {
            "container": one["name"],
            "image_spec": wanted.get("image", ""),
            "image": one.get("image", ""),
            "image_id": one.get("imageID", ""),
            "container_id": one.get("containerID", ""),
        }
        if containers == INIT:
            pairs["restart_policy"] = wanted.get("restartPolicy", "")
        yield labels(pairs), 1.0


def _in_state(state: str) -> Read:
    return lambda c: iter([("", float(state in (c.get("state") or {})))])


def _reason(when: str, state: str) -> Read:
    def read(container: Obj) -> Iterator[Row]:
        reason = ((container.get(when) or {}).get(state) or {}).get("reason")
        if reason:
            yield labels({"reason": reason}), 1.0

    return read


def _started(container: Obj) -> Iterator[Row]:
    state = container.get("state") or {}
    found = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    if found:
        yield "", seconds(found)


def _last(container: Obj) -> Obj:
    return (container.get("lastState") or {}).get("terminated") or {}


def _last_exit_code(container: Obj) -> Iterator[Row]:
    if "exitCode" in _last(container):
        yield "", float(_last(container)["exitCode"])


def _last_finish(container: Obj) -> Iterator[Row]:
    if found := _last(container).get("finishedAt"):
        yield "", seconds(found)


def _resources(pod: Obj, containers: str, kind: str) -> Iterator[Row]:
    node = spec(pod).get("nodeName") or ""
    for one in spec(pod).get(containers) or ():
        where = labels({"container": one["name"], "node": node})
        for pairs, amount in resources((one.get("resources") or {}).get(kind)):
            yield f"{where},{pairs}", amount
