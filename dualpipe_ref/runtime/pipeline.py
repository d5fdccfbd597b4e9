"""A model on its processes: stages, schedule and sums of a step in one object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dualpipe_ref.runtime.executor import Executor, Wires
from dualpipe_ref.runtime.failure import StepError
from dualpipe_ref.runtime.grid import Grid, Place
from dualpipe_ref.runtime.overlap import OrderOf
from dualpipe_ref.runtime.point_to_point import PointToPoint
from dualpipe_ref.runtime.recorder import Recorder
from dualpipe_ref.runtime.sharing import balance_routers, sum_replicas, sum_shared
from dualpipe_ref.runtime.stages import Feed, StageWorker
from dualpipe_ref.schedule import InputError, OpKind, Schedule
from dualpipe_ref.schedule.forward_only import forward_only

# The module of a stage, by its number and the number of all stages.
MakeStage = Callable[[int, int], nn.Module]
Losses = dict[tuple[int, int], Tensor]


class Pipeline:
    """One rank of a model that `schedule` trains on `grid`. All ranks make it, and call its methods, together.

    `make_stage` gives the stages that this process holds. `shape` and `dtype` are those of the activations between
    stages. With `order_of` (such as `simulate.lanes.published_order`) the chunks of an FB take turns. The loss of the
    step is the mean over all micro-batches of all ranks. On a `Grid`, messages go over torch.distributed; another `Place`
    comes with `wires` of its own (see `one_process.OneProcess`).
    """

    def __init__(
        self,
        schedule: Schedule,
        grid: Place,
        make_stage: MakeStage,
        shape: Sequence[int],
        dtype: torch.dtype = torch.float32,
        *,
        order_of: OrderOf | None = None,
        device: torch.device | str = "cpu",
        wires: Wires | None = None,
    ) -> None:
        self.schedule, self.grid, rank = schedule, grid, grid.pipeline_rank
        placement = schedule.placement
        self.homes = placement.homes[rank]
        self.stages = [make_stage(stage, placement.stages) for _, stage in self.homes]
        copies = grid.copies("stage")
        self.worker = StageWorker(
            schedule, rank, self.stages, 1 / (schedule.microbatches * copies), order_of
        )
        if wires is None:
            wires = PointToPoint(shape, dtype, processes_of(grid).pipeline, device)
        self.wires = wires
        self.recorder = Recorder()
        self.executor = Executor(schedule, rank, self.worker, self.wires, self.recorder)
        self._activation = shape, dtype, device
        self._is_checked = False
        self._evaluation: Executor | None = None

    def step(self, inputs: Feed, targets: Feed) -> Losses:
        """Forward and backward of all micro-batches, and every `grad` summed over all copies of its parameter.

        Returns the losses of the micro-batches that end here. Raises `runtime.failure.StepError`.
        """
        losses = self.run(inputs, targets)
        self.sum_gradients()
        return losses

    def run(self, inputs: Feed, targets: Feed) -> Losses:
        """Forward and backward alone. Raises `InputError`, on all ranks, before the first if a stage cannot be split."""
        self.worker.training = True
        self.worker.begin(inputs, targets)
        if not self._is_checked:
            self._check_can_split()
        self.executor.step()
        return self.worker.losses

    def _check_can_split(self) -> None:
        """Before the first step, where the schedule splits backwards. What one rank finds, all ranks of its pipeline say."""
        if any(op.kind in (OpKind.I, OpKind.FB) for ops in self.schedule.ops for op in ops):
            shape, dtype, device = self._activation
            generator = torch.Generator().manual_seed(0)
            example = torch.randn(*shape, dtype=dtype, generator=generator).to(device)
            found: tuple[str | None, ...] | None = None
            try:
                self.worker.check_can_split(example)
            except InputError as error:
                found = error.rule, error.got, error.nearest
            except RuntimeError as error:  # such as a rank that does not come to an exchange
                place = "the check of what can be split, before its first op"
                raise StepError(self.grid.pipeline_rank, place, "it failed", error) from error
            for rank, one in enumerate(self.grid.tell(found)):
                if one is not None:
                    rule, got, nearest = one
                    raise InputError(rule, f"{got}, on rank {rank}", nearest)
        self._is_checked = True

    def sum_gradients(self) -> None:
        """Sum over ranks that hold the same, then over both directions."""
        sum_shared(self.stages, self.grid)
        sum_replicas(self.schedule, self.stages, self.grid)

    def balance(self, speed: float) -> list[Tensor]:
        """Move the biases of all routers after a step; see `sharing.balance_routers`."""
        return balance_routers(self.schedule, self.stages, self.grid, speed)

    def evaluate(self, inputs: Feed, targets: Feed) -> Losses:
        """The losses without a backward; nothing is counted or kept."""
        if self._evaluation is None:
            forwards = forward_only(self.schedule)
            self._evaluation = Executor(forwards, self.grid.pipeline_rank, self.worker, self.wires)
        was = [stage.training for stage in self.stages]
        self.worker.training = False
        try:
            for stage in self.stages:
                stage.eval()
            self.worker.begin(inputs, targets)
            self._evaluation.step()
        finally:
            for stage, before in zip(self.stages, was, strict=True):
                stage.train(before)
        return self.worker.losses


def processes_of(place: Place) -> Grid:
    """The grid, for what needs process groups. Raises `InputError` for another place."""
    if isinstance(place, Grid):
        return place
    raise InputError(
        "process groups are there where each rank is a process",
        f"a {type(place).__name__}",
        "a Grid of make_grid",
    )
