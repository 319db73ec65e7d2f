"""Pages of the tiers."""

from collections import Counter
from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.access.roles import missing_right
from infra_console.overview.pages import render_page
from infra_console.overview.scope import Scope, scope_of
from tiers import queries, services, timelines
from tiers.figures import sparkline, tier_figure

PARTS = {
    "cycle": "tiers/cycle.html",
    **{f"tier-{name}": "tiers/tier.html" for name in ("inference", "training", "operational")},
}
SPARK_PAST = timedelta(hours=6)
SPARK_STEP_S = 600


@require_safe
@needs("view")
def index(request: PageRequest) -> HttpResponse:
    scope = scope_of(request)
    target = (request.htmx.target or "").removeprefix("tier-")

    def tiers() -> list[queries.TierSummary]:
        return queries.tier_summaries(region=scope.region, tier=scope.tier)

    context = {
        "tiers": tiers,
        "summary": lambda: next((t for t in tiers() if t.tier == target), None),
        "cycle": queries.latest_cycle,
        "freezes": lambda: queries.latest_freezes(region=scope.region),
        "model": queries.forecast_model,
        "forecasts": lambda: _forecast_words(scope),
        "lacks_propose": missing_right(request.user, "plan.propose"),
    }
    return render_page(request, "tiers/index.html", context, parts=PARTS)


def _forecast_words(scope: Scope) -> list[dict[str, object]]:
    """Which model is in force for how many series."""
    rows = queries.latest_forecasts(tier=scope.tier, region=scope.region)
    in_force = Counter(row.model_4h for row in rows)
    return [{"model": name, "series": count} for name, count in in_force.most_common()]


@require_safe
@needs("view")
def chart(request: PageRequest, tier: str) -> JsonResponse:
    """One tier's figure in the scope of the query."""
    scope, now = scope_of(request), timezone.now()
    start = scope.start(now)
    history = timelines.tier_history(
        tier, region=scope.region, start=start, end=now, step_s=scope.step_s
    )
    band = timelines.tier_forecast(tier, region=scope.region) if scope.future else None
    found = queries.tier_summaries(region=scope.region, tier=tier)
    floor_gpus = found[0].floor_gpus if found else None
    window = (start, now, scope.end(now))
    return JsonResponse(tier_figure(history, band, floor_gpus=floor_gpus, window=window))


@require_safe
@needs("view")
def spark(request: PageRequest, tier: str) -> HttpResponse:
    """A card's small picture: busy GPUs of the last hours and the band of the next four."""
    scope, now = scope_of(request), timezone.now()
    start, end = now - SPARK_PAST, now + timedelta(hours=4)
    history = timelines.tier_history(
        tier, region=scope.region, start=start, end=now, step_s=SPARK_STEP_S
    )
    band = timelines.tier_forecast(tier, region=scope.region)
    paths = sparkline(
        history["times"],
        history.get("asked" if tier != "inference" else "busy", []),
        band,
        start_s=start.timestamp(),
        now_s=now.timestamp(),
        end_s=end.timestamp(),
    )
    lacking = sorted({*history["missing"], *band.missing})
    context = {
        "paths": paths,
        "tier": tier,
        "problem": history.get("problem", ""),
        "missing": lacking,
    }
    return render_page(request, "tiers/spark.html", context)


@require_POST
@needs("plan.propose")
def cycles(request: PageRequest) -> HttpResponse:
    """Run a cycle now; whoever asks becomes an author of the plans it proposes."""
    services.request_cycle(by=request.user.get_username())
    messages.success(request, "A cycle was asked for. Its plans will name you as an author.")
    return redirect(reverse("tiers:index") + scope_of(request).query())
