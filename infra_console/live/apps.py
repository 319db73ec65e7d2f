"""App configuration of infra_console.live."""

from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "infra_console.live"
    label = "live"
