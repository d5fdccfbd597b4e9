"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dualpipe_ref.schedule.errors import InputError


def write_text(path: str | Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write to a neighbour and rename it, so that nobody ever sees half a file.

    What is no file (/dev/stdout, a pipe) is written to as it is: a rename would replace it.
    """
    target = Path(os.path.realpath(path))
    try:
        if os.path.exists(path) and not target.is_file():
            Path(path).write_bytes(content)
        else:
            _replace(target, content)
    except OSError as error:
        raise InputError("the output file must be writable", f"{path}: {error.strerror}") from None


def _replace(target: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
