"""Event objects for what people look at: one per object, reason and message, with a count.

Like a real API server's, they are forgotten an hour after they were last seen.
"""

import hashlib
from datetime import datetime

from tiers.twin.kube.resources import EVENTS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

TTL_S = 3600.0
SWEEP_EVERY_S = 60
_SWEPT = "events-swept-s"


def record(
    store: ClusterStore,
    about: Obj,
    reason: str,
    message: str,
    now: datetime,
    *,
    by: str,
    warning: bool = False,
    once: bool = False,
) -> None:
    """Say that something happened to an object; `once` does not count what was said before."""
    metadata = about["metadata"]
    namespace = metadata.get("namespace") or "default"
    words = f"{metadata['uid']} {reason} {message}"
    name = f"{metadata['name']}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"
    held = store.find(EVENTS, namespace, name)
    if held is None:
        made = _event(about, namespace, name, reason, message, now, by, warning=warning)
        store.create(EVENTS, made, now)
    elif not once:
        again = {"count": held["count"] + 1, "lastTimestamp": rfc3339(now)}
        store.put(EVENTS, held | again)


def _event(
    about: Obj,
    namespace: str,
    name: str,
    reason: str,
    message: str,
    now: datetime,
    by: str,
    *,
    warning: bool,
) -> Obj:
    metadata, at = about["metadata"], rfc3339(now)
    involved = {"apiVersion": about["apiVersion"], "kind": about["kind"]}
    involved |= {k: metadata[k] for k in ("namespace", "name", "uid") if metadata.get(k)}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "eventTime": None,
        "source": {"component": by},
        "reportingComponent": by,
        "reportingInstance": "",
    }


def tick(store: ClusterStore, now: datetime) -> None:
    """Forget what has not been seen for an hour; looked at once a minute."""
    now_s = int(now.timestamp())
    if now_s - store.counters.get(_SWEPT, 0) < SWEEP_EVERY_S:
        return
    store.counters[_SWEPT] = now_s
    for event in store.all(EVENTS):
        metadata = event["metadata"]
        seen = event.get("lastTimestamp") or metadata["creationTimestamp"]
        if (now - parse_time(seen)).total_seconds() >= TTL_S:
            store.remove(EVENTS, metadata["namespace"], metadata["name"])
