"""App configuration of infra_console.telemetry."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    name = "infra_console.telemetry"
    label = "telemetry"
