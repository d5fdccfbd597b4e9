"""Ways to damage the programs of a schedule. Some leave it legal: the verifier must tell which."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from dualpipe_ref.schedule.ir import Batch, Chunk, Event, Message, Op, OpKind, Schedule

Programs = list[list[Event]]
# Any number below n: drawn by hypothesis, or by a seeded generator.
Pick = Callable[[int], int]
# Damages the programs in place; False where there is nothing of the sort to damage.
Mutation = Callable[[Programs, Pick], bool]


def programs_of(schedule: Schedule) -> Programs:
    return [list(program) for program in schedule.programs]


def ops_of(program: list[Event]) -> list[int]:
    return [place for place, event in enumerate(program) if isinstance(event, Op)]


def batches_of(program: list[Event]) -> list[int]:
    return [place for place, event in enumerate(program) if isinstance(event, Batch)]


def messages_of(program: list[Event]) -> list[tuple[int, int]]:
    """(place of the batch, place in the batch) of every message."""
    return [(at, k) for at in batches_of(program) for k in range(len(program[at].messages))]


def pick_op(programs: Programs, pick: Pick) -> tuple[list[Event], int] | None:
    program = programs[pick(len(programs))]
    places = ops_of(program)
    return (program, places[pick(len(places))]) if places else None


def pick_message(programs: Programs, pick: Pick) -> tuple[list[Event], int, int] | None:
    program = programs[pick(len(programs))]
    places = messages_of(program)
    return (program, *places[pick(len(places))]) if places else None


def drop_op(programs: Programs, pick: Pick) -> bool:
    if found := pick_op(programs, pick):
        program, place = found
        del program[place]
    return bool(found)


def double_op(programs: Programs, pick: Pick) -> bool:
    if found := pick_op(programs, pick):
        program, place = found
        program.insert(pick(len(program) + 1), program[place])
    return bool(found)


def move_op(programs: Programs, pick: Pick) -> bool:
    if found := pick_op(programs, pick):
        program, place = found
        op = program.pop(place)
        program.insert(pick(len(program) + 1), op)
    return bool(found)


def swap_ops(programs: Programs, pick: Pick) -> bool:
    """Any two ops of a rank, often neighbours."""
    program = programs[pick(len(programs))]
    places = ops_of(program)
    if len(places) < 2:
        return False
    first = pick(len(places) - 1)
    second = first + 1 if pick(2) else pick(len(places))
    one, other = places[first], places[second]
    program[one], program[other] = program[other], program[one]
    return True


def weight_before_input(programs: Programs, pick: Pick) -> bool:
    """A W and its I change places."""
    program = programs[pick(len(programs))]
    weights = [place for place in ops_of(program) if program[place].kind is OpKind.W]
    if not weights:
        return False
    late = weights[pick(len(weights))]
    inputs = [
        p for p in ops_of(program) if program[p] == Op(OpKind.I, None, program[late].backward)
    ]
    if not inputs:
        return False
    program[late], program[inputs[0]] = program[inputs[0]], program[late]
    return True


def change_chunk(programs: Programs, pick: Pick, change: Callable[[Chunk], Chunk]) -> bool:
    """One of the chunks of an op becomes another."""
    if found := pick_op(programs, pick):
        program, place = found
        kind, forward, backward = program[place]
        if forward is not None and (backward is None or pick(2)):
            program[place] = Op(kind, change(forward), backward)
        else:
            program[place] = Op(kind, forward, change(backward))
    return bool(found)


def wrong_slot(programs: Programs, pick: Pick) -> bool:
    return change_chunk(programs, pick, lambda chunk: chunk._replace(slot=1 - chunk.slot))


def wrong_microbatch(programs: Programs, pick: Pick) -> bool:
    by = (-1, 1, 2, 100)[pick(4)]
    return change_chunk(
        programs, pick, lambda chunk: chunk._replace(microbatch=chunk.microbatch + by)
    )


def put_message(program: list[Event], place: int, message: Message, pick: Pick) -> None:
    """Into the batch at `place`, or as a batch of its own before that event."""
    if place < len(program) and isinstance(program[place], Batch):
        messages = list(program[place].messages)
        messages.insert(pick(len(messages) + 1), message)
        program[place] = Batch(tuple(messages))
    else:
        program.insert(place, Batch((message,)))


def take_message(program: list[Event], at: int, k: int) -> Message:
    messages = program[at].messages
    program[at] = Batch(messages[:k] + messages[k + 1 :])
    return messages[k]


def drop_message(programs: Programs, pick: Pick) -> bool:
    """On one rank; its other end stays."""
    if found := pick_message(programs, pick):
        take_message(*found)
    return bool(found)


def double_message(programs: Programs, pick: Pick) -> bool:
    """Once more, on one of its ranks."""
    if found := pick_message(programs, pick):
        program, at, k = found
        put_message(program, pick(len(program) + 1), program[at].messages[k], pick)
    return bool(found)


def wrong_message(programs: Programs, pick: Pick) -> bool:
    """On one rank a message speaks of another micro-batch, or goes the other way."""
    if found := pick_message(programs, pick):
        program, at, k = found
        message = take_message(program, at, k)
        if pick(2):
            message = message._replace(microbatch=message.microbatch + (-1, 1)[pick(2)])
        else:
            ends = {"source": message.destination, "destination": message.source}
            message = message._replace(wire=message.wire._replace(**ends))
        put_message(program, at, message, pick)
    return bool(found)


def move_message(programs: Programs, pick: Pick) -> bool:
    """A send or a receive goes to any other place of its rank."""
    if found := pick_message(programs, pick):
        program, at, k = found
        message = take_message(program, at, k)
        put_message(program, pick(len(program) + 1), message, pick)
    return bool(found)


def receive_later(programs: Programs, pick: Pick) -> bool:
    """By a few events; not always too late."""
    number = pick(len(programs))
    return later(programs[number], lambda message: message.destination == number, pick)


def send_later(programs: Programs, pick: Pick) -> bool:
    """By a few events: the receiver waits, and perhaps this rank for the receiver."""
    number = pick(len(programs))
    return later(programs[number], lambda message: message.source == number, pick)


def later(program: list[Event], is_meant: Callable[[Message], bool], pick: Pick) -> bool:
    places = [(at, k) for at, k in messages_of(program) if is_meant(program[at].messages[k])]
    if not places:
        return False
    at, k = places[pick(len(places))]
    message = take_message(program, at, k)
    put_message(program, min(at + 1 + pick(4), len(program)), message, pick)
    return True


def neighbours_in_line(program: list[Event]) -> list[tuple[Message, Message]]:
    """Messages that follow each other on a channel, as this rank has them."""
    channels: dict[tuple[int, int], list[Message]] = {}
    for at, k in messages_of(program):
        message = program[at].messages[k]
        channels.setdefault((message.source, message.destination), []).append(message)
    return [pair for line in channels.values() for pair in pairwise(line) if pair[0] != pair[1]]


def exchange(programs: Programs, pick: Pick) -> bool:
    """Two messages of a channel, next to each other in line, change places at one end of it."""
    program = programs[pick(len(programs))]
    if pairs := neighbours_in_line(program):
        swap_messages(program, *pairs[pick(len(pairs))])
    return bool(pairs)


def exchange_both_ends(programs: Programs, pick: Pick) -> bool:
    """The same, at both ends of the channel; often an activation with a gradient."""
    pairs = neighbours_in_line(programs[pick(len(programs))])
    if mixed := [pair for pair in pairs if pair[0].wire != pair[1].wire and pick(4)]:
        pairs = mixed
    if pairs:
        one, other = pairs[pick(len(pairs))]
        swap_messages(programs[one.source], one, other)
        swap_messages(programs[one.destination], one, other)
    return bool(pairs)


def swap_messages(program: list[Event], one: Message, other: Message) -> None:
    """Every `one` becomes `other`, and the reverse."""
    exchanged = {one: other, other: one}
    for at in batches_of(program):
        program[at] = Batch(tuple(exchanged.get(m, m) for m in program[at].messages))


def split_batch(programs: Programs, pick: Pick) -> bool:
    """One batch becomes two, the second of them perhaps after the next op."""
    program = programs[pick(len(programs))]
    places = [place for place in batches_of(program) if len(program[place].messages) > 1]
    if not places:
        return False
    place = places[pick(len(places))]
    messages = program[place].messages
    cut = 1 + pick(len(messages) - 1)
    program[place] = Batch(messages[:cut])
    program.insert(min(place + 1 + pick(2), len(program)), Batch(messages[cut:]))
    return True


def merge_batches(programs: Programs, pick: Pick) -> bool:
    """A batch joins the one before it: its messages are offered earlier, in one group."""
    program = programs[pick(len(programs))]
    places = batches_of(program)
    if len(places) < 2:
        return False
    first = pick(len(places) - 1)
    early, late = places[first], places[first + 1]
    program[early] = Batch(program[early].messages + program[late].messages)
    del program[late]
    return True


# Alone, these never leave a legal schedule: something is missing, twice, or meets the wrong end.
ALWAYS_WRONG: dict[str, Mutation] = {
    "an op dropped": drop_op,
    "an op doubled": double_op,
    "W before its I": weight_before_input,
    "another slot": wrong_slot,
    "another micro-batch": wrong_microbatch,
    "a message dropped": drop_message,
    "a message doubled": double_message,
    "another message": wrong_message,
    "two messages exchanged at one end": exchange,
}
# These are wrong or right, as it happens.
EITHER: dict[str, Mutation] = {
    "two ops swapped": swap_ops,
    "an op moved": move_op,
    "a message moved": move_message,
    "a receive later": receive_later,
    "a send later": send_later,
    "two messages exchanged at both ends": exchange_both_ends,
    "a batch split": split_batch,
    "two batches merged": merge_batches,
}
MUTATIONS = ALWAYS_WRONG | EITHER
