"""Room on the disk: told before a server fails in the middle of a write."""

import shutil
from pathlib import Path

from infra_console.embedded.errors import DiskFull

MIN_FREE_BYTES = 1 << 30  # write-ahead logs, two hours of metrics and logs fit well within


def require_room(folder: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> None:
    """Raise DiskFull when the file system of `folder` has less than `min_free_bytes` free."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < min_free_bytes:
        raise DiskFull(
            f"Only {free / 2**20:.0f} MiB are free on the disk of {folder}; "
            f"{min_free_bytes / 2**20:.0f} MiB are needed. Free some space, or choose another "
            "state folder with INFRA_CONSOLE_STATE."
        )
