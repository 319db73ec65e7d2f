"""The one clock of plans: the database's. Machines whose clocks differ agree on it."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """This moment, aware. Leases, waits, expiries and ends are told by it, whoever works."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
