"""A worker whose ranks do what they are told: python -m tests.test_train.launched DEFAULT [RANK=WHAT ...]."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable


def say() -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    # One write for the whole line: print makes several, between which another process may write.
    os.write(1, f"I am {' '.join(os.environ[name] for name in names)}\n".encode())
    print(f"error line of {os.environ['RANK']}", file=sys.stderr, flush=True)


def sleep() -> None:
    print("ready", file=sys.stderr, flush=True)
    time.sleep(120)


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep()


def fail() -> None:
    time.sleep(0.3)
    raise ValueError("the loss is\nno number")


def fail_later() -> None:
    time.sleep(1)
    raise ConnectionError("a peer is gone")


def slow_end() -> None:
    """Raises first, but ends after the others, as a process does that has much to take down."""
    import atexit

    atexit.register(time.sleep, 2)
    fail()


def exit_seven() -> None:
    sys.stderr.write("unhappy with the weather\n")
    os._exit(7)


def kill_itself() -> None:
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


def stop_itself() -> None:
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGSTOP)


def refuse() -> None:
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
