"""One process of a group that meets, and in which one goes missing.

Usage: python -m tests.test_transport.process_worker RANK RANKS STORE CASE SECONDS
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from dualpipe_ref.comm.errors import NO_CHANNEL, CommTimeout, Role, first_cause
from dualpipe_ref.comm.kernels.waiting import TAIL
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.processes import Processes
from dualpipe_ref.schedule.errors import InputError

ROLES = (Role("receiver", "rows"),)


def waits_for(peer: int, rank: int) -> list[int]:
    return [1, 0, NO_CHANNEL, rank, peer, TAIL, 0, 0, 1, 10**9]


def main() -> None:
    rank, ranks, (store, case), seconds = (
        int(sys.argv[1]),
        int(sys.argv[2]),
        sys.argv[3:5],
        float(sys.argv[5]),
    )
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=60),
    )
    last = ranks - 1
    processes = Processes(None, Topology(1, ranks), seconds)
    processes.meet()
    processes.launched()
    if case == "ends" and rank == last:
        os._exit(0)
    over = Path(store + ".over")
    while case == "hangs" and rank == last and not over.exists():
        time.sleep(0.02)
    try:
        if case == "disagrees":
            processes.agree("size of heaps in bytes", 64 + rank // last)
        if case == "waits":
            # Each waits for the next one; the last does not give up.
            if rank < last:
                own = waits_for(rank + 1, rank)
                raise first_cause(processes.who_gave_up(own), ROLES, range(ranks))
        else:
            processes.meet()
    except (CommTimeout, InputError) as error:
        print(error, flush=True)
    over.touch()
    # Who leaves takes the store along where it keeps it; here it is a file.
    dist.destroy_process_group() if case in ("waits", "disagrees") else os._exit(0)


if __name__ == "__main__":
    main()
