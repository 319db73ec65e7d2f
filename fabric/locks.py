"""Who works on a collection: one process at a time takes it in, or builds an index of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from fabric.errors import IngestRunning


@contextmanager
def alone(name: str) -> Iterator[None]:
    """The lock goes with the connection when we are killed.

    Raises:
        IngestRunning: another process is at it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [f"fabric:{name}"])
        if not cursor.fetchone()[0]:
            raise IngestRunning(f"another process is at work on {name}")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [f"fabric:{name}"])
