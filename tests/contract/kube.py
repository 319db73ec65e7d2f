"""The API in its own terms: verbs on paths, plain JSON in and out, through the official client.

Typed models hide what a contract is about (absent fields, Status bodies, status codes), so the
suite sends and reads JSON over the client's own connection, authentication included.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import urllib3
from kubernetes import client

from tests.contract.kinds import Kind

Obj = dict[str, Any]
JSON = "application/json"
T = TypeVar("T")
PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
TIMEOUT_S = 35.0


class Refused(Exception):
    """An answer outside 2xx: its code, and the `Status` object that came with it."""

    def __init__(self, code: int, text: str, headers: dict[str, str]) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.headers = headers

    @property
    def body(self) -> Obj:
        return json.loads(self.text)

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def details(self) -> Obj:
        return self.body.get("details") or {}

    @property
    def causes(self) -> list[Obj]:
        return self.details.get("causes") or []


@dataclass
class Kube:
    """One account's way into one cluster. Keyword arguments are query parameters."""

    api: client.ApiClient
    headers: dict[str, str] = field(default_factory=dict)
    _served: dict[str, frozenset[str]] = field(default_factory=dict)

    def send(
        self, method: str, path: str, body: Any = None, content_type: str = JSON, **query: Any
    ) -> tuple[int, Obj]:
        """One request; the code and the body of the answer. Raises Refused."""
        with self._open(method, path, body, content_type, query) as response:
            text = response.data.decode()
        return response.status, json.loads(text)

    @contextmanager
    def _open(
        self, method: str, path: str, body: Any, content_type: str, query: dict[str, Any]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {"Accept": JSON, "Content-Type": content_type, **self.headers}
        asked = [(key, _text(value)) for key, value in query.items() if value is not None]
        request = self.api.param_serialize(
            method,
            path,
            query_params=asked,
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self.api.call_api(*request, _request_timeout=(5.0, TIMEOUT_S))
        response = answer.response
        try:
            if not 200 <= response.status < 300:
                raise Refused(response.status, response.data.decode(), dict(response.headers))
            yield response
        finally:
            response.release_conn()

    def create(self, kind: Kind, namespace: str, body: Obj, **query: Any) -> Obj:
        return self.send("POST", kind.path(namespace), _typed(kind, body), **query)[1]

    def get(self, kind: Kind, namespace: str, name: str, sub: str = "", **query: Any) -> Obj:
        return self.send("GET", kind.path(namespace, name, sub), **query)[1]

    def find(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """The object, or None where there is none."""
        try:
            return self.get(kind, namespace, name)
        except Refused as refused:
            if refused.code == 404:
                return None
            raise

    def listed(self, kind: Kind, namespace: str = "", **query: Any) -> Obj:
        return self.send("GET", kind.path(namespace), **query)[1]

    def items(self, kind: Kind, namespace: str = "", **query: Any) -> list[Obj]:
        return self.listed(kind, namespace, **query)["items"]

    def replace(
        self, kind: Kind, namespace: str, name: str, body: Obj, sub: str = "", **query: Any
    ) -> Obj:
        return self.send("PUT", kind.path(namespace, name, sub), body, **query)[1]

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Any,
        how: str = "merge",
        sub: str = "",
        **query: Any,
    ) -> Obj:
        path = kind.path(namespace, name, sub)
        return self.send("PATCH", path, body, PATCH_TYPES[how], **query)[1]

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Obj, manager: str, **query: Any
    ) -> Obj:
        """Server-side apply of the fields in `body`."""
        whole = _typed(kind, body)
        whole["metadata"] = {"name": name, **(body.get("metadata") or {})}
        return self.patch(kind, namespace, name, whole, "apply", fieldManager=manager, **query)

    def delete(
        self, kind: Kind, namespace: str, name: str, options: Obj | None = None, **query: Any
    ) -> Obj:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
        return self.send("DELETE", kind.path(namespace, name), body, **query)[1]

    def evict(self, namespace: str, pod: str, options: Obj | None = None, **query: Any) -> Obj:
        body: Obj = {"apiVersion": "policy/v1", "kind": "Eviction"}
        body["metadata"] = {"name": pod, "namespace": namespace}
        body |= {"deleteOptions": options} if options else {}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        return self.send("POST", path, body, **query)[1]

    def watch(
        self, kind: Kind, namespace: str = "", *, timeout_s: int = 10, **query: Any
    ) -> Iterator[Obj]:
        """Watch events as they come; ends when the server ends the stream. Raises Refused."""
        asked = {"watch": True, "timeoutSeconds": timeout_s, **query}
        with self._open("GET", kind.path(namespace), None, JSON, asked) as response:
            try:
                yield from _lines(response)
            finally:
                response.close()

    def serves(self, kind: Kind) -> bool:
        """Whether discovery lists the kind."""
        if kind.group_version not in self._served:
            self._served[kind.group_version] = self._discovered(kind)
        return kind.plural in self._served[kind.group_version]

    def _discovered(self, kind: Kind) -> frozenset[str]:
        root = "/apis/" if kind.group else "/api/"
        try:
            _, found = self.send("GET", root + kind.group_version)
        except Refused as refused:
            if refused.code == 404:
                return frozenset()
            raise
        return frozenset(entry["name"] for entry in found["resources"])

    def bind(self, namespace: str, pod: str, node: str) -> tuple[int, Obj]:
        """Put a pod on a node, as a scheduler does."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        return self.send("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/binding", body)

    def accepting(self, form: str) -> "Kube":
        """The same account, asking for objects in another form."""
        return Kube(self.api, {**self.headers, "Accept": form})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _typed(kind: Kind, body: Obj) -> Obj:
    return {"apiVersion": kind.group_version, "kind": kind.kind, **body}


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Obj]:
    held = b""
    for chunk in response.stream(amt=None, decode_content=True):
        *whole, held = (held + chunk).split(b"\n")
        yield from (json.loads(line) for line in whole if line.strip())
    if held.strip():
        yield json.loads(held)


@contextmanager
def refused(code: int) -> Iterator[Any]:
    """The block's request is refused with this code; `.value` is the Refused."""
    with pytest.raises(Refused) as caught:
        yield caught
    assert caught.value.code == code, caught.value.text


def until(look: Callable[[], T], what: str, *, within_s: float) -> T:
    """Look until there is something to see; a write shows in a watch, a status or a list later."""
    ends_at = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > ends_at:
            pytest.fail(f"within {within_s:g} s: {what} (last seen: {seen!r})")
        time.sleep(0.04)


def condition(obj: Obj, kind: str) -> Obj:
    """One of an object's conditions; empty when it has none of that type."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in found if c["type"] == kind), {})


def is_true(obj: Obj, kind: str) -> bool:
    return condition(obj, kind).get("status") == "True"
