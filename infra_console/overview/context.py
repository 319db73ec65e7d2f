"""What every page's frame shows to people who may view. Each value is read only when a template
asks for it.

The freshness pill is not here: it may wait for a metric source, so the page fetches it by itself.
"""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from infra_console.access.roles import can, rights_of, roles_of
from infra_console.fleet.models import FleetSetting
from infra_console.fleet.queries import list_regions
from infra_console.overview.queries import armed_pairs, kill_switch, plans_waiting
from infra_console.overview.scope import PAST_HOURS, TIERS, scope_of
from infra_console.plans.approving.break_glass import unratified
from infra_console.plans.approving.freezes import frozen_now


def shell(request: HttpRequest) -> dict[str, Any]:
    if not getattr(request, "user", None) or not can(request.user, "view"):
        return {"shell": None}
    return {
        "shell": {
            "scope": scope_of(request),
            "tiers": TIERS,
            "ranges": tuple(PAST_HOURS),
            "roles": SimpleLazyObject(lambda: sorted(roles_of(request.user))),
            "rights": SimpleLazyObject(lambda: rights_of(request.user)),
            "regions": SimpleLazyObject(list_regions),
            "twin": SimpleLazyObject(_twin),
            "armed": SimpleLazyObject(armed_pairs),
            "kill_switch": SimpleLazyObject(kill_switch),
            "frozen": SimpleLazyObject(frozen_now),
            "unratified": SimpleLazyObject(lambda: list(unratified())),
            "waiting": SimpleLazyObject(plans_waiting),
        }
    }


def _twin() -> dict[str, Any]:
    """The fleet file's `twin` part, read as plain JSON: checking it again here costs too much."""
    documents = FleetSetting.objects.filter(id=1).values_list("document", flat=True)
    return (documents.first() or {}).get("twin") or {}
