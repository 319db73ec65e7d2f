"""Shapes of served models, from their published configurations.

A key-value cache holds 2 (key, value) x layers x key-value heads x head size x 2 bytes a token;
multi-head latent attention holds one compressed row of 576 numbers a layer.
"""

from dataclasses import dataclass

from tiers.core.profiles.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class ModelShape:
    """`family` is what runs are grouped by: quantised releases of a model are that model."""

    family: str
    parameters: float
    active: float
    layers: int
    kv_bytes_per_token: float

    @property
    def sparse(self) -> bool:
        """A mixture of experts: a token uses only a part of the weights."""
        return self.active < self.parameters


def _dense(family: str, parameters: float, layers: int, kv_width: int) -> ModelShape:
    """`kv_width` is key-value heads x head size."""
    return ModelShape(family, parameters, parameters, layers, 4.0 * layers * kv_width)


def _experts(family: str, parameters: float, active: float, layers: int, kv: float) -> ModelShape:
    return ModelShape(family, parameters, active, layers, kv)


# Hybrid attention (Qwen3.5) caches in every fourth layer.
SHAPES: dict[str, ModelShape] = {
    shape.family: shape
    for shape in (
        _dense("Llama-3.1-8B", 8.03e9, 32, 8 * 128),
        _dense("Llama-2-13B", 13.0e9, 40, 40 * 128),
        _dense("Qwen3-32B", 32.8e9, 64, 8 * 128),
        _dense("CodeLlama-34B", 33.7e9, 48, 8 * 128),
        _dense("Llama-3.1-70B", 70.6e9, 80, 8 * 128),
        _dense("Falcon-180B", 180e9, 80, 8 * 64),
        _dense("Llama-3.1-405B", 405e9, 126, 8 * 128),
        _experts("Mixtral-8x7B", 46.7e9, 12.9e9, 32, 4.0 * 32 * 8 * 128),
        _experts("DeepSeek-V3", 671e9, 37e9, 61, 2.0 * 61 * 576),
        _experts("DeepSeek-R1", 671e9, 37e9, 61, 2.0 * 61 * 576),
        _experts("Kimi-K2.5", 1030e9, 32e9, 61, 2.0 * 61 * 576),
        _experts("GLM-5", 744e9, 40e9, 78, 2.0 * 78 * 576),
        _experts("MiniMax-M2.5", 229e9, 10e9, 62, 4.0 * 62 * 8 * 128),
        _experts("Qwen3.5-397B-A17B", 397e9, 17e9, 60, 4.0 * 15 * 2 * 256),
    )
}
# What the names of releases add to the name of a family.
_SUFFIXES = ("-Instruct", "-NVFP4", "-FP8", "-AWQ", "-INT4", "-Chat", "-hf")
# A size stands for the family most of its servers run; 7B for its successor, which was measured.
_SIZES = {
    "7b": "Llama-3.1-8B", "8b": "Llama-3.1-8B", "13b": "Llama-2-13B", "32b": "Qwen3-32B",
    "34b": "CodeLlama-34B", "70b": "Llama-3.1-70B", "180b": "Falcon-180B",
    "405b": "Llama-3.1-405B",
}  # fmt: skip


def shape_of(model: str) -> ModelShape:
    """The shape behind a name as published (`nvidia/Llama-3.1-8B-Instruct-FP8`) or a size (`70B`).

    Raises:
        UnknownModel: nothing is known under that name.
    """
    name = model.rsplit("/", 1)[-1]
    while suffix := next((s for s in _SUFFIXES if name.lower().endswith(s.lower())), ""):
        name = name[: -len(suffix)]
    name = {"DeepSeek-V3.1": "DeepSeek-V3", "Llama-3.3-70B": "Llama-3.1-70B"}.get(name, name)
    found = SHAPES.get(name) or SHAPES.get(_SIZES.get(name.lower(), ""))
    if found is None:
        raise UnknownModel(model)
    return found
