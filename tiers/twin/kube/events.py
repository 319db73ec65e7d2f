"""One Event in two versions: stored as core `v1`, and shown and taken as `events.k8s.io/v1` too.

Only names differ, but what is written through the newer API is checked more strictly, and of it
nothing but the series may be changed.
"""

from tiers.twin.kube.errors import invalid
from tiers.twin.kube.resources import EVENTS, EVENTS_V1, Obj, Resource
from tiers.twin.kube.values import Causes, bad, required

_CORE_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_NEW_NAMES = {core: new for new, core in _CORE_NAMES.items()}
_OLD_STYLE = ("firstTimestamp", "lastTimestamp", "count", "source")
_FROZEN = (
    "involvedObject", "reason", "message", "type", "eventTime", "action", "related",
    "reportingComponent", "reportingInstance", *_OLD_STYLE,
)  # fmt: skip
_WHO_AND_WHAT = {"reportingComponent": "reportingController", "reportingInstance": "",
                 "action": "", "reason": ""}  # fmt: skip
_LONGEST, _LONGEST_NOTE = 128, 1024


def stored_as(resource: Resource) -> Resource:
    """The kind that objects of a kind are kept under."""
    return EVENTS if resource is EVENTS_V1 else resource


def to_core(sent: Obj) -> Obj:
    """An `events.k8s.io/v1` event as it is stored."""
    named = {_CORE_NAMES.get(key, key): value for key, value in sent.items()}
    return named | {"apiVersion": EVENTS.api_version, "kind": EVENTS.kind}


def from_core(held: Obj) -> Obj:
    """A stored event as `events.k8s.io/v1` shows it."""
    named = {_NEW_NAMES.get(key, key): value for key, value in held.items()}
    return named | {"apiVersion": EVENTS_V1.api_version, "kind": EVENTS_V1.kind}


def core_selector(fields: str) -> str:
    """A field selector of the newer API in the names of the stored event."""
    return ",".join(_core_term(term) for term in fields.split(","))


def _core_term(term: str) -> str:
    for new in ("regarding", "reportingController"):
        if term.startswith((f"{new}.", f"{new}=", f"{new}!")):
            return _CORE_NAMES[new] + term.removeprefix(new)
    return term


def check(event: Obj) -> Causes:
    """What every event must keep to; one with an eventTime says who reports, and what was done."""
    causes = _place(event)
    if not event.get("eventTime"):
        return causes
    for key, told_as in _WHO_AND_WHAT.items():
        field, text = told_as or key, str(event.get(key) or "")
        if not text:
            causes.append(required(field))
        elif key != "reportingComponent" and len(text) > _LONGEST:
            causes.append(bad(field, "", f"can have at most {_LONGEST} characters"))
    if len(str(event.get("message") or "")) > _LONGEST_NOTE:
        causes.append(bad("message", "", f"can have at most {_LONGEST_NOTE} characters"))
    return causes


def _place(event: Obj) -> Causes:
    """An event lies with what it is about; one about a cluster-wide object in `default`."""
    about = (event.get("involvedObject") or {}).get("namespace", "")
    namespace = event["metadata"].get("namespace", "")
    wide = ("default", "kube-system") if event.get("eventTime") else ("default",)
    if (about and (about == namespace or event.get("eventTime"))) or (
        not about and namespace in wide
    ):
        return []
    return [bad("involvedObject.namespace", about, "does not match event.namespace")]


def refuse_loose(event: Obj) -> None:
    """Raise the 422 of a new event that the newer API does not take."""
    causes: Causes = [] if event.get("eventTime") else [required("eventTime")]
    if event.get("type") not in ("Normal", "Warning"):
        causes.append(bad("type", "", f"has invalid value: {event.get('type', '')}"))
    causes += [bad(key, "", "needs to be unset") for key in _OLD_STYLE if event.get(key)]
    _refuse(event, causes + check(event) + _series(event))


def refuse_change(before: Obj, after: Obj) -> None:
    """Raise the 422 of a change of more than the series."""
    changed = (key for key in _FROZEN if before.get(key) != after.get(key))
    _refuse(before, [bad(key, after.get(key), "field is immutable") for key in changed])


def _series(event: Obj) -> Causes:
    series = event.get("series")
    if not series:
        return []
    causes = [] if series.get("lastObservedTime") else [required("series.lastObservedTime")]
    few = int(series.get("count") or 0) < 2
    return causes + ([bad("series.count", "", "should be at least 2")] if few else [])


def _refuse(event: Obj, causes: Causes) -> None:
    if causes:
        raise invalid(EVENTS_V1, str(event["metadata"].get("name") or ""), causes)
