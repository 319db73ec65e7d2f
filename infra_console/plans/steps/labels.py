"""The tier's label of a node: applied in our name, taken over only where an admin said so."""

from collections.abc import Mapping
from typing import Any

from infra_console.cluster.errors import FieldOwned
from infra_console.cluster.handing import FieldAt, read_field
from infra_console.cluster.labels import apply_label
from infra_console.cluster.managers import named
from infra_console.cluster.objects import NodeState
from infra_console.plans.steps.base import Blocked, StepContext
from infra_console.plans.steps.ours import owners_kept
from infra_console.plans.steps.owned import owned_by_others


def label_node(
    step: StepContext, node: NodeState, key: str, to: str, prior: Mapping[str, Any] | None
) -> Blocked | None:
    """Set the label unless it stands; the refusal that names its owner, or None.

    Args:
        prior: what stood there before; who owned it is kept with it before it is taken over.
    """
    if node.labels.get(key) == to:
        return None
    try:
        _write(step, node, key, to, force=False)
    except FieldOwned as err:
        if refusal := owned_by_others(step, named(err.owners)):
            return refusal
        if prior and not step.dry_run:
            step.keep_prior({**prior, **_owners(step, node, key), "owners": list(err.owners)})
        _write(step, node, key, to, force=True)
    return None


def _owners(step: StepContext, node: NodeState, key: str) -> dict[str, list[str]]:
    at = FieldAt(step.cluster, "Node", "", node.name, ("metadata", "labels", key))
    return owners_kept(read_field(at).owners)


def _write(step: StepContext, node: NodeState, key: str, to: str, *, force: bool) -> None:
    step.write(
        f"{'take over' if force else 'set'} {key}={to} on {node.name}",
        lambda: apply_label(step.cluster, node, key, to, force=force, dry_run=step.dry_run),
    )
