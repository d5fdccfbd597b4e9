"""What a worker process runs before its module: it dies with its parent, and says first what went wrong.

`python -m dualpipe_ref.train.guard MODULE ARGUMENTS` runs a module as `python -m MODULE ARGUMENTS` would. Standard library
only.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

PARENT = (
    "DUALPIPE_REF_PARENT"  # the environment variable with the number of the process that launched
)
WATCH = "DUALPIPE_REF_WATCH"  # set: look for the parent every second, as where the kernel cannot signal its death
MARK = "\x1edualpipe-ref failed "  # begins the line, before any traceback, that tells when and why
_PR_SET_PDEATHSIG = 1  # of Linux, <sys/prctl.h>
_SECONDS = 0.5  # between two looks for the parent


def main() -> None:
    """Guard this process, then run the module."""
    _die_with(int(os.environ[PARENT]))
    # Control-C reaches the whole terminal; the parent ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, sys.argv = sys.argv[1], sys.argv[1:]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code not in (None, 0):
            _tell(error.code if isinstance(error.code, str) else f"exit code {error.code}")
        raise
    except BaseException as error:
        _tell(f"{type(error).__name__}: {error}")
        raise


def _tell(why: str) -> None:
    """Before the traceback and the slow end of a process: others fail because of this, and may end sooner."""
    line = f"{MARK}{time.monotonic():.6f} {' '.join(why.split())}\n"
    sys.stderr.flush()
    # In one write, so that no other thread's message comes between; print may write a line in pieces.
    os.write(sys.stderr.fileno(), line.encode(errors="replace"))


def _die_with(parent: int) -> None:
    """Have this process killed when the parent is gone, however that ended."""
    if not _signalled_by_kernel():
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before the kernel knew of our wish
        os._exit(1)


def _signalled_by_kernel() -> bool:
    if sys.platform != "linux" or os.environ.get(WATCH):
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)
    except (OSError, AttributeError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)


if __name__ == "__main__":
    main()
