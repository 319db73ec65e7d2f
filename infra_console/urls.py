"""Every address of the console. Pages and API alike ask for sign-in unless allow-listed."""

from django.urls import include, path

from infra_console.api.application import api
from infra_console.api.health import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("", include("infra_console.access.urls")),
    path("", include("infra_console.overview.urls")),
    path("plans/", include("infra_console.plans.urls")),
    path("tiers/", include("tiers.urls")),
    path("fabric/", include("fabric.urls")),
    path("regions/", include("regions.urls")),
    path("reports/", include("infra_console.reports.urls")),
    path("sources/", include("infra_console.telemetry.urls")),
    path("api/v1/", api.urls),
]
