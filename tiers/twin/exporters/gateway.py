"""What the inference gateway of a cluster counts: requests of each model, and those it refused.

Named as the endpoint picker of the Gateway API's inference extension names them. The gateway
refuses (HTTP 429) what finds the service's one queue full; vLLM never sees those.
"""

from collections.abc import Iterator

from tiers.twin.exporters.text import Described, Row, document, family, labels
from tiers.twin.physics import ClusterPhysics

LABELS = ("model_name", "target_model_name")
REQUESTS, ERRORS = "inference_objective_request_total", "inference_objective_request_error_total"
EXHAUSTED = "InferencePoolResourceExhausted"
FAMILIES = (
    Described(REQUESTS, "counter", "Requests that came.", LABELS, "physics: arrivals drawn"),
    Described(
        ERRORS, "counter", "Requests refused, by reason.", (*LABELS, "error_code"),
        "physics: the simulation's own count; other reasons do not occur",
    ),
)  # fmt: skip


def render_gateway(physics: ClusterPhysics) -> str:
    """Every model that was asked for; a refusal's counter appears with the first, as a real one."""
    came: list[Row] = [(labels(_of(m)), served.offered) for m, served in physics.models.items()]
    refused: list[Row] = [
        (labels(_of(m) | {"error_code": EXHAUSTED}), served.service.refused)
        for m, served in physics.models.items()
        if served.service.refused
    ]
    return document(list(_families(came, refused)))


def _families(came: list[Row], refused: list[Row]) -> Iterator[list[str]]:
    for one, rows in zip(FAMILIES, (came, refused), strict=True):
        yield family(one.name, one.kind, one.text, rows)


def _of(model: str) -> dict[str, str]:
    return {"model_name": model, "target_model_name": model}
