"""Schedule files: JSON in and out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dualpipe_ref.schedule.errors import InputError, require_int, shortened
from dualpipe_ref.schedule.ir import Batch, Chunk, Event, Op, OpKind, Schedule
from dualpipe_ref.schedule.kinds import check_kind, placement_of, slots_of
from dualpipe_ref.schedule.messages import MOST_CHUNKS, assemble
from dualpipe_ref.schedule.numbering import Numbering
from dualpipe_ref.schedule.violations import Place, Rule, Violation


class Loaded(NamedTuple):
    """A schedule read from a file, and what is wrong with how the file places its messages."""

    schedule: Schedule
    violations: tuple[Violation, ...]


def to_dict(schedule: Schedule) -> dict[str, Any]:
    """The schedule as plain data: `kind, P, m, chunks, ops, ops_with_commits`.

    An op is `{"op": "F", "dir": 0, "mb": 3}`, an FB `{"op": "FB", "f": {...}, "b": {...}}`. `dir`
    is the direction (dualpipe, chimera), the slot (interleaved, zb-v, dualpipev) or 0. In
    `ops_with_commits` stands `{"commit": [["send", peer], ["recv", peer], ...]}` for every batch.

    >>> from dualpipe_ref.schedule import build
    >>> to_dict(build("gpipe", 2, 1))["ops_with_commits"][1][:2]
    [{'commit': [['recv', 0]]}, {'op': 'F', 'dir': 0, 'mb': 0}]
    """
    return {
        "kind": schedule.kind,
        "P": schedule.ranks,
        "m": schedule.microbatches,
        "chunks": schedule.placement.slots,
        "ops": [[_op_to_dict(op) for op in ops] for ops in schedule.ops],
        "ops_with_commits": [
            [_event_to_dict(event, rank) for event in program]
            for rank, program in enumerate(schedule.programs)
        ],
    }


def _event_to_dict(event: Event, rank: int) -> dict[str, Any]:
    if isinstance(event, Op):
        return _op_to_dict(event)
    ends = [
        ["send", message.destination] if message.source == rank else ["recv", message.source]
        for message in event.messages
    ]
    return {"commit": ends}


def _op_to_dict(op: Op) -> dict[str, Any]:
    if op.forward and op.backward:
        return {"op": "FB", "f": _chunk_to_dict(op.forward), "b": _chunk_to_dict(op.backward)}
    return {"op": str(op.kind), **_chunk_to_dict(op.chunk)}


def _chunk_to_dict(chunk: Chunk) -> dict[str, int]:
    return {"dir": chunk.slot, "mb": chunk.microbatch}


def load(path: str | Path) -> Loaded:
    """Read a schedule file. Raises InputError where it cannot be read or has the wrong form."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError("a schedule file must be readable", f"{path}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise InputError("a schedule file is one JSON object", f"{path}: {error}") from None
    return from_dict(data)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def from_dict(data: object) -> Loaded:
    """The schedule of such plain data; `chunks` and `ops_with_commits` may be left out.

    Without commits the package places the messages. With them, each send carries the oldest output
    that its rank has made for that peer, an FB's activation before its gradient, as the released
    code does; the k-th receive of a channel takes the k-th send.

    >>> from dualpipe_ref.schedule import build
    >>> schedule = build("dualpipev", 2, 4)
    >>> from_dict(to_dict(schedule)).schedule == schedule
    True
    """
    fields = _object(data, "a schedule file")
    for name in ("kind", "P", "m", "ops"):
        if name not in fields:
            raise InputError("a schedule file has kind, P, m and ops", f"no {name!r}")
    kind = check_kind(fields["kind"])
    ranks, microbatches = require_int("P", fields["P"], 2), require_int("m", fields["m"], 1)
    rows = _rows("ops", fields["ops"], ranks)
    slots = _slots(kind, fields.get("chunks"), rows)
    _check_size(ranks, microbatches, slots, rows)
    placement = placement_of(kind, ranks, slots)
    if microbatches % placement.directions:
        raise InputError(
            f"{kind} needs an even m", f"m = {microbatches}", f"m = {microbatches + 1}"
        )
    numbering = Numbering(placement, microbatches // placement.directions)
    ops = [[_parse_op(item, numbering, rank) for item in row] for rank, row in enumerate(rows)]
    if fields.get("ops_with_commits") is None:
        return Loaded(assemble(kind, ranks, microbatches, ops.__getitem__, slots), ())
    commits = _rows("ops_with_commits", fields["ops_with_commits"], ranks)
    reader = _CommitReader(numbering, ops)
    programs = [list(reader.events(rank, row)) for rank, row in enumerate(commits)]
    schedule = Schedule.from_programs(kind, placement, microbatches, programs)
    return Loaded(schedule, tuple(reader.violations))


class _CommitReader:
    """Gives the nameless sends and receives of `ops_with_commits` their messages."""

    def __init__(self, numbering: Numbering, ops: list[list[Op]]) -> None:
        self.numbering, self.ops = numbering, ops
        self.violations: list[Violation] = []
        self._made: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._used: dict[tuple[str, int, int], int] = defaultdict(int)
        for rank, rank_ops in enumerate(ops):
            for _, _, _, _, emits in numbering.flatten(rank, rank_ops):
                for index in emits:
                    wire = numbering.wires[index // numbering.n]
                    self._made[wire.source, wire.destination].append(index)

    def events(self, rank: int, row: list[Any]) -> Iterator[Event]:
        position = 0
        for item in row:
            if isinstance(item, dict) and "commit" in item:
                yield self._batch(rank, position, item["commit"])
                continue
            op = _parse_op(item, self.numbering, rank)
            if position >= len(self.ops[rank]) or self.ops[rank][position] != op:
                self._complain(rank, position, f"ops_with_commits has {op} where ops has another")
            position += 1
            yield op
        if position < len(self.ops[rank]):
            self._complain(rank, position, "ops_with_commits ends before ops does")

    def _complain(self, rank: int, position: int, reason: str) -> None:
        ops = self.ops[rank]
        op = ops[position] if position < len(ops) else None
        self.violations.append(Violation(Rule.MESSAGES, Place(rank, position, op), reason))

    def _batch(self, rank: int, position: int, commit: object) -> Batch:
        messages = []
        for item in _list("a commit", commit):
            match item:
                case ["send" | "recv" as action, int(peer)] if self._is_rank(peer):
                    index = self._next(action, rank, peer)
                case _:
                    raise InputError(
                        'a commit lists ["send", rank] and ["recv", rank]',
                        f"{shortened(item)} on rank {rank}",
                        '["send", 0]',
                    )
            if index is None:
                reason = f"has one more {action} with rank {peer} than there are messages"
                self._complain(rank, position, reason)
            else:
                messages.append(self.numbering.message(index))
        return Batch(tuple(messages))

    def _is_rank(self, peer: int) -> bool:
        return not isinstance(peer, bool) and 0 <= peer < len(self.ops)

    def _next(self, action: str, rank: int, peer: int) -> int | None:
        channel = (rank, peer) if action == "send" else (peer, rank)
        place = self._used[action, *channel]
        self._used[action, *channel] += 1
        made = self._made[channel]
        return made[place] if place < len(made) else None


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what} is one JSON object", f"a {type(value).__name__}")
    return value


def _list(what: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{what} is a list", shortened(value))
    return value


def _rows(name: str, value: object, ranks: int) -> list[list[Any]]:
    rows = [_list(f"each rank's part of {name}", row) for row in _list(name, value)]
    if len(rows) != ranks:
        raise InputError(
            f"{name} has one list a rank", f"{len(rows)} for P = {ranks}", f"{ranks} lists"
        )
    return rows


def _slots(kind: str, chunks: object, rows: list[list[Any]]) -> int:
    """The stages a rank: as the file says; else, where the kind leaves it open, as its ops use them."""
    if chunks is not None:
        return slots_of(kind, require_int("chunks", chunks, 1))
    used = [item.get("dir") for row in rows for item in row if isinstance(item, dict)]
    # No rank has more stages than the file has ops; a larger number is refused where it stands.
    most = max((slot for slot in used if isinstance(slot, int) and slot < len(used)), default=1)
    return slots_of(kind, max(2, most + 1) if kind == "interleaved" else None)


def _check_size(ranks: int, microbatches: int, slots: int, rows: list[list[Any]]) -> None:
    """Refuse a file whose P, m and chunks speak of far more work than it lists, before making room for it."""
    chunks, listed = ranks * slots * microbatches, sum(map(len, rows))
    if chunks > max(MOST_CHUNKS // 100, 4 * listed):
        raise InputError(
            "P, m and chunks agree with the ops",
            f"{chunks} chunks but only {listed} ops",
            f"m = {max(1, listed // (2 * ranks * slots))}",
        )


def _parse_op(item: object, numbering: Numbering, rank: int) -> Op:
    fields = _object(item, f"each op of rank {rank}")
    name = fields.get("op")
    if name not in tuple(OpKind):
        raise InputError(
            "an op is one of F, I, W, B, FB", f"{shortened(name)} on rank {rank}", "'F'"
        )
    kind = OpKind(name)
    if kind is OpKind.FB:
        forward = _parse_chunk(fields.get("f"), numbering, f"f of an FB on rank {rank}")
        backward = _parse_chunk(fields.get("b"), numbering, f"b of an FB on rank {rank}")
        return Op(kind, forward, backward)
    chunk = _parse_chunk(fields, numbering, f"{kind} on rank {rank}")
    return Op(kind, chunk) if kind is OpKind.F else Op(kind, None, chunk)


def _parse_chunk(item: object, numbering: Numbering, where: str) -> Chunk:
    fields = _object(item, where)
    limits = {"dir": numbering.placement.slots, "mb": numbering.n}
    for name, limit in limits.items():
        value = fields.get(name)
        if type(value) is not int or not 0 <= value < limit:
            raise InputError(
                f"{name} is an int from 0 to {limit - 1}",
                f"{name} = {shortened(value)} in {where}",
                f"{name} = 0",
            )
    return Chunk(fields["dir"], fields["mb"])
