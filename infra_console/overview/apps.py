"""App configuration of infra_console.overview."""

from django.apps import AppConfig


class OverviewConfig(AppConfig):
    name = "infra_console.overview"
    label = "overview"
