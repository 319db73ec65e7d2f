"""Ports on the loopback address: finding a free one, and saying clearly when one is taken."""

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


def accepts(port: int, timeout_s: float = 0.5) -> bool:
    """Whether something answers a connection on this port."""
    try:
        with closing(socket.create_connection((HOST, port), timeout=timeout_s)):
            return True
    except OSError:
        return False
