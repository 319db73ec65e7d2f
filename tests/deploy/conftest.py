"""Every execution in these tests passes the admission policies: the twin's server asks them."""

from typing import Any

import pytest

from tests.deploy.admission import Review, refusals
from tiers.twin.kube import updates
from tiers.twin.kube.errors import forbidden
from tiers.twin.kube.resources import CLUSTER_QUEUES, NODES, Obj, Resource
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.validate import with_defaults
from tiers.twin.kube.verbs import Write

OPT_IN = {"infra-console.dev/managed": "true"}


@pytest.fixture(autouse=True)
def reviews(monkeypatch: pytest.MonkeyPatch) -> list[Review]:
    """Every update that the server of a test was asked for; whatever a policy refuses is a 403.

    Nodes and queues are opted in when they are made, as an operator does, and carry the defaults
    that a server writes down.
    """
    asked: list[Review] = []
    store_update, create = updates._stored, ClusterStore.create

    def admitted(write: Write, obj: Obj) -> Obj:
        review = review_of(write, obj)
        asked.append(review)
        if said := refusals(review):
            raise forbidden(write.resource, write.name, "; ".join(said))
        return store_update(write, obj)

    def opted_in(
        store: ClusterStore, resource: Resource, obj: Obj, *rest: Any, **named: Any
    ) -> Obj:
        if resource in (NODES, CLUSTER_QUEUES):
            metadata = obj["metadata"]
            metadata["labels"] = {**(metadata.get("labels") or {}), **OPT_IN}
            obj = with_defaults(resource, obj)
        return create(store, resource, obj, *rest, **named)

    monkeypatch.setattr(updates, "_stored", admitted)
    monkeypatch.setattr(ClusterStore, "create", opted_in)
    return asked


def review_of(write: Write, obj: Obj) -> Review:
    resource = write.resource
    part = f"/{write.subresource}" if write.subresource else ""
    return Review(
        group=resource.group,
        version=resource.version,
        resource=resource.plural + part,
        old=write.store.get(resource, write.namespace, write.name),
        new=obj,
    )
