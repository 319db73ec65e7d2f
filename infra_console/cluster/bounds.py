"""Autoscalers and their bounds: HorizontalPodAutoscalers, and the ScaledObjects that make them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra_console.cluster.apply import Versioned, apply_fields, give_back, versioned
from infra_console.cluster.errors import ObjectMissing
from infra_console.cluster.managers import Manager, other_owners
from infra_console.cluster.places import Kind, list_objects, read_object

HPA = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
KINDS: Mapping[str, Kind] = {k.kind: k for k in (HPA, SCALED_OBJECT)}
FIELDS: Mapping[str, tuple[str, str]] = {
    HPA.kind: ("minReplicas", "maxReplicas"),
    SCALED_OBJECT.kind: ("minReplicaCount", "maxReplicaCount"),
}
# What holds where a bound is not written down.
DEFAULTS: Mapping[str, tuple[int, int]] = {HPA.kind: (1, 1), SCALED_OBJECT.kind: (0, 100)}
PAUSED = frozenset({"autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"})


@dataclass(frozen=True, slots=True)
class BoundsState:
    """An autoscaler. `low` and `high` are None where they are not written down.

    `maker` is the ScaledObject that made this HPA and would put its own bounds back; `low_owners`
    and `high_owners` own a bound beside us; `target` is the kind and name of what it scales.
    """

    at: Versioned
    low: int | None
    high: int | None
    target: tuple[str, str]
    maker: str
    paused: bool
    low_owners: tuple[Manager, ...]
    high_owners: tuple[Manager, ...]
    annotations: Mapping[str, str]

    @property
    def owners(self) -> tuple[Manager, ...]:
        """Everybody but us who owns one of the two."""
        return tuple(dict.fromkeys((*self.low_owners, *self.high_owners)))

    @property
    def least(self) -> int:
        return DEFAULTS[self.at.kind][0] if self.low is None else self.low

    @property
    def most(self) -> int:
        return DEFAULTS[self.at.kind][1] if self.high is None else self.high


def read_bounds(cluster_id: str, kind: str, namespace: str, name: str) -> BoundsState:
    return bounds_state(kind, read_object(cluster_id, KINDS[kind], namespace, name))


def list_bounds(cluster_id: str) -> Iterator[BoundsState]:
    """Every autoscaler that somebody wrote; those that KEDA made are spoken for by their maker."""
    for kind in KINDS.values():
        try:
            items = list(list_objects(cluster_id, kind))
        except ObjectMissing:  # a cluster without KEDA
            continue
        found = (bounds_state(kind.kind, item) for item in items)
        yield from (bounds for bounds in found if not bounds.maker)


def bounds_state(kind: str, item: Mapping[str, Any]) -> BoundsState:
    meta, spec = item["metadata"], item["spec"]
    low, high = FIELDS[kind]
    aim, notes = spec["scaleTargetRef"], meta.get("annotations") or {}
    makers = (o["name"] for o in meta.get("ownerReferences") or () if o["kind"] == "ScaledObject")
    return BoundsState(
        at=versioned(KINDS[kind].api_version, kind, item),
        low=spec.get(low),
        high=spec.get(high),
        target=(aim.get("kind") or "Deployment", aim["name"]),
        maker=next(makers, ""),
        paused=bool(PAUSED & notes.keys()) and notes.get("autoscaling.keda.sh/paused") != "false",
        low_owners=other_owners(item, ("spec", low)),
        high_owners=other_owners(item, ("spec", high)),
        annotations=notes,
    )


def apply_bounds(
    cluster_id: str,
    held: BoundsState,
    low: int | None,
    high: int | None,
    *,
    annotations: Mapping[str, str],
    force: bool = False,
    dry_run: bool,
) -> None:
    """Set both bounds; None leaves one to its default, or to whoever else owns it.

    Args:
        force: take them from whoever owns them; only ever with an admin's leave.

    Raises:
        FieldOwned: another manager owns one. ObjectConflict: it changed since it was read.
    """
    kind = KINDS[held.at.kind]
    named = zip(FIELDS[held.at.kind], (low, high), strict=True)
    apply_fields(
        cluster_id,
        held.at,
        kind.verb(cluster_id, "patch"),
        {name: value for name, value in named if value is not None},
        annotations=annotations,
        force=force,
        dry_run=dry_run,
        **kind.place(held.at.namespace),
    )


def give_back_bounds(
    cluster_id: str,
    held: BoundsState,
    bounds: Mapping[str, int | None],
    *,
    manager: str,
    dry_run: bool,
) -> None:
    """Write `min`, `max` or both in the name of their former owner; None takes one off.

    Raises:
        ObjectConflict: it changed since it was read; nothing was written.
    """
    kind = KINDS[held.at.kind]
    low, high = FIELDS[held.at.kind]
    fields = {{"min": low, "max": high}[end]: value for end, value in bounds.items()}
    give_back(
        cluster_id,
        held.at,
        kind.verb(cluster_id, "patch"),
        fields,
        manager=manager,
        dry_run=dry_run,
        **kind.place(held.at.namespace),
    )
