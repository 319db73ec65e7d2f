"""App configuration of infra_console.reports."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "infra_console.reports"
    label = "reports"
