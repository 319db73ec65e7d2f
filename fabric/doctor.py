"""Whether the fabric's stores can be used."""

from django.conf import settings

from fabric.errors import StoreError
from fabric.models import StoreIndex
from fabric.stores import spec_of, store_named
from infra_console.overview.doctor import Check


def check_stores() -> list[Check]:
    """One check an index; without a collection there is nothing that could be missing."""
    indexes = StoreIndex.objects.select_related("collection")
    if not indexes:
        detail = f"no collection yet; stores: {', '.join(settings.FABRIC_STORES) or 'none'}"
        return [Check("fabric", ok=True, detail=detail)]
    return [_check(index) for index in indexes]


def _check(index: StoreIndex) -> Check:
    name = f"{index.collection.name} in {index.store}"
    try:
        health = store_named(index.store).health(spec_of(index.collection, index))
    except StoreError as err:
        return Check(name, False, f"{err.state}: {err.problem}", "see docs/fabric.md")
    total = index.collection.documents.count()
    if health.state != "ready" or health.indexed != total:
        counted = "an unknown number" if health.indexed is None else health.indexed
        detail = f"{health.state}, {counted} of {total} documents {health.detail}".strip()
        return Check(name, False, detail, "run `manage.py fabric_ingest` again")
    return Check(name, True, f"{total} documents")
