"""A server on loopback that does with its connection whatever a test wants, TLS included."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    in_body: bool


@dataclass
class Liar:
    """Where the server is, what it was asked, and the event that ends whatever still hangs."""

    port: int
    tls: bool
    asked: list[Asked] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"


Answer = Callable[[BaseHTTPRequestHandler, Liar], None]


@contextmanager
def liar(
    answer: Answer, *, pair: tuple[Path, Path] | None = None, client_ca: Path | None = None
) -> Iterator[Liar]:
    """Answers every request by `answer(handler, liar)`, which may break every rule."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._note("")
            answer(self, made)
            self.close_connection = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._note(self.rfile.read(length).decode())
            answer(self, made)
            self.close_connection = True

        def _note(self, body: str) -> None:
            parts = urlsplit(self.path)
            found = parse_qs(body or parts.query)
            made.asked.append(
                Asked(
                    self.command,
                    parts.path,
                    dict(self.headers.items()),
                    {name: values[-1] for name, values in found.items()},
                    bool(body),
                )
            )

        def log_message(self, *_: object) -> None:
            """The test's own output is enough."""

        def handle(self) -> None:
            with suppress(OSError):  # the client may hang up, which is what the tests are about
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """A broken handshake is a test's purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    made = Liar(server.server_port, pair is not None)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def body(text: bytes, *, status: int = 200, **headers: str) -> Answer:
    """An ordinary answer of this text."""

    def answer(handler: BaseHTTPRequestHandler, _: Liar) -> None:
        handler.send_response(status)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(text))} | sent).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    return answer


def client_pair() -> tuple[str, str]:
    """A client's certificate, signed by itself, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "console")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.public_bytes(pem).decode(), key.private_bytes(pem, form, none).decode()
