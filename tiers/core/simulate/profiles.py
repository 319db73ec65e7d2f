"""Kernel parameters of the twin's six models on H100, all assumed from public hardware facts.

Reasoning, per replica of `gpus` GPUs (tensor parallel):

- decode is bound by memory: an iteration reads the weights once, `weights / (gpus x bandwidth)`,
  pays two all-reduces a layer when gpus > 1, and a fixed host part (scheduling, sampling);
- each decoding sequence adds the read of its key-value cache at a mean context, and a small part of
  compute and sampling;
- a prompt token costs `2 x parameters` floating-point operations at a share of the peak;
- the cache gets what weights and a reserve leave of the memory.

For chat-70b this gives about 27 ms an iteration and 10,000 prompt tokens a second, which is what
servers of that size are seen to do; the others follow by the same arithmetic, not by measurement.
"""

from dataclasses import dataclass

from tiers.core.simulate.serving import ServingCosts

H100_BYTES_PER_S = 3.35e12
H100_BF16_FLOPS = 989e12
H100_FP8_FLOPS = 1979e12
H100_MEMORY_BYTES = 80e9
BANDWIDTH_SHARE = 0.6
RESERVE_SHARE = 0.10
ACTIVATION_BYTES = 3e9
ALL_REDUCE_S = 20e-6
SEQUENCE_S = 40e-6
MEAN_CONTEXT_TOKENS = 1500
CHUNK_TOKENS = 2048
MAX_BATCH = 256


@dataclass(frozen=True)
class ServedModel:
    """Shape of a model and of the replica that serves it.

    `kv_bytes_per_token` is 2 (key, value) x layers x key-value heads x head size x 2 bytes;
    `prefill_share` is the part of peak FLOPS that prompts reach.
    """

    id: str
    parameters: float
    bytes_per_parameter: float
    layers: int
    kv_bytes_per_token: float
    gpus: int
    peak_flops: float
    prefill_share: float
    host_s: float

    @property
    def weights_bytes(self) -> float:
        return self.parameters * self.bytes_per_parameter

    def costs(self) -> ServingCosts:
        """Iteration costs of one replica."""
        bandwidth = self.gpus * H100_BYTES_PER_S * BANDWIDTH_SHARE
        reduce_s = 2 * self.layers * ALL_REDUCE_S if self.gpus > 1 else 0.0
        memory = self.gpus * (H100_MEMORY_BYTES * (1 - RESERVE_SHARE) - ACTIVATION_BYTES)
        context_bytes = MEAN_CONTEXT_TOKENS * self.kv_bytes_per_token
        return ServingCosts(
            base_s=self.weights_bytes / bandwidth + reduce_s + self.host_s,
            per_sequence_s=context_bytes / bandwidth + SEQUENCE_S,
            per_prompt_token_s=2
            * self.parameters
            / (self.gpus * self.peak_flops * self.prefill_share),
            chunk_tokens=CHUNK_TOKENS,
            kv_tokens=int((memory - self.weights_bytes) / self.kv_bytes_per_token),
            max_batch=MAX_BATCH,
        )

    @property
    def host_share(self) -> float:
        """Part of a bare iteration in which the GPU runs no kernel."""
        return self.host_s / self.costs().base_s

    @property
    def memory_share(self) -> float:
        """Part of memory bandwidth that a bare iteration uses."""
        return self.weights_bytes / (self.gpus * H100_BYTES_PER_S) / self.costs().base_s


SERVED_MODELS: dict[str, ServedModel] = {
    model.id: model
    for model in (
        ServedModel("chat-7b", 7e9, 2, 32, 131e3, 1, H100_BF16_FLOPS, 0.45, 0.0015),
        ServedModel("chat-13b", 13e9, 2, 40, 205e3, 1, H100_BF16_FLOPS, 0.45, 0.0015),
        ServedModel("code-34b", 34e9, 2, 48, 197e3, 2, H100_BF16_FLOPS, 0.42, 0.002),
        ServedModel("chat-70b", 70e9, 2, 80, 328e3, 4, H100_BF16_FLOPS, 0.36, 0.003),
        ServedModel("chat-180b", 180e9, 2, 80, 328e3, 8, H100_BF16_FLOPS, 0.34, 0.003),
        ServedModel("chat-405b", 405e9, 1, 126, 516e3, 8, H100_FP8_FLOPS, 0.28, 0.004),
    )
}
