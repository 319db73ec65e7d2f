"""App configuration of infra_console.access."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def make_role_groups(**_: Any) -> None:
    """Groups are the roles; after `migrate` each role of the table has its group."""
    from django.contrib.auth.models import Group  # noqa: PLC0415  apps are not loaded above

    from infra_console.access.roles import ROLES  # noqa: PLC0415

    for name in ROLES:
        Group.objects.get_or_create(name=name)


class AccessConfig(AppConfig):
    name = "infra_console.access"
    label = "access"

    def ready(self) -> None:
        post_migrate.connect(make_role_groups, sender=self, dispatch_uid="role groups")
