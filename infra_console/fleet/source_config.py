"""One metric source as an operator declares it: `[[sources]]` of the fleet file, or the console.

Both are checked here. A secret in the fleet file is named, never written: `env:NAME` or
`file:PATH`, read by the process that asks.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$", max_length=63)]
SecretRef = Annotated[str, Field(pattern=r"^$|^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$")]
Flavour = Literal["prometheus", "thanos", "mimir", "victoriametrics"]
Exporter = Literal["vllm", "dcgm", "kube-state-metrics"]
JobWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./:-]+$", max_length=100)]

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,60}")
# Who we are and how the connection runs is said by other settings, or by nobody.
OWN_HEADERS = frozenset({
    "authorization", "proxy-authorization", "cookie", "host", "content-length", "content-type",
    "transfer-encoding", "connection", "accept-encoding", "te", "trailer", "upgrade",
})  # fmt: skip
MAX_INTERVAL_S = 900.0
OWN_PARAMETERS = frozenset({"query", "time", "start", "end", "step"})


class SourceConfig(BaseModel):
    """One Prometheus-compatible source and the clusters whose series it owns.

    `headers` say the tenant (`X-Scope-OrgID`, `THANOS-TENANT`); `params` go into every query
    (`dedup`, `partial_response`). `jobs` are words of which one stands in the name of an exporter's
    job, where the usual words do not. The `max_…` cap what is fetched in a minute; 0 is no cap.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Slug
    url: str = Field(pattern=r"^https?://[^\s]+$", max_length=500)
    clusters: tuple[Slug, ...]
    # What is not older than two of them is live: without an end nothing would ever be old.
    scrape_interval_s: float = Field(default=15.0, gt=0, le=MAX_INTERVAL_S)
    flavour: Flavour = "prometheus"
    timeout_s: float = Field(default=15.0, gt=0, le=120)
    post: bool = False
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    username: str = ""
    password: SecretRef = ""
    bearer_token: SecretRef = ""
    ca_file: str = ""
    client_cert_file: str = ""
    client_key: SecretRef = ""
    server_name: str = Field(default="", pattern=r"^$|^[A-Za-z0-9.:_-]+$")
    skip_verify: bool = False
    jobs: dict[Exporter, tuple[JobWord, ...]] = {}
    max_queries_per_min: int = Field(default=0, ge=0, le=2**31 - 1)
    max_series_per_min: int = Field(default=0, ge=0, le=2**31 - 1)
    max_mib_per_min: int = Field(default=0, ge=0, le=2**20)

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port or an IPv6 address that is none
            usable = False
        if not usable:
            raise ValueError("it names no host, or a port that is none")
        if parts.query or parts.fragment:  # it would not stand before the API's own path
            raise ValueError("an address ends before ? and #: name `params` instead")
        return url

    @field_validator("headers")
    @classmethod
    def _plain_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in OWN_HEADERS:
                raise ValueError(f"{name!r} cannot be set as a header")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"the value of {name} is not plain text on one line")
        return headers

    @field_validator("params")
    @classmethod
    def _spare_params(cls, params: dict[str, str]) -> dict[str, str]:
        for name in params:
            if not _PARAMETER.fullmatch(name) or name in OWN_PARAMETERS:
                raise ValueError(f"{name!r} cannot be set as a query parameter")
        return params

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        check_ways_in(
            basic=bool(self.username or self.password),
            bearer=bool(self.bearer_token),
            cert=bool(self.client_cert_file),
            key=bool(self.client_key),
        )
        return self


def check_ways_in(*, basic: bool, bearer: bool, cert: bool, key: bool) -> None:
    """A source is asked with basic or bearer authorisation or none; a certificate has its key.

    Raises:
        ValueError: which of these does not hold.
    """
    if basic and bearer:
        raise ValueError("name a user and password or a bearer token, not both")
    if cert != key:
        raise ValueError("a client certificate and its key come together")
