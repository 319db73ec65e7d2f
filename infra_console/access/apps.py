"""App configuration of infra_console.access."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "infra_console.access"
    label = "access"
