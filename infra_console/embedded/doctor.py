"""Whether the servers that the console stands on can be used."""

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError
from redis import Redis
from redis.exceptions import RedisError

from infra_console.celery import app
from infra_console.overview.doctor import Check

BROKER_TIMEOUT_S = 3.0
NEEDED_QUEUES = ("control", "execute", "forecast", "evaluate")
_START = "start it: `manage.py demo` or `manage.py up` runs one, or name yours in "


def check_database() -> list[Check]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as err:
        return [
            Check(
                "database", False, str(err).splitlines()[0], _START + "INFRA_CONSOLE_DATABASE_URL"
            )
        ]
    finally:
        connection.close()
    if pending:
        return [
            Check("database", False, f"{len(pending)} migrations wait", "run `manage.py migrate`")
        ]
    return [Check("database", True, f"PostgreSQL {version}, migrated")]


def check_broker() -> list[Check]:
    client = Redis.from_url(
        settings.BROKER_URL,
        socket_timeout=BROKER_TIMEOUT_S,
        socket_connect_timeout=BROKER_TIMEOUT_S,
    )
    try:
        version = client.info("server").get("redis_version", "unknown")
    except RedisError as err:
        return [Check("broker", False, str(err), _START + "INFRA_CONSOLE_BROKER_URL")]
    finally:
        client.close()
    return [Check("broker", True, f"answers, protocol of Redis {version}")]


def check_workers() -> list[Check]:
    """One check a queue: a queue that nobody consumes keeps its tasks for ever."""
    try:
        found = app.control.inspect(timeout=1.5).active_queues() or {}
    except (RedisError, OSError) as err:
        return [Check("workers", False, f"cannot be asked: {err}", "see the broker's check")]
    consumers = {
        queue: sum(queue in {q["name"] for q in queues} for queues in found.values())
        for queue in NEEDED_QUEUES
    }
    return [
        Check(
            f"workers on {queue}",
            ok=count > 0,
            detail=f"{count} consuming",
            remedy="" if count else f"start one: `celery -A infra_console worker -Q {queue}`",
        )
        for queue, count in consumers.items()
    ]
