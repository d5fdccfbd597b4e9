"""Load an answer and call its functions, in whatever process this is; what comes out is plain.

Standard library and `plain` alone: the child process loads this file without the rest of the package.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import CodeType, GeneratorType, ModuleType, TracebackType
from typing import Any

from dualpipe_ref.grading.plain import NotPlainError, decode, encode

LONGEST_MESSAGE = 200


class LoadError(Exception):
    """The answer cannot be loaded at all; the message is one line."""


def compiled(source: str, filename: str) -> CodeType:
    """The code of an answer; raises `LoadError`.

    >>> compiled("def one(:", "answer.py")
    Traceback (most recent call last):
    dualpipe_ref.grading.evaluate.LoadError: answer.py, line 1: invalid syntax
    """
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise LoadError(f"{filename}{line}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        said = str(error) or "too much for the compiler"
        raise LoadError(f"{filename}: {said}") from None


def load(code: CodeType, builtins: dict[str, Any] | None = None) -> ModuleType:
    """The answer as a module; its code sees `builtins` in place of Python's own. Raises `LoadError`.

    >>> load(compiled("def one():\\n    return 1", "answer.py")).one()
    1
    """
    filename = code.co_filename
    module = ModuleType("answer")
    module.__file__ = filename
    if builtins is not None:
        vars(module)["__builtins__"] = builtins
    sys.modules["answer"] = module  # dataclasses look their module up by name
    try:
        exec(code, vars(module))
    except BaseException as error:  # SystemExit, too, ends only the answer
        raise LoadError(f"{filename}: loading it raised {in_words(error, filename)}") from None
    return module


def functions_of(module: ModuleType) -> list[str]:
    """The names of what can be called."""
    return [name for name, value in list(vars(module).items()) if callable(value)]


def evaluate(
    module: ModuleType, name: str, arguments: str, sent: str | None = None
) -> dict[str, str]:
    """Call a function with encoded arguments: {"value": encoded}, or {"failed": what it did, as a phrase}.

    With `sent`, an encoded list, the function makes a generator, and the value is what that yields next once it was
    sent these: ("yields", value), or ("ends",). A generator cannot leave this process, but it can be led to where it was.

    >>> answer = load(compiled("def half(number):\\n    return number // 2", "answer.py"))
    >>> evaluate(answer, "half", "[6]")
    {'value': '3'}
    >>> evaluate(answer, "half", '["six"]')["failed"][:42]
    'raised TypeError: unsupported operand type'
    >>> answer = load(compiled("def more(at):\\n    while True:\\n        at += yield at", "answer.py"))
    >>> decode(evaluate(answer, "more", "[1]", "[2, 3]")["value"])
    ('yields', 6)
    """
    try:
        value = getattr(module, name)(*decode(arguments))
        if sent is not None:
            value = _yielded(value, decode(sent))
    except NotImplementedError:
        return {"not_written": name}
    except MemoryError:
        return {"failed": "ran out of memory"}
    except BaseException as error:
        return {"failed": f"raised {in_words(error, module.__file__)}"}
    try:
        return {"value": encode(value)}
    except NotPlainError as error:
        return {"failed": f"returned {error}"}
    except MemoryError:
        return {"failed": "returned more than fits in memory"}
    except BaseException as error:
        return {"failed": f"returned what cannot be read: {in_words(error, module.__file__)}"}


class NoGeneratorError(TypeError):
    """A function that should yield returned something."""


def _yielded(steps: object, sent: Iterable[object]) -> tuple[object, ...]:
    if not isinstance(steps, GeneratorType):
        raise NoGeneratorError("it has to yield its operations")
    try:
        value = next(steps)
        for result in sent:
            value = steps.send(result)
    except StopIteration:
        return ("ends",)
    return "yields", value


def in_words(error: BaseException, filename: str | None) -> str:
    """'IndexError: list index out of range (line 12)', the line being the last one in the answer."""
    line = _last_line(error.__traceback__, filename)
    where = f" (line {line})" if line else ""
    try:
        said = " ".join(str(error).split())[:LONGEST_MESSAGE]
    except BaseException:  # the answer's own exception, with a __str__ of its own
        said = ""
    return f"{type(error).__name__}{': ' if said else ''}{said}{where}"


def _last_line(traceback: TracebackType | None, filename: str | None) -> int | None:
    # By hand: the traceback module would look for the source in files.
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == filename:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
