"""The process in which an answer runs. Started by path, never imported: see `sandbox`.

It reads requests from its standard input and writes replies to what was its standard output, a line of
JSON each; what the answer prints goes to its standard error. Before the answer is loaded the process
gives up what it does not need, by limits of the system where there are any, and by an audit hook, which
Python cannot take off again: after that no file is opened, no process or thread started, no module
loaded.

Even an answer that took this whole process over could only send values, which the checks judge.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

FOLDER = os.path.dirname(os.path.abspath(__file__))
# What plain computation does now and then. Every other audit event is refused.
HARMLESS = frozenset(
    [
        "compile",
        "exec",
        "object.__getattr__",
        "object.__setattr__",
        "object.__delattr__",
        "builtins.id",
        "array.__new__",
        "sys._getframe",
        "sys._getframemodulename",
        "sys.unraisablehook",
        "sys.excepthook",
        "function.__new__",
    ]
)
WORDS = {
    "open": "may not open files",
    "import": "may not load a module",
    "builtins.input": "may not ask for input",
    "os": "may not touch files, folders or processes",
    "subprocess": "may not start processes",
    "socket": "may not use the network",
    "_thread": "may not start threads",
}


class Refused(BaseException):
    """Not an Exception: `except Exception` in an answer does not catch it."""


def main() -> None:
    """Serve one answer until the input ends."""
    requests, channel = sys.stdin.buffer, os.dup(1)
    os.dup2(2, 1)

    def reply(content: dict[str, Any], write: Any = os.write) -> None:
        rest = memoryview((json.dumps(content) + "\n").encode())
        while rest:
            rest = rest[write(channel, rest) :]

    evaluate = _evaluator()
    setup = json.loads(requests.readline())
    for name in setup["modules"]:
        import_module(name)
    limit(setup)
    guard = Guard(setup["modules"])
    try:
        # Before the lock: a syntax error makes Python look for the file of that name.
        code = evaluate.compiled(setup["source"], setup["filename"])
        if setup["guarded"]:
            guard.lock()
        answer = evaluate.load(code, guard.builtins())
    except evaluate.LoadError as error:
        reason = f"{setup['filename']} {guard.refusals[0]}" if guard.refusals else str(error)
        return reply({"broken": reason})
    reply({"functions": evaluate.functions_of(answer)})
    for line in requests:
        name, *encoded = json.loads(line)
        guard.refusals.clear()
        outcome = evaluate.evaluate(answer, name, *encoded)
        # Also where the answer swallowed the refusal.
        reply({"failed": guard.refusals[0]} if guard.refusals else outcome)
    return None


def _evaluator() -> ModuleType:
    """`evaluate`, loaded without the package around it, of which the answer shall see nothing."""
    for name, folder in (
        ("dualpipe_ref", os.path.dirname(FOLDER)),
        ("dualpipe_ref.grading", FOLDER),
    ):
        package = ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
    module = import_module("dualpipe_ref.grading.evaluate")
    for name in [name for name in sys.modules if name.startswith("dualpipe_ref")]:
        del sys.modules[name]
    return module


def limit(setup: dict[str, Any]) -> None:
    """Bound memory, processor time, files and processes, where the system can."""
    try:
        import resource
    except ImportError:
        return
    seconds = int(setup["seconds"]) + 1
    for name, most in (
        ("RLIMIT_AS", setup["memory_bytes"]),
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NPROC", 0),
    ):
        # Where this system has no such limit, the audit hook and the clock remain.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


class Guard:
    """Refuses what an answer may not do, and keeps the reasons."""

    def __init__(self, modules: list[str]) -> None:
        self.modules = frozenset(modules)
        self.refusals: list[str] = []

    def lock(self) -> None:
        """From here on the process only computes."""
        for name in ("os", "posix", "nt", "_thread"):
            strip(sys.modules.get(name))
        harmless, refuse = HARMLESS, self.refuse

        def hook(event: str, arguments: Any) -> None:
            if event not in harmless:
                refuse(
                    WORDS.get(event) or WORDS.get(event.partition(".")[0]) or f"may not use {event}"
                )

        sys.addaudithook(hook)

    def refuse(self, reason: str) -> None:
        self.refusals.append(reason)
        raise Refused(reason)

    def builtins(self) -> dict[str, Any]:
        """Python's own, with an import that knows what an answer may import."""
        import builtins

        own = dict(vars(builtins))
        usual = builtins.__import__

        def guarded(name: str, *rest: Any, **named: Any) -> ModuleType:
            if name not in self.modules:
                self.refuse(
                    f"may not import {name}; it may import {', '.join(sorted(self.modules))}"
                )
            return usual(name, *rest, **named)

        own["__import__"] = guarded
        return own


def strip(module: ModuleType | None) -> None:
    """Remove the functions of a module that reaches the system: not all raise an audit event (mkfifo)."""
    kept = {"fspath", "fsencode", "fsdecode", "urandom", "get_ident", "allocate_lock"}
    for name, value in list(vars(module).items()) if module else ():
        if callable(value) and not isinstance(value, type) and name not in kept:
            delattr(module, name)


if __name__ == "__main__":
    main()
    sys.stderr.flush()
