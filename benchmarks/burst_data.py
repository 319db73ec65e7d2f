"""Reads `serving_perf_vllm_burst`: one vLLM server under the same 500 requests at seven speeds.

What the tables do not say is worked out here, from the two slowest runs alone:

- tokens made per request: the engine's log gives tokens/s and running sequences, so each sequence
  makes `generation_throughput / num_running` tokens a second from its first chunk to its end
  (`out_len` counts characters, the prompt's among them);
- tokens read per request: the engine's prompt counter adds up to 0.80 of the sum of `in_len` in
  every run, so prompts are scaled by that share;
- arrivals: end minus total time in the slowest run, divided by the speed-up.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOKEN_LIMIT = 1024
# The engine logs every half second: a request this close to the limit has reached it.
NEAR_LIMIT = 960
REQUEST_COLUMNS = ("event_id", "in_len", "first_chunk_time", "total_chunk_time", "record_time")
ENGINE_COLUMNS = (
    "timestamp", "prompt_throughput", "generation_throughput", "num_running", "num_pending",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One speed: requests in order of `event_id` `(500,)`, engine log rows `(m,)`; seconds."""

    scale: int
    in_len: Floats
    first_s: Floats
    total_s: Floats
    end_s: Floats
    logged_s: Floats
    prompt_tokens_per_s: Floats
    made_tokens_per_s: Floats
    running: Floats
    waiting: Floats

    @property
    def began_s(self) -> float:
        """When the run's first request came, on the engine's clock."""
        return float((self.end_s - self.total_s).min())


@dataclass(frozen=True)
class Work:
    """The 500 requests in order of `event_id`: arrivals at speed 1, tokens read and made."""

    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    prompt_share: float


def read_runs(folder: Path) -> dict[int, Run]:
    """All runs by scale."""
    requests = _by_scale(folder / "detail_log.csv.gz", REQUEST_COLUMNS)
    engine = _by_scale(folder / "vllm_log.csv.gz", ENGINE_COLUMNS)
    runs = {}
    for scale, rows in sorted(requests.items()):
        ordered = rows[np.argsort(rows[:, 0])]
        runs[scale] = Run(scale, *ordered[:, 1:].T, *engine[scale].T)
    return runs


def _by_scale(path: Path, columns: tuple[str, ...]) -> dict[int, Floats]:
    found: dict[int, list[list[float]]] = {}
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            values = [float(row[name]) for name in columns]
            found.setdefault(int(float(row["scale"])), []).append(values)
    return {scale: np.array(rows) for scale, rows in found.items()}


def work_of(slow: list[Run]) -> Work:
    """Arrivals and lengths as the slow runs show them, the slowest first."""
    first = slow[0]
    arrived = first.end_s - first.total_s
    made = np.mean([_made(run) for run in slow], axis=0)
    tokens = np.where(made > NEAR_LIMIT, TOKEN_LIMIT, np.clip(np.rint(made), 1, TOKEN_LIMIT))
    share = float(np.mean([_read(run) / run.in_len.sum() for run in slow]))
    return Work(
        arrival_s=(arrived - arrived.min()) * first.scale,
        prompt_tokens=np.maximum(1, np.rint(share * first.in_len)).astype(np.int64),
        output_tokens=tokens.astype(np.int64),
        prompt_share=share,
    )


def _made(run: Run) -> Floats:
    """Tokens of each request, by integral of the rate per running sequence."""
    per_sequence = run.made_tokens_per_s / np.maximum(run.running, 1.0)
    total = np.concatenate([[0.0], np.cumsum(per_sequence[1:] * np.diff(run.logged_s))])
    first = run.end_s - run.total_s + run.first_s
    return np.interp(run.end_s, run.logged_s, total) - np.interp(first, run.logged_s, total)


def _read(run: Run) -> float:
    """Prompt tokens that the engine counted."""
    return float(np.sum(run.prompt_tokens_per_s[1:] * np.diff(run.logged_s)))
