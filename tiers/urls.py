"""Addresses of the tiers."""

from django.urls import path, register_converter

from infra_console.overview.scope import TIERS
from tiers import (
    adoption_views,
    demand_views,
    forecast_views,
    frontier_views,
    handover_views,
    ledger_views,
    places_views,
    price_views,
    views,
)


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
    path("frontier/choose", frontier_views.frontier_choose, name="frontier-choose"),
    path("frontier/lift", frontier_views.frontier_lift, name="frontier-lift"),
    path("frontier/chart", frontier_views.frontier_chart, name="frontier-chart"),
    path("demand/", demand_views.demand, name="demand"),
    path("forecast/", forecast_views.forecast, name="forecast"),
    path("forecast/chart", forecast_views.chart, name="forecast-chart"),
    path("forecast/table", forecast_views.table, name="forecast-table"),
    path("forecast/train", forecast_views.train, name="forecast_train"),
    path("forecast/events", forecast_views.event_add, name="forecast_event_add"),
    path(
        "forecast/events/<int:event_id>/remove",
        forecast_views.event_remove,
        name="forecast_event_remove",
    ),
    path("cycles/", views.cycles, name="cycles"),
    path("ledger/", ledger_views.ledger, name="ledger"),
    path("ledger/reservations", ledger_views.reservations, name="reservations"),
    path("handover/", handover_views.handover, name="handover"),
    path("prices/", price_views.prices, name="prices"),
    path("prices/import", price_views.prices_import, name="prices_import"),
    path("places/", places_views.places, name="places"),
    path("adoption/", adoption_views.adoption, name="adoption"),
    path("adoption/look", adoption_views.look_again, name="adoption_look"),
    path("adoption/rules", adoption_views.save_rules, name="adoption_rules"),
    path("adoption/apply", adoption_views.apply, name="adoption_apply"),
    path("<tier:tier>/chart", views.chart, name="chart"),
    path("<tier:tier>/spark", views.spark, name="spark"),
]
