"""App configuration of fabric."""

from django.apps import AppConfig


class FabricConfig(AppConfig):
    name = "fabric"
    label = "fabric"
