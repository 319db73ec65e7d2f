"""App configuration of infra_console.plans."""

from django.apps import AppConfig


class PlansConfig(AppConfig):
    name = "infra_console.plans"
    label = "plans"
