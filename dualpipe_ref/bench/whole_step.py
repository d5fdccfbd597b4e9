"""A whole step whose ranks are threads and whose exchanges are the project's kernels, beside the unparallel CPU run of its model.

How near they must be. In float32 both runs round as often, only in another order: tokens of several ranks go through an
expert together, and sums have other partial sums. So the unparallel run in float64 says what a rounding is worth here: the
step may be `TIMES` as far from it, in each loss and in each parameter's gradient, as the worst of the unparallel float32
run, and at least one unit in the last place. Where no tokens meet (one rank has all experts) the bits are equal. In
bfloat16 a rounding may send a token to another expert, so nothing can be derived; losses must be within `LOSS_BF16`, two
units in the last place, and all gradients together, as one vector, within `GRADIENT_BF16` of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dualpipe_ref.comm.buffer import Buffer
from dualpipe_ref.comm.direct import Direct
from dualpipe_ref.comm.exchange import Exchange
from dualpipe_ref.comm.mover import Alone
from dualpipe_ref.comm.protocol.sizes import Sizes
from dualpipe_ref.comm.queues import Queues
from dualpipe_ref.comm.topology import Topology
from dualpipe_ref.comm.transport.base import Transport
from dualpipe_ref.model import ModelConfig, Stage
from dualpipe_ref.runtime.one_process import OneProcess
from dualpipe_ref.runtime.pipeline import Losses
from dualpipe_ref.runtime.stages import Feed
from dualpipe_ref.schedule import Schedule, build
from dualpipe_ref.simulate.lanes import published_order

TIMES = 4
LOSS_BF16 = 2**-6
GRADIENT_BF16 = 0.1

Gradients = dict[str, Tensor]
Left = tuple[list[Losses], Gradients]


class Case(NamedTuple):
    """A step: schedule `kind` on P pipeline ranks with 2P micro-batches, experts on a `topology`, kernels of a `version`."""

    kind: str
    ranks: int
    topology: Topology
    version: str = "direct"
    dtype: torch.dtype = torch.float32
    tokens: int = 6
    hidden: int = 16

    @property
    def microbatches(self) -> int:
        return 2 * self.ranks

    def schedule(self) -> Schedule:
        """The schedule, anew."""
        return build(self.kind, self.ranks, self.microbatches)

    def config(self) -> ModelConfig:
        """One layer a stage, and two experts a rank."""
        return ModelConfig(
            vocabulary=11,
            hidden=self.hidden,
            layers=self.schedule().placement.stages,
            heads=2,
            head_dim=4,
            rotary_dim=2,
            key_value_latent=8,
            experts=max(4, 2 * self.topology.ranks),
            experts_per_token=2,
            expert_hidden=8,
        )

    def feeds(self) -> list[tuple[Feed, Feed]]:
        """Inputs and targets of each expert rank, [1, tokens] each, drawn on the CPU."""
        draw = torch.Generator().manual_seed(5)
        directions = self.schedule().placement.directions
        keys = [(d, n) for d in range(directions) for n in range(self.microbatches // directions)]
        found: list[tuple[Feed, Feed]] = []
        for _ in range(self.topology.ranks):
            both = {key: torch.randint(11, (1, self.tokens + 1), generator=draw) for key in keys}
            inputs = {key: one[:, :-1] for key, one in both.items()}
            found.append((inputs, {key: one[:, 1:] for key, one in both.items()}))
        return found


def exchange_on(case: Case, transport: Transport, blocks: int) -> Exchange:
    """The version of a case over a transport, with so many blocks a rank."""
    return version_on(
        case.version,
        transport,
        blocks,
        hidden=case.hidden,
        most_tokens=case.tokens,
        experts_per_token=2,
    )


def version_on(version: str, transport: Transport, blocks: int, **room: Any) -> Exchange:
    """Direct slots or queues; in the emulator queues get the smallest rings."""
    if version == "direct":
        return Direct(transport, num_sms=blocks, **room)
    if transport.device.type == "cpu":
        return Queues(transport, sizes=Sizes(), **room)
    return Queues(transport, num_sms=blocks, **room)


def step_of(
    case: Case,
    exchange_of: Callable[[], Exchange],
    device: torch.device | str = "cpu",
    *,
    patience: float = 60,
) -> OneProcess:
    """All ranks of a case, before their first step; the chunks of an FB take turns in the published order."""
    config, schedule = case.config(), case.schedule()

    def stage(number: int, stages: int, buffer: Buffer) -> Stage:
        made: Stage = Stage(config, number, stages, buffer).to(device, case.dtype)
        return made

    return OneProcess(
        schedule,
        exchange_of,
        config.experts,
        stage,
        (1, case.tokens, case.hidden),
        case.dtype,
        order_of=published_order,
        device=device,
        patience=patience,
    )


def stepped(case: Case, step: OneProcess) -> Left:
    """Losses of one step by expert rank, and all gradients by their names in the whole model, on the CPU.

    Raises `RuntimeError` where the copies of a parameter have other gradients.
    """
    feeds = [
        tuple({key: one.to(step.device) for key, one in feed.items()} for feed in both)
        for both in case.feeds()
    ]
    with _exact_attention(step.device):
        losses = step.step(feeds)  # type: ignore[arg-type]
    gradients: Gradients = {}
    for pipeline in step.pipelines:
        for stage in pipeline.stages:
            names = stage.names()
            for name, one in stage.named_parameters():
                got, whole = one.grad.cpu(), names[name]
                if not torch.equal(gradients.setdefault(whole, got), got):
                    raise RuntimeError(f"the copies of {whole} have different gradients")
    return [{key: one.cpu() for key, one in some.items()} for some in losses], gradients


@contextmanager
def _exact_attention(device: torch.device) -> Iterator[None]:
    """On a GPU, attention by matrix products: its fused kernel puts float32 together from shorter numbers for tensor cores."""
    with nullcontext() if device.type == "cpu" else sdpa_kernel(SDPBackend.MATH):
        yield


def unparallel(case: Case, dtype: torch.dtype) -> Left:
    """The same of the whole model on the CPU, one micro-batch after another.

    Directions are summed apart, as they are where each has a copy of a stage.
    """
    config, feeds = case.config(), case.feeds()
    model = Stage(config, 0, 1, Buffer(Topology(1, 1), config.experts, Alone())).to(dtype)
    scale = 1 / (case.microbatches * len(feeds))
    losses: list[Losses] = [{} for _ in feeds]
    sums: list[list[Tensor]] = []
    for direction in range(case.schedule().placement.directions):
        model.zero_grad(set_to_none=True)
        for found, (inputs, targets) in zip(losses, feeds, strict=True):
            for key in (key for key in inputs if key[0] == direction):
                loss = model(inputs[key], targets[key])
                loss.backward(torch.full_like(loss, scale))
                found[key] = loss.detach()
        sums.append([_gradient(one) for one in model.parameters()])
    total = [sum(parts[1:], parts[0]) for parts in zip(*sums, strict=True)]
    return losses, dict(zip(dict(model.named_parameters()), total, strict=True))


class Off(NamedTuple):
    """How far two runs are apart: the worst loss, of its size; the worst gradient of a parameter, of its largest number;
    all gradients as one vector, of its length."""

    loss: float
    gradient: float
    all_gradients: float


def off(one: Left, exact: Left) -> Off:
    """`one` against `exact`. Raises `RuntimeError` where they are not of the same micro-batches and parameters."""
    if [set(some) for some in one[0]] != [set(some) for some in exact[0]] or set(one[1]) != set(
        exact[1]
    ):
        raise RuntimeError("both runs have the same micro-batches and parameters")
    losses = [
        abs(some[key].double() - wanted[key].double()) / wanted[key].double()
        for some, wanted in zip(one[0], exact[0], strict=True)
        for key in wanted
    ]
    names = list(exact[1])
    pairs = [(one[1][name].double(), exact[1][name].double()) for name in names]
    worst = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs if b.any()]
    lengths = [torch.cat([x.flatten() for x in some]) for some in zip(*pairs, strict=True)]
    whole = (lengths[0] - lengths[1]).norm() / lengths[1].norm()
    return Off(float(max(losses)), max(worst), float(whole))


def allowed(case: Case) -> Off:
    """How far the step may be from the unparallel run in float64 (see above), in bfloat16 from the one in bfloat16."""
    if case.dtype == torch.bfloat16:
        return Off(LOSS_BF16, float("inf"), GRADIENT_BF16)
    plain = off(unparallel(case, torch.float32), unparallel(case, torch.float64))
    return Off(*(TIMES * max(one, torch.finfo(torch.float32).eps) for one in plain))


def distance(case: Case, left: Left) -> Off:
    """How far the step is from the run that `allowed` speaks of."""
    against = torch.bfloat16 if case.dtype == torch.bfloat16 else torch.float64
    return off(left, unparallel(case, against))


def is_near(found: Off, room: Off) -> bool:
    """Whether every distance is allowed; a NaN is not."""
    return all(one <= most for one, most in zip(found, room, strict=True))


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
