"""What the rest of the package takes as given, derived from a plan: the costs of lanes, and those of F, I, W, B and FB."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.schedule.errors import InputError, require_int
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.cluster.layout import Layout
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.profile import Kernel
from dualpipe_ref.simulate.cluster.stage import StageTimes, taxed
from dualpipe_ref.simulate.cluster.work import F, I, W
from dualpipe_ref.simulate.costs import Costs
from dualpipe_ref.simulate.lanes import Lane, LaneCosts, Part, published_order, run_pair


def lane_costs(plan: Plan) -> LaneCosts:
    """One layer with experts as it is in a pair, in nanoseconds: computation on the SMs that are left, all-to-alls beside it.

    For `lanes.run_pair`, `lane_search.best_order` and `lower_bound`, and the live view of the lanes. Raises `InputError` for a
    model without experts on other ranks.

    >>> costs = lane_costs(Plan())
    >>> costs.attention, costs.dispatch, costs.mlp, costs.combine
    (3703283, 2177785, 4059427, 4192352)
    """
    if plan.exchange is None:
        raise InputError(
            "a pair has two lanes where experts are on other ranks",
            f"{plan.shape.experts} experts on {plan.expert_ranks} rank",
            f"expert_ranks = {plan.device.gpus_per_node}",
        )
    layout = Layout(plan)
    layer = layout.layer(False, True)

    def on_sms(part: Part, kind: OpKind) -> int:
        return taxed(layer.compute[part, kind], layout.slower)

    return LaneCosts(
        attention=on_sms(Part.ATTENTION, F),
        dispatch=layer.dispatch,
        mlp=on_sms(Part.MLP, F),
        combine=layer.combine,
        attention_input=on_sms(Part.ATTENTION, I),
        attention_weight=on_sms(Part.ATTENTION, W),
        mlp_input=on_sms(Part.MLP, I),
        mlp_weight=on_sms(Part.MLP, W),
        dispatch_back=layer.dispatch_back,
        combine_back=layer.combine_back,
    )


def op_costs(plan: Plan, layers: int = 4) -> Costs:
    """F, I, W, B and FB of a stage of so many like layers, in nanoseconds; for `simulate` and the formulas.

    >>> costs = op_costs(Plan())
    >>> costs.F, costs.FB
    (51826712, 114409520)
    """
    require_int("layers", layers, 1)
    layout = Layout(plan)
    is_dense = not plan.shape.experts
    alone, beside = ([[layout.layer(is_dense, side)] * layers] for side in (False, True))
    times = StageTimes(alone, beside, layout.slower, plan.transport.fused)
    lengths: dict[str, Any] = {kind.value: times.parts(kind).length for kind in OpKind}
    return Costs(**lengths)


def pair_kernels(plan: Plan, layers: int = 4) -> list[Kernel]:
    """A planned pair as a profiler would show it: for `profile.profile_of` and `timeline_of`, beside a recorded one.

    >>> from dualpipe_ref.simulate.cluster.profile import profile_of
    >>> found = profile_of(pair_kernels(Plan()))
    >>> found.wall, found.communication_grid, found.computation_grid, found.order[:4]
    (114409520, 20, 112, ('cached dispatch', 'dispatch', 'combine', 'combine'))
    """
    run = run_pair(published_order(layers), lane_costs(plan))
    left = plan.device.sms - plan.reserved
    found = []
    for piece, (start, end) in run.spans.items():
        name, grid = str(piece), left
        if piece.lane is Lane.NETWORK:
            # Gradients go to the experts in the backward of a combine, and come back in that of a dispatch.
            goes = (piece.part is Part.DISPATCH) == (piece.kind is F)
            cached = "" if piece.kind is F else "cached "
            name, grid = (f"{cached}dispatch" if goes else "combine"), plan.reserved
        found.append(Kernel(name, int(start), int(end), grid))
    return sorted(found, key=lambda kernel: (kernel.start, kernel.end))
