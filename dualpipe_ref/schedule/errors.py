"""The one exception that says an input breaks a rule."""

from __future__ import annotations


class InputError(ValueError):
    """An argument or a file breaks a rule; the message says the rule, the values, the nearest legal value.

    Commands print the message alone and exit with status 2.

    >>> raise InputError("micro-batches must be even", "m = 7", "m = 8")
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: micro-batches must be even; got m = 7; nearest legal: m = 8
    """

    def __init__(self, rule: str, got: str | None = None, nearest: str | None = None) -> None:
        parts = [rule]
        if got is not None:
            parts.append(f"got {got}")
        if nearest is not None:
            parts.append(f"nearest legal: {nearest}")
        super().__init__("; ".join(parts))


def require_int(name: str, value: object, minimum: int) -> int:
    """Return `value` if it is an int of at least `minimum` (bool is refused), else raise `InputError`.

    >>> require_int("P", 4, 2)
    4
    >>> require_int("P", "4", 2)
    Traceback (most recent call last):
    dualpipe_ref.schedule.errors.InputError: P must be an int of at least 2; got P = '4'; nearest legal: P = 4
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
        return value
    raise InputError(
        f"{name} must be an int of at least {minimum}",
        f"{name} = {value!r}",
        f"{name} = {_nearest_int(value, minimum)}",
    )


def _nearest_int(value: object, minimum: int) -> int:
    try:
        return max(minimum, round(float(value)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return minimum
