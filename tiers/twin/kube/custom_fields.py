"""The members of `spec` that each CustomResourceDefinition declares; others are pruned.

From Kueue 0.14 (v1beta2), KEDA 2.17, LeaderWorkerSet 0.7, Karpenter 1.8, Cluster API 1.11 and
Gateway API 1.4.
"""

from tiers.twin.kube.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    COHORTS,
    HTTP_ROUTES,
    LEADER_WORKER_SETS,
    LOCAL_QUEUES,
    MACHINE_DEPLOYMENTS,
    MACHINES,
    NODE_CLAIMS,
    NODE_POOLS,
    RESOURCE_FLAVORS,
    SCALED_OBJECTS,
    TOPOLOGIES,
    WORKLOAD_PRIORITY_CLASSES,
    WORKLOADS,
    Resource,
)

ROOT_FIELDS: dict[Resource, tuple[str, ...]] = {
    WORKLOAD_PRIORITY_CLASSES: ("value", "description"),
}
SPEC_FIELDS: dict[Resource, tuple[str, ...]] = {
    CLUSTER_QUEUES: (
        "resourceGroups", "cohortName", "queueingStrategy", "namespaceSelector",
        "flavorFungibility", "preemption", "admissionChecksStrategy", "stopPolicy", "fairSharing",
        "admissionScope",
    ),
    LOCAL_QUEUES: ("clusterQueue", "stopPolicy", "fairSharing"),
    RESOURCE_FLAVORS: ("nodeLabels", "nodeTaints", "tolerations", "topologyName"),
    COHORTS: ("parentName", "resourceGroups", "fairSharing"),
    TOPOLOGIES: ("levels",),
    ADMISSION_CHECKS: ("controllerName", "parameters"),
    WORKLOADS: (
        "podSets", "queueName", "priorityClassRef", "priority", "active",
        "maximumExecutionTimeSeconds", "preemptionGates",
    ),
    SCALED_OBJECTS: (
        "scaleTargetRef", "pollingInterval", "initialCooldownPeriod", "cooldownPeriod",
        "idleReplicaCount", "minReplicaCount", "maxReplicaCount", "advanced", "triggers",
        "fallback",
    ),
    LEADER_WORKER_SETS: (
        "replicas", "leaderWorkerTemplate", "rolloutStrategy", "startupPolicy", "networkConfig",
    ),
    NODE_POOLS: ("template", "disruption", "limits", "weight", "replicas"),
    NODE_CLAIMS: (
        "taints", "startupTaints", "requirements", "resources", "nodeClassRef",
        "terminationGracePeriod", "expireAfter",
    ),
    MACHINE_DEPLOYMENTS: (
        "clusterName", "replicas", "rollout", "selector", "template", "machineNaming",
        "remediation", "deletion", "paused",
    ),
    MACHINES: (
        "clusterName", "bootstrap", "infrastructureRef", "version", "providerID", "failureDomain",
        "minReadySeconds", "readinessGates", "deletion", "taints",
    ),
    HTTP_ROUTES: ("parentRefs", "hostnames", "rules", "useDefaultGateways"),
}  # fmt: skip
