"""The recording rules for a fleet's own tier key: deploy/prometheus/rules.yml with its label.

The file as it stands is the rendering for the key that is used where an operator has none.
"""

import re
from functools import lru_cache
from pathlib import Path

import yaml
from django.conf import settings

from infra_console.fleet.queries import current_fleet
from infra_console.telemetry.fragments import TIER_KEY, TIER_LABEL
from infra_console.telemetry.ports import Rules, rule_name

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


@lru_cache(maxsize=4)
def needed_rules(tier_key: str) -> Rules:
    """What a source is to record for a fleet with this tier key."""
    groups = yaml.safe_load(recording_rules(tier_key))["groups"]
    return tuple(
        (rule_name(rule["record"], rule.get("labels") or {}), rule["expr"])
        for group in groups
        for rule in group["rules"]
    )


def rules_difference(loaded: Rules, *, tier_key: str) -> str:
    """What a source's loaded rules lack of those that the fleet needs, in words; empty: nothing.

    A source prints an expression with spaces of its own: these alone make no difference.
    """
    needed = needed_rules(tier_key)
    known: dict[str, set[str]] = {}
    for name, expr in loaded:
        known.setdefault(name, set()).add(_plain(expr))
    missing = [name for name, _ in needed if name not in known]
    if len(missing) == len(needed):
        return f"none of the {len(needed)} recording rules is loaded: raw series are read instead"
    other = [name for name, expr in needed if name in known and known[name] != {_plain(expr)}]
    parts = [
        f"{len(names)} of {len(needed)} recording rules {what}: {', '.join(names[:3])}"
        + (" and more" if len(names) > 3 else "")
        for names, what in ((missing, "are not loaded"), (other, "are not those of this fleet"))
        if names
    ]
    return "; ".join(parts) + (f" (its tier key is {tier_key})" if other else "")


def _plain(expr: str) -> str:
    return "".join(expr.split())
