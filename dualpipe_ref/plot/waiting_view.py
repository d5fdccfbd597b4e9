"""The live view of waiting: what it costs a set of devices, and what hiding it gives back. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from dualpipe_ref.plot.bars import bar_colours
from dualpipe_ref.plot.controls import Control, completed, number, slider
from dualpipe_ref.plot.exact import exact_number, whole_number
from dualpipe_ref.plot.palette import Palette, palette
from dualpipe_ref.schedule.ir import OpKind
from dualpipe_ref.simulate.waiting import HOPPER_SMS, Ledger, ledger

DEFAULTS: dict[str, Any] = {
    "gpus": 2048,
    "waiting": 0.5,
    "hidden": 0.9,
    "reserved_sms": 20,
    "sms": HOPPER_SMS,
}
# What an InputError calls the parts of this state.
NAMES = {name: name for name in DEFAULTS}


def answer(state: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger as bars, facts and a sentence, with colours; `InputError` for a state that has none."""
    book = ledger_of(state)
    return {
        "sentence": sentence_of(book),
        "bars": [
            {"label": "a step with all waiting in the open", "parts": _parts(book.parts_before)},
            {"label": "the same step with waiting hidden", "parts": _parts(book.parts_after)},
        ],
        "facts": _facts(book),
        "palettes": {name: _colours(palette(name)) for name in ("light", "dark")},
    }


def ledger_of(state: Mapping[str, Any]) -> Ledger:
    """The ledger of this state, in exact numbers."""
    given = completed(state, DEFAULTS)
    return ledger(
        whole_number("gpus", given["gpus"], 1),
        Fraction(exact_number("waiting", given["waiting"])),
        Fraction(exact_number("hidden", given["hidden"])),
        whole_number("reserved_sms", given["reserved_sms"], 0),
        whole_number("sms", given["sms"], 1),
    )


def sentence_of(book: Ledger) -> str:
    """What the picture says."""
    return (
        f"{book.gpus:,} GPUs that wait {percent(book.waiting)} of their time do the work of"
        f" {count(book.effective_gpus_before)}. With {percent(book.hidden)} of that hidden, and"
        f" {book.reserved_sms} of {book.sms} SMs given to communication, they do the work of"
        f" {count(book.effective_gpus_after)}."
    )


def percent(share: Fraction) -> str:
    """A share of 1 in percent, three digits.

    >>> percent(Fraction(1, 3)), percent(Fraction(1, 2))
    ('33.3 %', '50 %')
    """
    return f"{100 * float(share):.3g} %"


def count(number: Fraction) -> str:
    """A number of devices.

    >>> count(Fraction(5120, 3))
    '1,707'
    """
    return f"{round(number):,}"


def _facts(book: Ledger) -> list[dict[str, str]]:
    price = f"{book.reserved_sms} of {book.sms} SMs are {percent(Fraction(book.reserved_sms, book.sms))} of a GPU"
    return [
        {
            "label": "work done before",
            "value": f"{count(book.effective_gpus_before)} GPUs",
            "note": f"useful {percent(book.useful_before)} of the time",
        },
        {
            "label": "work done after",
            "value": f"{count(book.effective_gpus_after)} GPUs",
            "note": f"useful {percent(book.useful_after)}",
        },
        {"label": "speedup", "value": f"{float(book.speedup):.3g}x", "note": _break_even(book)},
        {
            "label": "speedup if no SM were given away",
            "value": f"{float(book.speedup_without_tax):.3g}x",
            "note": price,
        },
        {
            "label": "hidden at most, if all of it is communication",
            "value": percent(book.hideable),
            "note": "it must fit beside the computation",
        },
    ]


def _break_even(book: Ledger) -> str:
    """From how many SMs on hiding is a loss."""
    return f"below 1x from {int(book.break_even) + 1} reserved SMs on"


def _parts(parts: tuple[tuple[str, Fraction], ...]) -> list[dict[str, Any]]:
    return [
        {"label": label, "value": float(share), "text": percent(share), "kind": _kind(label)}
        for label, share in parts
    ]


def _kind(label: str) -> str:
    """The pattern of a part."""
    words = {"wait": "waiting", "reserved": "reserved", "SM": "reserved", "hid": "hidden"}
    return next((kind for word, kind in words.items() if word in label), "useful")


def _colours(colours: Palette) -> dict[str, Any]:
    """Fill, colour of the pattern, and colour of words on it, by kind of part."""
    fills = {
        "useful": colours.fill(OpKind.B),
        "waiting": colours.idle,
        "reserved": colours.fill(OpKind.W),
        "hidden": colours.fill(OpKind.I),
        "other": colours.fill(OpKind.F),
    }
    return bar_colours(colours, fills, {"waiting": colours.muted})


def controls(state: Mapping[str, Any]) -> list[Control]:
    """One control for everything that a reader can change."""
    given = completed(state, DEFAULTS)
    sms = whole_number("sms", given["sms"], 1)

    def share(name: str) -> float:
        return float(exact_number(name, given[name]))

    return [
        number("gpus", "GPUs", given["gpus"], 1, 1),
        slider("waiting", "Share of time spent waiting", share("waiting"), (0, 0.95), step=0.05),
        slider("hidden", "Share of it that is hidden", share("hidden"), (0, 1), step=0.05),
        slider(
            "reserved_sms",
            "SMs given to communication",
            whole_number("reserved_sms", given["reserved_sms"], 0),
            (0, sms - 1),
            f"of {sms} on each GPU",
        ),
    ]
