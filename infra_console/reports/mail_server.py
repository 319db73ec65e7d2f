"""Where mails are handed over, as the environment says it. Standard library only: settings read it.

`smtp://` is plain, `smtp+starttls://` demands STARTTLS, `smtps://` is TLS from the first byte.
"""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class MailServer:
    """An SMTP server; `timeout_s` is for each single answer."""

    host: str
    port: int
    tls: str  # a key of PORTS
    username: str = ""
    password: str = field(default="", repr=False)
    timeout_s: float = 20.0
    ca_file: str = ""

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def mail_server_of(
    url: str, *, password: str = "", timeout_s: float = 20.0, ca_file: str = ""
) -> MailServer | None:
    """The server of an address; None when the address is empty.

    Raises:
        ValueError: what is wrong with it; never with a password in the words.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("host or port cannot be read") from None
    if parts.scheme not in PORTS or not host or parts.path.strip("/") or parts.query:
        raise ValueError("it must look like smtp+starttls://user@host:587 (or smtp://, smtps://)")
    username, password = unquote(parts.username or ""), password or unquote(parts.password or "")
    if username and parts.scheme == "smtp" and host not in LOOPBACK:
        raise ValueError("a password goes over TLS only: use smtp+starttls:// or smtps://")
    return MailServer(
        host, port or PORTS[parts.scheme], parts.scheme, username, password, timeout_s, ca_file
    )


def header_safe(text: str) -> bool:
    """Whether a text may stand in a header: one line, printable."""
    return text.isprintable()
