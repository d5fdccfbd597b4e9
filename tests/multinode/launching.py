"""Run one worker module on both nodes with torchrun, as on a cluster, and end every process, whatever happens.

`python -m tests.multinode.launching RATE_MBIT MODULE ARGUMENT ...` does it from the command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGKILL
from typing import IO, Any

from tests.multinode.namespaces import LINK, Node, end_process, two_nodes, why_not
from tests.test_project.files import ROOT

PORT = 29500  # each node has its own ports
PIN = "tests.multinode.pinned"


@dataclass(frozen=True)
class Ended:
    """What one node's torchrun and its workers left: None as exit status where time ran out."""

    status: int | None
    output: str
    errors: str

    def records(self) -> list[dict[str, Any]]:
        """The lines that workers printed as JSON objects."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]


def run_nodes(
    nodes: Sequence[Node],
    module: str,
    *arguments: object,
    processes: int = 1,
    cores: Sequence[Sequence[int]] | None = None,
    seconds: float = 120,
) -> list[Ended]:
    """`module` with `arguments` in `processes` processes a node; `cores[node][process]` is the core that one keeps to."""
    with tempfile.TemporaryDirectory() as folder:
        files = [open(f"{folder}/{number}", "w+") for number in range(2 * len(nodes))]  # noqa: SIM115
        started: list[subprocess.Popen[str]] = []
        try:
            for rank, node in enumerate(nodes):
                words = torchrun(nodes, rank, module, processes, *map(str, arguments))
                kept = cores[rank] if cores is not None else None
                started.append(_start(node.command(*words), kept, *files[2 * rank : 2 * rank + 2]))
            statuses = _wait(started, time.monotonic() + seconds)
        finally:
            _end(nodes, started)
        texts = [_read(file) for file in files]
    return [Ended(status, *texts[2 * rank : 2 * rank + 2]) for rank, status in enumerate(statuses)]


def torchrun(
    nodes: Sequence[Node], rank: int, module: str, processes: int, *arguments: str
) -> list[str]:
    """The command line of one node; a cluster's differs in the address alone."""
    return [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes", str(len(nodes)), "--node-rank", str(rank)),
        *("--nproc-per-node", str(processes)),
        *("--master-addr", nodes[0].address, "--master-port", str(PORT)),
        *("--local-addr", nodes[rank].address, "--max-restarts", "0"),
        *("-m", PIN, module, *arguments),
    ]


def _start(
    words: list[str], cores: Sequence[int] | None, output: IO[str], errors: IO[str]
) -> subprocess.Popen[str]:
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": LINK, "OMP_NUM_THREADS": "1"}
    if cores is not None:
        environment["PINNED_CORES"] = ",".join(map(str, cores))
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        start_new_session=True,
    )


def _wait(started: Sequence[subprocess.Popen[str]], until: float) -> list[int | None]:
    """How each ended. Once one has failed, the others, which may wait for it for ever, get five seconds."""
    while time.monotonic() < until:
        statuses = [one.poll() for one in started]
        if None not in statuses:
            break
        if any(statuses):
            until = min(until, time.monotonic() + 5)
        time.sleep(0.02)
    return [one.poll() for one in started]


def _end(nodes: Sequence[Node], started: Sequence[subprocess.Popen[str]]) -> None:
    """Torchrun gives its workers sessions of their own; that they are in the node finds them all."""
    for one in started:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, SIGKILL)
        one.wait()
    for node in nodes:
        for process in node.processes():
            end_process(process)


def _read(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def main() -> int:
    rate, module, *arguments = sys.argv[1:]
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    with two_nodes(float(rate) if float(rate) else None) as nodes:
        ended = run_nodes(nodes, module, *arguments, cores=[[0], [1]], seconds=3600)
    for node, one in zip(nodes, ended, strict=True):
        print(f"{node.address}: exit status {one.status}\n{one.output}{one.errors}")
    return int(any(one.status != 0 for one in ended))


if __name__ == "__main__":
    sys.exit(main())
