"""One rank of `tests.test_comm.worker`'s cases, each node of torchrun a node of the topology.

Usage: torchrun ... -m tests.multinode.worker_buffer CASES [FAULT]
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from dualpipe_ref.comm.collective import Collective
from dualpipe_ref.comm.topology import Topology
from tests.test_comm.worker import check


def main() -> None:
    cases, fault = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    gpus = int(os.environ["LOCAL_WORLD_SIZE"])
    topology = Topology(dist.get_world_size() // gpus, gpus)
    for number in range(cases):
        check(topology, Collective(), number, fault)
    dist.barrier()
    dist.destroy_process_group()
    print(f"{cases} cases agree", flush=True)


if __name__ == "__main__":
    main()
