"""A data source as somebody wrote it in the console, checked by the fleet file's own rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import SecretStr, ValidationError

from infra_console.fleet.source_config import SourceConfig, check_ways_in
from infra_console.telemetry.adapters.tls import TlsUnusable, tls_context
from infra_console.telemetry.errors import SourceInvalid
from infra_console.telemetry.models import DataSource

Auth = Literal["none", "basic", "bearer"]
SECRET_NAMES = ("password", "bearer_token", "client_key")
CAPS = ("max_queries_per_min", "max_series_per_min", "max_mib_per_min")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """`secrets` holds only what was given anew: what is not named stays as it is.

    `headers` None leaves the headers as they are; their values are secrets too.
    """

    id: str
    url: str
    flavour: str = "prometheus"
    clusters: tuple[str, ...] = ()
    scrape_interval_s: float = 15.0
    timeout_s: float = 15.0
    post: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    auth: Auth = "none"
    username: str = ""
    ca_pem: str = ""
    client_cert_pem: str = ""
    server_name: str = ""
    skip_verify: bool = False
    max_queries_per_min: int = 0
    max_series_per_min: int = 0
    max_mib_per_min: int = 0
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)

    def columns(self) -> dict[str, object]:
        """What stands in the row in the open."""
        return {
            "url": self.url, "flavour": self.flavour, "clusters": sorted(set(self.clusters)),
            "scrape_interval_s": self.scrape_interval_s, "timeout_s": self.timeout_s,
            "post": self.post, "params": dict(self.params),
            "jobs": {name: list(words) for name, words in self.jobs.items() if words},
            "auth": self.auth, "username": self.username if self.auth == "basic" else "",
            "ca_pem": self.ca_pem, "client_cert_pem": self.client_cert_pem,
            "server_name": self.server_name, "skip_verify": self.skip_verify,
            **{name: getattr(self, name) for name in CAPS},
        }  # fmt: skip

    def kept_secrets(self, before: Mapping[str, object]) -> dict[str, object]:
        """What is to be sealed: what was given, what was there, and nothing that is unused."""
        given = {name: secret.get_secret_value() for name, secret in self.secrets.items()}
        kept = {name: given.get(name) or before.get(name) for name in SECRET_NAMES}
        wanted = {
            "password": self.auth == "basic",
            "bearer_token": self.auth == "bearer",
            "client_key": bool(self.client_cert_pem),
        }
        headers = before.get("headers") if self.headers is None else dict(self.headers)
        found: dict[str, object] = {n: kept[n] for n in SECRET_NAMES if wanted[n] and kept[n]}
        return found | ({"headers": headers} if headers else {})


def check_draft(draft: Draft, secrets: Mapping[str, object]) -> None:
    """The fleet file's checks, and that certificate, key and credentials are there and fit.

    Raises:
        SourceInvalid: what is wrong, key by key.
    """
    _check_text(draft, secrets)
    columns = {k: v for k, v in draft.columns().items() if k in SourceConfig.model_fields}
    try:
        SourceConfig.model_validate(
            columns | {"id": draft.id, "username": "", "headers": dict(draft.headers or {})}
        )
        check_ways_in(
            basic=draft.auth == "basic", bearer=draft.auth == "bearer",
            cert=bool(draft.client_cert_pem), key="client_key" in secrets,
        )  # fmt: skip
        if draft.client_cert_pem or draft.ca_pem:
            key = SecretStr(str(secrets.get("client_key", "")))
            tls_context(draft.ca_pem, draft.client_cert_pem, key, draft.skip_verify)
    except ValidationError as err:
        # Never `input`: it may be a secret.
        raise SourceInvalid(
            [f"{'.'.join(map(str, e['loc'])) or 'source'}: {e['msg']}" for e in err.errors()]
        ) from None
    except (ValueError, TlsUnusable) as err:
        raise SourceInvalid([str(err)]) from None
    if draft.auth == "basic" and not (draft.username and "password" in secrets):
        raise SourceInvalid(["basic authorisation needs a user and a password"])
    if draft.auth == "bearer" and "bearer_token" not in secrets:
        raise SourceInvalid(["bearer authorisation needs a token"])
    if "@" in draft.url.partition("://")[2].partition("/")[0]:
        raise SourceInvalid(["url: credentials do not belong into the address: use basic"])


def _check_text(draft: Draft, secrets: Mapping[str, object]) -> None:
    """What neither the database nor a request's head can hold. Never repeats a secret."""
    if any("\0" in str(value) for value in (draft.id, *draft.columns().values())):
        raise SourceInvalid(["a field holds a NUL"])
    for name in ("password", "bearer_token"):
        if not str(secrets.get(name, "")).isprintable():
            raise SourceInvalid([f"{name}: not on one line of text"])
    if not str(secrets.get("bearer_token", "")).isascii():
        raise SourceInvalid(["bearer_token: not plain text"])


def moved_host(row: DataSource, draft: Draft) -> bool:
    """Whether what was sealed for one place would now be sent to another."""
    return (row.url, row.server_name) != (draft.url, draft.server_name) or (
        draft.skip_verify and not row.skip_verify
    )


def without_secrets(draft: Draft) -> Draft:
    return replace(draft, secrets={}, headers=None)
