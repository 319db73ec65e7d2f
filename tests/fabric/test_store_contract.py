"""What every store promises, asked of each: memory, pgvector in PostgreSQL, faiss in files."""

import numpy as np
import pytest
from django.db import connection

from fabric.adapters import faiss as faiss_adapter
from fabric.adapters.faiss import FaissStore
from fabric.adapters.memory import MemoryStore
from fabric.adapters.pgvector import PgvectorStore
from fabric.core.errors import NotFinite, WrongDimension
from fabric.core.measures import recall_at
from fabric.core.scope import Scope
from fabric.errors import IndexMissing, StoreDamaged, StoreNotInstalled, StoreSlow, StoreUnavailable
from fabric.ports import Batch, IndexSpec

DIMENSION, COUNT, K = 24, 400, 10
SPEC = IndexSpec("contract", DIMENSION, {"m": 8, "ef_construction": 40})
BOTH, RARE = Scope(frozenset({"many", "rare"})), Scope(frozenset({"rare"}))
LIMIT_MS = 5_000.0


def unit(rng, *shape):
    rows = rng.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


VECTORS = unit(np.random.default_rng(5), COUNT, DIMENSION)
QUERIES = unit(np.random.default_rng(6), 20, DIMENSION)
# Ids that are no positions, one document in twenty in the rare partition.
IDS = np.arange(COUNT, dtype=np.int64) * 3 + 1000
PARTITIONS = ["rare" if i % 20 == 0 else "many" for i in range(COUNT)]


def batch(start=0, stop=COUNT):
    return Batch(IDS[start:stop], VECTORS[start:stop], PARTITIONS[start:stop])


@pytest.fixture(params=["memory", pytest.param("pgvector", marks=pytest.mark.django_db), "faiss"])
def store(request, tmp_path):
    if request.param == "pgvector":
        made = PgvectorStore()
        yield made
        made.drop(SPEC)
        made.close()
        return
    yield MemoryStore() if request.param == "memory" else FaissStore(tmp_path)


@pytest.fixture
def full(store):
    store.create(SPEC)
    store.add(SPEC, batch())
    store.build(SPEC)
    return store


def truth(query, scope):
    inside = [i for i in range(COUNT) if PARTITIONS[i] in scope.partitions]
    distances = 1 - VECTORS[inside] @ query
    order = np.argsort(distances)[:K]
    return IDS[inside][order], distances[order]


@pytest.mark.parametrize("scope", [BOTH, RARE], ids=["all", "rare"])
def test_an_exact_search_misses_nothing_within_its_scope(full, scope):
    for query in QUERIES:
        found = full.exact(SPEC, query, K, scope=scope, limit_ms=LIMIT_MS)
        ids, distances = truth(query, scope)
        assert found.ids.tolist() == ids.tolist()
        assert found.distances == pytest.approx(distances, abs=1e-5)


@pytest.mark.parametrize("scope", [BOTH, RARE], ids=["all", "rare"])
def test_a_filter_does_not_cost_recall(full, scope):
    recalls = []
    for query in QUERIES:
        effort = full.efforts[-1] if full.efforts else 0
        found = full.search(SPEC, query, K, effort=effort, scope=scope, limit_ms=LIMIT_MS)
        rows = ((found.ids - 1000) // 3).tolist()
        assert {PARTITIONS[r] for r in rows} <= scope.partitions
        assert len(set(rows)) == len(rows)
        exact = truth(query, scope)[1]
        recalls.append(recall_at(K, (1 - VECTORS[rows] @ query).tolist(), exact.tolist()))
    assert np.mean(recalls) >= 0.99


def test_a_scope_without_documents_is_answered_with_none(full):
    nobody = Scope(frozenset({"nobody"}))
    for effort in (full.efforts or (0,))[:1]:
        found = full.search(SPEC, QUERIES[0], K, effort=effort, scope=nobody, limit_ms=LIMIT_MS)
        assert not len(found.ids)
    assert not len(full.exact(SPEC, QUERIES[0], K, scope=nobody, limit_ms=LIMIT_MS).ids)


def test_adding_twice_counts_once_and_the_last_vector_holds(store):
    store.create(SPEC)
    store.add(SPEC, batch(0, 100))
    store.add(SPEC, batch(50, 150))
    moved = Batch(IDS[:1], QUERIES[:1], ["many"])
    store.add(SPEC, moved)
    store.build(SPEC)
    assert store.health(SPEC).indexed == 150
    found = store.exact(SPEC, QUERIES[0], 1, scope=BOTH, limit_ms=LIMIT_MS)
    assert found.ids.tolist() == [1000]


def test_more_can_be_added_after_the_build(full):
    more = Batch(np.array([7], dtype=np.int64), QUERIES[:1], ["rare"])
    full.create(SPEC)
    full.add(SPEC, more)
    full.build(SPEC)
    assert full.health(SPEC).indexed == COUNT + 1
    found = full.search(SPEC, QUERIES[0], 1, effort=64, scope=RARE, limit_ms=LIMIT_MS)
    assert found.ids.tolist() == [7]


def test_wrong_dimensions_and_nan_are_refused_as_a_whole(full):
    short = Batch(IDS[:2], VECTORS[:2, :5], PARTITIONS[:2])
    holed = VECTORS[:2].copy()
    holed[1, 3] = np.nan
    with pytest.raises(WrongDimension):
        full.add(SPEC, short)
    with pytest.raises(NotFinite):
        full.add(SPEC, Batch(np.array([1, 2]), holed, PARTITIONS[:2]))
    with pytest.raises(WrongDimension):
        full.search(SPEC, QUERIES[0][:5], K, effort=64, scope=BOTH, limit_ms=LIMIT_MS)
    with pytest.raises(NotFinite):
        full.exact(SPEC, holed[1], K, scope=BOTH, limit_ms=LIMIT_MS)
    assert full.health(SPEC).indexed == COUNT


def test_an_index_that_is_not_there_says_so(store):
    assert store.health(SPEC).state == "not built"
    with pytest.raises(IndexMissing):
        store.exact(SPEC, QUERIES[0], K, scope=BOTH, limit_ms=LIMIT_MS)
    store.drop(SPEC)


def test_a_dropped_index_is_gone(full):
    full.drop(SPEC)
    assert full.health(SPEC).state == "not built"


def test_a_truncated_file_is_refused_and_never_searched(tmp_path):
    FaissStore(tmp_path).drop(SPEC)
    first = FaissStore(tmp_path)
    first.create(SPEC)
    first.add(SPEC, batch())
    first.build(SPEC)
    path = tmp_path / "contract.npz"
    path.write_bytes(path.read_bytes()[:-100])
    fresh = FaissStore(tmp_path)
    assert fresh.health(SPEC).state == "damaged"
    with pytest.raises(StoreDamaged, match="not what was written"):
        fresh.search(SPEC, QUERIES[0], K, effort=64, scope=BOTH, limit_ms=LIMIT_MS)


def test_a_file_built_with_another_dimension_is_refused(tmp_path):
    first = FaissStore(tmp_path)
    first.create(SPEC)
    first.add(SPEC, batch())
    first.build(SPEC)
    other = IndexSpec(SPEC.name, DIMENSION + 1)
    assert FaissStore(tmp_path).health(other).state == "damaged"


def test_a_killed_build_leaves_the_file_before_it(tmp_path, monkeypatch):
    first = FaissStore(tmp_path)
    first.create(SPEC)
    first.add(SPEC, batch(0, 300))
    first.build(SPEC)
    first.add(SPEC, batch(300, 400))
    monkeypatch.setattr(faiss_adapter, "_digest", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        first.build(SPEC)
    monkeypatch.undo()
    assert FaissStore(tmp_path).health(SPEC).indexed == 300


def test_a_missing_library_is_a_state_not_a_crash(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(faiss_adapter, "import_module", missing)
    with pytest.raises(StoreNotInstalled, match="pip install"):
        FaissStore(tmp_path).create(SPEC)


def test_a_server_that_is_away_is_a_state_with_its_cause():
    away = PgvectorStore("postgresql://nobody@127.0.0.1:1/nothing")
    health = away.health(SPEC)
    assert (health.state, health.indexed) == ("down", None)
    assert "refused" in health.detail
    with pytest.raises(StoreUnavailable):
        away.search(SPEC, QUERIES[0], K, effort=10, scope=BOTH, limit_ms=LIMIT_MS)


@pytest.mark.django_db
def test_a_server_that_holds_us_up_is_slow_after_its_limit():
    made, other = PgvectorStore(), connection.copy()
    try:
        made.create(SPEC)
        with other.cursor() as cursor:
            other.set_autocommit(False)
            cursor.execute("LOCK TABLE contract IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(StoreSlow, match="within 50 ms"):
                made.exact(SPEC, QUERIES[0], K, scope=BOTH, limit_ms=50)
    finally:
        other.close()
        made.drop(SPEC)
        made.close()
