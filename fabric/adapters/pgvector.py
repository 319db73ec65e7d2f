"""pgvector in a PostgreSQL: an HNSW index of cosine distance, a table for each index.

Filtered searches scan on until enough rows within the scope were found (`hnsw.iterative_scan`,
pgvector 0.8): without it an index returns its nearest rows first and the filter leaves too few.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np
import psycopg
from django.db import connection as django_connection
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from fabric.core.parameters import Bounds, usual
from fabric.core.scope import Scope
from fabric.core.vectors import Vectors, checked
from fabric.errors import IndexMissing, StoreError, StoreNotInstalled, StoreSlow, StoreUnavailable
from fabric.ports import Batch, Found, Health, IndexSpec

PARAMETERS = {"m": Bounds(4, 100, 16), "ef_construction": Bounds(8, 1000, 100)}
POOL_SIZE = 8
BUILD_LIMIT_MS = 3_600_000.0
WRITE_LIMIT_MS = 60_000.0
MAX_SCAN_TUPLES = 1_000_000
Connection = psycopg.Connection[Any]


class PgvectorStore:
    """The console's own PostgreSQL, or the one that `conninfo` names."""

    name = "pgvector"
    efforts: tuple[int, ...] = (
        10,
        20,
        40,
        80,
        160,
        320,
        640,
        1000,
    )  # hnsw.ef_search; 1000 is its greatest
    parameters: Mapping[str, Bounds] = PARAMETERS

    def __init__(self, conninfo: str | None = None) -> None:
        self._conninfo = conninfo
        self._pool: ConnectionPool[Connection] | None = None
        self._lock = Lock()

    def create(self, spec: IndexSpec) -> None:
        with self._connected(WRITE_LIMIT_MS) as open_:
            open_.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {} (id bigint PRIMARY KEY,"
                    " partition text NOT NULL, embedding vector({}) NOT NULL)"
                ).format(_table(spec), sql.Literal(spec.dimension))
            )

    def add(self, spec: IndexSpec, batch: Batch) -> None:
        vectors = checked(batch.vectors, spec.dimension)
        upsert = sql.SQL(
            "INSERT INTO {} (id, partition, embedding) VALUES (%s, %s, %s) ON CONFLICT (id)"
            " DO UPDATE SET partition = excluded.partition, embedding = excluded.embedding"
        ).format(_table(spec))
        rows = zip(batch.ids.tolist(), batch.partitions, vectors, strict=True)
        with self._connected(WRITE_LIMIT_MS) as open_, open_.cursor() as cursor:
            cursor.executemany(upsert, [(i, p, Vector(v)) for i, p, v in rows])

    def build(self, spec: IndexSpec) -> None:
        wanted = usual(PARAMETERS) | spec.parameters
        with self._connected(BUILD_LIMIT_MS) as open_:
            open_.execute(
                sql.SQL(
                    "CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw"
                    " (embedding vector_cosine_ops) WITH (m = {}, ef_construction = {})"
                ).format(
                    _index(spec), _table(spec),
                    sql.Literal(wanted["m"]), sql.Literal(wanted["ef_construction"]),
                )
            )  # fmt: skip
            open_.execute(sql.SQL("ANALYZE {}").format(_table(spec)))

    def search(
        self, spec: IndexSpec, query: Vectors, k: int, *, effort: int, scope: Scope, limit_ms: float
    ) -> Found:
        how = {
            "hnsw.ef_search": str(effort),
            "hnsw.iterative_scan": "strict_order",
            "hnsw.max_scan_tuples": str(MAX_SCAN_TUPLES),
            "enable_seqscan": "off",
            "enable_bitmapscan": "off",
        }
        return self._nearest(spec, query, k, scope=scope, limit_ms=limit_ms, how=how)

    def exact(
        self, spec: IndexSpec, query: Vectors, k: int, *, scope: Scope, limit_ms: float
    ) -> Found:
        how = {"enable_indexscan": "off"}
        return self._nearest(spec, query, k, scope=scope, limit_ms=limit_ms, how=how)

    def health(self, spec: IndexSpec) -> Health:
        try:
            with self._connected(WRITE_LIMIT_MS) as open_:
                rows = open_.execute(sql.SQL("SELECT count(*) FROM {}").format(_table(spec)))
                count = int((rows.fetchone() or (0,))[0])
                built = open_.execute(
                    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
                    [f"{spec.name}_hnsw"],
                ).fetchone()
        except IndexMissing:
            return Health("not built", 0)
        except StoreError as err:
            return Health(err.state, None, err.problem)
        return Health("ready", count) if built and built[0] else Health("not built", count)

    def drop(self, spec: IndexSpec) -> None:
        with self._connected(WRITE_LIMIT_MS) as open_:
            open_.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_table(spec)))

    def close(self) -> None:
        """Give the connections back; the next verb opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _nearest(
        self, spec: IndexSpec, query: Vectors, k: int, *,
        scope: Scope, limit_ms: float, how: dict[str, str],
    ) -> Found:  # fmt: skip
        asked = Vector(checked(query[None, :], spec.dimension)[0])
        statement = sql.SQL(
            "SELECT id, embedding <=> %s FROM {} WHERE partition = ANY(%s)"
            " ORDER BY embedding <=> %s LIMIT %s"
        ).format(_table(spec))
        with self._connected(limit_ms) as open_:
            setting = ", ".join("set_config(%s, %s, true)" for _ in how)
            words = [word for pair in how.items() for word in pair]
            open_.execute(f"SELECT {setting}".encode(), words)
            rows = open_.execute(statement, [asked, sorted(scope.partitions), asked, k]).fetchall()
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        return Found(ids, np.array([row[1] for row in rows], dtype=np.float32))

    @contextmanager
    def _connected(self, limit_ms: float) -> Iterator[Connection]:
        """A transaction that the server ends at the limit; foreign failures become ours."""
        try:
            with self._opened().connection(timeout=max(limit_ms / 1000, 1)) as open_:
                limit = f"{max(1, round(limit_ms))}ms"
                open_.execute("SELECT set_config('statement_timeout', %s, true)", [limit])
                yield open_
        except psycopg.errors.QueryCanceled as err:
            raise StoreSlow(self.name, f"no answer within {limit_ms:.0f} ms") from err
        except psycopg.errors.UndefinedTable as err:
            raise IndexMissing(self.name, "no such index") from err
        except (psycopg.Error, PoolTimeout) as err:
            problem = str(err).splitlines()[0] if str(err) else type(err).__name__
            raise StoreUnavailable(self.name, problem) from err

    def _opened(self) -> "ConnectionPool[Connection]":
        with self._lock:
            if self._pool is None:
                conninfo, parameters = self._address()
                _require_vector(conninfo, parameters)
                self._pool = ConnectionPool(
                    conninfo, kwargs=parameters, min_size=0, max_size=POOL_SIZE,
                    configure=register_vector, open=True, name="fabric-pgvector",
                )  # fmt: skip
            return self._pool

    def _address(self) -> tuple[str, dict[str, Any]]:
        if self._conninfo:
            return self._conninfo, {"connect_timeout": 5}
        taken = django_connection.get_connection_params()
        wanted = ("dbname", "user", "password", "host", "port", "sslmode", "connect_timeout")
        return "", {name: taken[name] for name in wanted if name in taken}


def _require_vector(conninfo: str, parameters: dict[str, Any]) -> None:
    """The extension in this database: added where we may, asked for where we may not."""
    with psycopg.connect(conninfo, autocommit=True, **parameters) as open_:
        if open_.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone():
            return
        try:
            open_.execute("CREATE EXTENSION vector")
        except psycopg.Error as err:
            remedy = "have its owner run CREATE EXTENSION vector (pgvector 0.8 or newer)"
            raise StoreNotInstalled(
                PgvectorStore.name, f"{str(err).splitlines()[0]}; {remedy}"
            ) from err


def _table(spec: IndexSpec) -> sql.Identifier:
    return sql.Identifier(spec.name)


def _index(spec: IndexSpec) -> sql.Identifier:
    return sql.Identifier(f"{spec.name}_hnsw")
