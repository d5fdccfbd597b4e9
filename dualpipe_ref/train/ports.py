"""The TCP port at which the processes of a run find one another."""

from __future__ import annotations

import socket

from dualpipe_ref.schedule.errors import InputError, require_int

HIGHEST = 65535


def port_for_run(port: int | None = None) -> int:
    """A port that nothing listens on: the one asked for, else one that the system chooses.

    Raises `InputError` if the port asked for is in use.

    >>> 0 < port_for_run() <= 65535
    True
    """
    if port is None:
        return _bound(0)
    if require_int("port", port, 1) > HIGHEST:
        raise InputError(f"a port is at most {HIGHEST}", f"port = {port}", f"port = {HIGHEST}")
    try:
        return _bound(port)
    except OSError as error:
        raise InputError(
            "nothing else uses the port of a run",
            f"port = {port}: {error.strerror}",
            f"port = {_bound(0)}",
        ) from None


def _bound(port: int) -> int:
    with socket.socket() as one:
        # A port that was closed a moment ago is free: the store that will listen there asks for the same.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("", port))
        return int(one.getsockname()[1])
