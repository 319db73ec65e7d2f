"""One cluster's API as an aiohttp handler: authentication, routing, answers, the request log."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tiers.twin.kube import access, discovery, eviction, reads, requests, scale, verbs
from tiers.twin.kube.errors import ApiError, bad_request, internal, method_not_allowed, no_such_path
from tiers.twin.kube.request_log import LoggedRequest, RequestLog
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.selectors import matcher
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.verbs import Write

PUBLIC = {"/healthz": "ok", "/readyz": "ok", "/livez": "ok"}
MAX_WATCH_S = 1800.0
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Faults:
    """What is made to go wrong at this cluster's API; `partition` is the server's business."""

    latency_s: float = 0.0


@dataclass
class ClusterApi:
    """The API of one cluster."""

    store: ClusterStore
    accounts: Sequence[access.Account]
    log: RequestLog
    clock: Clock = utc_now
    faults: Faults = field(default_factory=Faults)

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure is a Status object, and everything is logged."""
        call = Call(self, http)
        if self.faults.latency_s > 0:
            await asyncio.sleep(self.faults.latency_s)
        try:
            return await call.answer()
        except ApiError as err:
            return call.reply(err.status(), err.code, err.headers())
        finally:
            self.log.append(call.logged())


class Call:
    """One request on its way through; what is known of it so far goes into the log."""

    def __init__(self, api: ClusterApi, http: web.BaseRequest) -> None:
        self.api, self.http = api, http
        self.at = api.clock()
        self.user, self.verb, self.code = "", http.method.lower(), 500
        self.target: requests.Target | None = None
        self.dry_run = False
        self.user_agent = http.headers.get("User-Agent", "")

    async def answer(self) -> web.StreamResponse:
        path = self.http.path.rstrip("/")
        if path in PUBLIC:
            self.code = 200
            return web.Response(text=PUBLIC[path])
        if path == "/version":
            return self.reply(discovery.VERSION)
        account = access.authenticate(self.api.accounts, self.http.headers.get("Authorization"))
        self.user = account.name
        if (found := discovery.answer(path)) is not None:
            if self.http.method != "GET":
                raise method_not_allowed()
            return self.reply(found)
        if path.startswith("/apis/authorization.k8s.io/v1/"):
            return await self._review(account, path.rsplit("/", 1)[1])
        return await self._resource(account)

    async def _review(self, account: access.Account, plural: str) -> web.StreamResponse:
        reviews = dict(
            zip(discovery.REVIEWS, (access.self_subject_access_review,
                                    access.self_subject_rules_review), strict=True)
        )  # fmt: skip
        if plural not in reviews:
            raise no_such_path()
        if self.http.method != "POST":
            raise method_not_allowed()
        body = await self._body()
        if not isinstance(body, dict):
            raise bad_request("a review needs a body")
        return self.reply(reviews[plural](account, body), 201)

    async def _resource(self, account: access.Account) -> web.StreamResponse:
        query, target = self.http.query, requests.read_path(self.http.path)
        self.target = target
        self.verb = requests.verb_of(self.http.method, target, query)
        access.authorize(
            account,
            self.verb,
            target.resource,
            target.subresource,
            namespace=target.namespace,
            name=target.name,
        )
        if self.verb == "watch":
            return await self._watch()
        if self.verb == "list":
            limit = requests.number(query, "limit") or 0
            return self.reply(reads.list_objects(self._query(), limit, query.get("continue", "")))
        body = await self._body() if self.verb != "get" else None
        self.dry_run = requests.dry_run_of(query, body if self._has_options() else None)
        return self._act(self._write(), body)

    def _has_options(self) -> bool:
        subresource = self.target.subresource if self.target else ""
        return self.verb == "delete" or subresource == "eviction"

    async def _body(self) -> Any:
        return requests.read_body(await self.http.read(), self.http.content_type)

    def _write(self) -> Write:
        if self.target is None:
            raise internal("no target")
        return Write(
            store=self.api.store,
            resource=self.target.resource,
            namespace=self.target.namespace,
            name=self.target.name,
            now=self.at,
            subresource=self.target.subresource,
            manager=self._manager(),
            dry_run=self.dry_run,
        )

    def _manager(self) -> str:
        given = self.http.query.get("fieldManager", "")
        if not given and self.http.content_type in verbs.APPLY_PATCHES:
            return "unknown"
        return requests.manager_of(self.http.query, self.user_agent)

    def _act(self, write: Write, body: Any) -> web.StreamResponse:
        if write.subresource == "eviction":
            return self.reply(eviction.evict(write, body), 201)
        if write.subresource == "scale":
            return self.reply(self._scale(write, body))
        if self.verb == "create":
            return self.reply(verbs.create(write, body), 201)
        return self.reply(self._on_object(write, body))

    def _on_object(self, write: Write, body: Any) -> Obj:
        match self.verb:
            case "get":
                return write.store.get(write.resource, write.namespace, write.name)
            case "update":
                return verbs.replace(write, body)
            case "delete":
                return verbs.delete(write, _options(body, self.http.query))
            case _:
                return self._patched(write, body)

    def _patched(self, write: Write, body: Any) -> Obj:
        force = self.http.query.get("force", "").lower() == "true"
        return verbs.patch(write, self.http.content_type, body, force=force)

    def _scale(self, write: Write, body: Any) -> Obj:
        if self.verb == "get":
            return scale.read(write)
        if self.verb == "update":
            return scale.replace(write, body)
        return scale.patch(write, self.http.content_type, body)

    def _query(self) -> reads.Query:
        if self.target is None:
            raise internal("no target")
        labels = self.http.query.get("labelSelector", "")
        fields = self.http.query.get("fieldSelector", "")
        return reads.Query(
            store=self.api.store,
            resource=self.target.resource,
            namespace=self.target.namespace,
            matches=matcher(self.target.resource, labels, fields),
            selective=bool(labels or fields),
            revision=requests.number(self.http.query, "resourceVersion"),
        )

    async def _watch(self) -> web.StreamResponse:
        query, asked = self._query(), requests.number(self.http.query, "timeoutSeconds")
        bookmarks = self.http.query.get("allowWatchBookmarks", "").lower() in ("1", "true")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        self.code = 200
        await response.prepare(self.http)
        events = reads.watch(
            query, timeout_s=min(asked or MAX_WATCH_S, MAX_WATCH_S), bookmarks=bookmarks
        )
        try:
            async for event in events:
                await response.write(_encode(event) + b"\n")
            await response.write_eof()
        except ConnectionError:
            pass  # the watcher went away; its next list tells it everything
        finally:
            await events.aclose()
        return response

    def reply(
        self, body: Obj, code: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        self.code = code
        return web.Response(
            body=_encode(body), status=code, headers=headers, content_type="application/json"
        )

    def logged(self) -> LoggedRequest:
        target = self.target
        return LoggedRequest(
            at=self.at.isoformat(timespec="milliseconds"),
            cluster=self.api.store.cluster,
            verb=self.verb,
            resource=target.resource.plural if target else self.http.path,
            namespace=target.namespace if target else "",
            name=target.name if target else "",
            subresource=target.subresource if target else "",
            user=self.user,
            user_agent=self.user_agent,
            field_manager=self.http.query.get("fieldManager", ""),
            dry_run=self.dry_run,
            code=self.code,
        )


def _options(body: Any, query: Mapping[str, str]) -> Obj:
    options = body if isinstance(body, dict) else {}
    grace_s = requests.number(query, "gracePeriodSeconds")
    if grace_s is not None:
        options = {**options, "gracePeriodSeconds": grace_s}
    return options


def _encode(body: Obj) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
