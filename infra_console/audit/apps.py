"""App configuration of infra_console.audit."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "infra_console.audit"
    label = "audit"
