"""The peak memory of this process. Standard library only."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_gigabytes() -> float:
    """The most memory that was resident at once since this program was started, in GB (10^9 bytes)."""
    # On Linux getrusage still counts the parent's memory from before this program was started.
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if peak:
            return int(peak[1]) * 1024 / 1e9
    scale = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9
