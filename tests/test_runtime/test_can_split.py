"""What cannot be split is refused before the first step, by the name of its module; and looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dualpipe_ref.model import Stage
from dualpipe_ref.model.parts import StageParts
from dualpipe_ref.model.recompute import Remade
from dualpipe_ref.runtime.can_split import check_can_split
from dualpipe_ref.schedule import InputError
from tests.ranks import run_ranks
from tests.test_runtime.model import random_state
from tests.test_runtime.split_modules import MODULES, Shared, Sizes, WithFunction


class Unmarked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, gain: Tensor) -> Tensor:
        ctx.save_for_backward(values, gain)
        return values * gain

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, gain = ctx.saved_tensors
        return gradient * gain, gradient * values


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, values: Tensor) -> Tensor:
        return Unmarked.apply(values, self.gain)


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.reentrant = nn.Linear(4, 4), reentrant

    def forward(self, values: Tensor) -> Tensor:
        return checkpoint(self.inner, values, use_reentrant=self.reentrant)


class CompiledFunction(nn.Module):
    """A function that is compiled, in a module that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))
        self.function = torch.compile(
            lambda values, gain: torch.sin(values) * gain, backend=BACKEND
        )

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values, self.gain)


class DistributedDataParallel(nn.Module):
    """Known by its name; the real one needs processes."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(4, 4)

    def forward(self, values: Tensor) -> Tensor:
        return self.module(values)


class Remaking(nn.Module):
    """Runs its computation again before its backward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def parts(self) -> StageParts:
        return StageParts(None, (), Remade(lambda values: (self.inner(values),)))


BACKEND = "aot_eager"  # differentiates as others do, and needs no compiler


def compiled() -> nn.Module:
    module = nn.Linear(4, 4)
    module.compile(backend=BACKEND)
    return module


def hooked() -> nn.Module:
    module = Shared(4)
    module.inner.bias.register_post_accumulate_grad_hook(lambda _: None)
    return module


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a function without a rule": (Custom, r"custom autograd\.Function.*1 \(Custom\) of stage 3.*Unmarked.*splittable"),
    "a reentrant checkpoint": (
        lambda: Checkpointed(reentrant=True),
        r"reentrant.*1 \(Checkpointed\) of stage 3.*use_reentrant=False",
    ),
    "a compiled module": (
        lambda: torch.compile(nn.Linear(4, 4), backend=BACKEND),
        r"compiled.*1 \(OptimizedModule\) of stage 3.*without torch\.compile",
    ),
    "a module compiled in place": (compiled, r"compiled.*1 \(Linear\) of stage 3"),
    "a compiled function": (CompiledFunction, r"compiled.*1 \(CompiledFunction\) of stage 3"),
    "data parallel": (DistributedDataParallel, r"1 \(DistributedDataParallel\) of stage 3.*sum_gradients"),
    "a hook after a sum that I makes": (hooked, r"1\.inner\.bias of stage 3.*register_hook"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # from inside the compiler
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_split_is_refused_by_name(what: str) -> None:
    make, message = REFUSED[what]
    module = nn.Sequential(nn.Linear(4, 4), make(), nn.Linear(4, 4))
    with pytest.raises(InputError, match=message):
        check_can_split(module, torch.randn(2, 4), name="stage 3")


def test_the_name_is_that_of_the_innermost_module() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.custom, self.last = nn.Linear(4, 4), Custom(), nn.Linear(4, 4)

        def forward(self, values: Tensor) -> Tensor:
            return self.last(torch.sin(self.custom(torch.exp(self.first(values)))))

    with pytest.raises(InputError, match=r"1\.custom \(Custom\) of the module"):
        check_can_split(nn.Sequential(nn.Linear(4, 4), Around()), torch.randn(2, 4))
    with pytest.raises(InputError, match=r"got the module, .*Unmarked"):
        check_can_split(Custom(), torch.randn(2, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Checkpointed(reentrant=False),
        lambda: WithFunction(4),
        lambda: Shared(4),
    ],
)
def test_what_can_be_split_is_not_refused(make: Callable[[], nn.Module]) -> None:
    check_can_split(nn.Sequential(nn.Linear(4, 4), make()), torch.randn(2, 4))


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_the_other_tests_passes(name: str) -> None:
    check_can_split(MODULES[name](Sizes()), torch.randn(2, 5, 12))


def test_what_is_run_again_is_looked_at_as_it_runs_then() -> None:
    check_can_split(Remaking(nn.Linear(4, 4)), torch.randn(2, 4))
    with pytest.raises(InputError, match=r"inner\.1 \(Custom\) of the module"):
        check_can_split(
            Remaking(nn.Sequential(nn.Linear(4, 4), Custom())),
            torch.randn(2, 4),
        )


@pytest.mark.parametrize("number", [0, 1])
def test_a_look_changes_nothing(number: int) -> None:
    sizes = Sizes()
    stage = Stage(sizes.config(), number, 2, sizes.buffer())
    dropping = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(12), nn.Linear(12, 12))
    before = {name: one.clone() for name, one in stage.state_dict().items()}
    normed = {name: one.clone() for name, one in dropping.state_dict().items()}
    state = random_state()
    source = torch.zeros(2, 5, dtype=torch.int64) if number == 0 else torch.randn(2, 5, 12)
    state = random_state()
    check_can_split(stage, source, torch.zeros(2, 5, dtype=torch.int64) if number else None)
    check_can_split(dropping, torch.ones(3, 12))
    assert random_state() == state
    assert all(torch.equal(one, before[name]) for name, one in stage.state_dict().items())
    assert all(torch.equal(one, normed[name]) for name, one in dropping.state_dict().items())
    assert all(one.grad is None for one in (*stage.parameters(), *dropping.parameters()))
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in stage.modules())


@pytest.mark.parametrize("kind", ["zb-h1", "1f1b"])
def test_all_ranks_refuse_before_the_first_step_where_the_schedule_splits(
    kind: str, tmp_path: Path
) -> None:
    ended = run_ranks("tests.test_runtime.unsplittable_worker", 2, kind, tmp_path)
    for process, one in enumerate(ended):
        assert one.returncode == 0, f"process {process}: {one.stdout} {one.stderr[-2000:]}"
        if kind == "1f1b":
            assert one.stdout == "a step\n"
        else:
            assert "reentrant" in one.stdout
            assert "1 (Checkpointed) of stage 1" in one.stdout
            assert "on rank 1" in one.stdout
            assert "gradients: 0, ops: 0" in one.stdout
