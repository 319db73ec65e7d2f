"""Files that people hand in on a page, read with the same rules as the commands read theirs."""

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from infra_console.fleet.errors import TableInvalid
from infra_console.fleet.tables import MAX_BYTES


def uploaded(request: HttpRequest) -> tuple[str, bytes]:
    """Name and content of the form's `file`.

    Raises:
        TableInvalid: none was chosen, or it is too large.
    """
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        raise TableInvalid("The form", "came without a file")
    name = (file.name or "file")[:200]
    if (file.size or 0) > MAX_BYTES:
        raise TableInvalid(name, f"is larger than {MAX_BYTES // 2**20} MiB")
    return name, file.read()
