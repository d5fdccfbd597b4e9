"""Load a reader's file as a module, and call its functions so that whatever they raise becomes a reason."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from dualpipe_ref.grading.checks import Answer, Fault


class AnswerError(Exception):
    """The file cannot be loaded at all; the message is one line."""


def load_answer(path: str | Path) -> ModuleType:
    """The module in this file. It runs here, in this process, with all the rights of this process.

    Compiled by hand, not imported: an import would leave a __pycache__ beside the reader's file.
    """
    path = Path(path)
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise AnswerError(f"{path}: {error.strerror or error}") from None
    except SyntaxError as error:
        raise AnswerError(f"{path}, line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise AnswerError(f"{path}: {error}") from None
    module = ModuleType("answer")
    module.__file__ = str(path)
    sys.modules["answer"] = module  # dataclasses look their module up by name
    try:
        exec(code, vars(module))
    except (Exception, SystemExit) as error:
        raise AnswerError(f"{path}: loading it raised {_in_words(error, path)}") from None
    return module


def call(answer: Answer, name: str, *arguments: Any) -> Any:
    """What the reader's function returns. Raises `Fault` where there is none, or where it raises."""
    function = getattr(answer, name, None)
    if not callable(function):
        raise Fault(f"the answer has no function {name}")
    try:
        return function(*arguments)
    except NotImplementedError:
        raise Fault(f"{name} is not written yet") from None
    except (Exception, SystemExit) as error:
        where = getattr(answer, "__file__", None)
        shown = ", ".join(map(repr, arguments)) if _is_short(arguments) else "..."
        raise Fault(f"{name}({shown}) raised {_in_words(error, where)}") from None


def _is_short(arguments: tuple[Any, ...]) -> bool:
    return all(isinstance(argument, int | str) for argument in arguments)


def _in_words(error: BaseException, path: str | Path | None) -> str:
    """'IndexError: list index out of range (line 12)', the line being the last one in the reader's file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    where = f" (line {lines[-1]})" if lines else ""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if said else ''}{said[:200]}{where}"
