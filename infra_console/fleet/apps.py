"""App configuration of infra_console.fleet."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "infra_console.fleet"
    label = "fleet"
