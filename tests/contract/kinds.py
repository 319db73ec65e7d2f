"""The kinds of the contract: where each one lives in the API."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One served kind: `group_version` is `v1`, `apps/v1` and so on."""

    group_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        group, _, _ = self.group_version.rpartition("/")
        return group

    @property
    def qualified(self) -> str:
        """The name that error messages use: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """The URL path of a collection, an object, or a subresource of it."""
        root = "/apis/" if self.group else "/api/"
        parts = [root + self.group_version]
        parts += ["namespaces", namespace] if self.namespaced and namespace else []
        parts += [part for part in (self.plural, name, sub) if part]
        return "/".join(parts)


NAMESPACE = Kind("v1", "Namespace", "namespaces", False)
NODE = Kind("v1", "Node", "nodes", False)
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
EVENT_V1 = Kind("events.k8s.io/v1", "Event", "events")
QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
JOB = Kind("batch/v1", "Job", "jobs")
HPA = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
PDB = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
PRIORITY_CLASS = Kind("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", False)
DEVICE_CLASS = Kind("resource.k8s.io/v1", "DeviceClass", "deviceclasses", False)
RULES_REVIEW = Kind(
    "authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", False
)
SELF_REVIEW = Kind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", False)
ACCESS_REVIEW = Kind(
    "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False
)
FLAVOR = Kind("kueue.x-k8s.io/v1beta2", "ResourceFlavor", "resourceflavors", False)
CLUSTER_QUEUE = Kind("kueue.x-k8s.io/v1beta2", "ClusterQueue", "clusterqueues", False)
LOCAL_QUEUE = Kind("kueue.x-k8s.io/v1beta2", "LocalQueue", "localqueues")
WORKLOAD = Kind("kueue.x-k8s.io/v1beta2", "Workload", "workloads")
LWS = Kind("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderworkersets")
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")
NODE_POOL = Kind("karpenter.sh/v1", "NodePool", "nodepools", False)
NODE_CLAIM = Kind("karpenter.sh/v1", "NodeClaim", "nodeclaims", False)
TOPOLOGY = Kind("kueue.x-k8s.io/v1beta2", "Topology", "topologies", False)
ADMISSION_CHECK = Kind("kueue.x-k8s.io/v1beta2", "AdmissionCheck", "admissionchecks", False)
WORKLOAD_PRIORITY = Kind(
    "kueue.x-k8s.io/v1beta2", "WorkloadPriorityClass", "workloadpriorityclasses", False
)
MACHINE_DEPLOYMENT = Kind("cluster.x-k8s.io/v1beta2", "MachineDeployment", "machinedeployments")
MACHINE = Kind("cluster.x-k8s.io/v1beta2", "Machine", "machines")
DEVICE_CLASS = Kind("resource.k8s.io/v1", "DeviceClass", "deviceclasses", False)
RESOURCE_SLICE = Kind("resource.k8s.io/v1", "ResourceSlice", "resourceslices", False)
RESOURCE_CLAIM = Kind("resource.k8s.io/v1", "ResourceClaim", "resourceclaims")
CLAIM_TEMPLATE = Kind("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates")

# In the order in which a namespace is emptied: makers before what they make.
IN_NAMESPACES = (
    SCALED_OBJECT, HPA, LWS, JOB, DEPLOYMENT, STATEFUL_SET, REPLICA_SET, POD, WORKLOAD,
    LOCAL_QUEUE, PDB, QUOTA, LEASE, EVENT, SERVICE_ACCOUNT, MACHINE_DEPLOYMENT, RESOURCE_CLAIM,
    CLAIM_TEMPLATE,
)  # fmt: skip
