"""A worker of the step bench that compares case after case: every kind, and every fault on torch's side.

Usage: python -m tests.test_bench.step_cases TOLD.json compare CASE.json RUNS OUT.json; CASE is the first kind, and the
others have its sizes. Rank 0 writes times by kind to OUT and errors by fault to TOLD; at the end the last error is raised.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import torch

from dualpipe_ref.bench import peers, step_worker
from dualpipe_ref.bench.group import process_group


class OtherData(peers.Theirs):
    """One token of the last micro-batch is another one."""

    def __init__(self, case: peers.Case) -> None:
        super().__init__(case)
        self.inputs[-1, 0] = (self.inputs[-1, 0] + 1) % case.config().vocabulary


class OtherTarget(peers.Theirs):
    """One target of the last micro-batch is another one."""

    def __init__(self, case: peers.Case) -> None:
        super().__init__(case)
        self.targets[-1, 0] = (self.targets[-1, 0] + 1) % case.config().vocabulary


class OtherGradient(peers.Theirs):
    """The smallest step up in one number of one gradient, on the last rank."""

    def gradients(self) -> dict[str, torch.Tensor]:
        found = super().gradients()
        if torch.distributed.get_rank() == torch.distributed.get_world_size() - 1:
            row = next(iter(found.values())).view(-1)
            row[0] = torch.nextafter(row[0], torch.tensor(torch.inf))
        return found


class LostGradient(peers.Theirs):
    """One parameter got none."""

    def gradients(self) -> dict[str, torch.Tensor]:
        found = super().gradients()
        found.popitem()
        return found


FAULTS = {
    "data": OtherData,
    "target": OtherTarget,
    "gradient": OtherGradient,
    "lost": LostGradient,
}


def main() -> None:
    told, _, case, runs, out = sys.argv[1:]
    torch.set_num_threads(1)
    first = peers.Case(**json.loads(Path(case).read_text()))
    with process_group(out, first.ranks):
        found = {
            kind: step_worker.compare(dataclasses.replace(first, kind=kind), int(runs))
            for kind in peers.CLASSES
        }
        errors: dict[str, RuntimeError] = {}
        for name, fault in FAULTS.items():
            peers.SIDES["theirs"] = fault
            try:
                step_worker.compare(first, 1)
            except RuntimeError as error:
                errors[name] = error
        if torch.distributed.get_rank() == 0:
            Path(out).write_text(json.dumps(found))
            Path(told).write_text(json.dumps({name: str(one) for name, one in errors.items()}))
        torch.distributed.barrier()
        raise errors["lost"]


if __name__ == "__main__":
    main()
