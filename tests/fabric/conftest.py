"""A collection's folder, once; stores whose files and connections go with the test."""

from functools import partial

import pytest

from fabric import ingest, measure, stores
from fabric.adapters.embedder import fit_embedder
from fabric.models import StoreIndex
from tests.fabric.collection import write_collection


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("collections") / "made-texts")


@pytest.fixture
def state(settings, tmp_path, db, monkeypatch):
    """A state folder of the test's own, and no connection or table left behind. Few dimensions
    and just enough questions to prove the target keep the tests short."""
    settings.STATE_DIR = tmp_path
    monkeypatch.setattr(ingest, "fit_embedder", partial(fit_embedder, dimension=24))
    monkeypatch.setattr(measure, "QUERIES", 76)
    monkeypatch.setattr(measure, "FEWEST", 76)
    stores.close_stores()
    yield tmp_path
    for index in StoreIndex.objects.select_related("collection"):
        if index.store in settings.FABRIC_STORES and index.store == "pgvector":
            for one in (index, *index.builds.all()):
                stores.store_named(index.store).drop(stores.spec_of(index.collection, one))
    stores.close_stores()
