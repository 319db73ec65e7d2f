"""Serving profiles that an operator calibrated: the JSON of `manage.py calibrate --json`."""

import json
import logging
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from tiers.core.demand.throughput import ProfilePoint, ServingProfile

log = logging.getLogger(__name__)


def read_profiles(path: Path | None) -> tuple[ServingProfile, ...]:
    """The profiles of the file; none where there is no file, or it is not one of ours (logged)."""
    if path is None:
        return ()
    try:
        return _read(path, path.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError) as err:
        log.warning("No serving profiles from %s: %s", path, err)
        return ()


@lru_cache(maxsize=2)
def _read(path: Path, modified_s: float) -> tuple[ServingProfile, ...]:
    made_at = datetime.fromtimestamp(modified_s, UTC)
    return tuple(_profile(row, made_at) for row in json.loads(path.read_text())["profiles"])


def _profile(row: dict[str, Any], made_at: datetime) -> ServingProfile:
    return ServingProfile(
        model=row["model"],
        gpu_type=row["gpu_type"],
        gpus=int(row["gpus"]),
        precision=row["precision"],
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
        points=tuple(
            ProfilePoint(
                int(p["concurrency"]), float(p["ttft_ms"]), float(p["tokens_per_s_per_gpu"])
            )
            for p in row["points"]
        ),
        source=row["source"],
        made_at=made_at,
    )
