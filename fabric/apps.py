"""App configuration of fabric."""

from django.apps import AppConfig


class FabricConfig(AppConfig):
    name = "fabric"
    label = "fabric"

    def ready(self) -> None:
        from fabric import checks  # noqa: F401, PLC0415  registers itself, once models are there
