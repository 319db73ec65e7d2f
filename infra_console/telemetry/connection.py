"""How one source is reached, as plain values; secrets do not show in any of their texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import SecretStr

TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_SERIES = 50_000
# Prometheus refuses range queries of more than 11,000 points a series.
MAX_POINTS = 11_000
# Kinds of address that a source may have beside public ones; link-local ones, where clouds keep
# their metadata and credentials, must be named.
PRIVATE, LOOPBACK, LINK_LOCAL = "private", "loopback", "link-local"
NO_SECRET = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one answer may cost, and how often a failed question is put again within its time."""

    timeout_s: float = TIMEOUT_S
    max_bytes: int = MAX_ANSWER_BYTES
    max_series: int = MAX_SERIES
    max_points: int = MAX_POINTS
    tries: int = 3
    backoff_s: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a source is and how to get in. `ca_pem` replaces the usual authorities."""

    url: str
    username: str = ""
    password: SecretStr = NO_SECRET
    bearer_token: SecretStr = NO_SECRET
    headers: Mapping[str, SecretStr] = field(default_factory=lambda: MappingProxyType({}))
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    post: bool = False
    ca_pem: str = ""
    client_cert_pem: str = ""
    client_key_pem: SecretStr = NO_SECRET
    server_name: str = ""
    skip_verify: bool = False
    networks: frozenset[str] = frozenset({PRIVATE, LOOPBACK})

    def scrubbed(self, text: str) -> str:
        """Somebody else's words without our secrets, which a server may send back."""
        secrets = (self.password, self.bearer_token, *self.headers.values())
        words = [secret.get_secret_value() for secret in secrets]
        for word in (*words, urlsplit(self.url).password or ""):
            if len(word) >= 4:
                text = text.replace(word, "…")
        return text

    def __repr__(self) -> str:
        """Without the credentials that an address may hold."""
        return f"Connection({shown_url(self.url)})"


def shown_url(url: str) -> str:
    """The address without the credentials, path and query that it may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
