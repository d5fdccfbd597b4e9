"""The live view of SMs: how many an overlapped pair should give to communication. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dualpipe_ref.plot.bars import bar_colours
from dualpipe_ref.plot.controls import Control, completed, number, slider
from dualpipe_ref.plot.exact import whole_number
from dualpipe_ref.plot.palette import CURVE_COLOURS, Palette, palette
from dualpipe_ref.plot.sms_data import (
    ACROSS,
    ALONE,
    DEFAULTS,
    MS,
    NAMES,
    Case,
    OnSms,
    case_of,
    curves_of,
    highest_of,
)
from dualpipe_ref.schedule.ir import OpKind


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """Curves over the number of SMs, bars of the chosen and of the best one, facts and a sentence; `InputError` for a state that
    has none.

    >>> answer({})["sentence"]
    'With 20 of 132 SMs the pair takes 66.0 ms. The shortest has 7 SMs, 59.5 ms; one after the other takes 107 ms.'
    """
    case = case_of(state)
    counts = sorted({case.sms, case.found.best})
    shown = {count: case.on(count) for count in counts}
    return {
        "sentence": _sentence(case, shown),
        "chart": _chart(case, shown),
        "bars": [_alone(case), *(_bar(case, one) for one in shown.values())],
        "facts": _facts(case, shown[case.sms]),
        "palettes": {name: _colours(palette(name)) for name in ("light", "dark")},
    }


def _sentence(case: Case, shown: Mapping[int, OnSms]) -> str:
    chosen, best = (_ms(shown[count].parts.length) for count in (case.sms, case.found.best))
    return (
        f"With {case.sms} of {case.of} SMs the pair takes {chosen}. The shortest has"
        f" {_sms(case.found.best)}, {best}; one after the other takes {_ms(case.alone.length)}."
    )


def _chart(case: Case, shown: Mapping[int, OnSms]) -> dict[str, Any]:
    curves = curves_of(case)
    marks = [
        {
            "x": count,
            "y": one.parts.length / MS,
            "text": f"{_sms(count)}: {_ms(one.parts.length)}",
            "above": count == case.sms != case.found.best,
        }
        for count, one in shown.items()
        if count <= len(curves[0].y)
    ]
    return {
        "across": ACROSS,
        "up": "ms",
        "from": 1,
        "to": len(curves[0].y),
        "highest": highest_of(case),
        "lines": [
            {"name": name, "points": [[x, _drawn(y)] for x, y in zip(xs, ys, strict=True)]}
            for name, xs, ys in curves
        ],
        "level": {"name": ALONE, "value": case.alone.length / MS},
        "marks": marks,
        "alt": f"Milliseconds over the SMs that communication has. {_sentence(case, shown)}",
    }


def _drawn(value: float) -> float:
    return float(f"{value:.4g}")


def _alone(case: Case) -> dict[str, Any]:
    computing = case.alone.length - case.alone.exposed
    parts = [
        _part("computation", computing, "useful"),
        _part("communication", case.alone.exposed, "waiting"),
    ]
    return {"label": f"{ALONE}: {_ms(case.alone.length)}", "parts": parts}


def _bar(case: Case, one: OnSms) -> dict[str, Any]:
    marks = [
        word
        for word, count in (("chosen", case.sms), ("the shortest", case.found.best))
        if one.sms == count
    ]
    parts = [
        _part("computation", one.computing - one.parts.sm_tax, "useful"),
        _part("SM tax", one.parts.sm_tax, "reserved"),
        _part("exposed", one.parts.exposed, "waiting"),
    ]
    label = ", ".join([f"{_sms(one.sms)}: {_ms(one.parts.length)}", *marks])
    return {"label": label, "parts": [part for part in parts if part["value"]]}


def _part(label: str, length: int, kind: str) -> dict[str, Any]:
    return {"label": label, "value": length / MS, "text": _ms(length), "kind": kind}


def _facts(case: Case, one: OnSms) -> list[dict[str, str]]:
    left, found = case.of - one.sms, case.found
    gaining = f"{found.least} to {found.most} SMs" if found.least <= found.most else "none"
    return [
        {
            "label": "the SM tax",
            "value": f"{case.of / left:.3f}",
            "note": f"{case.of}/{left}: computation takes {_ms(one.computing)} on the SMs that are left",
        },
        {
            "label": "communication of the pair",
            "value": _ms(one.communicating),
            "note": f"{_sms(one.sms)} reach {one.rdma:.3g} GB/s over RDMA and {one.nvlink:.3g} over NVLink",
        },
        {
            "label": "exposed",
            "value": f"{100 * one.parts.exposed / one.communicating:.1f} %",
            "note": "of the communication, which has nothing beside it",
        },
        {
            "label": "shorter than one after the other",
            "value": gaining,
            "note": "with fewer, communication is too slow; with more, computation is",
        },
    ]


def _sms(count: int) -> str:
    return f"{count} SM{'' if count == 1 else 's'}"


def _ms(length: float) -> str:
    """Three digits, and no more than two after the point."""
    value = length / MS
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f} ms"


def _colours(colours: Palette) -> dict[str, Any]:
    fills = {
        "useful": colours.fill(OpKind.F),
        "reserved": colours.fill(OpKind.W),
        "waiting": colours.idle,
        "other": colours.fill(OpKind.I),
    }
    return {**bar_colours(colours, fills), "lines": CURVE_COLOURS[colours.name][:3]}


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)
    return [
        slider("sms", "SMs for communication", whole_number("sms", given["sms"], 1), (1, 64)),
        number("ratio", "Communication over computation", given["ratio"], 0.01, 0.01),
        number("rdma", "RDMA, GB/s", given["rdma"], 0.1, 0.1),
        number("nvlink", "NVLink, GB/s", given["nvlink"], 0.1, 0.1),
        number("knee", "SMs that fill the network card", given["knee"], 0.1, 0.1),
    ]


__all__ = ["DEFAULTS", "NAMES", "answer", "controls"]
