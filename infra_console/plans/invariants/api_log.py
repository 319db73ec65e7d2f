"""A kube-apiserver's audit log (audit.k8s.io/v1, JSON lines) as the writes that reached it.

A request is ours by its user agent or field manager. It took effect when it was answered below 300
and was no dry run; the simulated cluster also says so of an answer that was lost on the way. Log
writes at level `Request` or above: without bodies floors cannot be replayed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from infra_console.plans.invariants.history import Request

OURS = "infra-console"
READS = frozenset({"get", "list", "watch"})
STAGES = frozenset({"ResponseComplete", "Panic"})
CLUSTER = "twin/cluster"
APPLIED = "twin/applied"


class LogUnreadable(Exception):
    """A line is not an audit event."""


def read_requests(lines: Iterable[str], *, cluster: str = "") -> list[Request]:
    """The writes of one log. `cluster` is whose log it is, where its lines do not say.

    Raises:
        LogUnreadable: a line is not an audit event, by its number.
    """
    return list(_requests(lines, cluster))


def _requests(lines: Iterable[str], cluster: str) -> Iterator[Request]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            if _counts(event):
                yield request_of(event, cluster=cluster)
        except (ValueError, KeyError, AttributeError, TypeError) as err:
            raise LogUnreadable(f"line {number} is no audit event: {err}") from err


def _counts(event: Mapping[str, Any]) -> bool:
    if event["kind"] != "Event":
        raise ValueError(f"kind {event['kind']!r}")
    finished = event.get("stage") in STAGES
    return finished and bool(event.get("objectRef")) and event["verb"] not in READS


def request_of(event: Mapping[str, Any], *, cluster: str = "") -> Request:
    """One write from its event."""
    seen, notes = event["objectRef"], event.get("annotations") or {}
    query = parse_qs(urlsplit(event.get("requestURI", "")).query)
    agent = event.get("userAgent", "").split("/")[0]
    body = event.get("requestObject")
    return Request(
        at=_moment(event["requestReceivedTimestamp"]),
        cluster=notes.get(CLUSTER, cluster),
        verb=event["verb"],
        resource=seen["resource"],
        namespace=seen.get("namespace", ""),
        name=seen.get("name") or _named(body),
        subresource=seen.get("subresource", ""),
        body=body,
        took_effect=_took_effect(event, notes, query),
        ours=OURS in (agent, *query.get("fieldManager", ())),
    )


def _named(body: Any) -> str:
    """A create names its object in the body alone."""
    return str(body.get("metadata", {}).get("name", "")) if isinstance(body, dict) else ""


def _took_effect(
    event: Mapping[str, Any], notes: Mapping[str, str], query: Mapping[str, list[str]]
) -> bool:
    if "All" in query.get("dryRun", ()):
        return False
    if APPLIED in notes:
        return notes[APPLIED] == "true"
    return 0 < int((event.get("responseStatus") or {}).get("code", 0)) < 300


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
