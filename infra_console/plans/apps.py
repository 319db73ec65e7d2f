"""App configuration of infra_console.plans."""

from django.apps import AppConfig


class PlansConfig(AppConfig):
    name = "infra_console.plans"
    label = "plans"

    def ready(self) -> None:
        from infra_console.plans import checks  # noqa: F401, PLC0415  registers them
