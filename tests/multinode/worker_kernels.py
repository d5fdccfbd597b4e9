"""One rank of a dispatch and a combine by the kernels, every bit compared with the oracle, and timed.

Usage: torchrun ... -m tests.multinode.worker_kernels direct|queues|naive [--tokens T] [--hidden H] [--rounds N]
[--seconds S] [--nodes N] [--fault absent|killed|"killed in a kernel"]

Processes of one machine reach one another by CUDA IPC, those of several by NVSHMEM. Each node of torchrun is a node of the
topology, with a GPU for each of its processes; `--nodes` simulates others. Every rank prints one JSON object. Where a machine
lacks what kernels need, that says so in one sentence, and the exit status is LACKS. "naive" needs no GPU, and shows that the
worker itself works.

With a fault, the last rank takes part in one exchange and not in the next: it does not come ("absent"), or its process is
killed before the call or while it waits in a kernel. All others must raise CommTimeout in time, one that names it; after that their
GPUs must still compute, and exchange among themselves. (Torchrun ends all workers when one is killed: such faults are for
`tests/gpu/test_ipc.py`.)
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import _get_default_store

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.connect import connected
from dualpipe_ref.comm.errors import CommTimeout
from dualpipe_ref.comm.reference import Received
from dualpipe_ref.comm.routing import Routing
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.gpu import Lacking
from dualpipe_ref.comm.transport.ipc import Ipc
from dualpipe_ref.comm.transport.processes import PATIENCE, Processes
from tests.test_transport.traffic import KINDS, Traffic, bits, drawn, made, oracle, sums

# Exit status where the machine lacks something; 77 is what automake's tests say for that.
LACKS = 77
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
EXPERTS_PER_TOKEN, EXPERTS_PER_RANK = 4, 2
KILLED = "killed in a kernel"


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker_kernels")
    parser.add_argument("version", choices=["direct", "queues", "naive"])
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--num-sms", type=int, default=20)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--fault", choices=["absent", "killed", KILLED])
    return parser.parse_args(words)


class Rank:
    """This process's end, and what it compares with."""

    def __init__(
        self, given: argparse.Namespace, group: dist.ProcessGroup | None, topology: Topology
    ) -> None:
        self.given, self.topology = given, topology
        self.rank = dist.get_rank(group)
        self.has_kernels = given.version != "naive"
        self.buffer: Buffer = connected(
            group,
            topology,
            topology.ranks * EXPERTS_PER_RANK,
            version=given.version,
            hidden=given.hidden,
            most_tokens=given.tokens,
            experts_per_token=EXPERTS_PER_TOKEN,
            num_sms=given.num_sms,
            **({"seconds": given.seconds} if self.has_kernels else {}),
        )
        # Kernels meet by themselves; without them a process that does not come would be waited for without limit.
        self.meet: Callable[[], None] = lambda: None
        if not self.has_kernels:
            self.meet = Processes(group, topology, given.seconds).meet
        self.device = torch.device("cpu")
        self.is_gpu = self.has_kernels and torch.cuda.is_available()  # else they are emulated
        if self.is_gpu:
            self.device = torch.device("cuda", local_rank() % torch.cuda.device_count())
            torch.cuda.set_device(self.device)

    def drawn(self, seed: int) -> Traffic:
        """The same on every rank."""
        nodes, gpus = self.topology.nodes, self.topology.gpus_per_node
        kind, dtype = KINDS[seed % len(KINDS)], DTYPES[self.given.dtype]
        return drawn(
            nodes,
            gpus,
            self.given.tokens,
            seed,
            hidden=self.given.hidden,
            per_token=EXPERTS_PER_TOKEN,
            experts_per_rank=EXPERTS_PER_RANK,
            kind=kind,
            dtype=dtype,
        )

    def exchange(self, seed: int) -> dict[str, float]:
        """A dispatch, the same with its handle, and a combine, all compared; the seconds that each took."""
        traffic = self.drawn(seed)
        sent, wanted = traffic.outgoing[self.rank], oracle(traffic)[self.rank]
        tokens = sent.tokens.to(self.device)
        routing = Routing(*(part.to(self.device) for part in sent.routing))
        back = made(traffic, DTYPES[self.given.dtype])
        rows, along = (part[self.rank].to(self.device) for part in (back.rows, back.weights))
        first, (received, handle) = self._timed(lambda: self.buffer.dispatch(tokens, routing))
        self._compare(received, wanted)
        again, (received, _) = self._timed(lambda: self.buffer.dispatch(tokens, routing, handle))
        self._compare(received, wanted)
        last, totals = self._timed(lambda: self.buffer.combine(rows, handle, along))
        order = "two levels" if self.has_kernels else "flat"
        for name, total, part in zip(
            ("sums", "weights"), totals, (back.rows, back.weights), strict=True
        ):
            self._equal(name, total, sums(traffic, part, order)[self.rank])
        return {"dispatch": first, "cached dispatch": again, "combine": last}

    def compute(self) -> None:
        """Something else than an exchange."""
        ones = torch.ones(512, 512, device=self.device)
        assert float((ones @ ones).sum()) == 512.0**3

    def _timed(self, act: Callable[[], Any]) -> tuple[float, Any]:
        """On the host's clock, from when all are ready until the results are there."""
        self.meet()
        began = time.perf_counter()
        result = act()
        if self.is_gpu:
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - began, result

    def _compare(self, received: Received, wanted: Received) -> None:
        for name, got, right in zip(Received._fields, received, wanted, strict=True):
            if right is None:
                assert got is None
            else:
                self._equal(name, got, right)

    def _equal(self, name: str, got: Tensor, right: Tensor) -> None:
        is_equal = got.shape == right.shape and torch.equal(bits(got.cpu()), bits(right))
        assert is_equal, f"rank {self.rank}: {name} differ from the oracle's"


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def said(topology: Topology, given: argparse.Namespace) -> dict[str, Any]:
    """What a record says of where it comes from."""
    told: list[Any] = [None] * topology.ranks
    name = (
        ""
        if given.version == "naive"
        else torch.cuda.get_device_name(local_rank() % torch.cuda.device_count())
    )
    dist.all_gather_object(
        told, (os.uname().nodename, local_rank() % max(1, torch.cuda.device_count()))
    )
    tier = "one GPU" if len(set(told)) == 1 else "cluster"
    return {
        "version": given.version,
        "tier": tier if name else "CPU",
        "device": name or "CPU",
        "nodes": topology.nodes,
        "gpus_per_node": topology.gpus_per_node,
        "machines": len({host for host, _ in told}),
        "tokens": given.tokens,
        "hidden": given.hidden,
        "dtype": given.dtype,
    }


def measured(given: argparse.Namespace, topology: Topology) -> dict[str, Any]:
    """Rounds of all kinds of routing; the medians of the even ones after the first."""
    here = Rank(given, None, topology)
    for seed in range(len(KINDS)):
        here.exchange(seed)
    even = [here.exchange(len(KINDS) * (1 + number)) for number in range(given.rounds)]
    return {
        f"{name.replace(' ', '_')}_s": median(one[name] for one in even) for name in even[0]
    } | {"rounds": given.rounds}


def faulty(given: argparse.Namespace, topology: Topology) -> dict[str, Any]:
    """What the ranks that are left say of the one that is not, and that they go on."""
    here, last = Rank(given, None, topology), topology.ranks - 1
    here.exchange(0)
    store = _get_default_store()
    if here.rank == last:
        leave(given.fault, here, store)
        return {"fault": given.fault}
    if given.fault == KILLED:
        late(Ipc, 1.0)
    began = time.monotonic()
    try:
        here.exchange(0)
    except CommTimeout as error:
        told = error
    else:
        raise AssertionError(f"rank {here.rank} missed nobody")
    taken = time.monotonic() - began
    # A wait for what waits itself lasts twice as long; and then records are exchanged.
    assert taken < 2 * given.seconds + PATIENCE + 5, (
        f"{taken:.1f} s for limits of {given.seconds} s"
    )
    assert last in told.silent, told
    here.compute()
    if is_one_machine():
        group = dist.new_group(list(range(last)), backend="gloo", use_local_synchronization=True)
        Rank(given, group, Topology(1, last)).exchange(1)
    store.set("over", "")
    return {"fault": given.fault, "said": str(told), "seconds_until_then": taken}


def leave(fault: str, here: Rank, store: dist.Store) -> None:
    """The last rank's way to be missing."""
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == KILLED:
        # Its kernel waits for others that are late, when this comes.
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        here.exchange(0)
    store.wait(["over"], timedelta(seconds=10 * here.given.seconds + 60))


def late(transport: type[Ipc], seconds: float) -> None:
    """From now on kernels of this process start so much later."""
    launch = transport.launch

    def later(*given: Any, **more: Any) -> None:
        time.sleep(seconds)
        launch(*given, **more)

    transport.launch = later  # type: ignore[method-assign]


def say(found: dict[str, Any]) -> None:
    """One record, in one write: ranks share an output."""
    sys.stdout.write(json.dumps({"rank": dist.get_rank(), **found}) + "\n")
    sys.stdout.flush()


def is_one_machine() -> bool:
    """NVSHMEM starts once in a process, with all ranks."""
    return os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")


def main(words: Sequence[str]) -> int:
    given = arguments(words)
    torch.set_num_threads(1)
    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=timedelta(seconds=300))
    ranks = dist.get_world_size()
    nodes = given.nodes or ranks // int(os.environ["LOCAL_WORLD_SIZE"])
    topology = Topology(nodes, ranks // nodes)
    try:
        found = faulty(given, topology) if given.fault else measured(given, topology)
    except Lacking as error:
        say({"lacks": str(error)})
        return LACKS
    if not given.fault:
        found |= said(topology, given)
    say(found)
    if not given.fault:
        dist.barrier()
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
