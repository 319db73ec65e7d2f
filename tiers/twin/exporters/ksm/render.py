"""Renders kube-state-metrics, family by family, from texts kept for each object.

Like the real one, an object is rendered when it changes and not when it is scraped: its lines are
kept under its resourceVersion, and a scrape joins them.
"""

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from tiers.twin.exporters.ksm.bounds import (
    BUDGET_GROUP,
    HPA_GROUP,
    NAMESPACE_GROUP,
    QUOTA_GROUP,
)
from tiers.twin.exporters.ksm.families import Group
from tiers.twin.exporters.ksm.nodes import NODE_GROUP
from tiers.twin.exporters.ksm.pods import POD_GROUP
from tiers.twin.exporters.ksm.workloads import (
    DEPLOYMENT_GROUP,
    JOB_GROUP,
    REPLICA_SET_GROUP,
    STATEFUL_SET_GROUP,
)
from tiers.twin.exporters.text import head, joined, number
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.store import ClusterStore

GROUPS: tuple[Group, ...] = (
    NODE_GROUP,
    POD_GROUP,
    DEPLOYMENT_GROUP,
    REPLICA_SET_GROUP,
    STATEFUL_SET_GROUP,
    JOB_GROUP,
    NAMESPACE_GROUP,
    QUOTA_GROUP,
    BUDGET_GROUP,
    HPA_GROUP,
)

_Texts = tuple[str, ...]
"""An object's lines, one text a family of its group (empty for none)."""
_Kept = dict[str, tuple[str, _Texts]]
_kept: WeakKeyDictionary[ClusterStore, dict[str, _Kept]] = WeakKeyDictionary()


def render_ksm(store: ClusterStore) -> str:
    """Every family that has a series, each with its help and type."""
    kept = _kept.setdefault(store, {})
    blocks = [block for group in GROUPS for block in _group(store, group, kept)]
    return "\n".join(blocks) + "\n" if blocks else ""


def _group(store: ClusterStore, group: Group, kept: dict[str, _Kept]) -> Iterator[str]:
    before = kept.get(group.resource.qualified, {})
    now: _Kept = {}
    for obj in store.all(group.resource):
        uid, version = obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]
        found = before.get(uid)
        now[uid] = found if found and found[0] == version else (version, _texts(group, obj))
    kept[group.resource.qualified] = now
    columns = zip(*(texts for _, texts in now.values()), strict=True)
    for family, column in zip(group.families, columns, strict=False):
        if lines := [text for text in column if text]:
            yield "\n".join([*head(family.name, family.kind, family.text), *lines])


def _texts(group: Group, obj: Obj) -> _Texts:
    own = group.identify(obj)
    return tuple(
        "\n".join(
            f"{family.name}{{{joined(own, pairs)}}} {number(amount)}"
            for pairs, amount in family.rows(obj)
        )
        for family in group.families
    )
