"""What a plan must fulfil: each rule says by how much it is broken, and names the nearest plan that keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.simulate.chunk_bytes import check_policy
from dualpipe_ref.simulate.cluster.plan import Plan


def check(plan: Plan) -> Plan:
    """Return the plan, or raise `InputError` for the first rule that it breaks; memory is `step.evaluate`'s to judge.

    >>> check(replace(Plan(), gpus=2000))
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: GPUs are whole pipelines: a multiple of pipeline x tensor x experts' ranks / tensor \
= 1024; got gpus = 2000, 48 too few; nearest legal: gpus = 2048
    """
    for name in ("gpus", "pipeline", "tensor", "expert_ranks", "sequences", "length", "micro"):
        require_int(name, getattr(plan, name), 1)
    require_int("pipeline", plan.pipeline, 2)
    if plan.sms is not None:
        require_int("sms", plan.sms, 1)
    check_policy(plan.policy)
    _one_of("precision", plan.precision, ("fp8", "bf16"))
    _one_of("zero", plan.zero, (1, 2))
    _check_tensor(plan)
    _check_experts(plan)
    _check_stages(plan)
    _check_gpus(plan)
    _check_batch(plan)
    _check_sms(plan)
    _check_slow(plan)
    return plan


def _one_of(name: str, value: object, legal: tuple[object, ...]) -> None:
    if value not in legal:
        raise InputError(
            f"{name} is one of {', '.join(map(str, legal))}",
            f"{name} = {value!r}",
            f"{name} = {legal[0]}",
        )


def _check_tensor(plan: Plan) -> None:
    per_node = plan.device.gpus_per_node
    heads = plan.shape.key_value_heads or plan.shape.heads
    _divides("heads of keys and values", heads, "tensor", plan.tensor, most=per_node)


def _divides(what: str, whole: int, name: str, value: int, most: int | None = None) -> None:
    """`value` divides `whole` and is at most `most`."""
    legal = [d for d in range(1, whole + 1) if whole % d == 0 and (most is None or d <= most)]
    if value not in legal:
        nearest = min(legal, key=lambda d: (abs(d - value), d))
        limit = f", and at most {most} (a node)" if most else ""
        raise InputError(
            f"{name} divides the {whole} {what}{limit}",
            f"{name} = {value}, {value - nearest:+d} from the nearest",
            f"{name} = {nearest}",
        )


def _check_experts(plan: Plan) -> None:
    if not plan.shape.experts:
        if plan.expert_ranks != 1:
            raise InputError(
                "a model without experts has nothing to share out",
                f"expert_ranks = {plan.expert_ranks}",
                "expert_ranks = 1",
            )
        return
    per_node, experts = plan.device.gpus_per_node, plan.shape.experts
    legal = [
        count
        for count in range(1, experts + 1)
        if experts % count == 0
        and count % plan.tensor == 0
        and (count % per_node == 0 or per_node % count == 0)
    ]
    if plan.expert_ranks not in legal:
        nearest = min(legal, key=lambda count: (abs(count - plan.expert_ranks), count))
        raise InputError(
            f"ranks that share the {experts} experts divide them, are whole nodes of {per_node} or a part of one, and a"
            f" multiple of tensor = {plan.tensor}",
            f"expert_ranks = {plan.expert_ranks}, {plan.expert_ranks - nearest:+d} from the nearest",
            f"expert_ranks = {nearest}",
        )


def _off(name: str, value: int, nearest: int) -> str:
    """
    >>> _off("gpus", 2000, 2048), _off("gpus", 2050, 2048)
    ('gpus = 2000, 48 too few', 'gpus = 2050, 2 too many')
    """
    by = f"{nearest - value} too few" if value < nearest else f"{value - nearest} too many"
    return f"{name} = {value}, {by}"


def _check_gpus(plan: Plan) -> None:
    side = max(plan.tensor, plan.expert_ranks)
    unit = plan.pipeline * side
    if plan.gpus % unit:
        nearest = max(1, round(plan.gpus / unit)) * unit
        raise InputError(
            f"GPUs are whole pipelines: a multiple of pipeline x tensor x experts' ranks / tensor = {unit}",
            _off("gpus", plan.gpus, nearest),
            f"gpus = {nearest}",
        )


def _check_stages(plan: Plan) -> None:
    placement = plan.placement
    if placement.directions == 2 and plan.pipeline % 2:
        raise InputError(
            f"{plan.schedule} enters at both ends of an even number of ranks",
            f"pipeline = {plan.pipeline}, 1 too many",
            f"pipeline = {max(2, plan.pipeline - 1)}",
        )
    most = plan.shape.layers + 2
    if placement.stages > most:
        per_rank = placement.stages // plan.pipeline
        nearest = max(2, most // per_rank)
        raise InputError(
            f"every stage but the first and the last has a layer: {plan.shape.layers} layers make {most} stages at most",
            f"{placement.stages} stages, {placement.stages - most} too many",
            f"pipeline = {nearest - (nearest % 2 if placement.directions == 2 else 0)}",
        )


def _check_batch(plan: Plan) -> None:
    unit = plan.data * plan.micro
    if plan.sequences % unit:
        nearest = max(1, round(plan.sequences / unit)) * unit
        raise InputError(
            f"a batch is whole micro-batches of all {plan.data} pipelines: a multiple of data x micro = {unit} sequences",
            _off("sequences", plan.sequences, nearest),
            f"sequences = {nearest}",
        )
    try:
        plan.order  # noqa: B018 - building it applies the schedule's own rules
    except InputError as error:
        nearest_m = _microbatches(plan)
        raise InputError(
            f"{plan.schedule}: {error.rule} (m = sequences / (data x micro))",
            f"{error.got}, from sequences = {plan.sequences}",
            None if nearest_m is None else f"sequences = {nearest_m * unit}",
        ) from None


def _microbatches(plan: Plan) -> int | None:
    """The nearest number of micro-batches that the schedule takes."""
    own, unit = plan.microbatches, plan.data * plan.micro
    for away in range(1, max(own, 4 * plan.pipeline) + 1):
        for count in (own - away, own + away):
            if count < 1:
                continue
            try:
                replace(plan, sequences=count * unit).order  # noqa: B018
            except InputError:
                continue
            return count
    return None


def _check_sms(plan: Plan) -> None:
    if plan.reserved >= plan.device.sms:
        raise InputError(
            "computation must keep an SM",
            f"sms = {plan.reserved} of {plan.device.sms}",
            f"sms = {plan.device.sms - 1}",
        )


def _check_slow(plan: Plan) -> None:
    for gpu, factor in plan.slow.items():
        if not 0 <= gpu < plan.gpus or not factor >= 1:
            raise InputError(
                f"slow GPUs are numbered from 0 to {plan.gpus - 1}, with factors of at least 1",
                f"{gpu}: {factor}",
                f"{min(max(gpu, 0), plan.gpus - 1)}: {max(1, factor)}",
            )


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans that need less memory, those with the fewest changes first."""
    policies = ("none", "norms", "up-projections", "full")
    more = policies[policies.index(plan.policy) + 1 :]
    cuts: list[dict[str, Any]] = [
        {},
        {"expert_ranks": 2 * plan.expert_ranks},
        {"pipeline": 2 * plan.pipeline},
        {"tensor": 2 * plan.tensor},
        {"pipeline": 2 * plan.pipeline, "expert_ranks": 2 * plan.expert_ranks},
        {"pipeline": 2 * plan.pipeline, "tensor": 2 * plan.tensor},
        {"pipeline": 2 * plan.pipeline, "tensor": 4 * plan.tensor},
        {"tensor": 8},
        {"tensor": 8, "pipeline": 2 * plan.pipeline},
    ]
    for cut in cuts:
        for policy in (plan.policy, *more):
            if cut or policy != plan.policy:
                changed = replace(plan, **cut, policy=policy)
                try:
                    yield check(changed)
                except InputError:
                    continue
