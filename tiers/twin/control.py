"""The twin's control endpoint on loopback: commands in, JSON out, one bearer token; and its client.

`POST /<command>` with a JSON object of arguments, `GET /status`.
"""

import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tiers.twin import fault_commands
from tiers.twin.agents import agent_commands
from tiers.twin.errors import TwinAway, TwinError, TwinRefused
from tiers.twin.exporter_commands import exporter_commands
from tiers.twin.files import TwinSettings
from tiers.twin.kube.server import HOST, KubeServers
from tiers.twin.world import World

TIMEOUT_S = 10.0
FOREVER_MINUTES = 60.0 * 24 * 365
Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Commands:
    """What can be made to happen, as coroutines that answer JSON data."""

    def __init__(self, world: World, servers: KubeServers) -> None:
        self._world = world
        self._servers = servers
        self.by_name: dict[str, Command] = {
            "surge": self._surge,
            "fail-node": self._fail_node,
            "heal-node": self._heal_node,
            "fail-region": self._fail_region,
            "heal-region": self._heal_region,
            "prometheus-down": self._prometheus_down,
            **exporter_commands(world),
            **agent_commands(world),
            **fault_commands.commands(servers),
        }

    async def _surge(self, words: dict[str, Any]) -> dict[str, Any]:
        surge = self._world.surge(
            region=words.get("region"), model=words.get("model"),
            factor=float(words["factor"]), minutes=float(words["minutes"]),
        )  # fmt: skip
        return vars(surge)

    async def _fail_node(self, words: dict[str, Any]) -> dict[str, Any]:
        self._world.fail_node(words["cluster"], words["node"])
        return {"failed": words["node"]}

    async def _heal_node(self, words: dict[str, Any]) -> dict[str, Any]:
        self._world.heal_node(words["cluster"], words["node"])
        return {"healed": words["node"]}

    async def _fail_region(self, words: dict[str, Any]) -> dict[str, Any]:
        self._world.fail_region(words["region"])
        await self._servers.partition(words["region"])
        return {"failed": words["region"]}

    async def _heal_region(self, words: dict[str, Any]) -> dict[str, Any]:
        self._world.heal_region(words["region"])
        await self._servers.heal(words["region"])
        return {"healed": words["region"]}

    async def _prometheus_down(self, words: dict[str, Any]) -> dict[str, Any]:
        minutes = words.get("minutes")
        until = self._world.take_exporters_down(
            FOREVER_MINUTES if minutes is None else float(minutes)
        )
        return {"exporters_down_until_s": until}


def control_app(world: World, servers: KubeServers, token: str) -> web.Application:
    """The endpoint; 401 without the token, 400 for a command that cannot be carried out."""
    commands = Commands(world, servers).by_name

    @web.middleware
    async def known(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            return web.json_response(
                {"error": "The control token is missing or wrong."}, status=401
            )
        return await handler(request)

    async def status(_: web.Request) -> web.Response:
        return web.json_response(world.status())

    async def command(request: web.Request) -> web.Response:
        run = commands.get(request.match_info["command"])
        if run is None:
            return web.json_response({"error": "There is no such command."}, status=404)
        try:
            return web.json_response(await run(await request.json()))
        except TwinError as err:
            return web.json_response({"error": str(err)}, status=400)
        except (KeyError, TypeError, ValueError) as err:
            error = f"Missing or wrong argument: {err}."
            return web.json_response({"error": error}, status=400)

    app = web.Application(middlewares=[known])
    app.router.add_get("/status", status)
    app.router.add_post("/{command}", command)
    return app


def ask(settings: TwinSettings, command: str, words: dict[str, Any] | None = None) -> Any:
    """Send one command to the running twin (`status` when there are no words).

    Raises:
        TwinAway: nothing answers at the control address.
        TwinRefused: the twin said why it did not do it.
    """
    request = urllib.request.Request(
        f"http://{HOST}:{settings.control_port}/{command}",
        data=None if words is None else json.dumps(words).encode(),
        headers={
            "Authorization": f"Bearer {settings.control_token}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as err:
        with err:
            raise TwinRefused(_reason(err)) from err
    except OSError as err:
        raise TwinAway("No twin answers; start it with `manage.py twin run`.") from err


def _reason(err: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(err)["error"])
    except (ValueError, KeyError, TypeError):
        return f"The twin answered {err.code}."
