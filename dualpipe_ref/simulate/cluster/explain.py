"""Where each number of a step comes from: its formula, with the numbers put in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dualpipe_ref.simulate.cluster.books import mean
from dualpipe_ref.simulate.cluster.stage import COMPUTING, pair_bound
from dualpipe_ref.simulate.cluster.step import Step
from dualpipe_ref.simulate.cluster.work import F, I, W, model_operations, products_of, traffic
from dualpipe_ref.simulate.lanes import Part

MS = 1e6  # nanoseconds


class Explained(NamedTuple):
    """A number with its unit, and how it came about."""

    name: str
    value: str
    formula: str


def explain(step: Step) -> list[Explained]:
    """Every number of the report.

    >>> from dualpipe_ref.simulate.cluster.plan import Plan
    >>> from dualpipe_ref.simulate.cluster.step import evaluate
    >>> explain(evaluate(Plan()))[1]
    Explained(name='micro-batches', value='120', formula='m = sequences / (data x micro) = 15360 / (128 x 1)')
    """
    return [*_sizes(step), *_parts(step), *_exchange(step), *_pairs(step), *_whole(step)]


def _sizes(step: Step) -> Iterator[Explained]:
    plan = step.plan
    yield Explained(
        "pipelines",
        f"{plan.data}",
        f"data = gpus / (pipeline x tensor) = {plan.gpus} / ({plan.pipeline} x {plan.tensor})",
    )
    yield Explained(
        "micro-batches",
        f"{plan.microbatches}",
        f"m = sequences / (data x micro) = {plan.sequences} / ({plan.data} x {plan.micro})",
    )
    split = " ".join(map(str, step.layout.split))
    yield Explained("layers of stages", split, "the busiest rank has as little as can be")


def _parts(step: Step) -> Iterator[Explained]:
    clock, shape = step.layout.clock, step.plan.shape
    dense = shape.dense_layers == shape.layers
    for part in COMPUTING:
        for kind in (F, I, W):
            found = clock.compute(part, kind, dense)
            made = list(products_of(clock.setting, part, kind, dense))
            operations = sum(one.operations for one in made) / 1e12
            seconds = sum(map(clock.product, made))
            bytes_ = traffic(clock.setting, part, kind, dense) / 1e9
            text = f"{operations:.2f} T operations in {1e3 * seconds:.2f} ms ({operations / seconds:.0f} TFLOP/s)"
            if part is Part.ATTENTION and kind is not W:
                text += f" + attention {1e3 * clock.attention(kind):.2f} ms"
            rate = clock.device.hbm * clock.kernels["memory_share"]
            text += f" + {bytes_:.2f} GB / {rate:.0f} GB/s"
            if found.again:
                text += f" + made again {found.again / MS:.2f} ms"
            if found.tensor:
                text += f" + tensor parallel {found.tensor / MS:.2f} ms"
            yield Explained(f"{part} {kind}", f"{sum(found) / MS:.3f} ms", text)


def _exchange(step: Step) -> Iterator[Explained]:
    exchange = step.layout.exchange
    if exchange is None:
        return
    links = exchange.links
    nodes = float(max(exchange.directions))
    for name, time in (("dispatch", exchange.dispatch()), ("combine", exchange.combine())):
        yield Explained(
            name,
            f"{time / MS:.3f} ms",
            f"{exchange.tokens} tokens x {nodes:.2f} other nodes x bytes / {links.rdma:.1f} GB/s of RDMA, or NVLink at"
            f" {links.nvlink:.0f} GB/s if that takes longer",
        )


def _pairs(step: Step) -> Iterator[Explained]:
    layout = step.layout
    if step.layout.exchange is None:
        return
    layer = [layout.layer(False, True)]
    bound = pair_bound(layer * 4, layer * 4, layout.slower)
    sms, left = layout.slower
    yield Explained("SM tax", f"{sms / left:.3f} x", f"computation in pairs: {sms} / {left} SMs")
    yield Explained(
        "pair of four layers",
        f">= {bound / MS:.1f} ms",
        "the longer of both lanes with what must lie before and after it (Jackson 1955)",
    )


def _whole(step: Step) -> Iterator[Explained]:
    plan, books = step.plan, mean(step)
    rows = " + ".join(
        f"{label} {float(time) / 1e9:.3f}" for label, time in books.rows.items() if time
    )
    yield Explained("step", f"{step.seconds:.3f} s", f"mean over GPUs: {rows}")
    yield Explained(
        "tokens",
        f"{step.tokens_per_second:.1f} a GPU and second",
        f"{plan.sequences} x {plan.length} / {step.seconds:.3f} s / {plan.gpus}",
    )
    each = model_operations(plan.shape, plan.length) / 1e9
    yield Explained(
        "model FLOP utilisation",
        f"{step.utilisation:.1%}",
        f"{each:.1f} G operations a token x {step.tokens_per_second:.1f} / {plan.device.bf16} TFLOP/s in bf16",
    )
    yield Explained(
        "GPU hours",
        f"{step.hours_per_trillion:,.0f} for 10^12 tokens",
        f"10^12 / {step.tokens_per_second:.1f} / 3600",
    )
    peak = step.peaks[step.worst_rank]
    kinds = " + ".join(
        f"{kind} {count / 1e9:.1f}"
        for kind, count in sorted(peak.kinds.items(), key=lambda one: -one[1])[:6]
    )
    yield Explained(
        "memory",
        f"{peak.total / 1e9:.1f} of {plan.device.memory} GB on rank {step.worst_rank}",
        f"{kinds} + ... GB",
    )
