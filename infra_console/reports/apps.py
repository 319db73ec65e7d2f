"""App configuration of infra_console.reports."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "infra_console.reports"
    label = "reports"

    def ready(self) -> None:
        from infra_console.reports import checks  # noqa: F401, PLC0415  registers them
