"""What a request gets: the document, review, object, list or watch that answers it."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from tiers.twin.kube import (
    access,
    aggregated,
    binding,
    discovery,
    event_writes,
    events,
    eviction,
    forms,
    openapi,
    quota,
    reads,
    requests,
    scale,
    updates,
    verbs,
)
from tiers.twin.kube.call import PUBLIC, Call, encode
from tiers.twin.kube.errors import bad_request, internal, method_not_allowed, unauthorized
from tiers.twin.kube.resources import EVENTS_V1, QUOTAS, Obj
from tiers.twin.kube.selectors import matcher
from tiers.twin.kube.verbs import Write

MAX_WATCH_S = 1800.0
REVIEWS: dict[str, Callable[[access.Account, Obj], Obj]] = {
    "selfsubjectaccessreviews": access.self_subject_access_review,
    "selfsubjectrulesreviews": access.self_subject_rules_review,
    "selfsubjectreviews": access.self_subject_review,
}
REVIEW_KINDS = {review.plural: review.kind for review in discovery.REVIEWS}


class Answering:
    """One call being answered."""

    def __init__(self, call: Call) -> None:
        self.call, self.api, self.http, self.query = call, call.api, call.http, call.http.query

    @property
    def _target(self) -> requests.Target:
        if self.call.target is None:
            raise internal("no target")
        return self.call.target

    async def answer(self) -> web.StreamResponse:
        path = self.http.path.rstrip("/")
        if self.call.refused is not None:
            raise self.call.refused
        if path in PUBLIC:
            self.call.code = 200
            return web.Response(text=PUBLIC[path])
        if path == "/version":
            return self.call.reply(discovery.VERSION)
        if (found := discovery.answer(path) or openapi.answer(path)) is not None:
            if self.http.method != "GET":
                raise method_not_allowed()
            return self._discovered(path, found)
        if self.call.review:
            return await self._answer_review()
        return await self._answer_resource()

    def _discovered(self, path: str, found: Obj) -> web.StreamResponse:
        wanted = aggregated.asked_for(self.http.headers.get("Accept", ""))
        if wanted and (whole := aggregated.answer(path)):
            return self.call.reply(whole, media=aggregated.MEDIA)
        return self.call.reply(found)

    async def _answer_review(self) -> web.StreamResponse:
        if self.http.method != "POST":
            raise method_not_allowed()
        body, kind = await self.call.read_body(), REVIEW_KINDS[self.call.review]
        self.call.body, self.call.verb = body, "create"
        if not isinstance(body, dict) or body.get("kind", kind) != kind:
            raise bad_request(f"the object provided is unrecognized (must be of type {kind})")
        if self.call.account is None:
            raise unauthorized()
        return self.call.reply(REVIEWS[self.call.review](self.call.account, body), 201)

    async def _answer_resource(self) -> web.StreamResponse:
        query, target = self.query, self._target
        self._authorize(target)
        self._form = self._asked_form(target)
        if target.resource is QUOTAS:
            quota.sync_all(self.api.store, target.namespace)
        if self.call.verb == "watch":
            return await self._watch()
        if self.call.verb == "list":
            return self.call.reply(self._form.many(*self._list()))
        self.call.body = await self.call.read_body() if self.call.verb != "get" else None
        options = self.call.body if self._has_options() else None
        self.call.dry_run = requests.dry_run_of(query, self.call.verb, options)
        return self._act(self._write(), self.call.body)

    def _asked_form(self, target: requests.Target) -> forms.Form:
        whole = forms.Form(
            forms.WHOLE, target.resource, self.api.now(),
            include=self.query.get("includeObject", "Metadata"),
            convert=events.from_core if target.resource is EVENTS_V1 else dict,
        )  # fmt: skip
        lists = self.call.verb in ("list", "deletecollection")
        return forms.asked_for(self.http.headers.get("Accept", ""), whole, lists=lists)

    def _authorize(self, target: requests.Target) -> None:
        if self.call.account is None:
            raise unauthorized()
        self.call.authorized = False
        access.authorize(
            self.call.account,
            self.call.verb,
            target.resource,
            target.subresource,
            namespace=target.namespace,
            name=target.name,
        )
        self.call.authorized = True

    def _has_options(self) -> bool:
        subresource = self.call.target.subresource if self.call.target else ""
        return self.call.verb in ("delete", "deletecollection") or subresource == "eviction"

    def _write(self) -> Write:
        target = self._target
        return Write(
            store=self.api.store,
            resource=events.stored_as(target.resource),
            namespace=target.namespace,
            name=target.name,
            now=self.api.now(),
            subresource=target.subresource,
            manager=self._manager(),
            dry_run=self.call.dry_run,
            validation=requests.validation_of(self.query, self.call.verb),
            warnings=self.call.warnings,
        )

    def _manager(self) -> str:
        given = self.query.get("fieldManager", "")
        if not given and self.http.content_type == updates.APPLY_PATCH:
            return updates.NO_MANAGER
        return requests.manager_of(self.query, self.call.user_agent)

    def _act(self, write: Write, body: Any) -> web.StreamResponse:
        if write.subresource == "eviction":
            return self.call.reply(eviction.evict(write, body), 201)
        if write.subresource == "binding":
            return self.call.reply(binding.bind(write, body), 201)
        if write.subresource == "scale":
            return self.call.reply(self._scale(write, body))
        if self.call.verb == "create":
            made = self._create(write, body)
            self.call.made_name = made["metadata"]["name"]
            return self.call.reply(self._form.one(made), 201)
        if self.call.verb == "deletecollection":
            return self.call.reply(self._delete_collection(write, body))
        held = write.store.find(write.resource, write.namespace, write.name)
        done = self._on_object(write, body)
        return self.call.reply(self._form.one(done), 201 if held is None else 200)

    def _create(self, write: Write, body: Any) -> Obj:
        if self._target.resource is not EVENTS_V1:
            return verbs.create(write, body)
        return event_writes.create(write, body)

    def _on_object(self, write: Write, body: Any) -> Obj:
        match self.call.verb:
            case "get":
                asked = requests.number(self.query, "resourceVersion")
                reads.refuse_future(write.store, asked)
                return write.store.get(write.resource, write.namespace, write.name)
            case "update" if write.subresource == "finalize":
                return verbs.finalize(write, body)
            case "update" if self._target.resource is EVENTS_V1:
                return event_writes.replace(write, body)
            case "update":
                return updates.replace(write, body)
            case "delete":
                return verbs.delete(write, _options(body, self.query))
            case _:
                applies = self.http.content_type == updates.APPLY_PATCH
                requests.check_patch_options(self.query, applies=applies)
                patch = event_writes.patch if self._target.resource is EVENTS_V1 else updates.patch
                return patch(write, self.http.content_type, body, force=self._force())

    def _force(self) -> bool:
        return self.query.get("force", "").lower() in ("1", "true")

    def _scale(self, write: Write, body: Any) -> Obj:
        if self.call.verb == "get":
            return scale.read(write)
        if self.call.verb == "update":
            return scale.replace(write, body)
        return scale.patch(write, self.http.content_type, body, force=self._force())

    def _delete_collection(self, write: Write, body: Any) -> Obj:
        query = self._query()
        found = [o for o in write.store.all(query.resource, query.namespace) if query.matches(o)]
        gone = verbs.delete_collection(write, found, _options(body, self.query))
        metadata = {"resourceVersion": str(write.store.revision)}
        return self._form.many(gone, metadata)

    # Lists and watches

    def _query(self) -> reads.Query:
        target = self._target
        labels = self.query.get("labelSelector", "")
        fields = self.query.get("fieldSelector", "")
        if target.name:
            fields = f"metadata.name={target.name}" + (f",{fields}" if fields else "")
        if target.resource is EVENTS_V1:
            fields = events.core_selector(fields)
        stored = events.stored_as(target.resource)
        return reads.Query(
            store=self.api.store,
            resource=stored,
            namespace=target.namespace,
            matches=matcher(stored, labels, fields),
            selective=bool(labels or fields),
            revision=requests.number(self.query, "resourceVersion"),
            match=self.query.get("resourceVersionMatch", ""),
        )

    def _list(self) -> tuple[list[Obj], Obj]:
        reads.check_version_options(self.query, watches=False)
        requests.check_reread(self.query)
        limit = requests.number(self.query, "limit") or 0
        return reads.list_objects(self._query(), limit, self.query.get("continue", ""))

    async def _watch(self) -> web.StreamResponse:
        reads.check_version_options(self.query, watches=True)
        query, asked = self._query(), requests.number(self.query, "timeoutSeconds")
        response = web.StreamResponse(
            headers={"Content-Type": "application/json"} | self.api.headers(self.call.audit_id)
        )
        self.call.code = 200
        await response.prepare(self.http)
        write, found = (
            self._form.events(),
            reads.watch(
                query,
                timeout_s=min(asked or MAX_WATCH_S, MAX_WATCH_S),
                bookmarks=_flag(self.query, "allowWatchBookmarks") is True,
                initial=_flag(self.query, "sendInitialEvents"),
            ),
        )
        try:
            async for event in found:
                await self.api.stalled(self.call.match)
                await response.write(encode(write(event)) + b"\n")
            await self.api.stalled(self.call.match)
            await response.write_eof()
        except ConnectionError:
            pass  # the watcher went away; its next list tells it everything
        finally:
            await found.aclose()
        return response


def _options(body: Any, query: Mapping[str, str]) -> Obj:
    """DeleteOptions: from the body, and what the query says over it."""
    options = body if isinstance(body, dict) else {}
    grace_s = requests.grace_of(query)
    if grace_s is not None:
        options = {**options, "gracePeriodSeconds": grace_s}
    if policy := query.get("propagationPolicy"):
        options = {**options, "propagationPolicy": policy}
    return options


def _flag(query: Mapping[str, str], key: str) -> bool | None:
    return None if key not in query else query[key].lower() in ("1", "true")
