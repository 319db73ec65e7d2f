"""The stores that settings.FABRIC_STORES name, one of each in a process."""

from django.conf import settings
from django.utils.module_loading import import_string

from fabric.errors import StoreError, StoreNotInstalled
from fabric.models import Collection, IndexBuild, StoreIndex
from fabric.ports import IndexSpec, VectorStore

_made: dict[str, VectorStore] = {}


def store_named(name: str) -> VectorStore:
    """The store of this name.

    Raises:
        StoreError: no setting names it, or what it stands on is not installed.
    """
    path = settings.FABRIC_STORES.get(name)
    if path is None:
        raise StoreError(name, "settings.FABRIC_STORES names no such store")
    if path not in _made:
        try:
            _made[path] = import_string(path)()
        except ImportError as err:
            raise StoreNotInstalled(name, str(err)) from err
    return _made[path]


def close_stores() -> None:
    """Give connections back and forget what was loaded."""
    while _made:
        _, store = _made.popitem()
        store.close()


def spec_of(collection: Collection, index: StoreIndex | IndexBuild) -> IndexSpec:
    """Named by key, as a collection made again under the same name is another index; one that was
    built anew by its generation too, as it stands beside the one before."""
    key = index.pk if isinstance(index, StoreIndex) else index.index_id
    name = f"fabric_{key}_{index.generation}" if index.generation else f"fabric_{key}"
    return IndexSpec(name, collection.dimension, dict(index.parameters))
