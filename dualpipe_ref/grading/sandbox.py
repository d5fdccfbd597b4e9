"""An answer in a process of its own, with limits; only plain data comes back."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from dualpipe_ref.grading.answers import AnswerError, CallFailedError, returned
from dualpipe_ref.grading.limits import ALLOWED_MODULES, Limits
from dualpipe_ref.grading.plain import encode

CHILD = Path(__file__).with_name("child.py")
# Isolated from the environment and from site-packages, and without leaving compiled files.
PYTHON = (sys.executable, "-I", "-S", "-B", "-X", "utf8")


class Sandbox:
    """An answer whose functions run elsewhere: `sandbox.f(3)` is what its f(3) returns there.

    Use it in a `with` statement. A function that the answer has not is an AttributeError. A call that
    does not return plain data raises `CallFailedError`, whatever happened; the process is then a new one for
    the next call. Raises `AnswerError` if the answer cannot be loaded.

    >>> with Sandbox("def double(x):\\n    return 2 * x") as answer:
    ...     answer.double([1, (2,)])
    [1, (2,), 1, (2,)]
    """

    def __init__(
        self,
        source: str,
        filename: str = "answer.py",
        *,
        limits: Limits | None = None,
        modules: Collection[str] = ALLOWED_MODULES,
        _guarded: bool = True,  # only a test takes the guard away, to see it missed
    ) -> None:
        self._limits = limits or Limits()
        self._left = self._limits.total_seconds
        self._setup = {
            "source": source,
            "filename": filename,
            "modules": sorted(modules),
            "memory_bytes": self._limits.memory_bytes,
            "seconds": self._limits.total_seconds,
            "guarded": _guarded,
        }
        self._printed = Printed(self._limits.printed_bytes)
        self._process: Process | None = None
        self._functions = self._start()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.end()
            self._process = None

    @property
    def printed(self) -> str:
        """What the answer printed, cut after `printed_bytes`."""
        return str(self._printed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What this system cannot limit."""
        if sys.platform == "linux":
            return ()
        return ("this system does not limit the memory of an answer; only its time is limited",)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in self._functions:
            raise AttributeError(f"the answer has no function {name}")
        return partial(self._call, name)

    def yielded(self, name: str, arguments: Sequence[Any], sent: Sequence[Any]) -> Any:
        """What a generator of the answer yields next once it was sent these: ("yields", value), or ("ends",).

        >>> with Sandbox("def twice(x):\\n    y = yield x\\n    yield x + y") as answer:
        ...     answer.yielded("twice", [1], []), answer.yielded("twice", [1], [5]), answer.yielded("twice", [1], [5, 0])
        (('yields', 1), ('yields', 6), ('ends',))
        """
        return self._returned([name, encode(list(arguments)), encode(list(sent))])

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._returned([name, encode(list(arguments))])

    def _returned(self, request: list[str]) -> Any:
        if self._process is None:
            try:
                self._start()
            except AnswerError as error:
                raise CallFailedError(f"could not be tried: {error}") from None
        return returned(self._ask(request))

    def _start(self) -> list[str]:
        self._process = Process(self._printed, self._limits)
        try:
            reply = self._ask(self._setup)
        except CallFailedError as failed:
            raise AnswerError(f"{self._setup['filename']}: loading it {failed}") from None
        if "broken" in reply:
            self.close()
            raise AnswerError(str(reply["broken"]))
        return [name for name in reply.get("functions", ()) if isinstance(name, str)]

    def _ask(self, request: Any) -> dict[str, Any]:
        """The reply to one request, within what is left of the time."""
        assert self._process
        if self._left <= 0:
            self.close()
            raise CallFailedError(
                f"was not tried: the {self._limits.total_seconds:g} s of an answer are used up"
            )
        began = time.monotonic()
        try:
            return self._process.ask(request, min(self._limits.call_seconds, self._left))
        except CallFailedError:
            self.close()
            raise
        finally:
            self._left -= time.monotonic() - began


class Process:
    """One child process and its two channels."""

    def __init__(self, printed: Printed, limits: Limits) -> None:
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True)
        self._child = subprocess.Popen(
            [*PYTHON, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._folder.name,
            env={name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
            start_new_session=True,
        )
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threads = [(self._listen, self._child.stdout), (printed.drain, self._child.stderr)]
        for target, pipe in threads:
            threading.Thread(target=target, args=(pipe,), daemon=True).start()

    def _listen(self, pipe: IO[bytes]) -> None:
        """Each line that comes; an empty one is the end, one that is too long is its last."""
        most = self._limits.answer_bytes
        with contextlib.suppress(ValueError, OSError):  # closed under our hands
            while line := pipe.readline(most + 1):
                self._replies.put(line)
                if len(line) > most:
                    break
        self._replies.put(b"")

    def ask(self, request: Any, seconds: float) -> dict[str, Any]:
        """The reply; raises `CallFailedError` where none comes in time, or none that can be read."""
        try:
            assert self._child.stdin
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise CallFailedError(self._how_it_ended()) from None
        try:
            line = self._replies.get(timeout=seconds)
        except queue.Empty:
            raise CallFailedError(f"did not return within {seconds:g} s") from None
        if not line:
            raise CallFailedError(self._how_it_ended())
        if len(line) > self._limits.answer_bytes:
            raise CallFailedError(f"returned more than {self._limits.answer_bytes >> 20} MiB")
        return _reply(line)

    def _how_it_ended(self) -> str:
        try:
            status = self._child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "closed the connection to the checks"
        if status >= 0:
            return f"ended its process (exit status {status})"
        name = signal.Signals(-status).name
        if name == "SIGXCPU":
            return "used up its processor time"
        return f"crashed its process ({name}), perhaps by using more than {self._limits.memory_in_words}"

    def end(self) -> None:
        """Kill it, with whatever it may have started, and remove its folder."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._child.pid, signal.SIGKILL)
            else:
                self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        self._folder.cleanup()


def _reply(line: bytes) -> dict[str, Any]:
    """A reply as the child writes it. Anything else was written by the answer."""
    try:
        content = json.loads(line)
        if type(content) is dict and "value" in content:
            returned(content)
    except (ValueError, RecursionError, TypeError):
        content = None
    if type(content) is not dict or not content:
        raise CallFailedError("wrote into the connection to the checks")
    return content


class Printed:
    """The beginning of what an answer prints. The rest is read, so that it does not block, and dropped."""

    def __init__(self, most: int) -> None:
        self._most, self._kept, self._dropped = most, bytearray(), 0

    def drain(self, pipe: IO[bytes]) -> None:
        """Read until the end."""
        with contextlib.suppress(ValueError, OSError):
            while part := os.read(pipe.fileno(), 1 << 16):
                room = self._most - len(self._kept)
                self._kept += part[:room]
                self._dropped += max(0, len(part) - room)

    def __str__(self) -> str:
        text = self._kept.decode(errors="replace")
        return text + (f"\n[{self._dropped:,} bytes more]" if self._dropped else "")
