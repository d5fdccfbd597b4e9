"""What is published about each schedule, and where it holds; and closed forms that hold beyond that.

A formula is kept where it is wrong too: its `domain` says when it equals what `simulate` and `peaks`
find (equal costs on all stages and ranks, communication free unless the formula has the latency L in it).
Notation: P ranks, m micro-batches in one step, PP stages in one direction, v stages a rank, F, I, W, B, FB
as in `Costs`. For Chimera and DualPipe H = P/2, n = m/2, h = min(r, P-1-r); for DualPipeV, which is the first
half of a DualPipe on 2P ranks, H = P, n = m, h = r.
"""

# The letters of the formulas, and their order in an inequality.
# ruff: noqa: SIM300

from __future__ import annotations

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.formula import Case, Formula


def find_formula(kind: str, quantity: str, name: str | None = None) -> Formula:
    """The first formula of this kind for this quantity, or the one with this name.

    >>> find_formula("zb-h1", "bubble", "exact").expression
    '(P - 1)(F + I) - (min(m, P) - 1) min(F, I, W)'
    """
    for formula in FORMULAS:
        if (formula.kind, formula.quantity) == (kind, quantity) and name in (None, formula.name):
            return formula
    known = sorted({f"{f.kind} {f.quantity} {f.name}" for f in FORMULAS})
    wanted = " ".join(filter(None, (kind, quantity, name)))
    raise InputError(f"formulas are {', '.join(known)}", wanted)


def _any(c: Case) -> bool:
    return True


def _split(c: Case) -> bool:
    return c.B == c.I + c.W


def _middle_bubble(c: Case) -> Number:
    start = max((c.H - 1) * c.F, (c.H - 1) * c.I - c.F)
    return (c.H - 1) * (c.FB - c.W - min(c.W, c.I)) + start


def _dualpipe_bubble(c: Case) -> Number:
    return _middle_bubble(c) - max(0, c.H - 2 - c.h) * (c.F + c.B - c.FB)


def _dualpipe_worst(c: Case) -> Number:
    return _middle_bubble(c) + max(0, c.H - 2) * max(0, c.FB - c.F - c.B)


def _dualpipe_makespan(c: Case) -> Number:
    """The middle rank never waits between its first gradient and its last FB. Before that lies the longer
    of two ways in (F against I), after it the longer of two ways out (I against W)."""
    way_in = 2 * c.H * c.F + max(c.H * c.F, (c.H - 1) * c.I)
    way_out = c.B + c.H * c.I + c.W + (c.H - 1) * max(c.I, c.W)
    return way_in + c.B + (2 * c.n - c.H - 2) * c.FB + way_out


def _dualpipe_exact(c: Case) -> bool:
    enough = c.n >= 2 * c.H - 1 and c.n > 1
    return enough and c.FB >= max(c.F, c.B) and c.B >= c.I + c.W


def _dualpipe_exact_split(c: Case) -> bool:
    """Two ranks mirror each other: neither ever waits, whatever the costs."""
    return c.H == 1 or (_dualpipe_exact(c) and _split(c))


def _dualpipe_published(c: Case) -> Number:
    return (c.PP // 2 - 1) * (c.FB + c.B - 3 * c.W)


def _dualpipe_published_worst(c: Case) -> bool:
    """Where the closed form's worst rank gives the same: the FB cancels."""
    if not _dualpipe_exact_split(c):
        return False
    start = max((c.H - 1) * c.F, (c.H - 1) * c.I - c.F)
    return c.H == 1 or (
        (c.H == 2 or c.FB <= c.F + c.B) and start + (c.H - 1) * max(0, c.W - c.I) == (c.H - 1) * c.I
    )


def _dualpipe_short(c: Case) -> bool:
    """Where the way in is through the forwards, the way out through the gradients, and no rank is worse than the middle."""
    if not _dualpipe_exact_split(c):
        return False
    through = c.W <= c.I and (c.H - 1) * c.I <= c.H * c.F
    return c.H == 1 or (through and (c.H == 2 or c.FB <= c.F + c.B))


def _dualpipe_published_everywhere(c: Case) -> bool:
    return _dualpipe_published_worst(c) and (c.H <= 2 or c.FB == c.F + c.B)


def _dualpipe_peak(c: Case) -> Number:
    return c.PP if c.h == 0 and c.n == 2 * c.H - 1 else c.PP + 1


_GPIPE = "GPipe, arXiv:1811.06965"
_MEGATRON = "Narayanan et al. 2021, arXiv:2104.04473, section 2.2"
_ZERO_BUBBLE = "Zero Bubble, arXiv:2401.10241, table 1"
_V3 = "DeepSeek-V3 report, arXiv:2412.19437, section 3.2.1, table 2"
_CHIMERA = "Chimera, arXiv:2107.06925, table 2"
_OURS = "this project; tested against the simulation"
_V_CODE = "released DualPipe code, README"

_EXACT_TEXT = "FB >= max(F, B), B {} I + W, m >= 2P - 2 (DualPipeV: 2P - 1), not P = m = 2"
_WORST_TEXT = (
    "as the exact form, FB <= F + B, and F = I where W <= I; else max(F, I - F/(H - 1)) = 2I - W;"
    " PP = 2: always, PP = 4: any FB"
)


def _dualpipe_formulas(kind: str, source: str) -> tuple[Formula, ...]:
    """Both schedules share them: PP, H, n and h say which."""
    published = "(PP/2 - 1)(FB + B - 3W)"
    exact = _EXACT_TEXT.format("=") + "; PP = 2: always"
    middle = "(H-1)(FB - W - min(W, I)) + max((H-1)F, (H-1)I - F)"
    return (
        Formula("published", kind, "bubble", source, published,
                "as for the worst bubble, and FB = F + B or PP <= 4",
                _dualpipe_published, _dualpipe_published_everywhere),
        Formula("published", kind, "worst bubble", source, published, _WORST_TEXT,
                _dualpipe_published, _dualpipe_published_worst),
        Formula("exact", kind, "bubble", _OURS, f"{middle} - max(0, H-2-h)(F + B - FB)", exact,
                _dualpipe_bubble, _dualpipe_exact_split),
        Formula("exact", kind, "worst bubble", _OURS,
                f"{middle} + max(0, H-2) max(0, FB - F - B)", exact,
                _dualpipe_worst, _dualpipe_exact_split),
        Formula("short", kind, "worst bubble", _OURS, "(PP/2 - 1)(F + FB - 2W)",
                "as the exact form, FB <= F + B, W <= I, (H - 1)I <= H F; PP = 2: always, PP = 4: any FB",
                lambda c: (c.PP // 2 - 1) * (c.F + c.FB - 2 * c.W), _dualpipe_short),
        Formula("exact", kind, "makespan", _OURS,
                "2H F + max(H F, (H-1)I) + (2n-H-2)FB + 2B + H I + W + (H-1)max(I, W)",
                _EXACT_TEXT.format(">="), _dualpipe_makespan, _dualpipe_exact),
        Formula("published", kind, "activations", source, "PP + 1", "m >= 2P",
                lambda c: c.PP + 1, lambda c: c.n >= 2 * c.H),
        Formula("exact", kind, "activations", _OURS,
                "PP + 1; with m one step below 2P, PP on the outermost ranks (h = 0)",
                "m >= 2P - 2 (DualPipeV: 2P - 1); also held until W",
                _dualpipe_peak, lambda c: c.n >= 2 * c.H - 1),
        Formula("published", kind, "parameters", source, "2", "always", lambda c: 2, _any),
    )  # fmt: skip


def _one_way_bubble(c: Case) -> Number:
    return (c.P - 1) * (c.F + c.B)


def _one_f_one_b_makespan(c: Case) -> Number:
    """The critical path climbs and falls in zigzags: of m + P - 1 turns it pays two messages for each
    but the first of a zigzag, and a zigzag over all ranks has P of them."""
    turns = c.m + c.P - 1
    return turns * (c.F + c.B) + 2 * (turns + -turns // c.P) * c.L


def _interleaved_makespan(c: Case) -> Number:
    """Two forwards a rank of slack hide the latency in the steady state; the two ramps pay it at each hop."""
    return (c.v * c.m + c.P - 1) * (c.F + c.B) + 2 * (c.v * c.P - 1) * c.L


def _interleaved_peak(c: Case) -> Number:
    """The warm-up and one more, but no more than there is."""
    a_round = c.m // max(1, c.m // c.P)
    return min(c.v * c.m, (c.v - 1) * a_round + 2 * (c.P - 1 - c.r) + 1)


def _chimera_bubble(c: Case) -> Number:
    longer, shorter = max(c.F, c.B), min(c.F, c.B)
    return (c.P - 2) * (longer + (c.m // c.P - 1) * (longer - shorter))


FORMULAS: tuple[Formula, ...] = (
    Formula("published", "gpipe", "bubble", _GPIPE + ", section 2.3", "(P - 1)(F + B)",
            "always", _one_way_bubble, _any),
    Formula("published", "gpipe", "activations", _MEGATRON, "m", "always", lambda c: c.m, _any),
    Formula("published", "gpipe", "parameters", _V3, "1", "always", lambda c: 1, _any),
    Formula("published", "1f1b", "bubble", _V3, "(PP - 1)(F + B)", "always", _one_way_bubble, _any),
    Formula("published", "1f1b", "activations", _MEGATRON, "P - r", "m >= P - r",
            lambda c: c.P - c.r, lambda c: c.m >= c.P - c.r),
    Formula("exact", "1f1b", "activations", _OURS, "min(m, P - r)", "always",
            lambda c: min(c.m, c.P - c.r), _any),
    Formula("exact", "1f1b", "makespan", _OURS,
            "(m + P - 1)(F + B) + 2 (m + P - 1 - ceil((m + P - 1)/P)) L", "always",
            _one_f_one_b_makespan, _any, has_latency=True),
    Formula("published", "1f1b", "parameters", _V3, "1", "always", lambda c: 1, _any),
    Formula("published", "interleaved", "bubble", _MEGATRON, "(P - 1)(F + B), F and B of one stage",
            "m >= P", _one_way_bubble, lambda c: c.m >= c.P),
    Formula("exact", "interleaved", "makespan", _OURS, "(vm + P - 1)(F + B) + 2 (vP - 1) L",
            "P divides m, L <= min(F, B), all of one stage", _interleaved_makespan,
            lambda c: c.m % c.P == 0 and c.L <= min(c.F, c.B), has_latency=True),
    Formula("exact", "interleaved", "activations", _OURS,
            "min(vm, (v - 1)R + 2(P - 1 - r) + 1), R = m / max(1, floor(m/P)) micro-batches a round",
            "always", _interleaved_peak, _any),
    Formula("published", "interleaved", "parameters", _MEGATRON, "v", "always", lambda c: c.v, _any),
    Formula("published", "zb-h1", "bubble", _V3, "(PP - 1)(F + B - 2W), B a full backward",
            "W <= min(F, I), B = I + W, m >= P", lambda c: (c.P - 1) * (c.F + c.B - 2 * c.W),
            lambda c: _split(c) and c.W <= min(c.F, c.I) and c.m >= c.P),
    Formula("zero bubble paper", "zb-h1", "bubble", _ZERO_BUBBLE,
            "(P - 1)(F + I - W); the paper writes B for I", "W <= min(F, I), m >= P",
            lambda c: (c.P - 1) * (c.F + c.I - c.W),
            lambda c: c.W <= min(c.F, c.I) and c.m >= c.P),
    Formula("exact", "zb-h1", "bubble", _OURS, "(P - 1)(F + I) - (min(m, P) - 1) min(F, I, W)",
            "always", lambda c: (c.P - 1) * (c.F + c.I) - (min(c.m, c.P) - 1) * min(c.F, c.I, c.W),
            _any),
    Formula("published", "zb-h1", "held", _V3, "PP", "m >= P", lambda c: c.PP, lambda c: c.m >= c.P),
    Formula("exact", "zb-h1", "held", _OURS, "min(m, P)", "always", lambda c: min(c.m, c.P), _any),
    Formula("published", "zb-h1", "parameters", _V3, "1", "always", lambda c: 1, _any),
    Formula("exact", "zb-v", "bubble", _OURS, "(P - 1)F", "F = I = W, m >= 2P - 1",
            lambda c: (c.P - 1) * c.F,
            lambda c: c.F == c.I == c.W and _split(c) and c.m >= 2 * c.P - 1),
    Formula("published", "zb-v", "held", _ZERO_BUBBLE, "2P", "m >= 2P - 1",
            lambda c: 2 * c.P, lambda c: c.m >= 2 * c.P - 1),
    Formula("published", "chimera", "bubble", _CHIMERA, "(P - 2)F", "F = B; m = P: F >= B; P = 2: always",
            lambda c: (c.P - 2) * c.F,
            lambda c: c.P == 2 or c.F == c.B or (c.m == c.P and c.F >= c.B)),
    Formula("exact", "chimera", "bubble", _OURS, "(P - 2)(max(F, B) + (m/P - 1)|F - B|)", "always",
            _chimera_bubble, _any),
    Formula("exact", "chimera", "activations", _OURS, "P/2 + 1 + h", "always",
            lambda c: c.H + 1 + c.h, _any),
    Formula("published", "chimera", "parameters", _CHIMERA, "2", "always", lambda c: 2, _any),
    *_dualpipe_formulas("dualpipe", _V3),
    *_dualpipe_formulas("dualpipev", _V_CODE),
)  # fmt: skip
