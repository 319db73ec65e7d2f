"""Quota in a tree of ClusterQueues and Cohorts: what is owned, lent, borrowed and still free.

A pot lends its parent all it has but what its lending limit keeps back (`guaranteed`); what it
uses beyond that is taken out of the parent. Free is its own part that is unused, plus what the
parent can spare, up to the borrowing limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tiers.twin.controllers.quantities import ZERO, quantity
from tiers.twin.kube.resources import CLUSTER_QUEUES, COHORTS, Obj
from tiers.twin.kube.store import ClusterStore

FlavorResource = tuple[str, str]
Amounts = dict[FlavorResource, Decimal]


@dataclass(eq=False)
class Pot:
    """A ClusterQueue or a Cohort; `taken` is what admitted Workloads of a ClusterQueue hold."""

    name: str
    nominal: Amounts = field(default_factory=dict)
    borrowing: Amounts = field(default_factory=dict)
    lending: Amounts = field(default_factory=dict)
    taken: Amounts = field(default_factory=dict)
    parent: "Pot | None" = None
    children: list["Pot"] = field(default_factory=list)

    def own(self, key: FlavorResource) -> Decimal:
        """Quota of this pot and what its children lend it."""
        lent = sum((child.own(key) - child.guaranteed(key) for child in self.children), ZERO)
        return self.nominal.get(key, ZERO) + lent

    def guaranteed(self, key: FlavorResource) -> Decimal:
        """What nobody else may borrow."""
        return max(ZERO, self.own(key) - self.lending[key]) if key in self.lending else ZERO

    def used(self, key: FlavorResource) -> Decimal:
        beyond = (child.used(key) - child.guaranteed(key) for child in self.children)
        return self.taken.get(key, ZERO) + sum((max(ZERO, b) for b in beyond), ZERO)

    def free(self, key: FlavorResource) -> Decimal:
        """What this pot could still take, by borrowing too."""
        own, used, kept = self.own(key), self.used(key), self.guaranteed(key)
        if self.parent is None:
            return own - used
        from_parent = self.parent.free(key)
        if key in self.borrowing:
            lent_and_unused = own - kept - max(ZERO, used - kept)
            from_parent = min(from_parent, lent_and_unused + self.borrowing[key])
        return max(ZERO, kept - used) + from_parent

    def most(self, key: FlavorResource) -> Decimal:
        """What it could take if nobody used anything."""
        if self.parent is None:
            return self.own(key)
        most = self.guaranteed(key) + self.parent.most(key)
        limit = self.own(key) + self.borrowing[key] if key in self.borrowing else most
        return min(most, limit)

    def borrowed(self, key: FlavorResource) -> Decimal:
        return max(ZERO, self.taken.get(key, ZERO) - self.nominal.get(key, ZERO))

    def take(self, amounts: Amounts, sign: int = 1) -> None:
        for key, amount in amounts.items():
            self.taken[key] = self.taken.get(key, ZERO) + sign * amount


def pot_of(obj: Obj) -> Pot:
    pot = Pot(obj["metadata"]["name"])
    limits = (("nominalQuota", pot.nominal), ("borrowingLimit", pot.borrowing),
              ("lendingLimit", pot.lending))  # fmt: skip
    for group in obj["spec"].get("resourceGroups") or ():
        for flavor in group["flavors"]:
            for resource in flavor["resources"]:
                for name, amounts in limits:
                    if resource.get(name) is not None:
                        amounts[flavor["name"], resource["name"]] = quantity(resource[name])
    return pot


def pots(store: ClusterStore) -> dict[str, Pot]:
    """Every ClusterQueue's pot by name, joined through its cohorts (implicit ones too)."""
    queues, cohorts = store.all(CLUSTER_QUEUES), store.all(COHORTS)
    above = {cohort["metadata"]["name"]: pot_of(cohort) for cohort in cohorts}
    for cohort in cohorts:
        _join(above[cohort["metadata"]["name"]], cohort["spec"].get("parentName"), above)
    made = {}
    for queue in queues:
        pot = made[queue["metadata"]["name"]] = pot_of(queue)
        _join(pot, queue["spec"].get("cohortName"), above)
    return made


def _join(pot: Pot, name: str | None, above: dict[str, Pot]) -> None:
    if not name:
        return
    parent = above.setdefault(name, Pot(name))
    if pot not in _lineage(parent):  # a cycle of cohorts is left open
        pot.parent = parent
        parent.children.append(pot)


def _lineage(pot: Pot | None) -> Iterable[Pot]:
    while pot is not None:
        yield pot
        pot = pot.parent
