"""The kubeconfig of the twin: one context per cluster, with the CA and a token inside."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from tiers.twin.kube.files import write_private


def kubeconfig(urls: Mapping[str, str], ca: bytes, user: str, token: str) -> dict[str, object]:
    """The document; the first cluster's context is the current one."""
    authority = base64.b64encode(ca).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(urls), ""),
        "preferences": {},
        "clusters": [
            {"name": c, "cluster": {"server": url, "certificate-authority-data": authority}}
            for c, url in urls.items()
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": c, "context": {"cluster": c, "user": user}} for c in urls],
    }


def write_kubeconfig(path: Path, urls: Mapping[str, str], ca: bytes, user: str, token: str) -> None:
    """Write it with mode 600. JSON is YAML, so every client reads it."""
    document = kubeconfig(urls, ca, user, token)
    write_private(path, json.dumps(document, indent=2).encode() + b"\n")
