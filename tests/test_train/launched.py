"""A worker whose ranks do what they are told: python -m tests.test_train.launched DEFAULT [RANK=WHAT ...]."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

EVENTS = "EVENTS_OF_THIS_RUN"  # the environment variable with a folder for `_note` and `fail_later`
LONG = 600  # s: longer than any test waits


def say() -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    # One write for the whole line: print may make several, between which another process may write.
    os.write(1, f"I am {' '.join(os.environ[name] for name in names)}\n".encode())
    os.write(2, f"error line of {os.environ['RANK']}\n".encode())


def sleep() -> None:
    os.write(2, b"ready\n")
    time.sleep(LONG)


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep()


def _note(what: str) -> None:
    """Tell `fail_later`, where there is one, something of this process, which fails first."""
    if folder := os.environ.get(EVENTS):
        partial = Path(folder, f"{what}.partial")
        partial.write_text(str(os.getpid()))
        partial.rename(Path(folder, what))


def fail() -> None:
    _note("first")
    raise ValueError("the loss is\nno number")


def fail_later() -> None:
    """Fails because another has failed: once the launcher has seen the end of that one, or been told of its error."""
    first, told = (Path(os.environ[EVENTS], name) for name in ("first", "told"))
    while not told.exists() and not (
        first.exists() and not Path("/proc", first.read_text()).exists()
    ):
        time.sleep(0.02)
    time.sleep(0.2)
    raise ConnectionError("a peer is gone")


def slow_end() -> None:
    """Raises first, but ends after the others, as a process does that has much to take down."""
    atexit.register(time.sleep, 2)
    atexit.register(
        _note, "told"
    )  # at the end, so after the error has been told; runs before the sleep
    fail()


def exit_seven() -> None:
    _note("first")
    sys.stderr.write("unhappy with the weather\n")
    os._exit(7)


def kill_itself() -> None:
    _note("first")
    os.kill(os.getpid(), signal.SIGKILL)


def stop_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse() -> None:
    _note("first")
    sys.exit("the checkpoint is of another model")


KNOWN: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        say, sleep, deaf, fail, fail_later, slow_end, exit_seven, kill_itself, stop_itself, refuse
    )
}  # fmt: skip


def main() -> None:
    special = dict(word.split("=") for word in sys.argv[2:])
    KNOWN[special.get(os.environ["RANK"], sys.argv[1])]()


if __name__ == "__main__":
    main()
