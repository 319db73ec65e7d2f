"""App configuration of infra_console.embedded."""

from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    name = "infra_console.embedded"
    label = "embedded"
