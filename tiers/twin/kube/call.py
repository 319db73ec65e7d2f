"""One request on its way through: who asks for what, the verb that does it, and the answer."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tiers.twin.kube import (
    access,
    discovery,
    eviction,
    quota,
    reads,
    requests,
    scale,
    updates,
    verbs,
)
from tiers.twin.kube.errors import (
    ApiError,
    NoSuchPath,
    bad_request,
    internal,
    method_not_allowed,
    unauthorized,
)
from tiers.twin.kube.faults import Match
from tiers.twin.kube.request_log import LoggedRequest
from tiers.twin.kube.resources import QUOTAS, Obj
from tiers.twin.kube.selectors import matcher
from tiers.twin.kube.verbs import Write

if TYPE_CHECKING:
    from tiers.twin.kube.handler import ClusterApi

PUBLIC = {"/healthz": "ok", "/readyz": "ok", "/livez": "ok"}
MAX_WATCH_S = 1800.0
REVIEWS: dict[str, Callable[[access.Account, Obj], Obj]] = {
    "selfsubjectaccessreviews": access.self_subject_access_review,
    "selfsubjectrulesreviews": access.self_subject_rules_review,
    "selfsubjectreviews": access.self_subject_review,
}


class Call:
    """One request; what is known of it so far goes into the log."""

    def __init__(self, api: "ClusterApi", http: web.BaseRequest) -> None:
        self.api, self.http = api, http
        self.received_at = api.clock()
        self.audit_id = str(uuid.uuid4())
        self.account: access.Account | None = None
        self.target: requests.Target | None = None
        self.verb, self.code = http.method.lower(), 500
        self.dry_run, self.body, self.authorized = False, None, True
        self.refused: ApiError | NoSuchPath | None = None
        self.made_name = ""
        self.fault, self.applied = "", False
        self.warnings: list[str] = []
        self.user_agent = http.headers.get("User-Agent", "")
        self._identify()

    def _identify(self) -> None:
        """Find out who asks for what; what is wrong with that is kept until it is answered."""
        path = self.http.path.rstrip("/")
        try:
            if path in PUBLIC or path == "/version":
                return
            header = self.http.headers.get("Authorization")
            self.account = access.authenticate(self.api.accounts, header)
            if self._is_discovery(path) or self._review():
                return
            self.target = requests.read_path(self.http.path)
            self.verb = requests.verb_of(self.http.method, self.target, self.http.query)
        except (ApiError, NoSuchPath) as err:
            self.refused = err

    def _is_discovery(self, path: str) -> bool:
        return discovery.answer(path) is not None

    def _review(self) -> str:
        parts = self.http.path.strip("/").split("/")
        return parts[-1] if len(parts) == 4 and parts[-1] in REVIEWS else ""

    @property
    def match(self) -> Match:
        """This request as faults see it."""
        target = self.target
        return Match(
            self.verb,
            target.resource.plural if target else "",
            target.subresource if target else "",
            target.namespace if target else "",
            target.name if target else "",
            self.account.name if self.account else "",
        )

    # Answering

    async def answer(self) -> web.StreamResponse:
        path = self.http.path.rstrip("/")
        if self.refused is not None:
            raise self.refused
        if path in PUBLIC:
            self.code = 200
            return web.Response(text=PUBLIC[path])
        if path == "/version":
            return self.reply(discovery.VERSION)
        if (found := discovery.answer(path)) is not None:
            if self.http.method != "GET":
                raise method_not_allowed()
            return self.reply(found)
        if self._review():
            return await self._answer_review()
        return await self._answer_resource()

    async def _answer_review(self) -> web.StreamResponse:
        if self.http.method != "POST":
            raise method_not_allowed()
        self.body, self.verb = await self._read_body(), "create"
        if not isinstance(self.body, dict) or self.account is None:
            raise bad_request("a review needs a body")
        return self.reply(REVIEWS[self._review()](self.account, self.body), 201)

    async def _answer_resource(self) -> web.StreamResponse:
        query, target = self.http.query, self._target()
        self._authorize(target)
        requests.check_accept(self.http.headers.get("Accept", ""))
        if target.resource is QUOTAS:
            quota.sync_all(self.api.store, target.namespace)
        if self.verb == "watch":
            return await self._watch()
        if self.verb == "list":
            return self.reply(self._list())
        self.body = await self._read_body() if self.verb != "get" else None
        options = self.body if self._has_options() else None
        self.dry_run = requests.dry_run_of(query, self.verb, options)
        return self._act(self._write(), self.body)

    def _authorize(self, target: requests.Target) -> None:
        if self.account is None:
            raise unauthorized()
        self.authorized = False
        access.authorize(
            self.account,
            self.verb,
            target.resource,
            target.subresource,
            namespace=target.namespace,
            name=target.name,
        )
        self.authorized = True

    def _target(self) -> requests.Target:
        if self.target is None:
            raise internal("no target")
        return self.target

    def _has_options(self) -> bool:
        subresource = self.target.subresource if self.target else ""
        return self.verb in ("delete", "deletecollection") or subresource == "eviction"

    async def _read_body(self) -> Any:
        if self.http.method in ("POST", "PUT"):
            requests.check_body_type(self.http.headers.get("Content-Type", ""))
        return requests.read_body(await self.http.read(), self.http.content_type)

    async def sent(self) -> Any:
        """What came with a request that is not answered, for the log; None when unreadable."""
        try:
            return requests.read_body(await self.http.read(), self.http.content_type)
        except ApiError:
            return None

    def _write(self) -> Write:
        target = self._target()
        return Write(
            store=self.api.store,
            resource=target.resource,
            namespace=target.namespace,
            name=target.name,
            now=self.api.now(),
            subresource=target.subresource,
            manager=self._manager(),
            dry_run=self.dry_run,
            validation=requests.validation_of(self.http.query, self.verb),
            warnings=self.warnings,
        )

    def _manager(self) -> str:
        given = self.http.query.get("fieldManager", "")
        if not given and self.http.content_type == updates.APPLY_PATCH:
            return updates.NO_MANAGER
        return requests.manager_of(self.http.query, self.user_agent)

    def _act(self, write: Write, body: Any) -> web.StreamResponse:
        if write.subresource == "eviction":
            return self.reply(eviction.evict(write, body), 201)
        if write.subresource == "scale":
            return self.reply(self._scale(write, body))
        if self.verb == "create":
            made = verbs.create(write, body)
            self.made_name = made["metadata"]["name"]
            return self.reply(made, 201)
        if self.verb == "deletecollection":
            return self.reply(self._delete_collection(write, body))
        held = write.store.find(write.resource, write.namespace, write.name)
        done = self._on_object(write, body)
        return self.reply(done, 201 if held is None else 200)

    def _on_object(self, write: Write, body: Any) -> Obj:
        match self.verb:
            case "get":
                return write.store.get(write.resource, write.namespace, write.name)
            case "update":
                return updates.replace(write, body)
            case "delete":
                return verbs.delete(write, _options(body, self.http.query))
            case _:
                applies = self.http.content_type == updates.APPLY_PATCH
                requests.check_patch_options(self.http.query, applies=applies)
                return updates.patch(write, self.http.content_type, body, force=self._force())

    def _force(self) -> bool:
        return self.http.query.get("force", "").lower() in ("1", "true")

    def _scale(self, write: Write, body: Any) -> Obj:
        if self.verb == "get":
            return scale.read(write)
        if self.verb == "update":
            return scale.replace(write, body)
        return scale.patch(write, self.http.content_type, body, force=self._force())

    def _delete_collection(self, write: Write, body: Any) -> Obj:
        query = self._query()
        found = [o for o in write.store.all(query.resource, query.namespace) if query.matches(o)]
        gone = verbs.delete_collection(write, found, _options(body, self.http.query))
        metadata = {"resourceVersion": str(write.store.revision)}
        return reads.listed(query.resource, gone, metadata)

    # Lists and watches

    def _query(self) -> reads.Query:
        target = self._target()
        labels = self.http.query.get("labelSelector", "")
        fields = self.http.query.get("fieldSelector", "")
        if target.name:
            fields = f"metadata.name={target.name}" + (f",{fields}" if fields else "")
        return reads.Query(
            store=self.api.store,
            resource=target.resource,
            namespace=target.namespace,
            matches=matcher(target.resource, labels, fields),
            selective=bool(labels or fields),
            revision=requests.number(self.http.query, "resourceVersion"),
            match=self.http.query.get("resourceVersionMatch", ""),
        )

    def _list(self) -> Obj:
        reads.check_version_options(self.http.query, watches=False)
        limit = requests.number(self.http.query, "limit") or 0
        return reads.list_objects(self._query(), limit, self.http.query.get("continue", ""))

    async def _watch(self) -> web.StreamResponse:
        reads.check_version_options(self.http.query, watches=True)
        query, asked = self._query(), requests.number(self.http.query, "timeoutSeconds")
        response = web.StreamResponse(
            headers={"Content-Type": "application/json"} | self.api.headers(self.audit_id)
        )
        self.code = 200
        await response.prepare(self.http)
        events = reads.watch(
            query,
            timeout_s=min(asked or MAX_WATCH_S, MAX_WATCH_S),
            bookmarks=_flag(self.http.query, "allowWatchBookmarks") is True,
            initial=_flag(self.http.query, "sendInitialEvents"),
        )
        try:
            async for event in events:
                await self.api.stalled(self.match)
                await response.write(encode(event) + b"\n")
            await self.api.stalled(self.match)
            await response.write_eof()
        except ConnectionError:
            pass  # the watcher went away; its next list tells it everything
        finally:
            await events.aclose()
        return response

    # Telling

    def reply(
        self, body: Obj, code: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        self.code = code
        response = web.Response(
            body=encode(body), status=code, headers=headers, content_type="application/json"
        )
        response.headers.update(self.api.headers(self.audit_id))
        for warning in self.warnings:
            quoted = warning.replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    def logged(self, failed: ApiError | None) -> LoggedRequest:
        target, account = self.target, self.account
        return LoggedRequest(
            audit_id=self.audit_id,
            received_at=self.received_at,
            completed_at=self.api.clock(),
            cluster=self.api.store.cluster,
            verb=self.verb,
            uri=self.http.path_qs,
            code=self.code,
            user=account.name if account else "system:anonymous",
            groups=account.groups if account else ("system:unauthenticated",),
            source_ip=self.http.remote or "",
            user_agent=self.user_agent,
            field_manager=self.http.query.get("fieldManager", ""),
            dry_run=self.dry_run,
            api_group=target.resource.group if target else "",
            api_version=target.resource.version if target else "",
            resource=target.resource.plural if target else "",
            namespace=target.namespace if target else "",
            name=(target.name or self.made_name) if target else "",
            subresource=target.subresource if target else "",
            message=failed.message if failed else "",
            reason=failed.reason if failed else "",
            body=self.body,
            fault=self.fault,
            applied=self.applied,
            annotations=self._decision(),
        )

    def _decision(self) -> dict[str, str]:
        if self.account is None:
            return {}
        decision = "allow" if self.authorized else "forbid"
        return {"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": ""}


def _options(body: Any, query: Mapping[str, str]) -> Obj:
    """DeleteOptions: from the body, and what the query says over it."""
    options = body if isinstance(body, dict) else {}
    grace_s = requests.number(query, "gracePeriodSeconds")
    if grace_s is not None:
        options = {**options, "gracePeriodSeconds": grace_s}
    if policy := query.get("propagationPolicy"):
        options = {**options, "propagationPolicy": policy}
    return options


def _flag(query: Mapping[str, str], key: str) -> bool | None:
    return None if key not in query else query[key].lower() in ("1", "true")


def encode(body: Obj) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
