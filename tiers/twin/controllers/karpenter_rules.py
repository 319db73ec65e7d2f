"""What a NodePool says: which machine, how many at most, how long empty, how many at once."""

import re
from math import ceil

from tiers.twin.controllers.machines import described, machine_resources
from tiers.twin.controllers.quantities import quantity
from tiers.twin.kube.resources import Obj

_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_UNLIMITED = 10_000


def shape(pool: Obj) -> tuple[dict[str, str], list[Obj]]:
    """Labels and taints of its nodes: the template's, and the first value of each requirement."""
    template = pool["spec"].get("template") or {}
    inner = template.get("spec") or {}
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    for requirement in inner.get("requirements") or ():
        if requirement["operator"] == "In" and requirement.get("values"):
            labels.setdefault(requirement["key"], requirement["values"][0])
    return labels, list(inner.get("taints") or ())


def limit_nodes(pool: Obj, labels: dict[str, str]) -> int:
    """How many nodes its limits allow, whatever resource they are on."""
    limits = pool["spec"].get("limits") or {}
    has = {"nodes": "1", **machine_resources(described(labels))}
    counts = [
        int(quantity(limit) / quantity(has[name])) for name, limit in limits.items() if name in has
    ]
    return min(counts, default=_UNLIMITED)


def consolidate_after(pool: Obj) -> float | None:
    """Seconds that a node must have been empty; None when empty nodes stay."""
    disruption = pool["spec"].get("disruption") or {}
    return seconds(str(disruption.get("consolidateAfter", "0s")))


def seconds(text: str) -> float | None:
    """A Go duration such as `1h30m`; None for `Never`."""
    if text == "Never":
        return None
    return sum(float(n) * _UNIT_S[unit] for n, unit in re.findall(r"([\d.]+)([smh])", text))


def budget(pool: Obj, nodes: int) -> int:
    """How many of its nodes may be on their way out for being empty; 10 % unless it says so."""
    disruption = pool["spec"].get("disruption") or {}
    allowed = nodes
    for rule in disruption.get("budgets", [{"nodes": "10%"}]):
        if "schedule" in rule or "Empty" not in rule.get("reasons", ["Empty"]):
            continue
        text = str(rule["nodes"])
        share = ceil(int(text[:-1]) * nodes / 100) if text.endswith("%") else int(text)
        allowed = min(allowed, share)
    return allowed
