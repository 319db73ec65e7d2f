"""A node's tier label by server-side apply: its owner is on the object, and is named, not forced.

Without a resourceVersion an apply would overwrite what came since it was read, so it carries one.
"""

from typing import Any

from kubernetes import client as kubernetes
from kubernetes.client.exceptions import ApiException

from infra_console.cluster.apply import owners_in_conflict
from infra_console.cluster.client import client_for
from infra_console.cluster.errors import FieldOwned, status_message
from infra_console.cluster.managers import UNRECORDED
from infra_console.cluster.objects import NodeState, node_state
from infra_console.cluster.patching import APPLY_PATCH, write
from infra_console.cluster.writes import change_node


def apply_label(
    cluster_id: str, node: NodeState, key: str, value: str, *, force: bool, dry_run: bool
) -> NodeState:
    """Make one label of a node ours, with this value.

    Args:
        force: take it from whoever owns it; only ever with an admin's leave.

    Raises:
        FieldOwned: another manager owns it with another value; nothing was written.
        ObjectConflict: the node changed since it was read; nothing was written.
    """
    identity = {"name": node.name, "uid": node.uid, "resourceVersion": node.resource_version}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": identity | {"labels": {key: value}}}
    what = f"apply label {key} of node {node.name}"
    try:
        return _apply(cluster_id, what, node, body, force=force, dry_run=dry_run)
    except FieldOwned as err:
        if err.owners:
            raise
    # Nobody's but ours, by another way of writing, or nobody's on record: not theirs to lose.
    return _apply(cluster_id, what, node, body, force=True, dry_run=dry_run)


def hand_back_label(
    cluster_id: str, node: NodeState, key: str, value: str | None, *, manager: str, dry_run: bool
) -> NodeState:
    """Write a label in the name of its former owner, or take off one that was not there.

    Raises:
        ObjectConflict: the node changed since it was read; nothing was written.
    """
    return change_node(cluster_id, node, labels={key: value}, manager=manager, dry_run=dry_run)


def _apply(
    cluster_id: str, what: str, node: NodeState, body: dict[str, Any], *, force: bool, dry_run: bool
) -> NodeState:
    call = kubernetes.CoreV1Api(client_for(cluster_id)).patch_node

    def naming_owners(**options: Any) -> Any:
        try:
            return call(**options)
        except ApiException as err:
            if (found := owners_in_conflict(err)) is not None:
                owners = tuple(name for name in found if name != UNRECORDED)
                raise FieldOwned(cluster_id, status_message(err), owners=owners) from err
            raise

    options: dict[str, Any] = {
        "name": node.name,
        "body": body,
        **({"force": True} if force else {}),
    }
    return node_state(write(cluster_id, what, naming_owners, dry_run, kind=APPLY_PATCH, **options))
