"""The live view that ranks schedules or transports for a reader's model and cluster. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dualpipe_ref.plot.chooser_data import chooser_data, in_microbatches
from dualpipe_ref.plot.controls import Control, completed, number, select
from dualpipe_ref.plot.exact import exact_number, whole_number
from dualpipe_ref.schedule.errors import InputError, one_of
from dualpipe_ref.simulate.chunk_bytes import POLICIES, check_policy
from dualpipe_ref.simulate.cluster import DEVICES, TRANSPORTS, Plan, find_device, find_transport
from dualpipe_ref.simulate.cluster.published import find_run
from dualpipe_ref.simulate.cluster.ranked import ranking
from dualpipe_ref.simulate.cluster.rules import check
from dualpipe_ref.simulate.cluster.study import SCHEDULES

COMPARED = ("schedules", "transports")
MODELS = {
    "DeepSeek-V3": "deepseek-v3",
    "Llama 3 405B": "llama-3-405b",
    "Qwen3 235B": "qwen3-235b",
}
PRECISIONS = ("fp8", "bf16")
MOST_RANKS, MOST_CELLS = 32, 4096  # so that an answer comes in seconds, in a browser too
DEFAULTS: dict[str, Any] = {
    "compare": "schedules",
    "schedule": "dualpipe",
    "model": "DeepSeek-V3",
    "layers": None,
    "device": "H800",
    "memory": None,
    "gpus": 2048,
    "pipeline": 16,
    "tensor": 1,
    "expert_ranks": 64,
    "microbatches": 128,
    "length": 4096,
    "policy": "up-projections",
    "precision": "fp8",
    "transport": "sms",
    "sms": None,
}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in DEFAULTS} | {"P": "pipeline", "m": "microbatches"}


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """The ranking as bars, a table and a sentence, with colours; `InputError` where no plan of it can be taken for one reason.

    >>> found = answer({"gpus": 256, "pipeline": 4, "microbatches": 8, "device": "B200"})
    >>> found["table"]["rows"][0][0]
    'interleaved-overlapped'
    """
    given = completed(state, DEFAULTS)
    plan = plan_of(given)
    found = ranking(plan, one_of("compare", given["compare"], COMPARED))
    if not any("step_s" in row for row in found["rows"]):
        reasons = {row["why"] for row in found["rows"]}
        if len(reasons) == 1:
            _refuse(plan)
    return chooser_data(found, plan.data * plan.micro)


def _refuse(plan: Plan) -> None:
    """One rule that all plans break: this one says which, with the nearest legal value of what a reader can move."""
    try:
        check(plan)
    except InputError as error:
        unit = plan.data * plan.micro
        rule, got, nearest = (
            in_microbatches(words or "", unit) or None
            for words in (error.rule, error.got, error.nearest)
        )
        raise InputError(rule or error.rule, got, nearest) from None


def plan_of(state: Mapping[str, Any]) -> Plan:
    """The plan of this state: of a published run, what its source says of precision, routing and states; all else is the state's.

    >>> plan_of({}).microbatches, plan_of({"memory": 141}).device.memory
    (128, 141.0)
    """
    given = completed(state, DEFAULTS)
    base = find_run(MODELS[one_of("model", given["model"], MODELS)]).plan
    pipeline = whole_number("pipeline", given["pipeline"], 2, MOST_RANKS)
    microbatches = whole_number("microbatches", given["microbatches"], 1)
    if pipeline * microbatches > MOST_CELLS:
        raise InputError(
            f"this view takes pipeline x microbatches of at most {MOST_CELLS}",
            f"microbatches = {microbatches}",
            f"microbatches = {MOST_CELLS // pipeline}",
        )
    sizes: dict[str, Any] = {
        name: whole_number(name, given[name], 1)
        for name in ("gpus", "tensor", "expert_ranks", "length")
    }
    data = max(1, sizes["gpus"] // (pipeline * sizes["tensor"]))
    return replace(
        base,
        shape=replace(base.shape, layers=_layers(given, base)),
        device=_device(given),
        pipeline=pipeline,
        sequences=microbatches * data,
        micro=1,
        schedule=one_of("schedule", given["schedule"], SCHEDULES),
        chunks=None,
        policy=check_policy(given["policy"]),
        precision=one_of("precision", given["precision"], PRECISIONS),
        transport=find_transport(str(given["transport"])),
        sms=_optional("sms", given),
        **sizes,
    )


def _layers(given: Mapping[str, Any], base: Plan) -> int:
    layers = _optional("layers", given)
    if layers is None:
        return base.shape.layers
    return whole_number("layers", layers, base.shape.dense_layers % base.shape.layers + 1, 256)


def _device(given: Mapping[str, Any]) -> Any:
    device = find_device(one_of("device", given["device"], DEVICES))
    if given["memory"] in (None, ""):
        return device
    return replace(device, memory=float(exact_number("memory", given["memory"])))


def _optional(name: str, given: Mapping[str, Any]) -> int | None:
    """A number that may be left to the package."""
    return None if given[name] in (None, "") else whole_number(name, given[name], 1)


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)
    only = {"compare": ["transports"]}
    return [
        select("compare", "Compare", given["compare"], COMPARED),
        select("schedule", "Schedule", given["schedule"], SCHEDULES) | {"when": only},
        select("transport", "Transport", given["transport"], TRANSPORTS)
        | {"when": {"compare": ["schedules"]}},
        select("model", "Model", given["model"], MODELS),
        number("layers", "Layers", given["layers"], 1, 1, "empty: the model's own"),
        select("device", "Device", given["device"], DEVICES),
        number("memory", "GB of a GPU", given["memory"], 1, 0.1, "empty: the device's own"),
        number("gpus", "GPUs", given["gpus"], 1, 1),
        number("pipeline", "Ranks of a pipeline P", given["pipeline"], 2, 1),
        number("tensor", "Tensor parallel", given["tensor"], 1, 1),
        number("expert_ranks", "Ranks that share experts", given["expert_ranks"], 1, 1),
        number("microbatches", "Micro-batches m", given["microbatches"], 1, 1),
        number("length", "Tokens of a sequence", given["length"], 1, 1),
        select("policy", "Made again", given["policy"], POLICIES),
        select("precision", "Products in", given["precision"], PRECISIONS),
        number("sms", "SMs of a pair", given["sms"], 1, 1, "empty: what the transport asks for"),
    ]
