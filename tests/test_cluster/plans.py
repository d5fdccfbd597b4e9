"""What the property tests draw: small models on small clusters, legal plans of all schedules."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume
from hypothesis import strategies as st

from dualpipe_ref import InputError
from dualpipe_ref.simulate.cluster import Device, Kernels, Plan
from dualpipe_ref.simulate.cluster.rules import check
from dualpipe_ref.simulate.cluster.study import SCHEDULES
from dualpipe_ref.simulate.shapes import ModelShape

SHAPE = ModelShape(
    hidden=512,
    layers=12,
    heads=4,
    nope=32,
    rope=16,
    value=32,
    key_value_latent=64,
    query_latent=128,
    experts=8,
    experts_per_token=2,
    expert_hidden=256,
    shared_experts=1,
    dense_layers=1,
    dense_hidden=1024,
    vocabulary=4096,
    predicting_layers=1,
)
DENSE = replace(
    SHAPE,
    experts=0,
    experts_per_token=0,
    shared_experts=0,
    dense_layers=12,
    predicting_layers=0,
    key_value_heads=2,
)
DEVICE = Device(
    "small", sms=10, bf16=100, fp8=200, hbm=500, memory=80, nvlink=40, rdma=5, gpus_per_node=2
)


@st.composite
def plans(draw: st.DrawFn, schedules: tuple[str, ...] = SCHEDULES, *, slow: bool = True) -> Plan:
    """A legal plan that takes no time to simulate."""
    pipeline = draw(st.sampled_from((2, 4)))
    tensor = draw(st.sampled_from((1, 2)))
    has_experts = draw(st.booleans())
    ranks = draw(st.sampled_from((2, 4, 8))) if has_experts else 1
    side = max(tensor, ranks)
    groups = draw(st.integers(1, 3))
    gpus = pipeline * side * groups
    data = gpus // (pipeline * tensor)
    plan = Plan(
        shape=SHAPE if has_experts else DENSE,
        device=DEVICE,
        gpus=gpus,
        pipeline=pipeline,
        tensor=tensor,
        expert_ranks=ranks,
        sequences=data * draw(st.sampled_from((2, 4, 8, 12, 16))),
        length=draw(st.sampled_from((64, 256))),
        schedule=draw(st.sampled_from(schedules)),
        precision=draw(st.sampled_from(("fp8", "bf16"))),
        policy=draw(st.sampled_from(("none", "norms", "up-projections", "full"))),
        predicting=draw(st.booleans()),
        node_limit=None,
        sms=draw(st.integers(1, 5)),
        kernels=draw(
            st.sampled_from(
                (Kernels(), Kernels().changed(computation_beside=1.3, slowed_all_to_all=2))
            )
        ),
    )
    if slow:
        numbers = st.dictionaries(
            st.integers(0, gpus - 1), st.sampled_from((1.1, 1.5, 2)), max_size=4
        )
        plan = replace(plan, slow=draw(numbers))
    try:
        return check(plan)
    except InputError:
        assume(False)
        raise
