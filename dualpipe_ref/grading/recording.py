"""What a GPU did, for checks that judge it: measured where there is a GPU, else as it was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.schedule.errors import InputError, shortened

VERSION = 1


class Evidence(NamedTuple):
    """Plain data that a GPU produced, and a sentence that says which GPU and when."""

    data: Any
    origin: str


class MissingEvidenceError(InputError):
    """There is neither a GPU nor a recording: a fault of the exercise, never of the answer."""


def has_gpu() -> bool:
    """Whether this process could start a kernel. Nothing is imported where numba-cuda is not installed."""
    try:
        from numba import cuda
    except (
        Exception
    ):  # an installation may fail in many ways; each means that there is no GPU to use
        return False
    return bool(cuda.is_available())


def evidence(
    measure: Callable[[], Any], recording: Path, available: Callable[[], bool] = has_gpu
) -> Evidence:
    """What `measure` returns where a GPU is available; elsewhere what `recording` holds.

    Raises `MissingEvidenceError` where neither is there: a check that needs a GPU is never skipped in silence.

    >>> evidence(lambda: [3], Path("none.json"), available=lambda: True)
    Evidence(data=[3], origin='measured on the GPU of this machine')
    >>> evidence(lambda: [3], Path("none.json"), available=lambda: False)
    Traceback (most recent call last):
    dualpipe_ref.grading.recording.MissingEvidenceError: no GPU here, and none.json, which would stand in for one, is missing
    """
    if available():
        return Evidence(measure(), "measured on the GPU of this machine")
    if not recording.is_file():
        raise MissingEvidenceError(
            f"no GPU here, and {recording.name}, which would stand in for one, is missing"
        )
    content = read_recording(recording)
    return Evidence(
        content["data"],
        f"no GPU here: judged on what was recorded on {content['device']} on {content['date']}",
    )


def read_recording(path: Path) -> dict[str, Any]:
    """{"version", "device", "date", "made_by", "data"}; raises `InputError` for a file that is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path.name} is no recording: {error}") from None
    keys = ("version", "device", "date", "made_by", "data")
    if type(content) is not dict or any(key not in content for key in keys):
        raise InputError(f"a recording has {', '.join(keys)}", shortened(content))
    if content["version"] != VERSION:
        raise InputError(
            "recordings have a version", shortened(content["version"]), f"version {VERSION}"
        )
    return content


def write_recording(path: Path, data: Any, *, device: str, date: str, made_by: str) -> None:
    """Keep `data`, which JSON must be able to hold, with the device, the day and the command that made it."""
    content = {
        "version": VERSION,
        "device": device,
        "date": date,
        "made_by": made_by,
        "data": data,
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, allow_nan=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
