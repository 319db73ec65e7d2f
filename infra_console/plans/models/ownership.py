"""Who this console is, and what it saw of others, as rows."""

import uuid

from django.db import models


class Console(models.Model):
    """This installation; one row, id 1. A copy of the database is the same console."""

    identity = models.UUIDField(default=uuid.uuid4)

    def __str__(self) -> str:
        return str(self.identity)


class ForeignLease(models.Model):
    """Another console's Lease as it stood when it was first seen so, by our database's clock."""

    cluster = models.CharField(max_length=63, primary_key=True)
    holder = models.CharField(max_length=400)
    renewed = models.CharField(max_length=40)
    first_seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.cluster} held by {self.holder}"
