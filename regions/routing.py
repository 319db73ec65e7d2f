"""One look at the routes of all clusters: what their weights say, and what the router would have.

Read by a worker with a kubeconfig, kept as a `RouteLook` and shown with its age.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from infra_console.cluster.errors import ClusterError
from infra_console.cluster.routes import RouteState, list_routes
from infra_console.fleet.queries import list_clusters, list_regions
from infra_console.telemetry.queries import read_instant
from infra_console.telemetry.series import Reading
from regions.core.law import ANYWHERE
from regions.core.spill import Load
from regions.core.weights import (
    Proposal,
    Route,
    Scores,
    percent_of,
    propose,
    scores_of,
    without,
)
from regions.liveness import life_of
from regions.queries import drained, region_loads
from regions.route_facts import MODEL, regions_of, residency_of
from regions.routers import RULES, router_now


@dataclass(frozen=True, slots=True)
class Held:
    """A route that is ours to weigh, as read, beside what the rules make of it."""

    cluster: str
    state: RouteState
    backends: Mapping[str, str]
    route: Route


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that one look found. `notes` say what was left out or not known, and why."""

    at: datetime
    held: tuple[Held, ...]
    scores: Mapping[str, Scores]
    room: Mapping[tuple[str, str], float | None]
    proposals: tuple[Proposal, ...]
    lost: tuple[str, ...]
    unsure: tuple[str, ...]
    drained: tuple[str, ...]
    notes: tuple[str, ...]

    def if_lost(self, region: str) -> list[Proposal]:
        """What the weights would be if this region went too."""
        routes = [one.route for one in self.held]
        return without(routes, self.scores, self.room, lost=region, rules=RULES)

    def document(self) -> dict[str, Any]:
        """As it is kept and shown, in JSON types."""
        then = {key: split for p in self.proposals for key, split in p.splits.items()}
        return {
            "routes": [_row(one, then.get(one.route.id)) for one in self.held],
            "models": [asdict(p) for p in self.proposals],
            "lost": list(self.lost),
            "unsure": list(self.unsure),
            "drained": list(self.drained),
            "notes": list(self.notes),
        }


def look(*, now: datetime | None = None) -> Board:
    """Read every cluster, what is asked and what there is room for, and ask the router."""
    at = now or datetime.now(UTC)
    life = life_of(region.id for region in list_regions())
    lost, unsure = (tuple(r for r, said in life.items() if said == w) for w in ("lost", "unsure"))
    closed, loads = drained(), region_loads()
    held, notes = _held(at, living={r for r, said in life.items() if said == "lives"})
    routes = [one.route for one in held]
    known = [r for r in routes if _hosted(r.model, loads)]
    notes += [f"{r.model}: nothing is known of who hosts it" for r in routes if r not in known]
    router, said = router_now(loads, life, closed, at)
    scores = scores_of(router, known, at.timestamp(), RULES) if known else {}
    room = {(load.region, load.model): load.room_rps for load in loads}
    if unsure:
        notes.append(f"{', '.join(unsure)}: the API is silent, the metrics are not; no proposal")
    return Board(
        at=at,
        held=tuple(one for one in held if one.route in known),
        scores=scores,
        room=room,
        proposals=() if unsure else tuple(propose(known, scores, room, rules=RULES)),
        lost=lost,
        unsure=unsure,
        drained=tuple(sorted(closed)),
        notes=(*notes, *said),
    )


def _held(at: datetime, *, living: Collection[str]) -> tuple[list[Held], list[str]]:
    """Every route that its owner opted in, and why others are left out."""
    regions = [region.id for region in list_regions()]
    clusters = {cluster.id: cluster.region_id for cluster in list_clusters()}
    asked, held, notes = _asked(read_instant("routed_rps", at=at)), [], []
    for cluster in (c for c, region in clusters.items() if region in living):
        found = _routes(cluster)
        if isinstance(found, str):
            notes.append(f"{cluster}: {found}")
            continue
        for state in found:
            backends = regions_of(state, regions)
            if len(backends) != len(state.raw) or not backends:
                notes.append(f"{cluster} {state.name}: its backends lead to no one region each")
                continue
            route = _route(cluster, clusters[cluster], state, backends, asked)
            held.append(Held(cluster, state, backends, route))
    return held, notes


def _routes(cluster: str) -> list[RouteState] | str:
    try:
        return [state for state in list_routes(cluster) if state.labels.get(MODEL)]
    except ClusterError as err:
        return err.problem


def _route(
    cluster: str,
    origin: str,
    state: RouteState,
    backends: Mapping[str, str],
    asked: Mapping[tuple[str, str], float],
) -> Route:
    model = state.labels[MODEL]
    return Route(
        id=f"{cluster}/{state.namespace}/{state.name}",
        origin=origin,
        model=model,
        residency=residency_of(state),
        regions=tuple(backends.values()),
        now=percent_of([(backends[name], weight) for name, weight in state.weights.items()]),
        rps=asked.get((cluster, model)),
    )


def _asked(reading: Reading) -> dict[tuple[str, str], float]:
    """Requests per second that entered at each cluster's gateway, by model."""
    found: dict[tuple[str, str], float] = {}
    for series in reading.series:
        if series.last is not None:
            key = series.labels.get("cluster", ""), series.labels.get("model", "")
            found[key] = found.get(key, 0.0) + float(series.last)
    return found


def _hosted(model: str, loads: Iterable[Load]) -> bool:
    return any(load.model == model for load in loads)


def _row(one: Held, then: Mapping[str, int] | None) -> dict[str, Any]:
    residency = one.route.residency
    return {
        "id": one.route.id,
        "cluster": one.cluster,
        "origin": one.route.origin,
        "model": one.route.model,
        "residency": ANYWHERE if residency == ANYWHERE else ", ".join(sorted(residency)),
        "rps": one.route.rps,
        "now": dict(one.route.now),
        "then": dict(then) if then else None,
        "owners": [m.name for m in one.state.owners],
        "unmet": one.state.unmet,
    }
