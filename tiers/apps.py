"""App configuration of tiers."""

from django.apps import AppConfig


class TiersConfig(AppConfig):
    name = "tiers"
    label = "tiers"
