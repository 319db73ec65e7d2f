"""A requests session with the limits that the Prometheus client does not set by itself.

No redirects (they would carry credentials elsewhere and count as an answer), no retries behind the
caller's back, one deadline for the whole answer rather than for each read, a cap on what it unpacks
to, and a connection to no other address than the one that was checked.
"""

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.util.retry import Retry

from infra_console.telemetry.adapters.addresses import allowed_addresses
from infra_console.telemetry.adapters.deadline import Deadline
from infra_console.telemetry.adapters.samples import read_answer
from infra_console.telemetry.adapters.tls import tls_context
from infra_console.telemetry.connection import Connection

CONNECT_TIMEOUT_S = 5.0
_CHUNK_BYTES = 256 * 1024


class AnswerTooLarge(Exception):
    """The body passed the cap; it was not read to its end."""


class BoundedSession(requests.Session):
    """One conversation with one source; `answer` is the last response, read whole."""

    def __init__(self, connection: Connection, *, timeout_s: float, max_bytes: int) -> None:
        super().__init__()
        self.trust_env = False  # neither ~/.netrc nor a proxy for a source on our own network
        self.answer: requests.Response | None = None
        self._connection = connection
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._authorise(connection)

    def _authorise(self, connection: Connection) -> None:
        for name, value in connection.headers.items():
            self.headers[name] = value.get_secret_value()
        if token := connection.bearer_token.get_secret_value():
            self.headers["Authorization"] = f"Bearer {token}"
        elif connection.username:
            self.auth = (connection.username, connection.password.get_secret_value())

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Ask within the limits.

        Raises:
            requests.Timeout: connecting, or the whole answer, took too long.
            AnswerTooLarge: the body passed the cap.
            AddressRefused, TlsUnusable: see there; nothing was sent.
        """
        self.answer = None
        options |= {"allow_redirects": False, "stream": True}
        options |= {"timeout": (min(CONNECT_TIMEOUT_S, self._timeout_s), self._timeout_s)}
        options["params"] = {**(options.get("params") or {}), **self._connection.params}
        if method == "POST":  # the client would put even a long query into the address
            options["data"] = options.pop("params")
        with Deadline(self._timeout_s) as deadline:
            try:
                with _Adapter(self._connection, deadline) as self._adapter:
                    response = super().request(method, url, **options)
                    with response:
                        body = self._body(response)
                if deadline.passed:  # our own cut, which looks like the end of an answer
                    raise requests.Timeout("the answer did not end in time")
            except (requests.RequestException, HTTPError, OSError) as err:
                if deadline.passed or isinstance(err, ReadTimeoutError):
                    raise requests.Timeout("the answer did not end in time") from err
                if isinstance(err, requests.RequestException):
                    raise
                raise requests.ConnectionError("the answer broke off") from err
        response._content = body  # what requests itself sets when it reads a whole body
        if response.ok:
            response.json = lambda **_: read_answer(body)  # type: ignore[method-assign]
        self.answer = response
        return response

    def _body(self, response: requests.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            parts.append(chunk)
            size += len(chunk)
            if size > self._max_bytes:
                raise AnswerTooLarge
        return b"".join(parts)

    def get_adapter(self, url: str) -> HTTPAdapter:
        """Ours, whatever the client mounts."""
        return self._adapter


class _Adapter(HTTPAdapter):
    """Dials only addresses that were checked, under one deadline; TLS as the source asks."""

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        super().__init__(max_retries=Retry(0, read=False))

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        if self._connection.url.lower().startswith("https:"):
            options["ssl_context"] = tls_context(
                self._connection.ca_pem,
                self._connection.client_cert_pem,
                self._connection.client_key_pem,
                self._connection.skip_verify,
            )
            if self._connection.server_name:
                options["server_hostname"] = self._connection.server_name
        super().init_poolmanager(*sizes, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._connection, self._deadline)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """The host alone: the context says everything about TLS."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to add to the context."""

    def __enter__(self) -> "_Adapter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pools(connection: Connection, deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools whose connections dial through `_dial`."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _dial(self, connection, deadline)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _dial(self, connection, deadline)

        def connect(self) -> None:
            super().connect()
            if connection.skip_verify:  # the page warns of it: not every question again
                self.is_verified = True

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _dial(wanted: HTTPConnection, connection: Connection, deadline: Deadline) -> socket.socket:
    """A socket to the first address of the name that answers; all of them were checked."""
    port = wanted.port or wanted.default_port
    try:
        addresses = allowed_addresses(wanted.host, port, connection.networks)
    except OSError as err:
        raise NewConnectionError(wanted, "its name has no address") from err
    for number, address in enumerate(addresses, 1):
        try:
            limit_s = min(CONNECT_TIMEOUT_S, deadline.left_s)
            made = socket.create_connection((address, port), timeout=limit_s)
        except OSError as err:
            if number < len(addresses):
                continue
            if isinstance(err, TimeoutError):
                raise ConnectTimeoutError(wanted, "connecting took too long") from err
            raise NewConnectionError(wanted, "it does not answer") from err
        made.settimeout(deadline.left_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline.watch(made)
        return made
    raise NewConnectionError(wanted, "its name has no address")
