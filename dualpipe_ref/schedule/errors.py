"""The one exception that says an input breaks a rule."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """An argument or a file breaks a rule; the message says the rule, the values, the nearest legal value.

    Commands print the message alone and exit with status 2. The parts are kept as `rule`, `got` and `nearest`.

    >>> raise InputError("micro-batches must be even", "m = 7", "m = 8")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: micro-batches must be even; got m = 7; nearest legal: m = 8
    """

    def __init__(self, rule: str, got: str | None = None, nearest: str | None = None) -> None:
        self.rule, self.got, self.nearest = rule, got, nearest
        parts = [rule]
        if got is not None:
            parts.append(f"got {got}")
        if nearest is not None:
            parts.append(f"nearest legal: {nearest}")
        super().__init__("; ".join(parts))


MOST_INT = 10**18


def require_int(name: str, value: object, minimum: int, least_legal: int | None = None) -> int:
    """Return `value` if it is an int of at least `minimum` (bool is refused), else raise `InputError`.

    Where a later rule asks for more, `least_legal` is what the message names instead of `minimum`.

    >>> require_int("P", 4, 2)
    4
    >>> require_int("P", "4", 2)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: P must be an int of at least 2; got P = '4'; nearest legal: P = 4
    """
    if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= MOST_INT:
        return value
    is_large = isinstance(value, int) and value > MOST_INT
    raise InputError(
        f"{name} must be an int of at {f'most {MOST_INT}' if is_large else f'least {minimum}'}",
        f"{name} = {shortened(value)}",
        f"{name} = {_nearest_int(value, least_legal or minimum)}",
    )


def shortened(value: object) -> str:
    """`repr(value)`, cut off where it is long: it may come from any file.

    >>> shortened([7] * 99)
    '[7, 7, 7, 7, 7, 7, ...]'
    """
    try:
        return _shortening.repr(value)
    except ValueError:  # an int of more digits than Python prints
        return f"a very long {type(value).__name__}"


_shortening = reprlib.Repr()
_shortening.maxstring = _shortening.maxother = 60


def _nearest_int(value: object, minimum: int) -> int:
    try:
        return max(minimum, min(MOST_INT, round(float(value))))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return minimum


def one_of(name: str, value: object, legal: Iterable[str]) -> str:
    """Return a legal value; raise `InputError` with the most similar one for any other.

    >>> one_of("policy", "norm", ("none", "norms"))
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: policy is one of none, norms; got 'norm'; nearest legal: 'norms'
    """
    known = list(legal)
    if value in known:
        return str(value)
    told = shortened(value).strip("'")
    (nearest,) = get_close_matches(told, known, n=1, cutoff=0)
    raise InputError(f"{name} is one of {', '.join(known)}", shortened(value), repr(nearest))
