"""The Job of a gang as the twin's users write it."""

from tiers.twin.controllers.config import GANG_SIZE_KEY, LOAD_KEY
from tiers.twin.kube.resources import Obj
from tiers.twin.profile import GPU_RESOURCE, JOB_NAME_KEY, TIER_KEY, TRAINING


def gang_spec(name: str, nodes: int) -> Obj:
    """One pod of eight GPUs on each of so many training nodes."""
    gpus = {GPU_RESOURCE: str(TRAINING.gpus_per_pod)}
    container = {
        "name": "trainer",
        "image": "registry.example/trainer:4",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": gpus, "requests": gpus},
    }
    toleration = {"key": TIER_KEY, "operator": "Equal", "value": "training", "effect": "NoSchedule"}
    labels = {"app": "training", JOB_NAME_KEY: name}
    annotations = {GANG_SIZE_KEY: str(nodes), LOAD_KEY: str(TRAINING.load_s)}
    return {
        "parallelism": nodes,
        "completions": nodes,
        "completionMode": "Indexed",
        "backoffLimit": 1000,
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 60,
                "nodeSelector": {TIER_KEY: "training"},
                "tolerations": [toleration],
                "containers": [container],
            },
        },
    }
