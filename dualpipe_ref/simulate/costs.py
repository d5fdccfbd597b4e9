"""How long each op takes on each stage and rank, and how long a message takes. Exact where its inputs are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, get_args

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.ir import OpKind, Schedule

Number = int | float | Fraction
Sends = Literal["eager", "rendezvous"]


def require_positive(name: str, value: object) -> Number:
    """Return `value` if it is a positive, finite int, float or Fraction, else raise `InputError`.

    >>> require_positive("F", Fraction(3, 2))
    Fraction(3, 2)
    >>> require_positive("F", float("nan"))
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: F must be a positive, finite number; got F = nan; nearest legal: F = 1
    """
    legal = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
    # Below infinity, not math.isfinite: an int or a Fraction may be too large for that.
    if legal and 0 < value < math.inf:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise InputError(
        f"{name} must be a positive, finite number", f"{name} = {value!r}", f"{name} = 1"
    )


@dataclass(frozen=True)
class Costs:
    """Time of each kind of op, in any one unit: a number, or a sequence with one number a stage.

    B is I + W and FB is F + B unless given. Given per stage, FB is what one of the two stages
    contributes: the pair costs half of each. `rank_scale` multiplies all ops of a rank (a slow GPU is 1.1).

    >>> Costs(F=1, I=Fraction(3, 2), W=1).of("B")
    Fraction(5, 2)
    >>> Costs(F=(1, 2), I=1, W=1).of("FB", forward_stage=1, backward_stage=0)
    4
    """

    F: Number | Sequence[Number] = 1
    I: Number | Sequence[Number] = 1  # noqa: E741 - the field's name
    W: Number | Sequence[Number] = 1
    B: Number | Sequence[Number] | None = None
    FB: Number | Sequence[Number] | None = None
    rank_scale: Sequence[Number] | None = None

    def __post_init__(self) -> None:
        for name in ("F", "I", "W", "B", "FB", "rank_scale"):
            value = getattr(self, name)
            if isinstance(value, Sequence) and not isinstance(value, str):
                object.__setattr__(self, name, tuple(value))
                for place, number in enumerate(value):
                    require_positive(f"{name}[{place}]", number)
            elif not (value is None and name in ("B", "FB", "rank_scale")):
                require_positive(name, value)
                if name == "rank_scale":
                    raise InputError(
                        "rank_scale is a sequence of one number a rank",
                        f"rank_scale = {value!r}",
                        f"rank_scale = ({value!r}, {value!r}, ...)",
                    )

    def of(self, kind: str, forward_stage: int = 0, backward_stage: int = 0) -> Number:
        """Time of one op of `kind` on a rank of scale 1."""
        if kind == OpKind.FB:
            if self.FB is None:
                return self.of("F", forward_stage) + self.of("B", 0, backward_stage)
            if isinstance(self.FB, Sequence):
                return _half(self.FB[forward_stage] + self.FB[backward_stage])
            return self.FB
        if kind == OpKind.B and self.B is None:
            return self.of("I", 0, backward_stage) + self.of("W", 0, backward_stage)
        value = getattr(self, kind)
        stage = forward_stage if kind == OpKind.F else backward_stage
        chosen: Number = value[stage] if isinstance(value, Sequence) else value
        return chosen

    def check_fits(self, schedule: Schedule) -> None:
        """Raise `InputError` where a sequence has not one number a stage (or a rank)."""
        wanted: Mapping[str, int] = dict.fromkeys(
            ("F", "I", "W", "B", "FB"), schedule.placement.stages
        )
        for name, count in {**wanted, "rank_scale": schedule.ranks}.items():
            value = getattr(self, name)
            if isinstance(value, Sequence) and len(value) != count:
                per = "rank" if name == "rank_scale" else "stage"
                raise InputError(
                    f"{name} as a sequence has one number a {per}",
                    f"{len(value)} numbers for {count} {per}s",
                    f"{count} numbers",
                )

    def per_stage_share(self, schedule: Schedule) -> Costs:
        """These costs, meant for 1/P of the model, shared among the stages that make up 1/P of it.

        So that schedules with one and with several stages a rank are compared on the same work.

        >>> from dualpipe_ref.schedule import build
        >>> Costs().per_stage_share(build("zb-v", 2, 3)).F
        Fraction(1, 2)
        """
        share = Fraction(schedule.ranks, schedule.placement.stages)

        def scaled(value: Number | Sequence[Number] | None) -> Number | tuple[Number, ...] | None:
            if isinstance(value, Sequence):
                return tuple(number * share for number in value)
            return None if value is None else value * share

        changes: dict[str, Any] = {name: scaled(getattr(self, name)) for name in OpKind}
        return replace(self, **changes)

    def durations(self, schedule: Schedule, rank: int) -> list[Number]:
        """Time of each op of `rank`, in order."""
        scale = self.rank_scale[rank] if self.rank_scale else 1
        ops = schedule.ops[rank]
        if not any(isinstance(getattr(self, name), Sequence) for name in OpKind):
            by_kind = {kind: self.of(kind) * scale for kind in OpKind}
            return [by_kind[op.kind] for op in ops]
        stage = [stage for _, stage in schedule.placement.homes[rank]]
        return [
            self.of(
                kind,
                stage[forward.slot] if forward else 0,
                stage[backward.slot] if backward else 0,
            )
            * scale
            for kind, forward, backward in ops
        ]


@dataclass(frozen=True)
class OpTimes:
    """A time of its own for each op of each rank, in order; for `simulate`, in place of `Costs`.

    >>> from dualpipe_ref.schedule import build
    >>> from dualpipe_ref.simulate import simulate
    >>> simulate(build("gpipe", 2, 1), OpTimes(((1, 2), (4, 8)))).makespan
    15
    """

    times: Sequence[Sequence[Number]]

    def check_fits(self, schedule: Schedule) -> None:
        """Raise `InputError` unless there is one time an op, each positive."""
        counts, wanted = list(map(len, self.times)), list(map(len, schedule.ops))
        if counts != wanted:
            raise InputError("there is one time for each op of each rank", f"{counts}", f"{wanted}")
        for rank, times in enumerate(self.times):
            for place, time in enumerate(times):
                require_positive(f"times[{rank}][{place}]", time)

    def durations(self, schedule: Schedule, rank: int) -> list[Number]:
        """Time of each op of `rank`, in order."""
        return list(self.times[rank])


def _half(total: Number) -> Number:
    return total / 2 if isinstance(total, float) else _plain(Fraction(total) / 2)


def _plain(value: Fraction) -> int | Fraction:
    return value.numerator if value.denominator == 1 else value


@dataclass(frozen=True)
class Network:
    """What a message costs: it occupies its channel for size / bandwidth, then takes `latency` to arrive.

    `bandwidth` is size per unit of time (None: infinite). With `sends="eager"` a send never blocks and
    an op waits for just the messages that it needs; with "rendezvous" a rank leaves a batch when all its
    messages, sends included, have met their other end and arrived, as NCCL's grouped point-to-point does.

    >>> Network(latency=1, bandwidth=2).transfer_time(1)
    Fraction(3, 2)
    """

    latency: Number = 0
    bandwidth: Number | None = None
    sends: Sends = "eager"
    activation_size: Number = 1
    gradient_size: Number = 1

    def __post_init__(self) -> None:
        if self.latency != 0:
            require_positive("latency", self.latency)
        for name in ("activation_size", "gradient_size"):
            require_positive(name, getattr(self, name))
        if self.bandwidth is not None:
            require_positive("bandwidth", self.bandwidth)
        if self.sends not in get_args(Sends):
            raise InputError(
                "sends are eager or rendezvous", f"sends = {self.sends!r}", "sends = 'eager'"
            )

    def occupancy(self, size: Number) -> Number:
        """How long a message of this size keeps its channel busy."""
        if self.bandwidth is None:
            return 0
        if isinstance(size, float) or isinstance(self.bandwidth, float):
            return float(size) / float(self.bandwidth)
        return _plain(Fraction(size) / Fraction(self.bandwidth))

    def transfer_time(self, size: Number) -> Number:
        """From the start of a transfer to its arrival."""
        return self.occupancy(size) + self.latency
