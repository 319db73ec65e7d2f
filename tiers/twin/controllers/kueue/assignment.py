"""Which flavor a Workload could run on: it fits, it fits by borrowing, others must go, or never."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from tiers.twin.controllers import fit, topology
from tiers.twin.controllers.kueue import workloads
from tiers.twin.controllers.kueue.quota import Amounts, Pot
from tiers.twin.controllers.quantities import ZERO, written
from tiers.twin.kube.resources import RESOURCE_FLAVORS, Obj
from tiers.twin.kube.store import ClusterStore

Mode = Literal["fit", "preempt", "never"]
_ORDER: tuple[Mode, ...] = ("fit", "preempt", "never")


@dataclass(frozen=True)
class Assignment:
    """Flavors by resource, what they would be charged, and what stands in the way."""

    mode: Mode
    flavors: dict[str, str] = field(default_factory=dict)
    uses: Amounts = field(default_factory=dict)
    borrows: bool = False
    why: str = ""

    def joined(self, other: "Assignment") -> "Assignment":
        return Assignment(
            max(self.mode, other.mode, key=_ORDER.index),
            self.flavors | other.flavors,
            self.uses | other.uses,
            self.borrows or other.borrows,
            "; ".join(filter(None, (self.why, other.why))),
        )


def assign(store: ClusterStore, workload: Obj, queue: Obj, pot: Pot) -> Assignment:
    """The first flavor of each resource group on which it fits, or else could by preemption."""
    wanted = workloads.requests(workload)
    groups = queue["spec"].get("resourceGroups") or ()
    covered = {name for group in groups for name in group["coveredResources"]}
    if missing := sorted(set(wanted) - covered):
        return Assignment("never", why=f"resource {missing[0]} unavailable in ClusterQueue")
    whole = Assignment("fit")
    for group in groups:
        asked = {name: wanted[name] for name in group["coveredResources"] if wanted.get(name)}
        if asked:
            tried = [
                _on_flavor(store, workload, pot, flavor["name"], asked)
                for flavor in group["flavors"]
            ]
            whole = whole.joined(min(tried, key=lambda a: _ORDER.index(a.mode)))
    return whole


def _on_flavor(
    store: ClusterStore, workload: Obj, pot: Pot, name: str, asked: dict[str, Decimal]
) -> Assignment:
    flavor = store.find(RESOURCE_FLAVORS, "", name)
    if flavor is None:
        return Assignment("never", why=f"flavor {name} not found")
    if why := _obstacle(workload, flavor):
        return Assignment("never", why=why)
    charged: Amounts = {(name, resource): amount for resource, amount in asked.items()}
    return _charge(store, workload, pot, flavor, charged)


def _charge(store: ClusterStore, workload: Obj, pot: Pot, flavor: Obj, uses: Amounts) -> Assignment:
    name = flavor["metadata"]["name"]
    flavors = {resource: name for _, resource in uses}
    for key, amount in uses.items():
        if amount > (most := pot.most(key)):
            why = (
                f"insufficient quota for {key[1]} in flavor {name}, "
                f"request > maximum capacity ({written(amount)} > {written(most)})"
            )
            return Assignment("never", flavors, uses, why=why)
    for key, amount in uses.items():
        if (lacking := amount - pot.free(key)) > ZERO:
            why = (
                f"insufficient unused quota for {key[1]} in flavor {name}, "
                f"{written(lacking)} more needed"
            )
            return Assignment("preempt", flavors, uses, why=why)
    if why := topology.shortage(store, *_as_pod(workload, flavor)):
        return Assignment("never", flavors, uses, why=why)
    over = any(pot.taken.get(k, ZERO) + a > pot.nominal.get(k, ZERO) for k, a in uses.items())
    return Assignment("fit", flavors, uses, borrows=over)


def _as_pod(workload: Obj, flavor: Obj) -> tuple[Obj, int]:
    """The pod that admission would make on this flavor, and how many of them."""
    pod_set = workload["spec"]["podSets"][0]
    template, labels = pod_set["template"], flavor["spec"].get("nodeLabels") or {}
    spec = dict(template["spec"])
    spec["nodeSelector"] = (spec.get("nodeSelector") or {}) | labels
    extra = flavor["spec"].get("tolerations") or []
    spec["tolerations"] = [*(spec.get("tolerations") or []), *extra]
    return {"metadata": template.get("metadata") or {}, "spec": spec}, int(pod_set["count"])


def _obstacle(workload: Obj, flavor: Obj) -> str:
    """Taints that are not tolerated, and selectors that the flavor's labels contradict."""
    name, labels = flavor["metadata"]["name"], flavor["spec"].get("nodeLabels") or {}
    pod, _ = _as_pod(workload, flavor)
    for taint in flavor["spec"].get("nodeTaints") or ():
        if taint["effect"] != "PreferNoSchedule" and not fit.tolerates(pod, taint):
            return f"untolerated taint {{{taint['key']} {taint.get('value', '')}}} in flavor {name}"
    selector = workload["spec"]["podSets"][0]["template"]["spec"].get("nodeSelector") or {}
    if any(key in labels and labels[key] != value for key, value in selector.items()):
        return f"flavor {name} doesn't match node affinity"
    return ""
