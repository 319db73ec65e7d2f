"""The recording rules for a fleet's own tier key: deploy/prometheus/rules.yml with its label.

The file as it stands is the rendering for the key that is used where an operator has none.
"""

import re
from pathlib import Path

from django.conf import settings

from infra_console.fleet.queries import current_fleet
from infra_console.telemetry.fragments import TIER_KEY, TIER_LABEL

RULES: Path = settings.BASE_DIR / "deploy" / "prometheus" / "rules.yml"
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
# What Kubernetes takes as a label's key: at most a prefix, a slash and a name.
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def tier_label_of(key: str) -> str:
    """The node label `key` as kube-state-metrics names it."""
    return "label_" + _NOT_LABEL.sub("_", key)


def configured_tier_key() -> str:
    """The fleet file's tier key, or the one that is used where there is none."""
    fleet = current_fleet()
    return fleet.tiers.label_key if fleet else TIER_KEY


def recording_rules(tier_key: str) -> str:
    """The rules' text, which reads tiers from this label of the nodes.

    Raises:
        ValueError: it is no label's key.
    """
    if not _KEY.fullmatch(tier_key):
        raise ValueError(f"{tier_key!r} is not the key of a Kubernetes label")
    text = RULES.read_text()
    return text.replace(TIER_LABEL, tier_label_of(tier_key)).replace(TIER_KEY, tier_key)
