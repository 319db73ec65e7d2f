"""What the inference gateway of a cluster counts: requests of each model, and those it refused.

Named as the endpoint picker of the Gateway API's inference extension names them. The gateway
refuses (HTTP 429) what finds the service's one queue full; vLLM never sees those. Where it sent the
requests that entered here is counted with Istio's standard metric.
"""

from collections.abc import Iterator

from tiers.twin.exporters.text import Described, Row, document, family, labels
from tiers.twin.physics import ClusterPhysics

LABELS = ("model_name", "target_model_name")
REQUESTS, ERRORS = "inference_objective_request_total", "inference_objective_request_error_total"
EXHAUSTED = "InferencePoolResourceExhausted"
ROUTED = "istio_requests_total"
ROUTED_LABELS = (
    "reporter", "source_canonical_service", "destination_canonical_service", "destination_cluster",
    "response_code",
)  # fmt: skip
FAMILIES = (
    Described(REQUESTS, "counter", "Requests that came.", LABELS, "physics: arrivals drawn"),
    Described(
        ERRORS, "counter", "Requests refused, by reason.", (*LABELS, "error_code"),
        "physics: the simulation's own count; other reasons do not occur",
    ),
    Described(
        ROUTED, "counter", "Requests sent, by where to and how that ended.", ROUTED_LABELS,
        "physics: arrivals by where they entered; 503 is a lost region, 500 no such backend",
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
    routed: list[Row] = [
        (labels(_sent(*where)), requests) for where, requests in physics.sent.items()
    ]
    return document(list(_families(came, refused, routed)))


def _families(*of_each: list[Row]) -> Iterator[list[str]]:
    for one, rows in zip(FAMILIES, of_each, strict=True):
        yield family(one.name, one.kind, one.text, rows)


def _of(model: str) -> dict[str, str]:
    return {"model_name": model, "target_model_name": model}


def _sent(model: str, region: str, code: str) -> dict[str, str]:
    values = ("source", "inference-gateway", model, region or "unknown", code)
    return dict(zip(ROUTED_LABELS, values, strict=True))
