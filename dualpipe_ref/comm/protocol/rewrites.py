"""Mistakes made on purpose in the steps of roles, without touching the roles."""

from __future__ import annotations

from typing import Any

from dualpipe_ref.comm.protocol.operations import Location, Operation, Steps, Store, Wait
from dualpipe_ref.comm.protocol.run import Rewrite


def without(*sites: str) -> Rewrite:
    """Leave out what these sites do, a store or a wait for a bound.

    >>> from dualpipe_ref.comm.protocol import explore, ring_world
    >>> explore(ring_world(messages=3, size=2), rewrite=without("ring.sender.credit")).kind
    'wrong'
    """

    def rewrite(steps: Steps) -> Steps:
        result = None
        while True:
            try:
                operation = steps.send(result)
            except StopIteration:
                return
            if operation.site not in sites:
                result = yield operation
            elif isinstance(operation, Wait):
                result = operation.alternatives[0][0]
            else:
                result = None

    return rewrite


def later(site: str, after: str) -> Rewrite:
    """Do what `site` does only after the next operation at `after`: data behind the tail that publishes it.

    >>> from dualpipe_ref.comm.protocol import explore, ring_world
    >>> explore(ring_world(messages=1, size=2), rewrite=later("ring.sender.slot", "ring.sender.tail")).kind
    'wrong'
    """

    def rewrite(steps: Steps) -> Steps:
        result: Any = None
        held: tuple[Operation, ...] = ()
        while True:
            try:
                operation = steps.send(result)
            except StopIteration:
                return
            if operation.site == site:
                result, held = None, (*held, operation)
                continue
            result = yield operation
            if operation.site == after:
                for at in range(len(held)):
                    yield held[at]
                held = ()

    return rewrite


def sooner(site: str, seen: str) -> Rewrite:
    """Store what `site` stores as soon as `seen` tells the count: credit before the slots are read.

    Where the store goes is known from the first one, which is still in its place.

    >>> from dualpipe_ref.comm.protocol import explore, ring_world
    >>> early = sooner("ring.receiver.credit", "ring.receiver.tail")
    >>> explore(ring_world(messages=4, size=2), rewrite=early).kind
    'wrong'
    """

    def rewrite(steps: Steps) -> Steps:
        result: Any = None
        word: Location | None = None
        while True:
            try:
                operation = steps.send(result)
            except StopIteration:
                return
            if isinstance(operation, Store) and operation.site == site:
                if word is None:
                    yield operation
                word, result = operation.word, None
                continue
            result = yield operation
            if operation.site == seen and word is not None:
                yield Store(site, word, result[1][0])

    return rewrite


def any_instead_of_all(*sites: str) -> Rewrite:
    """Wait until the first of several words has reached the bound, not the last: the maximum instead of the minimum."""

    def rewrite(steps: Steps) -> Steps:
        result = None
        while True:
            try:
                operation = steps.send(result)
            except StopIteration:
                return
            if isinstance(operation, Wait) and operation.site in sites:
                ways = tuple(
                    (label, (one,)) for label, all_of in operation.alternatives for one in all_of
                )
                operation = operation._replace(alternatives=ways)
            result = yield operation

    return rewrite
