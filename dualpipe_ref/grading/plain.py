"""Plain data as text and back: all that crosses from an answer's process to the checks.

Standard library alone, and nothing of this package: the child process loads this file by itself.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

DEEPEST = 50
LONGEST_INT = 4000  # decimal digits, below what Python refuses to turn into text


class NotPlainError(ValueError):
    """A value that is no plain data; the message says what it is, and where."""


def encode(value: object) -> str:
    """The text of plain data: None, bool, int, finite float, str, Fraction, and lists, tuples and dicts of these.

    Exactly these classes: an instance of a subclass may claim to equal anything. Raises `NotPlainError`.

    >>> decode(encode([("F", 0, 1), {"half": Fraction(1, 2)}]))
    [('F', 0, 1), {'half': Fraction(1, 2)}]
    >>> encode([1, (2, float("nan"))])
    Traceback (most recent call last):
    dualpipe_ref.grading.plain.NotPlainError: nan at [1][1]
    """
    try:
        return json.dumps(_tagged(value, "", DEEPEST), allow_nan=False)
    except UnicodeEncodeError:
        raise NotPlainError("a str that is no text") from None


def decode(text: str | bytes) -> Any:
    """What `encode` made this text from. Raises ValueError for any other text.

    >>> decode('{"tuple": [1, 2]}')
    (1, 2)
    """
    try:
        return _untagged(json.loads(text, parse_constant=_refuse), DEEPEST)
    except (RecursionError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"no encoded data: {error}") from None


def _tagged(value: Any, where: str, depth: int) -> Any:
    """The value in terms of JSON; what JSON does not have is an object with one key that names it."""
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        if value.bit_length() > LONGEST_INT * math.log2(10):
            raise NotPlainError(f"an int of more than {LONGEST_INT} digits{_at(where)}")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise NotPlainError(f"{value}{_at(where)}")
        return value
    if kind is Fraction:
        return {"fraction": [_tagged(part, where, 1) for part in value.as_integer_ratio()]}
    if kind not in (list, tuple, dict):
        raise NotPlainError(f"{_named(value)}{_at(where)}")
    if depth == 0:
        raise NotPlainError(f"something nested more than {DEEPEST} deep")
    if kind is dict:
        pairs = [
            [
                _tagged(key, f"{where}[a key]", depth - 1),
                _tagged(part, f"{where}[{key!r:.20}]", depth - 1),
            ]
            for key, part in list(value.items())
        ]
        return {"dict": pairs}
    parts = [_tagged(part, f"{where}[{place}]", depth - 1) for place, part in enumerate(value)]
    return parts if kind is list else {"tuple": parts}


def _named(value: object) -> str:
    """The class, and the plain thing that might serve instead."""
    name = _with_article(type(value).__name__[:60])
    for plain in (int, float, str, list, tuple, dict):
        if isinstance(value, plain):
            return f"{name}, which is not exactly {_with_article(plain.__name__)}"
    if isinstance(value, set | frozenset | range) or hasattr(type(value), "__next__"):
        return f"{name}; make it a list"
    return name


def _with_article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def _at(where: str) -> str:
    return f" at {where}" if where else ""


def _untagged(value: Any, depth: int) -> Any:
    if depth < 0:
        raise ValueError("nested too deep")
    if type(value) is list:
        return [_untagged(part, depth - 1) for part in value]
    if type(value) is not dict:
        return value
    ((tag, parts),) = value.items()
    if tag == "tuple":
        return tuple(_untagged(part, depth - 1) for part in parts)
    if tag == "dict":
        return {_untagged(key, depth - 1): _untagged(part, depth - 1) for key, part in parts}
    if tag == "fraction" and [type(part) for part in parts] == [int, int]:
        return Fraction(*parts)
    raise ValueError(f"no encoded data: {tag!r}"[:80])


def _refuse(constant: str) -> Any:
    raise ValueError(f"no encoded data: {constant}")
