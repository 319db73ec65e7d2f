"""The page of what could not run where."""

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from infra_console.access.decorators import needs
from infra_console.access.requests import PageRequest
from infra_console.overview.pages import render_page
from infra_console.overview.scope import scope_of
from tiers.models import PlacementCheck
from tiers.queries import clusters_in


@require_safe
@needs("view")
def places(request: PageRequest) -> HttpResponse:
    scope = scope_of(request)
    checks = list(PlacementCheck.objects.filter(cluster__in=clusters_in(scope.region)))
    context = {
        "checks": checks,
        "works": _by_work(checks, scope.tier),
        "unchecked": sorted(set(clusters_in(scope.region)) - {c.cluster for c in checks}),
    }
    return render_page(request, "tiers/places.html", context)


def _by_work(checks: list[PlacementCheck], tier: str) -> list[dict[str, Any]]:
    """One entry a workload: the obstacles that it meets, and where it meets each."""
    works: dict[tuple[str, str, str], dict[str, Any]] = {}
    for check in checks:
        for row in check.rows:
            if tier and row["tier"] != tier:
                continue
            key = (row["namespace"], row["name"], row["tier"])
            entry = works.setdefault(key, {"name": "/".join(key[:2]), "tier": key[2], "why": {}})
            for obstacle in row["obstacles"]:
                why = (obstacle["kind"], obstacle["words"], obstacle["stanza"])
                where = f"{row['pool']}, {row['place_tier'] or 'no tier'}"
                entry["why"].setdefault(why, {})[where] = row["own"]
    return [
        {**entry, "why": [(*why, sorted(where), any(where.values()))
                          for why, where in entry["why"].items()]}
        for _, entry in sorted(works.items())
    ]  # fmt: skip
