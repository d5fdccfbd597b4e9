"""What checks ask: an answer, whose functions run in a process of their own or, in a browser, in this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dualpipe_ref.grading import evaluate
from dualpipe_ref.grading.checks import Answer, Fault
from dualpipe_ref.grading.plain import decode, encode


class AnswerError(Exception):
    """The answer cannot be loaded at all; the message is one line."""


class CallFailedError(Exception):
    """What a call did instead of returning, as a phrase: "raised ...", "did not return within 10 s"."""


class InProcessAnswer:
    """An answer that runs here, with all rights of this process: for a browser, whose page has few.

    Its functions take and give plain data only, as those of a `Sandbox` do. Raises `AnswerError`.

    >>> InProcessAnswer("def double(x):\\n    return 2 * x").double((1, 2))
    (1, 2, 1, 2)
    """

    printed = ""
    notes: tuple[str, ...] = ()

    def __init__(self, source: str, filename: str = "answer.py") -> None:
        try:
            self._module = evaluate.load(evaluate.compiled(source, filename))
        except evaluate.LoadError as error:
            raise AnswerError(str(error)) from None

    def __enter__(self) -> InProcessAnswer:
        return self

    def __exit__(self, *error: object) -> None:
        """There is nothing to close; a `Sandbox` has."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not callable(getattr(self._module, name, None)):
            raise AttributeError(f"the answer has no function {name}")
        return partial(self._call, name)

    def yielded(self, name: str, arguments: Sequence[Any], sent: Sequence[Any]) -> Any:
        """What a generator of the answer yields next once it was sent these: ("yields", value), or ("ends",)."""
        encoded = encode(list(arguments)), encode(list(sent))
        return returned(evaluate.evaluate(self._module, name, *encoded))

    def _call(self, name: str, *arguments: Any) -> Any:
        return returned(evaluate.evaluate(self._module, name, encode(list(arguments))))


def returned(outcome: dict[str, str]) -> Any:
    """The value in a reply of `evaluate`; raises `CallFailedError` or NotImplementedError where there is none."""
    if "value" in outcome:
        return decode(outcome["value"])
    if "not_written" in outcome:
        raise NotImplementedError
    raise CallFailedError(outcome["failed"])


def call(answer: Answer, name: str, *arguments: Any) -> Any:
    """What the reader's function returns. Raises `Fault` where there is none, or where it fails.

    >>> call(InProcessAnswer("def one():\\n    return 1 / 0"), "one")
    Traceback (most recent call last):
    dualpipe_ref.grading.checks.Fault: one() raised ZeroDivisionError: division by zero (line 2)
    """
    function = getattr(answer, name, None)
    if function is None:
        raise Fault(f"the answer has no function {name}")
    return _tried(lambda: function(*arguments), name, arguments)


def yielded(answer: Answer, name: str, arguments: tuple[Any, ...], sent: tuple[Any, ...]) -> Any:
    """What the reader's generator yields next once it was sent these: ("yields", value), or ("ends",).

    Raises `Fault` where there is none, or where it fails.

    >>> answer = InProcessAnswer("def up(x):\\n    while True:\\n        x += yield x")
    >>> yielded(answer, "up", (3,), (1, 1))
    ('yields', 5)
    """
    if getattr(answer, name, None) is None:
        raise Fault(f"the answer has no function {name}")
    return _tried(lambda: answer.yielded(name, arguments, sent), name, arguments)


def _tried(ask: Callable[[], Any], name: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return ask()
    except NotImplementedError:
        raise Fault(f"{name} is not written yet") from None
    except CallFailedError as failed:
        shown = ", ".join(map(repr, arguments)) if _is_short(arguments) else "..."
        raise Fault(f"{name}({shown}) {failed}") from None


def _is_short(arguments: tuple[Any, ...]) -> bool:
    return len(repr(arguments)) < 80
