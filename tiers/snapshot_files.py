"""A snapshot from a file, for the commands that need no database."""

import json
from pathlib import Path

from django.core.management.base import CommandError
from pydantic import ValidationError

from tiers.core.errors import SnapshotInvalid
from tiers.core.snapshot import Snapshot


def read_snapshot(path: Path) -> Snapshot:
    """Read and check `snapshot/1`.

    Raises:
        CommandError: naming the file, and the path within it that is wrong.
    """
    try:
        return Snapshot.model_validate_json(path.read_bytes())
    except OSError as err:
        raise CommandError(f"{path} cannot be read: {err.strerror}") from err
    except SnapshotInvalid as err:
        raise CommandError(f"{path.name}: {err}") from err
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise CommandError(f"{path.name}, {where}: {first['msg']}") from err
    except json.JSONDecodeError as err:
        raise CommandError(f"{path.name} is not JSON: {err}") from err
