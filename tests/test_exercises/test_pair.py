"""What chapter 8 judges with: its reference against autograd, its machine and its clock against the package's lanes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref.grading.answers import InProcessAnswer
from dualpipe_ref.grading.exercises import find_exercise
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, needs, published_order, run_pair
from exercises.ch08 import machine
from exercises.ch08.checks import COSTS, equal
from exercises.ch08.machine import Machine, difference, task_of, without_overlap
from exercises.ch08.steps import Step, ask, begun, timed, too_early

SOLUTION = InProcessAnswer(find_exercise("ch08").solution.read_text(encoding="utf-8"))


@st.composite
def legal_steps(draw: st.DrawFn, layers: int) -> list[Step]:
    """Any order in which each step comes after those that it needs."""
    wanted = needs(layers)
    after: dict[Step, Step | None] = {}
    for piece, before in wanted.items():
        needed = before and Step("wait" if before.lane is Lane.NETWORK else "run", before)
        first = Step("run" if piece.lane is Lane.COMPUTE else "start", piece)
        after[first] = needed
        if piece.lane is Lane.NETWORK:
            after[Step("wait", piece)] = first
    placed: list[Step] = []
    while len(placed) < len(after):
        ready = [
            step
            for step, needed in after.items()
            if step not in placed and (needed is None or needed in placed)
        ]
        placed.append(draw(st.sampled_from(ready)))
    return placed


@given(st.integers(1, 3).flatmap(lambda layers: st.tuples(st.just(layers), legal_steps(layers))))
def test_every_legal_order_computes_the_same(case: tuple[int, list[Step]]) -> None:
    layers, steps = case
    task = task_of(layers)
    assert difference(Machine(task).run(steps), without_overlap(task)) is None
    assert too_early(steps, layers) is None


@given(st.data(), st.integers(1, 3))
def test_a_step_too_early_changes_the_result_and_is_named(data: st.DataObject, layers: int) -> None:
    steps = data.draw(legal_steps(layers))
    place = data.draw(st.integers(1, len(steps) - 1))
    to = data.draw(st.integers(0, place - 1))
    steps.insert(to, steps.pop(place))
    found = too_early(steps, layers)
    task = task_of(layers)
    changed = difference(Machine(task).run(steps), without_overlap(task))
    assert (found is None) == (changed is None)
    if found:
        at, needed = found
        assert needed not in steps[:at]


@settings(max_examples=40)
@given(
    st.integers(1, 3).flatmap(lambda layers: st.tuples(st.just(layers), legal_steps(layers))),
    st.fractions(Fraction(1, 3), 4, max_denominator=3),
)
def test_steps_take_at_least_as_long_as_their_order(
    case: tuple[int, list[Step]], time: Fraction
) -> None:
    """Streams wait where the steps say so; lanes only where they must."""
    _, steps = case
    costs = LaneCosts(combine=time)
    order = {lane: [piece for piece in begun(steps) if piece.lane is lane] for lane in Lane}
    assert timed(steps, costs).length >= run_pair(order, costs).length


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_the_solution_is_the_published_order_in_time_too(layers: int) -> None:
    steps = ask(SOLUTION, layers)
    order = {lane: [piece for piece in begun(steps) if piece.lane is lane] for lane in Lane}
    assert order == published_order(layers)
    for costs in COSTS.values():
        assert timed(steps, costs).spans == run_pair(order, costs).spans


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_layers_without_overlap_are_autograds(layers: int) -> None:
    torch = pytest.importorskip("torch")
    task = task_of(layers)

    def tensor(value: object) -> object:
        return torch.tensor(value, dtype=torch.float64).requires_grad_()

    weights = [
        (tensor(layer.attention), [tensor(one) for one in layer.experts]) for layer in task.layers
    ]
    tokens = tensor(task.tokens)
    # The saved inputs that task_of makes up belong to no forward; take those of a real one.
    values, saved = tokens, []
    for (attention, experts), layer in zip(weights, task.layers, strict=True):
        route = torch.tensor(layer.route)
        sent = (values @ attention.T)[route]
        saved.append((values, sent))
        done = torch.cat([sent[2 * rank : 2 * rank + 2] @ experts[rank].T for rank in range(2)])
        values = done[torch.argsort(route)]
    (values * torch.tensor(task.gradient, dtype=torch.float64)).sum().backward()

    def plain(value: object) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(int(one) for one in row) for row in value.tolist())

    real = task._replace(
        saved=tuple(machine.Saved(plain(one), plain(other)) for one, other in saved)
    )
    found = without_overlap(real)
    assert found.output == plain(values)
    assert found.gradients["input"] == plain(tokens.grad)
    for number, (attention, experts) in enumerate(weights):
        assert found.gradients[f"attention of layer {number}"] == plain(attention.grad)
        for rank in range(2):
            name = f"MLP of layer {number}, rank {rank}"
            assert found.gradients[name] == plain(experts[rank].grad)


def test_a_machine_that_waits_by_itself_would_pass_a_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: with tokens that arrive at once nobody sees a missing wait."""
    path = find_exercise("ch08").folder / "wrong" / "computes_before_it_came.py"
    answer = InProcessAnswer(path.read_text(encoding="utf-8"))
    assert equal(answer) is not None
    real = Machine._start

    def at_once(self: Machine, piece: object) -> None:
        real(self, piece)
        self._wait(piece)

    monkeypatch.setattr(Machine, "_start", at_once)
    assert equal(answer) is None
