"""Controls of a live view, as data: a page makes form fields of them, a notebook makes widgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dualpipe_ref.schedule.errors import InputError, shortened

Control = dict[str, Any]


def select(name: str, label: str, value: str, options: Collection[str]) -> Control:
    """One of `options`.

    >>> select("kind", "Schedule", "1f1b", ["gpipe", "1f1b"])["options"]
    ['gpipe', '1f1b']
    """
    return {
        "name": name,
        "label": label,
        "type": "select",
        "value": value,
        "options": list(options),
        "help": "",
    }


def slider(
    name: str,
    label: str,
    value: float,
    ends: tuple[float, float],
    help: str = "",
    step: float = 1,
    when: Mapping[str, Sequence[Any]] | None = None,
) -> Control:
    """A number between `ends`, which are widened where `value` lies outside.

    With `when` it is shown only while each part of the state that is named there has one of these values.

    >>> slider("ranks", "Ranks P", 24, (2, 16))["max"]
    24
    >>> is_shown(slider("chunks", "v", 2, (2, 8), when={"kind": ["interleaved"]}), {"kind": "1f1b"})
    False
    """
    least, most = min(ends[0], value), max(ends[1], value)
    place = {"min": least, "max": most, "step": step, "value": value}
    shown = {} if when is None else {"when": {part: list(values) for part, values in when.items()}}
    return {"name": name, "label": label, "type": "range", **place, "help": help, **shown}


def is_shown(control: Control, state: Mapping[str, Any]) -> bool:
    """Whether a control has a use in this state."""
    when: dict[str, list[Any]] = control.get("when", {})
    return all(state.get(part) in values for part, values in when.items())


def number(name: str, label: str, value: Any, least: float, step: float, help: str = "") -> Control:
    """Any number of at least `least`.

    >>> number("FB", "FB", 3, 0.1, 0.1)["value"]
    3
    """
    place = {"min": least, "max": None, "step": step, "value": value}
    return {"name": name, "label": label, "type": "number", **place, "help": help}


def completed(state: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`defaults` with what `state` says instead; `InputError` where it names something else.

    >>> completed({"ranks": 4}, {"ranks": 8, "FB": 3})
    {'ranks': 4, 'FB': 3}
    """
    unknown = sorted(set(state) - set(defaults))
    if unknown:
        raise InputError(f"the state of this view has {', '.join(defaults)}", shortened(unknown[0]))
    return {**defaults, **state}
