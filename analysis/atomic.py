"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from analysis.errors import UserError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it; what was there stays until then.

    Raises:
        UserError: when the file cannot be written, for want of room say.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # where the folder itself could not be made
            temporary.unlink()
        raise UserError(
            f"{path} could not be written ({error.strerror or error}); make room or choose "
            "another place."
        ) from error
