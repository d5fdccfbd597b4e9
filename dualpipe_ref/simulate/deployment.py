"""How parameters, gradients and optimizer states lie on ranks: from a model's shape to the bytes of each stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from dualpipe_ref.schedule.errors import require_int
from dualpipe_ref.schedule.ir import Placement
from dualpipe_ref.simulate.chunk_bytes import Batch, ChunkBytes, eager_chunk
from dualpipe_ref.simulate.footprint import StageBytes
from dualpipe_ref.simulate.shapes import ModelShape, Parameters


@dataclass(frozen=True)
class Precision:
    """Bytes of a parameter, of its gradient, of each of AdamW's two moments, and of a master copy (0: there is none)."""

    parameters: int = 4
    gradients: int = 4
    moments: int = 4
    master: int = 0

    @property
    def states(self) -> int:
        """Bytes a parameter that the optimizer keeps.

        >>> Precision(moments=2, master=4).states
        8
        """
        return 2 * self.moments + self.master


# DeepSeek-V3 report, section 3.3.3: gradients and master weights in float32, moments in bf16.
V3_PRECISION = Precision(parameters=2, gradients=4, moments=2, master=4)


@dataclass(frozen=True)
class Sharing:
    """Who shares what: `expert_ranks` share out a stage's experts, `data_ranks` have a copy of all, and in `directions` there
    may be two copies in one pipeline. Optimizer states are shared out among all that hold the same parameters (ZeRO-1).

    >>> Sharing(expert_ranks=64, data_ranks=2).states_of(Parameters(dense=1280, experts=64))
    Fraction(21, 2)
    """

    expert_ranks: int = 1
    data_ranks: int = 1
    directions: int = 1

    def __post_init__(self) -> None:
        for name in ("expert_ranks", "data_ranks", "directions"):
            require_int(name, getattr(self, name), 1)

    def held(self, parameters: Parameters) -> Fraction:
        """How many of a stage's parameters one rank holds."""
        return parameters.dense + Fraction(parameters.experts, self.expert_ranks)

    def states_of(self, parameters: Parameters) -> Fraction:
        """Of how many it keeps the states."""
        copies = self.data_ranks * self.directions
        dense = Fraction(parameters.dense, self.expert_ranks * copies)
        return dense + Fraction(parameters.experts, self.expert_ranks * copies)


def stage_bytes(
    parameters: Parameters,
    chunk: ChunkBytes,
    precision: Precision,
    sharing: Sharing,
    *,
    late_gradients: bool = False,
) -> StageBytes:
    """One stage on one rank; bytes are rounded up.

    >>> stage_bytes(Parameters(10, 4), ChunkBytes({}), Precision(), Sharing(expert_ranks=2)).states
    56
    """
    held = sharing.held(parameters)
    return StageBytes(
        _up(held * precision.parameters),
        _up(held * precision.gradients),
        _up(sharing.states_of(parameters) * precision.states),
        chunk,
        late_gradients,
    )


def eager_stages(
    shape: ModelShape, batch: Batch, placement: Placement, policy: str = "none"
) -> list[StageBytes]:
    """The stages of this package's own model on CPU processes, each with all experts: what `runtime.Pipeline` holds.

    A chunk with an I is cut into its parts, except on the first stage, where nobody waits for an I.
    """
    stages, sharing = placement.stages, Sharing(directions=placement.directions)

    def one(stage: int) -> StageBytes:
        whole = eager_chunk(shape, batch, stage, stages, policy=policy)
        cut = eager_chunk(shape, batch, stage, stages, policy=policy, is_cut=True)
        parameters = shape.stage(stage, stages)
        made = stage_bytes(parameters, whole, Precision(), sharing, late_gradients=True)
        return replace(made, split=cut if stage else None)

    return [one(stage) for stage in range(stages)]


def _up(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)
