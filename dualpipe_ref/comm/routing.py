"""Which experts a token goes to: top-k within the best few nodes, balanced by a bias instead of a loss.

After the DeepSeek-V3 report, arXiv:2412.19437, section 2.1.2: scores are sigmoids; a bias that follows the load decides
who is chosen, but not how much the chosen weigh.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dualpipe_ref.schedule.errors import InputError, require_int


class Routing(NamedTuple):
    """`experts` [T, K] int64, the best first; `weights` [T, K], what each one's output is multiplied with."""

    experts: Tensor
    weights: Tensor


def route(
    scores: Tensor,
    experts_per_token: int,
    *,
    nodes: int = 1,
    node_limit: int | None = None,
    bias: Tensor | None = None,
    scale: float = 1.0,
) -> Routing:
    """Choose K experts for each token, from at most `node_limit` of the `nodes` that hold the E experts in blocks.

    `scores` [T, E] are finite and positive, such as sigmoids. A node counts as much as its best max(1, K // limit) experts
    together; the best nodes are taken, then the best experts in them. `bias` [E] is added for both choices only. Weights are
    the chosen experts' own scores, normalised to a sum of `scale`. Of equals the first is chosen, on every device.
    Raises `InputError` for shapes and numbers that do not fit.

    >>> scores = torch.tensor([[0.9, 0.1, 0.8, 0.7]])
    >>> route(scores, 2, nodes=2, node_limit=1).experts
    tensor([[2, 3]])
    >>> route(scores, 2).weights
    tensor([[0.5294, 0.4706]])
    """
    limit = nodes if node_limit is None else node_limit
    _check(scores, experts_per_token, nodes, limit, bias)
    choice = scores if bias is None else scores + bias
    if limit < nodes:
        choice = _without_other_nodes(choice, experts_per_token, nodes, limit)
    experts = _first_best(choice, experts_per_token)
    chosen = scores.gather(1, experts)
    return Routing(experts, chosen / chosen.sum(dim=1, keepdim=True) * scale)


def _without_other_nodes(choice: Tensor, k: int, nodes: int, limit: int) -> Tensor:
    """Minus infinity for each expert outside of the token's best nodes."""
    tokens, experts = choice.shape
    by_node = choice.view(tokens, nodes, experts // nodes)
    best = by_node.topk(max(1, min(k // limit, experts // nodes)), dim=2).values.sum(dim=2)
    allowed = torch.zeros(tokens, nodes, dtype=torch.bool, device=choice.device)
    allowed.scatter_(1, _first_best(best, limit), value=True)
    return by_node.masked_fill(~allowed.unsqueeze(2), -torch.inf).view(tokens, experts)


def _first_best(values: Tensor, count: int) -> Tensor:
    """The columns of each row's largest values; of equals the first. (`topk` promises nothing about equals.)"""
    # Contiguous, as kernels want it: rows are read where they lie.
    return values.sort(dim=1, descending=True, stable=True).indices[:, :count].contiguous()


def updated_bias(bias: Tensor, load: Tensor, speed: float) -> Tensor:
    """The bias [E] of the next step: down by `speed` where an expert had more than the mean load, up where less.

    `load` [E] counts the tokens of the whole batch, over all ranks that hold a copy of the router.

    >>> updated_bias(torch.zeros(3), torch.tensor([4, 2, 0]), 0.5)
    tensor([-0.5000,  0.0000,  0.5000])
    """
    if load.shape != bias.shape:
        raise InputError(
            "load has one count an expert", f"shape {tuple(load.shape)}", f"{tuple(bias.shape)}"
        )
    mean = load.to(bias.dtype).mean()
    return bias + speed * torch.sign(mean - load.to(bias.dtype))


def _check(scores: Tensor, k: int, nodes: int, limit: int, bias: Tensor | None) -> None:
    if scores.dim() != 2 or not scores.is_floating_point():
        raise InputError(
            "scores are [tokens, experts] in floating point",
            f"{scores.dtype} {tuple(scores.shape)}",
        )
    experts = scores.shape[1]
    require_int("nodes", nodes, 1)
    require_int("experts_per_token", k, 1)
    require_int("node_limit", limit, 1)
    if experts % nodes:
        raise InputError(
            f"every one of {nodes} nodes holds equally many experts",
            f"experts = {experts}",
            f"experts = {max(1, round(experts / nodes)) * nodes}",
        )
    if limit > nodes:
        raise InputError(
            "a token goes to no more nodes than there are",
            f"node_limit = {limit}",
            f"node_limit = {nodes}",
        )
    if k > limit * (experts // nodes):
        most = limit * (experts // nodes)
        raise InputError(
            f"{limit} nodes hold {most} experts",
            f"experts_per_token = {k}",
            f"experts_per_token = {most}",
        )
    if bias is not None and bias.shape != (experts,):
        raise InputError(
            "bias has one number an expert", f"shape {tuple(bias.shape)}", f"shape ({experts},)"
        )
    if not bool((scores > 0).all() & scores.isfinite().all()):
        raise InputError(
            "scores are positive and finite", "scores with NaN, infinity, zero or less"
        )
