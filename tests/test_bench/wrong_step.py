"""The worker of the step bench with a fault on torch's side: python -m tests.test_bench.wrong_step FAULT ..."""

from __future__ import annotations

import sys

import torch

from dualpipe_ref.bench import peers, step_worker


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

if __name__ == "__main__":
    peers.SIDES["theirs"] = FAULTS[sys.argv.pop(1)]
    step_worker.main()
