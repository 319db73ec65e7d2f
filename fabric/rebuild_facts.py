"""An index as a plan names it, and the facts of it that make such a plan void."""

from collections.abc import Mapping
from typing import Any

from fabric.models import StoreIndex
from infra_console.cluster.errors import ObjectMissing
from infra_console.plans.places import own_place
from infra_console.plans.spec import ObjectRef

KIND, DOMAIN = "VectorIndex", "fabric"


def target_of(index: StoreIndex) -> ObjectRef:
    name = index.collection.name
    place = own_place(DOMAIN, name)
    return ObjectRef(cluster=place, kind=KIND, namespace=name, name=index.store)


def index_at(target: ObjectRef) -> StoreIndex:
    """Raises ObjectMissing: the collection, or its index in this store, is no longer there."""
    held = StoreIndex.objects.filter(collection__name=target.namespace, store=target.name)
    index = held.select_related("collection").first()
    if index is None:
        raise ObjectMissing(target.cluster, f"{target.namespace} is not indexed in {target.name}")
    return index


def index_facts(target: ObjectRef) -> Mapping[str, Any]:
    index = index_at(target)
    return {
        "uid": str(index.pk),
        "generation": index.generation,
        "parameters": index.parameters,
        "embedder": index.collection.embedder,
        "documents": index.collection.documents.count(),
    }
