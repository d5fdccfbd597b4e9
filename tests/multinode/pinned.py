"""Keep this process, and every thread it will start, to one core; then run a module as if called by name.

Usage: python -m tests.multinode.pinned MODULE ARGUMENT ...

The core is the LOCAL_RANK-th of PINNED_CORES ("0,2"); without that variable the process goes where it likes.
"""

from __future__ import annotations

import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path


def keep_to_core() -> None:
    cores = os.environ.get("PINNED_CORES")
    if not cores:
        return
    os.sched_setaffinity(0, {int(cores.split(",")[int(os.environ.get("LOCAL_RANK", "0"))])})
    # Go before other sessions' processes on that core, all threads alike: a communication thread that goes before
    # the one which computes spins and starves it. Not every kernel has such groups, and not every user may.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("-20")


def main() -> None:
    keep_to_core()
    # What the module sees is its own name and arguments.
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
