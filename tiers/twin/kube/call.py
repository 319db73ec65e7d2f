"""One request on its way through: who asks for what, and how its answer is told and logged."""

import json
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tiers.twin.kube import access, discovery, openapi, requests
from tiers.twin.kube.errors import ApiError, NoSuchPath, too_large
from tiers.twin.kube.faults import Match
from tiers.twin.kube.request_log import LoggedRequest
from tiers.twin.kube.resources import Obj

if TYPE_CHECKING:
    from tiers.twin.kube.handler import ClusterApi

PUBLIC = {"/healthz": "ok", "/readyz": "ok", "/livez": "ok"}
MOST_BODY_BYTES = 3 * 1024 * 1024
"""As a kube-apiserver takes; more is a 413."""
REVIEWS = tuple(review.plural for review in discovery.REVIEWS)


class Call:
    """One request; what is known of it so far goes into the log."""

    def __init__(self, api: "ClusterApi", http: web.BaseRequest) -> None:
        self.api, self.http = api, http
        self.received_at = api.clock()
        self.audit_id = str(uuid.uuid4())
        self.account: access.Account | None = None
        self.impersonator: access.Account | None = None
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
            self._impersonate(self.account)
            documents = discovery.answer(path) or openapi.answer(path)
            if documents is not None or self.review:
                return
            self.target = requests.read_path(self.http.path)
            self.verb = requests.verb_of(self.http.method, self.target, self.http.query)
        except (ApiError, NoSuchPath) as err:
            self.refused = err

    def _impersonate(self, account: access.Account) -> None:
        if user := self.http.headers.get("Impersonate-User", ""):
            groups = self.http.headers.getall("Impersonate-Group", [])
            self.account = access.impersonated(account, self.api.accounts, user, groups)
            self.impersonator = account

    @property
    def review(self) -> str:
        """The plural of the review that is asked for, "" for any other path."""
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

    async def read_body(self) -> Any:
        if self.http.method in ("POST", "PUT"):
            requests.check_body_type(self.http.headers.get("Content-Type", ""))
        try:
            raw = await self.http.read()
        except web.HTTPRequestEntityTooLarge as err:
            raise too_large(MOST_BODY_BYTES) from err
        return requests.read_body(raw, self.http.content_type)

    async def sent(self) -> Any:
        """What came with a request that is not answered, for the log; None when unreadable."""
        try:
            return await self.read_body()
        except ApiError:
            return None

    def reply(
        self,
        body: Obj,
        code: int = 200,
        headers: dict[str, str] | None = None,
        media: str = "application/json",
    ) -> web.Response:
        self.code = code
        told = {"Content-Type": media, **(headers or {})}
        response = web.Response(body=encode(body), status=code, headers=told)
        response.headers.update(self.api.headers(self.audit_id))
        for warning in self.warnings:
            quoted = warning.replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    def logged(self, failed: ApiError | None) -> LoggedRequest:
        target, account = self.target, self.impersonator or self.account
        acting_as = self.account.name if self.impersonator and self.account else ""
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
            impersonated=acting_as,
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


def encode(body: Obj) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
