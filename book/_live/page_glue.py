"""What the page's worker asks Python: a live view, a piece of code, a graded answer. JSON in, JSON out."""

from __future__ import annotations

import ast
import json
import linecache
import traceback
from typing import Any

from dualpipe_ref.schedule.errors import InputError

CELL = "<cell>"
_names: dict[str, Any] = {"__name__": "__main__"}


def answer(text: str) -> str:
    """The answer to a request {"do": "live" | "run" | "check", ...}, both as JSON.

    >>> answer('{"do": "run", "code": "6 * 7"}')
    '{"value": "42"}'
    """
    request = json.loads(text)
    do = {"live": _live, "run": _run, "check": _check}[request.pop("do")]
    return json.dumps(do(**request), allow_nan=False)


def _live(view: str, state: dict[str, Any]) -> dict[str, Any]:
    from dualpipe_ref.plot import live

    try:
        return {"result": live.answer(view, state)}
    except InputError as error:
        return {"refused": str(error), "nearest": live.nearest(view, state)}


def _check(exercise: str, source: str) -> dict[str, Any]:
    from dualpipe_ref.grading.browser import check

    return check(exercise, source)


def _run(code: str) -> dict[str, Any]:
    """Run a cell in the page's own namespace; the value of a last expression is shown."""
    lines = code.splitlines(keepends=True)
    linecache.cache[CELL] = (len(code), None, lines, CELL)  # a traceback quotes its lines
    try:
        tree = ast.parse(code, CELL)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, CELL, "exec"), _names)
        if last is None:
            return {}
        return _shown(eval(compile(ast.Expression(last.value), CELL, "eval"), _names))
    except BaseException as error:  # whatever the reader's code does, the page goes on
        return {"error": _in_words(error)}


def _shown(value: object) -> dict[str, Any]:
    from dualpipe_ref.plot.viewer_data import viewer_data
    from dualpipe_ref.simulate import Timeline

    if isinstance(value, Timeline):
        return {"timeline": viewer_data(value)}
    return {} if value is None else {"value": repr(value)[:20_000]}


def _in_words(error: BaseException) -> str:
    """The traceback, without the frames of this module."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    if not any(frame.filename == CELL for frame in frames):
        frames = []
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()
