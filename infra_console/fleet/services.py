"""The one writer of fleet identities."""

from django.db import transaction

from infra_console.audit.services import record_audit
from infra_console.fleet.config import FleetConfig
from infra_console.fleet.models import Cluster, FleetSetting, Pool, Region, Workload
from infra_console.plans.safety import disarm_changed


@transaction.atomic
def apply_fleet_config(config: FleetConfig, *, by: str) -> None:
    """Make the database say what the fleet file says; identities gone from the file are removed.

    A cluster that is gone, or whose name leads elsewhere now, is disarmed.

    Raises:
        django.db.models.ProtectedError: something still refers to a removed identity; nothing
            has been changed.
    """
    for region in config.regions:
        Region.objects.update_or_create(id=region.id, defaults=region.model_dump(exclude={"id"}))
    for cluster in config.clusters:
        Cluster.objects.update_or_create(
            id=cluster.id, defaults={"context": cluster.context, "region_id": cluster.region}
        )
    for pool in config.pools:
        columns = pool.model_dump(
            include={"gpu_type", "purchase", "usd_per_gpu_hour", "gpu_memory_gib", "selector"}
        )
        Pool.objects.update_or_create(id=pool.id, defaults={**columns, "cluster_id": pool.cluster})
    for workload in config.workloads:
        columns = workload.model_dump(include={"tier", "namespace", "kind", "name", "model"})
        Workload.objects.update_or_create(
            id=workload.id, defaults={**columns, "profile": workload.model_dump(mode="json")}
        )
    Workload.objects.exclude(id__in=[w.id for w in config.workloads]).delete()
    Pool.objects.exclude(id__in=[p.id for p in config.pools]).delete()
    Cluster.objects.exclude(id__in=[c.id for c in config.clusters]).delete()
    Region.objects.exclude(id__in=[r.id for r in config.regions]).delete()
    document = config.model_dump(mode="json", by_alias=True)
    FleetSetting.objects.update_or_create(id=1, defaults={"document": document})
    disarm_changed(by=by)
    record_audit(
        actor=by,
        action="fleet.applied",
        object_kind="fleet",
        object_id="1",
        detail={"clusters": len(config.clusters), "workloads": len(config.workloads)},
    )
