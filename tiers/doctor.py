"""Whether the compute domain has what it plans with."""

from django.conf import settings

from infra_console.fleet.queries import current_fleet, fleet_refusals
from infra_console.overview.doctor import Check
from tiers.models import ForecastModel, Observation, PlacementCheck


def check_fleet() -> list[Check]:
    config, refused = current_fleet(), fleet_refusals()
    if refused:
        remedy = "mend the file and run `manage.py fleet_apply FILE`"
        return [Check("fleet file", False, f"today's rules refuse it: {refused}", remedy)]
    if config is None:
        return [Check("fleet file", False, "none was applied", "run `manage.py fleet_apply FILE`")]
    checks = [
        Check(
            "fleet file",
            True,
            f"{len(config.clusters)} clusters, {len(config.pools)} pools, "
            f"{len(config.workloads)} workloads",
        )
    ]
    observation = Observation.objects.first()
    if observation is not None:
        unreadable = observation.document["unreadable"]
        checks.append(
            Check(
                "fleet observation",
                ok=not unreadable,
                detail=f"taken at {observation.at:%H:%M:%S} UTC"
                + "".join(f"; {c}: {why}" for c, why in sorted(unreadable.items())),
                remedy="see each cluster's check" if unreadable else "",
            )
        )
    return checks


def check_places() -> list[Check]:
    """Workloads that could not run on a pool even of their own tier. They work where they are, so
    this is told, not held against anybody."""
    checks = []
    for found in PlacementCheck.objects.all():
        own = sorted({f"{r['namespace']}/{r['name']}" for r in found.rows if r["own"]})
        detail = f"{len(own)} workloads could not run on some pool of their own tier"
        if own:
            detail += (
                f": {', '.join(own[:3])}{' …' if len(own) > 3 else ''}; Tiers → Places has why"
            )
        checks.append(Check(f"places in {found.cluster}", ok=True, detail=detail))
    return checks


def check_forecast_models() -> list[Check]:
    """The learned model is optional: without it the naive models serve, and this says so."""
    record = ForecastModel.objects.first()
    if record is None:
        return [Check("forecast model", True, "none trained yet; naive models are in force")]
    if record.state != "active" or not (settings.STATE_DIR / record.path).exists():
        why = record.reason or "its file is gone"
        return [
            Check(
                "forecast model",
                False,
                f"{record.version} refused: {why}",
                "*Retrain* on Tiers → Forecast",
            )
        ]
    return [
        Check("forecast model", True, f"{record.version} of {record.trained_at:%Y-%m-%d %H:%M}")
    ]
