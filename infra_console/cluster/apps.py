"""App configuration of infra_console.cluster."""

from django.apps import AppConfig


class ClusterConfig(AppConfig):
    name = "infra_console.cluster"
    label = "cluster"
