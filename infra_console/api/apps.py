"""App configuration of infra_console.api."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "infra_console.api"
    label = "api"
