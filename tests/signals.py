"""Processes of tests that are sent signals."""

from __future__ import annotations

import signal


def control_c_counts() -> None:
    """`preexec_fn` of a process: where tests run in the background of a shell, control-C is ignored otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
