"""By which labels found nodes and pods are placed: `adoption/1`, built-in rules and your own.

A rule's value is a shell pattern. An operator's rules go before the built-in ones, and the first
that fits counts; nothing is guessed where none does.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Tier = Literal["inference", "training", "operational"]
Purchase = Literal["reserved", "on_demand", "spot"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PurchaseRule(_Strict):
    """A node with this label is bought so."""

    label: str
    value: str = "*"
    purchase: Purchase


class TierRule(_Strict):
    """Where one condition fits, the tier: a node's label with its value, or a pod's namespace or
    Kueue queue."""

    tier: Tier
    label: str = ""
    value: str = "*"
    namespace: str = ""
    queue: str = ""

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if sum(map(bool, (self.label, self.namespace, self.queue))) != 1:
            raise ValueError("give one of label, namespace and queue")
        return self

    @property
    def words(self) -> str:
        if self.label:
            return f"label {self.label}={self.value}"
        return f"namespace {self.namespace}" if self.namespace else f"queue {self.queue}"


class RegionFacts(_Strict):
    """What no cluster tells of a region."""

    place: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    jurisdiction: str
    utc_offset_hours: float = Field(default=0.0, ge=-12, le=14)


class AdoptionRules(_Strict):
    schema_: Literal["adoption/1"] = Field(default="adoption/1", alias="schema")
    tier_label: str = "infra-console.dev/tier"
    tiers: tuple[TierRule, ...] = ()
    purchases: tuple[PurchaseRule, ...] = ()
    region_of_cluster: dict[str, str] = {}
    regions: dict[str, RegionFacts] = {}
    gpu_types: dict[str, str] = {}  # a product name as found, and what to call it
    idle_below: float = Field(default=0.05, ge=0, le=1)  # share of engine activity


REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
PRODUCT_LABELS = (
    "nvidia.com/gpu.product", "cloud.google.com/gke-accelerator",
    "karpenter.k8s.aws/instance-gpu-name", "kubernetes.azure.com/accelerator",
)  # fmt: skip
# What names a group of nodes at the usual providers: a rule for it places them all.
NODE_POOL_LABELS = (
    "karpenter.sh/nodepool", "cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool", "agentpool", "kai.scheduler/node-pool",
    "node.kubernetes.io/instance-type",
)  # fmt: skip
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
BUILT_IN_PURCHASES = tuple(
    PurchaseRule(label=label, value=value, purchase=purchase)
    for label, value, purchase in (
        ("karpenter.sh/capacity-type", "spot", "spot"),
        ("karpenter.sh/capacity-type", "on-demand", "on_demand"),
        ("karpenter.sh/capacity-type", "reserved", "reserved"),
        ("cloud.google.com/reservation-name", "*", "reserved"),
        ("cloud.google.com/gke-spot", "true", "spot"),
        ("cloud.google.com/gke-preemptible", "true", "spot"),
        ("cloud.google.com/gke-provisioning", "spot", "spot"),
        ("cloud.google.com/gke-provisioning", "preemptible", "spot"),
        ("cloud.google.com/gke-provisioning", "standard", "on_demand"),
        ("eks.amazonaws.com/capacityType", "SPOT", "spot"),
        ("eks.amazonaws.com/capacityType", "ON_DEMAND", "on_demand"),
        ("eks.amazonaws.com/capacityType", "CAPACITY_BLOCK", "reserved"),
        ("kubernetes.azure.com/scalesetpriority", "spot", "spot"),
        ("kubernetes.azure.com/scalesetpriority", "regular", "on_demand"),
    )
)
# H100, A100, L40S, GB200, MI300X, V100 …: letters, digits, and a suffix that is part of the name.
_GPU_NAME = re.compile(
    r"\b(GB\d{3}|MI\d{3}[A-Z]?|GH\d{3}|[ABHLPTV]\d{1,3}[SG]?|RTX[- ]?[A-Z0-9]+)\b"
)
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_GIBS = re.compile(r"(\d+)\s*GB\b")


def purchase_of(
    labels: Mapping[str, str], rules: AdoptionRules
) -> tuple[Purchase, PurchaseRule] | None:
    """How a node is bought and the rule that says so; None where no rule fits."""
    for rule in (*rules.purchases, *BUILT_IN_PURCHASES):
        if (value := label_of(labels, rule.label)) and fnmatchcase(value, rule.value):
            return rule.purchase, rule
    return None


def node_tier(labels: Mapping[str, str], rules: AdoptionRules) -> tuple[str, str] | None:
    """A node's tier and the words of what says so: its tier label, else a rule on another."""
    own = label_of(labels, rules.tier_label)
    if own in {"inference", "training", "operational"}:
        return own, f"label {rules.tier_label}"
    for rule in rules.tiers:
        value = label_of(labels, rule.label) if rule.label else ""
        if value and fnmatchcase(value, rule.value):
            return rule.tier, rule.words
    return None


def pod_tier(namespace: str, queue: str, rules: AdoptionRules) -> tuple[str, str] | None:
    """A pod's tier by its queue or its namespace, with the words of the rule."""
    for rule in rules.tiers:
        if (rule.queue and queue and fnmatchcase(queue, rule.queue)) or (
            rule.namespace and fnmatchcase(namespace, rule.namespace)
        ):
            return rule.tier, rule.words
    return None


def gpu_type_of(product: str, rules: AdoptionRules) -> str:
    """The short name of a GPU product, `H100` of `NVIDIA-H100-80GB-HBM3`; empty when unknown."""
    if product in rules.gpu_types:
        return rules.gpu_types[product]
    found = _GPU_NAME.search(product.upper().replace("_", "-"))
    return found[1].replace(" ", "-") if found else ""


def memory_gib_of(product: str, labels: Mapping[str, str]) -> float | None:
    """GiB of one GPU by its label in MiB, else by its product's name; None when unknown."""
    mib = label_of(labels, "nvidia.com/gpu.memory")
    if mib.isdecimal() and int(mib):
        return round(int(mib) / 1024, 1)
    named = _GIBS.search(product.upper().replace("-", " "))
    return float(named[1]) if named else None


def first_of(labels: Mapping[str, str], keys: Sequence[str]) -> tuple[str, str]:
    """The first of these labels that is there: (key, value), or two empty strings."""
    found = ((key, label_of(labels, key)) for key in keys)
    return next(((key, value) for key, value in found if value), ("", ""))


def label_of(labels: Mapping[str, str], key: str) -> str:
    """A label by its own name, or by the one that kube-state-metrics gives it; empty if absent."""
    return labels.get(key) or labels.get("label_" + _NOT_LABEL.sub("_", key), "")
