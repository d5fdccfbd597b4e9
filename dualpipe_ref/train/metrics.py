"""What a run tells about each step: lines of JSON in a file, TensorBoard, and a progress bar or plain lines.

Standard library only; tqdm and tensorboard are used where they are installed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from dualpipe_ref.schedule.errors import InputError
from dualpipe_ref.schedule.files import write_text

Step = Mapping[str, float]
NO_TENSORBOARD = (
    "TensorBoard gets nothing, because its package is missing; to get it: pip install tensorboard"
)


class Sink(Protocol):
    """Takes the numbers of one step after another."""

    def write(self, step: int, numbers: Step) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """One line a step, written at once; a run that goes on at `first_step` keeps the lines of the steps before it.

    What a killed run left behind goes: a last line that is cut off, and steps that will be done again.
    Raises `InputError` if the file cannot be written or holds something else.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> for first_step in (0, 1):
    ...     metrics = JsonLines(file, first_step)
    ...     metrics.write(first_step, {"loss": 5.5})
    ...     metrics.write(first_step + 1, {"loss": 5.25})
    ...     metrics.close()
    >>> print(file.read_text().strip())
    {"step": 0, "loss": 5.5}
    {"step": 1, "loss": 5.5}
    {"step": 2, "loss": 5.25}
    """

    def __init__(self, path: str | Path, first_step: int = 0) -> None:
        kept = _lines_before(Path(path), first_step) if first_step else []
        write_text(path, "".join(f"{line}\n" for line in kept))
        try:
            self._stream = Path(path).open("a", encoding="utf-8")  # noqa: SIM115  until close()
        except OSError as error:
            raise InputError("metrics can be written", f"{path}: {error.strerror}") from None

    def write(self, step: int, numbers: Step) -> None:
        """What JSON has no word for, such as an infinite loss, is null."""
        plain = {name: one if math.isfinite(one) else None for name, one in numbers.items()}
        self._stream.write(json.dumps({"step": step, **plain}) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


def _lines_before(path: Path, first_step: int) -> list[str]:
    """The lines of earlier steps, each once."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError("metrics can be read again", f"{path}: {error.strerror}") from None
    kept: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        step = _step_of(line)
        if step is None and number < len(lines):
            raise InputError("metrics are lines of JSON with a step", f"line {number} of {path}")
        if step is not None and step < first_step:
            kept.setdefault(step, line)
    return list(kept.values())


def _step_of(line: str) -> int | None:
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError):
        return None
    return step if type(step) is int else None


class TensorBoard:
    """The numbers as scalars in a folder; steps from `first_step` on that an earlier run left there are hidden."""

    def __init__(self, folder: str | Path, first_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=first_step or None)

    def write(self, step: int, numbers: Step) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


def tensorboard_if_there(folder: str | Path, first_step: int = 0) -> TensorBoard | None:
    """None, and one sentence that says how to get it, where the tensorboard package is missing."""
    try:
        return TensorBoard(folder, first_step)
    except ImportError:
        print(NO_TENSORBOARD, flush=True)
        return None


class Progress:
    """A bar in a terminal, plain lines elsewhere: about `lines` of them in the whole run, and the last step.

    >>> progress = Progress(steps=3)
    >>> progress.write(2, {"loss": 2.5, "tokens_per_second": 1234.5, "bubble": 0.125})
    step 3/3  loss 2.500  1,234 tokens/s  bubble 12.5%
    """

    def __init__(
        self, steps: int, first_step: int = 0, stream: IO[str] | None = None, lines: int = 50
    ) -> None:
        self._steps, self._stream = steps, stream or sys.stdout
        self._every = max(1, steps // lines)
        self._bar = _bar(steps, first_step, self._stream) if self._stream.isatty() else None

    def write(self, step: int, numbers: Step) -> None:
        """After step number `step`, counted from 0."""
        parts = list(_parts(numbers))
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(parts), refresh=False)
            self._bar.update(step + 1 - self._bar.n)
        elif (step + 1) % self._every == 0 or step + 1 == self._steps:
            self._print("  ".join([f"step {step + 1}/{self._steps}", *parts]))

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is None:
            self._print(text)
        else:
            self._bar.write(text, file=self._stream)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _parts(numbers: Step) -> Iterable[str]:
    if "loss" in numbers:
        yield f"loss {numbers['loss']:.3f}"
    if "tokens_per_second" in numbers:
        yield f"{numbers['tokens_per_second']:,.0f} tokens/s"
    if "bubble" in numbers:
        yield f"bubble {numbers['bubble']:.1%}"


def _bar(steps: int, first_step: int, stream: IO[str]) -> Any:
    """tqdm's, or None where it is not installed."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return None
    return tqdm(total=steps, initial=first_step, file=stream, unit="step", dynamic_ncols=True)
