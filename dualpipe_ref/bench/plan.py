"""The planner's predictions beside published numbers, its sensitivity, what grows how, and how long it takes: `bench plan`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.bench.targets import fixed_limit
from dualpipe_ref.simulate.cluster import TRANSPORTS, Plan, evaluate, mean, report
from dualpipe_ref.simulate.cluster.books import waiting_ledger
from dualpipe_ref.simulate.cluster.scaling import (
    Growth,
    Point,
    at_ratio,
    finer,
    slower_network,
    without_limit,
)
from dualpipe_ref.simulate.cluster.study import (
    pair_profile,
    rank,
    schedules_of,
    sensitivity,
    sms_of,
)

SIZES = ((2048, 15360), (102_400, 768_000))  # GPUs, sequences
EVEN = 16384  # sequences: micro-batches that every schedule takes
WHY = {
    "deepseek-v3": "a pair of layers is 11 % shorter (114 ms of 129) than in DeepSeek's own trace; with that, see the two rows as_in_its_trace",
    "deepseek-v3, pairs as in its trace": "the two ranks at the ends, with head and dense layers, run one after the other: no pair of theirs is longer",
    "llama-3-405b": "products at the rate of the best shapes; no all-gather of parameters for each micro-batch",
    "llama-3-405b-16k": "as at 8,192 GPUs",
    "qwen3-235b": "launches, permutations and routing on the host are missing",
    "qwen3-235b-overlapped": "as without overlap; and computation beside an all-to-all is slower than by its SMs alone",
}


def main(out: str | None = None) -> int:
    """Run the bench, print its rows, write them to `out` (default book/results/plan.json)."""
    rows = list(all_rows())
    path = record("plan", "CPU", rows, (), out)
    print(as_text(rows))
    print(path)
    return 0


def all_rows() -> Iterator[Row]:
    """Everything; no row is measured but the times of the planner itself."""
    yield from timed()
    yield from predicted()
    yield from _whole()
    yield from _sensitivity()
    yield from _choices()
    yield from _growth()


def timed() -> Iterator[Row]:
    """Seconds for one step, with a slow GPU in every tenth group, so that groups are not all alike."""
    side = 16 * 64
    for gpus, sequences in SIZES:
        groups = gpus // side
        slow = {group * side: 1.01 + group / 1000 for group in range(0, groups, 10)}
        plan = replace(Plan(), gpus=gpus, sequences=sequences, slow=slow)
        start = time.perf_counter()
        step = evaluate(plan)
        seconds = time.perf_counter() - start
        name = f"plan.seconds_{gpus}"
        yield Row(name, seconds, "s", fixed_limit(name))
        yield Row(f"plan.simulated_{gpus}", len(step.timelines), f"of {groups} groups")


def predicted() -> Iterator[Row]:
    """Each published number: what it is, what the planner says, and how far that is off."""
    worst = {"bubble": 0.0, "speedup": 0.0}
    for row in report.published_data():
        run = row["run"]
        if run.startswith("zero bubble"):
            kind = "speedup" if row["name"] == "speedup" else "bubble"
            worst[kind] = max(worst[kind], abs(row["off"]))
            continue
        name = _name(run).replace("__", "_")
        if run == "deepseek-v3, a pair":
            name = f"pair_{_name(row['name'])}"
        yield Row(f"plan.{name}_published", row["published"], row["unit"])
        yield Row(f"plan.{name}_predicted", row["predicted"], row["unit"])
        off = f"plan.{name}_off"
        yield Row(off, abs(row["off"]), "of the published", fixed_limit(off), WHY.get(run))
    for kind, name in (("bubble", "rates"), ("speedup", "speedups")):
        off = f"plan.zero_bubble_{name}_off"
        yield Row(off, worst[kind], "of the published", fixed_limit(off))


def _name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text.lower()).strip("_")


def _whole() -> Iterator[Row]:
    step = evaluate(Plan())
    yield Row("plan.deepseek_v3_step", step.seconds, "s")
    yield Row("plan.deepseek_v3_utilisation", step.utilisation, "of the peak in bf16")
    yield Row("plan.deepseek_v3_memory", step.peaks[step.worst_rank].total / 1e9, "GB")
    for label, length in mean(step).rows.items():
        yield Row(f"plan.deepseek_v3_ledger_{_name(label)}", float(length) / 1e9, "s")
    profile = pair_profile(Plan())
    yield Row("plan.pair_length", profile.parts.length / 1e6, "ms")
    yield Row("plan.pair_bound", profile.bound / 1e6, "ms")
    before = evaluate(replace(Plan(), schedule="1f1b"))
    book = waiting_ledger(before, step)
    yield Row("plan.waiting_1f1b", float(book.waiting), "of a step")
    yield Row("plan.waiting_hidden", float(book.hidden), "of that")
    yield Row("plan.effective_gpus_1f1b", float(book.effective_gpus_before), "of 2048")
    yield Row("plan.effective_gpus_dualpipe", float(book.effective_gpus_after), "of 2048")
    yield Row("plan.speedup_by_ledger", float(book.speedup), "x")
    yield Row("plan.speedup_by_planner", before.seconds / step.seconds, "x")


def _sensitivity() -> Iterator[Row]:
    base = report.sensitivity_data(Plan(), sensitivity(Plan()))
    for row in base["rows"]:
        for factor, change in zip(base["factors"], row["change"], strict=True):
            percent = round(100 * factor)
            yield Row(f"plan.hours_{row['constant']}_at_{percent}_percent", change, "of the hours")


def _choices() -> Iterator[Row]:
    even = replace(Plan(), sequences=EVEN)
    for one in rank(schedules_of(even)):
        if one.step and not one.why:
            name = _name(one.plan.schedule)
            yield Row(f"plan.tokens_{name}", one.step.tokens_per_second, "a GPU and second")
            peak = one.step.peaks[one.step.worst_rank].total
            yield Row(f"plan.memory_{name}", peak / 1e9, "GB")
    for one in rank(sms_of(Plan())):
        if one.step and not one.why:
            yield Row(
                f"plan.tokens_{one.plan.sms}_sms", one.step.tokens_per_second, "a GPU and second"
            )
    for tensor in (1, 2, 4, 8):
        tokens = evaluate(replace(Plan(), tensor=tensor)).tokens_per_second
        yield Row(f"plan.tokens_tensor_{tensor}", tokens, "a GPU and second")
    for name, transport in TRANSPORTS.items():
        tokens = evaluate(replace(Plan(), transport=transport)).tokens_per_second
        yield Row(f"plan.tokens_{_name(name)}", tokens, "a GPU and second")


def _growth() -> Iterator[Row]:
    ratio = pair_profile(Plan()).ratio
    for nodes in (8, 16, 32, 64):
        yield from _point(f"constant_ratio_{nodes}_nodes", at_ratio(Growth(nodes, 7168), ratio))
    for found in without_limit():
        yield from _point(f"no_limit_{found.growth.nodes}_nodes", found)
    for found in finer():
        yield from _point(f"finer_{found.growth.experts_per_token}_experts", found)
    for part, found in zip((100, 75, 50, 40, 30, 25, 20), slower_network(), strict=True):
        yield from _point(f"network_at_{part}_percent", found)
    yield from _point("uneven_parts", at_ratio(Growth(8, 7168), 0.9))


def _point(name: str, found: Point) -> Iterator[Row]:
    yield Row(f"plan.{name}_ratio", found.ratio, "communication to computation")
    yield Row(f"plan.{name}_exposed", found.exposed, "of communication")
