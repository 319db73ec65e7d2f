"""Every request to the API in kube-apiserver's audit format (audit.k8s.io/v1, JSON lines).

A ring in memory and, when a path is given, a file. Reads are logged at level `Metadata`, writes at
`Request` with what was sent. Requests that never got an answer are in it too: the annotation
`twin/fault` names why, `twin/applied` whether the write took effect; its code is then what the
client would have read, and 504 where nothing was done. `twin/cluster` says whose API it was.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

ROTATE_BYTES = 32 * 1024 * 1024
READ_VERBS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True)
class LoggedRequest:
    """One request as the server saw it; `code` is the HTTP status of its answer."""

    audit_id: str
    received_at: datetime
    completed_at: datetime
    cluster: str
    verb: str
    uri: str
    code: int
    user: str = ""
    groups: tuple[str, ...] = ()
    impersonated: str = ""
    source_ip: str = "127.0.0.1"
    user_agent: str = ""
    field_manager: str = ""
    dry_run: bool = False
    api_group: str = ""
    api_version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    message: str = ""
    reason: str = ""
    body: Any = None
    fault: str = ""
    applied: bool = False
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        return bool(self.resource) and self.verb not in READ_VERBS

    def event(self) -> dict[str, Any]:
        """The audit event; members without a value are left out, as Go's `omitempty` does."""
        found = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Request" if self.writes else "Metadata",
            "auditID": self.audit_id,
            "stage": "ResponseComplete",
            "requestURI": self.uri,
            "verb": self.verb,
            "user": _full({"username": self.user, "groups": list(self.groups)}),
            "impersonatedUser": _full({"username": self.impersonated}),
            "sourceIPs": [self.source_ip],
            "userAgent": self.user_agent,
            "objectRef": self._object() if self.resource else None,
            "responseStatus": self._response(),
            "requestObject": self.body if self.writes else None,
            "requestReceivedTimestamp": micro_time(self.received_at),
            "stageTimestamp": micro_time(self.completed_at),
            "annotations": self._annotations(),
        }
        return _full(found)

    def _object(self) -> dict[str, Any]:
        sent = self.body.get("metadata") if isinstance(self.body, dict) else None
        sent = sent if isinstance(sent, dict) else {}
        return _full(
            {
                "resource": self.resource,
                "namespace": self.namespace,
                "name": self.name,
                "uid": sent.get("uid"),
                "apiGroup": self.api_group,
                "apiVersion": self.api_version,
                "resourceVersion": sent.get("resourceVersion"),
                "subresource": self.subresource,
            }
        )

    def _response(self) -> dict[str, Any]:
        failed = {"status": "Failure", "message": self.message, "reason": self.reason}
        return {"metadata": {}, **_full(failed if self.code >= 400 else {}), "code": self.code}

    def _annotations(self) -> dict[str, str]:
        found = {"twin/cluster": self.cluster, **self.annotations}
        if self.fault:
            found |= {"twin/fault": self.fault, "twin/applied": str(self.applied).lower()}
        return found


def micro_time(moment: datetime) -> str:
    """`2026-11-24T00:00:00.000000Z`, as `metav1.MicroTime` is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _full(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value not in (None, "", [], {})}


class RequestLog:
    """The last `keep` requests in memory; the file keeps one older generation of 32 MiB."""

    def __init__(self, path: Path | None = None, *, keep: int = 10_000) -> None:
        self.recent: deque[LoggedRequest] = deque(maxlen=keep)
        self._path = path
        self._file: TextIO | None = None

    def append(self, request: LoggedRequest) -> None:
        self.recent.append(request)
        if self._path is None:
            return
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._file.write(json.dumps(request.event(), separators=(",", ":")) + "\n")
        if self._file.tell() > ROTATE_BYTES:
            self.close()
            self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
