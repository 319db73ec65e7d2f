"""Ports on the loopback address: finding a free one, and saying clearly when one is taken."""

import http.client
import socket
from contextlib import closing

from infra_console.embedded.errors import PortBusy

HOST = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now; another program may still take it before we do."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether we could listen on this port; ports left in TIME_WAIT count as free."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def require_free(port: int, *, purpose: str, option: str) -> None:
    """Raise PortBusy, naming the option that chooses another port, when this one is taken."""
    if not is_free(port):
        raise PortBusy(
            f"Port {port} on {HOST} is taken by another program, so {purpose} cannot start. "
            f"Stop that program or choose another port with {option}."
        )


def usable_port(kept: object) -> int:
    """The port kept from the last start when it still is free, so that addresses stay the same."""
    if isinstance(kept, int) and is_free(kept):
        return kept
    return free_port()


def http_status(port: int, path: str, timeout_s: float = 2.0) -> int | None:
    """The status that a server on this port answers a GET with; None when it does not answer.

    Proxies of the environment are not asked: this is our own machine.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
