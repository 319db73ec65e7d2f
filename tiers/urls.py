"""Addresses of the tiers."""

from django.urls import path, register_converter

from infra_console.overview.scope import TIERS
from tiers import frontier_views, views


class TierConverter:
    """Only the three tiers' names match; anything else is a 404."""

    regex = "|".join(TIERS)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(TierConverter, "tier")

app_name = "tiers"
urlpatterns = [
    path("", views.index, name="index"),
    path("frontier/", frontier_views.frontier, name="frontier"),
    path("frontier/chart", frontier_views.frontier_chart, name="frontier-chart"),
    path("cycles/", views.cycles, name="cycles"),
    path("<tier:tier>/chart", views.chart, name="chart"),
    path("<tier:tier>/spark", views.spark, name="spark"),
]
