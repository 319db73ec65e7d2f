"""One cluster's API as an aiohttp handler: faults, then the answer, then the request log."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from tiers.twin.kube.access import Account
from tiers.twin.kube.answering import Answering
from tiers.twin.kube.call import Call
from tiers.twin.kube.errors import (
    ApiError,
    NoSuchPath,
    conflict,
    gone,
    internal,
    too_many_requests,
    unavailable,
)
from tiers.twin.kube.faults import Fault, Faults, Match
from tiers.twin.kube.request_log import RequestLog
from tiers.twin.kube.store import ClusterStore

logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]
NEVER_DONE = 504
"""The code in the log of a request that was neither carried out nor answered."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class ClusterApi:
    """The API of one cluster."""

    store: ClusterStore
    accounts: Sequence[Account]
    log: RequestLog
    clock: Clock = utc_now
    faults: Faults = field(init=False)

    def __post_init__(self) -> None:
        self.faults = Faults(self.clock)
        # One flow schema and priority level for all: who is throttled is told by faults.
        self._flow = {
            f"X-Kubernetes-Pf-{word}-Uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, word))
            for word in ("Flowschema", "Prioritylevel")
        }

    def now(self) -> datetime:
        """The server's own time, which a fault may have skewed; the log keeps the true one."""
        return self.clock() + self.faults.skew()

    def headers(self, audit_id: str) -> dict[str, str]:
        return {"Audit-Id": audit_id, "Cache-Control": "no-cache, private", **self._flow}

    async def stalled(self, asked: Match) -> None:
        """Return at once, or never while a watch is to stay silent."""
        if self.faults.stalls(asked):
            await asyncio.Event().wait()

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure is a Status object, and everything is logged."""
        call, failed = Call(self, http), None
        try:
            return await self._answer(call)
        except ApiError as err:
            failed = err
            return call.reply(err.status(), err.code, err.headers())
        except NoSuchPath:
            call.code = 404
            return web.Response(text="404 page not found\n", status=404)
        except Exception as err:
            # As a real server: a panic is told as a Status, and the connection lives on.
            logger.exception("twin API of %s: %s", self.store.cluster, http.path_qs)
            failed = internal(repr(err))
            return call.reply(failed.status(), failed.code)
        finally:
            self.log.append(call.logged(failed))

    async def _answer(self, call: Call) -> web.StreamResponse:
        if self.faults.latency_s > 0:
            await asyncio.sleep(self.faults.latency_s)
        for fault in self.faults.strike(call.match):
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
                continue
            call.fault = fault.kind
            return await self._struck(call, fault)
        return await Answering(call).answer()

    async def _struck(self, call: Call, fault: Fault) -> web.StreamResponse:
        match fault.kind:
            case "throttle":
                raise too_many_requests("too many requests, please try again later.", [],
                                        max(1, round(fault.seconds)))  # fmt: skip
            case "error":
                raise internal("a fault was asked for")
            case "conflict":
                raise conflict(call.target.resource, call.target.name) if call.target else gone("")
            case "gone":
                raise gone("The provided continue parameter is too old.")
            case "unavailable":
                raise unavailable(max(1, round(fault.seconds)))
            case "stall":
                return await Answering(call).answer()
            case "lost":
                await self._carry_out(call)
            case _:
                call.code = NEVER_DONE
                call.body = await call.sent()
        if fault.kind == "hang":
            await asyncio.Event().wait()
        return _reset(call.http)

    async def _carry_out(self, call: Call) -> None:
        """Do what is asked; a refusal is as lost as an answer."""
        try:
            await Answering(call).answer()
            call.applied = not call.dry_run
        except ApiError as err:
            call.code = err.code


def _reset(http: web.BaseRequest) -> web.Response:
    """Cut the connection; the response is for nobody."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=NEVER_DONE)
