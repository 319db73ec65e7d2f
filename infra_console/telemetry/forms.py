"""From the data source page's form to a draft, and from what is kept to the form's values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from pydantic import SecretStr

from infra_console.telemetry.drafts import CAPS, SECRET_NAMES, Auth, Draft
from infra_console.telemetry.errors import SourceInvalid
from infra_console.telemetry.fragments import EXPORTERS
from infra_console.telemetry.models import DataSource
from infra_console.telemetry.pace import Use

FLAVOURS = ("prometheus", "thanos", "mimir", "victoriametrics")
AUTHS: Mapping[str, Auth] = {"none": "none", "basic": "basic", "bearer": "bearer"}


def draft_from(form: QueryDict, *, source_id: str) -> Draft:
    """The form as a draft; fields left empty for secrets keep what is there.

    Raises:
        SourceInvalid: a line or number cannot be read; the message never repeats a secret.
    """
    if any("\0" in value for name in form for value in (source_id, *form.getlist(name))):
        raise SourceInvalid(["a field holds a NUL, which no text does"])
    return Draft(
        id=source_id.strip(),
        url=form.get("url", "").strip(),
        flavour=form.get("flavour", "prometheus"),
        clusters=tuple(form.getlist("cluster")),
        scrape_interval_s=_seconds(form, "scrape_interval_s", 15.0),
        timeout_s=_seconds(form, "timeout_s", 15.0),
        post="post" in form,
        params=_pairs(form.get("params", ""), "=", "params"),
        jobs={name: _words(form.get(f"job-{name}", "")) for name in EXPORTERS},
        headers=_headers(form),
        auth=AUTHS.get(form.get("auth", ""), "none"),
        username=form.get("username", "").strip(),
        ca_pem=form.get("ca_pem", "").strip(),
        client_cert_pem=form.get("client_cert_pem", "").strip(),
        server_name=form.get("server_name", "").strip(),
        skip_verify="skip_verify" in form,
        **{name: _count(form, name) for name in CAPS},
        secrets={name: SecretStr(_secret(form, name)) for name in SECRET_NAMES if form.get(name)},
    )


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the form's estimate of reading is made of; `nodes` None is what was seen."""

    clusters: tuple[str, ...]
    nodes: int | None
    caps: Use


def sizing_from(form: QueryDict) -> Sizing:
    """The size as the form says it; what is no number yet counts as not given."""
    nodes, caps = _amount(form, "nodes"), [_amount(form, name) or 0 for name in CAPS]
    return Sizing(tuple(form.getlist("cluster")), nodes, Use(caps[0], caps[1], caps[2] * 2**20))


def _amount(form: QueryDict, name: str) -> int | None:
    text = form.get(name, "").strip()
    return int(text[:9]) if text.isascii() and text.isdigit() else None


def values_of(source: DataSource | Draft | None) -> dict[str, Any]:
    """What the form shows, never a secret."""
    if source is None:
        return {"flavour": "prometheus", "scrape_interval_s": 15, "timeout_s": 15, "auth": "none",
                "jobs": [(name, "") for name in EXPORTERS]}  # fmt: skip
    shown = (
        "id", "url", "flavour", "scrape_interval_s", "timeout_s", "post", "auth", "username",
        "ca_pem", "client_cert_pem", "server_name", "skip_verify", *CAPS,
    )  # fmt: skip
    return {name: getattr(source, name) for name in shown} | {
        "clusters": set(source.clusters),
        "params": "\n".join(f"{name}={value}" for name, value in source.params.items()),
        "jobs": [(name, ", ".join(source.jobs.get(name, ()))) for name in EXPORTERS],
    }


def _secret(form: QueryDict, name: str) -> str:
    """A password as it was written; a token or a key without the lines around it."""
    value = str(form[name])
    return value if name == "password" else value.strip()


def _seconds(form: QueryDict, name: str, default: float) -> float:
    try:
        return float(form.get(name) or default)
    except ValueError:
        raise SourceInvalid([f"{name}: not a number of seconds"]) from None


def _count(form: QueryDict, name: str) -> int:
    try:
        return int(form.get(name) or 0)
    except ValueError:
        raise SourceInvalid([f"{name}: not a whole number"]) from None


def _headers(form: QueryDict) -> Mapping[str, str] | None:
    """None keeps those that are there; a tick drops them all."""
    if "drop_headers" in form:
        return {}
    return _pairs(form.get("headers", ""), ":", "headers") or None


def _pairs(text: str, mark: str, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
        name, is_there, value = line.partition(mark)
        if not is_there:
            raise SourceInvalid([f"{what}: line {number} is not name{mark}value"])
        found[name.strip()] = value.strip()
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))
