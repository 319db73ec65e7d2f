"""Delays of the twin's clusters, before the time factor shortens them, and its own keys."""

from dataclasses import dataclass

from tiers.twin.profile import DEFAULT_TIME_FACTOR, TRAINING

LOAD_KEY = "twin/load-s"
DRAIN_KEY = "twin/drain-s"
WORK_KEY = "twin/work-s"
DONE_KEY = "twin/done-s"
SINCE_KEY = "twin/running-since"
GANG_SIZE_KEY = "infra-console.dev/gang-size"
QUEUE_KEY = "kueue.x-k8s.io/queue-name"
CHECKPOINT_REQUESTED_KEY = "infra-console.dev/checkpoint-requested"
DELETION_COST_KEY = "controller.kubernetes.io/pod-deletion-cost"
CORDON_TAINT = "node.kubernetes.io/unschedulable"
UNREACHABLE_TAINT = "node.kubernetes.io/unreachable"


@dataclass(frozen=True)
class ControllerConfig:
    """Seconds as on a real cluster; all but the Lease's heartbeat are divided by `time_factor`.

    `status_s` is how often a node's conditions are heard of when nothing changes.

    `node_grace_s` is the node monitor's grace; `checkpoint_s` is what a checkpoint takes that
    somebody asks for; `launch_s` is when a cloud says whether it has a machine, `provision_s` when
    that is a node, and `capacity_retry_s` when it is asked again; `job_ttl_s` is how long a
    finished job stays listed.
    """

    time_factor: float = DEFAULT_TIME_FACTOR
    image_s: float = 20.0
    load_s: float = 30.0
    drain_s: float = 20.0
    heartbeat_s: float = 10.0
    status_s: float = 300.0
    node_grace_s: float = 40.0
    checkpoint_every_s: float = TRAINING.checkpoint_every_s
    checkpoint_s: float = 60.0
    launch_s: float = 20.0
    provision_s: float = 240.0
    capacity_retry_s: float = 180.0
    job_ttl_s: float = 3000.0

    def shortened(self, seconds: float) -> float:
        return seconds / self.time_factor
