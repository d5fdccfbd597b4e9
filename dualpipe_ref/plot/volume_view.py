"""The live view of volumes: what experts on other devices cost on each link. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dualpipe_ref.plot.bars import bar_colours
from dualpipe_ref.plot.controls import Control, completed, number, select, slider
from dualpipe_ref.plot.exact import exact_number, whole_number
from dualpipe_ref.plot.palette import Palette, palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.costs import Number
from dualpipe_ref.simulate.volumes import (
    Copies,
    ExpertGrid,
    Links,
    Spread,
    Volume,
    combine_bytes,
    copies,
    dispatch_bytes,
    expected_spread,
    volume,
)

MOST = {"nodes": 64, "gpus_per_node": 72, "experts": 4096, "experts_per_token": 64}
SIZES = ("1", "2", "4")  # bytes of a number
DEFAULTS: dict[str, Any] = {
    "nodes": 8,
    "gpus_per_node": 8,
    "experts": 256,
    "experts_per_token": 8,
    "node_limit": 4,
    "hidden": 7168,
    "tokens": 4096,
    "dispatch": "1",
    "combine": "2",
    "rdma": 50,
    "nvlink": 160,
}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in DEFAULTS}


class Case(NamedTuple):
    """A state, read: the grid, how far a token spreads, what crosses, and what both ways cost."""

    grid: ExpertGrid
    links: Links
    spread: Spread
    crossing: Copies
    messages: dict[str, int]
    volumes: dict[str, Volume]
    direct: dict[str, Volume]


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """Bars in milliseconds, facts and a sentence, with colours; `InputError` for a state that has none."""
    case = case_of(state)
    bars = [
        _bar(way, link, case)
        for way in ("dispatch", "combine")
        for link in ("RDMA", "NVLink")
        if _of_link(case.crossing, link)
    ]
    nothing = {"label": "nothing crosses a link", "parts": [_part("both", 1, "0 ms", "waiting")]}
    return {
        "sentence": _sentence(case),
        "bars": bars or [nothing],
        "facts": _facts(case),
        "palettes": {name: _colours(palette(name)) for name in ("light", "dark")},
    }


def case_of(state: Mapping[str, Any]) -> Case:
    """This state in exact numbers."""
    given = completed(state, DEFAULTS)
    sizes = {name: whole_number(name, given[name], 1, most) for name, most in MOST.items()}
    grid = ExpertGrid(**sizes, node_limit=whole_number("node_limit", given["node_limit"], 1))
    links = Links(*(exact_number(name, given[name]) for name in ("rdma", "nvlink")))
    hidden, tokens = (whole_number(name, given[name], 1) for name in ("hidden", "tokens"))
    k = grid.experts_per_token
    messages = {
        "dispatch": dispatch_bytes(hidden, k, whole_number("dispatch", given["dispatch"], 1)),
        "combine": combine_bytes(hidden, k, whole_number("combine", given["combine"], 1)),
    }
    spread = expected_spread(grid)

    def sent(crossing: Copies) -> dict[str, Volume]:
        return {way: volume(crossing, tokens, size, links) for way, size in messages.items()}

    crossing = copies(grid, spread)
    direct = copies(grid, spread, aggregated=False)
    return Case(grid, links, spread, crossing, messages, sent(crossing), sent(direct))


def _sentence(case: Case) -> str:
    nodes, gpus = case.spread
    times = [f"{way} {_ms(one.ms)}" for way, one in case.volumes.items()]
    reaches = f"A token reaches {_short(nodes)} of {case.grid.nodes} nodes and {_short(gpus)} GPUs."
    return f"{reaches} {_slower(case)}: {', '.join(times)}."


def _slower(case: Case) -> str:
    one = case.volumes["dispatch"]
    if one.rdma_ms == one.nvlink_ms:
        return "Both links take the same time" if one.ms else "No link is used"
    return f"{'RDMA' if one.rdma_ms > one.nvlink_ms else 'NVLink'} is the slower link"


def _of_link(pair: tuple[Number, ...], link: str) -> Number:
    return pair[0 if link == "RDMA" else 1]


def _bar(way: str, link: str, case: Case) -> dict[str, Any]:
    found = case.volumes[way]
    time = _of_link(found[2:], link)
    kind = "useful" if link == "RDMA" else "hidden"
    label = f"{way}: {_megabytes(_of_link(found, link))} over {link}"
    return {"label": label, "parts": [_part(link, float(time), _ms(time), kind)]}


def _part(label: str, value: float, text: str, kind: str) -> dict[str, Any]:
    return {"label": label, "value": value, "text": text, "kind": kind}


def _facts(case: Case) -> list[dict[str, str]]:
    grid, crossing = case.grid, case.crossing
    sizes = [f"{case.messages[way]:,} B" for way in ("dispatch", "combine")]
    direct = case.direct["dispatch"], case.direct["combine"]
    return [
        {
            "label": "copies of a token over RDMA",
            "value": _short(crossing.rdma),
            "note": f"one for each other node, of at most {min(grid.node_limit, grid.experts_per_token)} nodes",
        },
        {
            "label": "copies over NVLink",
            "value": _short(crossing.nvlink),
            "note": "one for each GPU that is not at the sender's place in its node",
        },
        {
            "label": "copies over NVLink for each over RDMA",
            "value": _short(crossing.nvlink / crossing.rdma) if crossing.rdma else "no RDMA",
            "note": f"up to {_short(case.links.nvlink / case.links.rdma)} take no longer than RDMA does",
        },
        {"label": "a message", "value": " and ".join(sizes), "note": "dispatch and combine"},
        {
            "label": "if each GPU got its own copy from the sender",
            "value": " and ".join(_ms(one.ms) for one in direct),
            "note": "dispatch and combine, nothing forwarded inside a node",
        },
    ]


def _short(value: Number) -> str:
    return f"{float(value):.3g}"


def _ms(value: Number) -> str:
    return f"{_short(value)} ms"


def _megabytes(size: Number) -> str:
    return f"{_short(size / 10**6) if size < 10**9 else round(size / 10**6)} MB"


def _colours(colours: Palette) -> dict[str, Any]:
    fills = {
        "useful": colours.fill(OpKind.F),
        "hidden": colours.fill(OpKind.I),
        "waiting": colours.idle,
        "other": colours.fill(OpKind.W),
    }
    return bar_colours(colours, fills)


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)

    def whole(name: str) -> int:
        return whole_number(name, given[name], 1)

    return [
        slider("nodes", "Nodes", whole("nodes"), (1, 16)),
        slider("gpus_per_node", "GPUs of a node", whole("gpus_per_node"), (1, 8)),
        number("experts", "Experts", given["experts"], 1, 1),
        slider("experts_per_token", "Experts of a token", whole("experts_per_token"), (1, 16)),
        slider("node_limit", "Nodes of a token, at most", whole("node_limit"), (1, 16)),
        number("hidden", "Hidden size", given["hidden"], 1, 1),
        number("tokens", "Tokens of a GPU", given["tokens"], 1, 1),
        select("dispatch", "Bytes of a number, dispatch", str(given["dispatch"]), SIZES),
        select("combine", "Bytes of a number, combine", str(given["combine"]), SIZES),
        number("rdma", "RDMA, GB/s", given["rdma"], 0.1, 0.1),
        number("nvlink", "NVLink, GB/s", given["nvlink"], 0.1, 0.1),
    ]
