"""Run one rank's program of any schedule: its ops on a worker, its messages between processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from dualpipe_ref.runtime.failure import StepError
from dualpipe_ref.runtime.recorder import Recorder
from dualpipe_ref.schedule import InputError, Message, Op, Payload, Schedule

# Whose output: payload, direction, stage, micro-batch.
Key = tuple[Payload, int, int, int]
Mail = dict[Key, Tensor]


class Worker(Protocol):
    """Does a rank's ops: computes them, or takes their time."""

    def run(self, op: Op, mail: Mail) -> None:
        """Take from `mail` what the op needs, and put there what it makes."""
        ...


Give = Callable[[Message], Tensor]


class Wires(Protocol):
    """Carries a rank's messages; the k-th send of a channel meets its k-th receive. `RuntimeError` where one is lost."""

    def issue(self, messages: Sequence[Message], give: Give) -> None:
        """Begin all sends and receives of a batch together; `give` has what a send carries."""
        ...

    def receive(self, message: Message) -> Tensor:
        """What the message brought, as soon as it is here. `KeyError` for one that was not asked for."""
        ...

    def finish(self) -> None:
        """Wait until all that was sent has left."""
        ...


class Executor:
    """One rank of a schedule. What two stages on one rank hand to each other stays in the mail."""

    def __init__(
        self,
        schedule: Schedule,
        rank: int,
        worker: Worker,
        wires: Wires,
        recorder: Recorder | None = None,
    ) -> None:
        self.schedule, self.rank, self.worker, self.wires = schedule, rank, worker, wires
        self.recorder = recorder or Recorder()
        self._ops = schedule.ops[rank]
        message = schedule.numbering.message
        self._awaits = [tuple(map(message, flat[3])) for flat in schedule.flat_ops[rank]]
        self._batches = [
            [tuple(map(message, sends + receives)) for sends, receives in group]
            for group in schedule.batches[rank]
        ]

    def step(self) -> None:
        """Run the program once. Raises `StepError` where something that an op needs does not come."""
        self.mail: Mail = {}
        self.recorder.begin()
        for place, group in enumerate(self._batches):
            for messages in group:
                self._issue(place, messages)
            if place < len(self._ops):
                self._run(place)
        try:
            self.wires.finish()
        except RuntimeError as error:
            raise StepError(
                self.rank, "the end of the step", "not all messages have left", error
            ) from error
        if self.mail:
            raise StepError(
                self.rank, "the end of the step", f"nobody took {', '.join(map(_name, self.mail))}"
            )

    def _issue(self, place: int, messages: tuple[Message, ...]) -> None:
        now = self.recorder.clock()
        self.recorder.sends += [(one, now) for one in messages if one.source == self.rank]
        try:
            self.wires.issue(messages, self._give)
        except RuntimeError as error:
            names = "; ".join(map(str, messages))
            raise StepError(
                self.rank, self._place(place), f"these messages cannot be issued: {names}", error
            ) from error

    def _give(self, message: Message) -> Tensor:
        key = _key(message)
        if key not in self.mail:
            raise StepError(self.rank, "a send", f"the {message} has not been made")
        return self.mail.pop(key)

    def _run(self, place: int) -> None:
        op, clock = self._ops[place], self.recorder.clock
        for message in self._awaits[place]:
            asked = clock()
            self.mail[_key(message)] = self._receive(place, message)
            self.recorder.receives.append((message, asked, clock()))
        start = clock()
        try:
            self.worker.run(op, self.mail)
        except StepError:
            raise
        except KeyError as error:
            raise StepError(
                self.rank, self._place(place), f"{_name(error.args[0])} is not here"
            ) from error
        except (RuntimeError, InputError) as error:  # such as a NaN that reaches a router
            raise StepError(self.rank, self._place(place), "the op failed", error) from error
        self.recorder.ops.append((op, start, clock()))

    def _receive(self, place: int, message: Message) -> Tensor:
        try:
            return self.wires.receive(message)
        except KeyError:
            raise StepError(
                self.rank, self._place(place), f"nobody asked for the {message}"
            ) from None
        except RuntimeError as error:
            raise StepError(
                self.rank, self._place(place), f"waited for the {message}", error
            ) from error

    def _place(self, place: int) -> str:
        if place == len(self._ops):
            return f"the end of its {place} ops"
        return f"{self._ops[place]} (op {place} of {len(self._ops)})"


def _key(message: Message) -> Key:
    return message.payload, message.direction, message.stage, message.microbatch


def _name(key: object) -> str:
    if not isinstance(key, tuple):
        return repr(key)
    payload, direction, stage, microbatch = key
    return f"the {payload} of micro-batch {microbatch}, direction {direction}, from stage {stage}"
