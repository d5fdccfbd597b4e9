"""A plan that does not fit: which rule, by how much, and a nearest plan that does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.simulate.cluster import Plan, evaluate, find_device, find_transport
from dualpipe_ref.simulate.cluster.rules import check, smaller
from dualpipe_ref.simulate.cluster.step import fits

from .plans import DENSE

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("whole pipelines", {"gpus": 2000}),
    ("whole micro-batches", {"sequences": 15000}),
    ("divide them", {"expert_ranks": 60}),
    ("divides the 128 heads", {"tensor": 3}),
    ("at most 8", {"tensor": 16}),
    ("has a layer", {"pipeline": 64, "gpus": 4096, "expert_ranks": 64}),
    ("fits the 85.5 GB", {"policy": "none"}),
    ("fits the 85.5 GB", {"pipeline": 4, "sequences": 16384}),
    ("multiple of P", {"schedule": "chimera"}),
    ("divide evenly", {"schedule": "interleaved"}),
    ("m even and at least", {"sequences": 1280}),
    ("precision is one of", {"precision": "fp4"}),
    ("zero is one of", {"zero": 3}),
    ("must keep an SM", {"sms": 132}),
    ("sms must be", {"sms": 0}),
    ("gpus must be", {"gpus": 0}),
    ("factors of at least 1", {"slow": {0: 0.5}}),
    ("factors of at least 1", {"slow": {5000: 2}}),
    ("nothing to share out", {"shape": DENSE}),
    ("add up to 61 layers", {"split": (4,) * 16}),
]


def mended(plan: Plan, error: InputError) -> Plan:
    """The plan with what the error calls nearest."""
    assert error.nearest is not None
    if "split" in vars(plan) and error.nearest.startswith("["):
        return replace(plan, split=tuple(json.loads(error.nearest)))
    if re.fullmatch(r"\d+: [\d.]+", error.nearest):
        gpu, factor = error.nearest.split(": ")
        return replace(plan, slow={int(gpu): float(factor)})
    changes: dict[str, Any] = {}
    for text in error.nearest.split(", "):
        name, value = text.split(" = ")
        changes[name] = int(value) if value.isdigit() else value
    return replace(plan, **changes)


@pytest.mark.parametrize(("rule", "changes"), BROKEN)
def test_the_rule_is_named_and_the_nearest_plan_keeps_it(
    rule: str, changes: dict[str, Any]
) -> None:
    plan = replace(Plan(), **changes)
    with pytest.raises(InputError, match=rule) as caught:
        evaluate(plan)
    assert re.search(r"\d", str(caught.value.got))
    broken = caught.value
    for _ in range(6):  # mending one thing may show the next
        plan = mended(plan, broken)
        try:
            evaluate(plan)
            return
        except InputError as error:
            broken = error
    pytest.fail(f"{plan} is still broken")


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 5000),
    st.integers(2, 40),
    st.integers(1, 10),
    st.integers(1, 300),
    st.integers(1, 3000),
)
def test_mending_step_by_step_ends_with_a_legal_plan(
    gpus: int, pipeline: int, tensor: int, experts: int, sequences: int
) -> None:
    plan = replace(
        Plan(),
        gpus=gpus,
        pipeline=pipeline,
        tensor=tensor,
        expert_ranks=experts,
        sequences=sequences,
    )
    for _ in range(20):
        try:
            check(plan)
            return
        except InputError as error:
            plan = mended(plan, error)
    pytest.fail(f"{plan} is still broken")


def test_what_is_named_as_smaller_is_legal_and_the_first_that_fits_is_named() -> None:
    plan = replace(Plan(), policy="none")
    found = list(islice(smaller(plan), 4))
    assert found
    first = next(one for one in found if fits(one))
    with pytest.raises(InputError) as caught:
        evaluate(plan)
    assert caught.value.nearest == f"policy = {first.policy}"


def test_a_device_comes_from_a_file(tmp_path: Path) -> None:
    data = {
        "name": "mine",
        "sms": 100,
        "bf16": 500,
        "fp8": 1000,
        "hbm": 2000,
        "memory": 96,
        "nvlink": 100,
        "rdma": 25,
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(data))
    device = find_device(str(path))
    assert (device.name, device.sms, device.gpus_per_node) == ("mine", 100, 8)
    assert evaluate(replace(Plan(), device=device)).seconds > evaluate(Plan()).seconds


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"name": "x", "colour": 3}',
        '{"name": "x", "sms": 0, "bf16": 1, "fp8": 1, "hbm": 1, "memory": 1, "nvlink": 1, "rdma": 1}',
    ],
)
def test_a_device_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError):
        find_device(str(path))


@pytest.mark.parametrize("find", [find_device, find_transport])
def test_an_unknown_name_brings_the_nearest(find: Any) -> None:
    with pytest.raises(InputError, match="nearest legal"):
        find("nothing")
    with pytest.raises(InputError):
        find_device("missing.json")


def test_constants_are_known_and_positive() -> None:
    with pytest.raises(InputError, match="constants are"):
        Plan().kernels.changed(speed=1)
    with pytest.raises(InputError, match="positive"):
        Plan().kernels.changed(bf16_products=0)
