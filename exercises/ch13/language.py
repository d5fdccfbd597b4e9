"""The operations that an answer yields, as operations of the protocol's explorer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from reprlib import repr as short
from typing import Any

from dualpipe_ref.comm.protocol.operations import (
    Location,
    Operation,
    Read,
    Store,
    Write,
    at_least,
    values_at_least,
)
from dualpipe_ref.comm.protocol.sites import ACQUIRE, RELAXED, RELEASE
from dualpipe_ref.comm.protocol.world import Ring
from dualpipe_ref.grading.answers import yielded
from dualpipe_ref.grading.checks import Answer, Fault

SCOPES = {"cta": "block", "gpu": "gpu", "sys": "system"}
LOADS = {
    "relaxed": (RELAXED, "system"),
    **{f"acquire.{one}": (ACQUIRE, scope) for one, scope in SCOPES.items()},
}
STORES = {
    "relaxed": (RELAXED, "system"),
    **{f"release.{one}": (RELEASE, scope) for one, scope in SCOPES.items()},
}
FURTHEST = 64  # bounds that a wait may have, from minus this
PLAIN_SITE = "plain"
FORMS = {
    "wait": ("word", "bound", "order"),
    "see": ("word", "bound", "order"),
    "store": ("word", "value", "order"),
    "write": ("slot", "part", "value"),
    "read": ("slot", "part"),
    "take": ("message",),
}


def orders_of(words: Collection[str]) -> dict[str, tuple[str, str]]:
    """(order, scope) of every site that an answer may come to; a site of a wait says what it waits for."""
    waits = {
        wait_site(word, bound, order): what
        for word in words
        for bound in range(-FURTHEST, FURTHEST + 1)
        for order, what in LOADS.items()
    }
    return {PLAIN_SITE: ("plain", "system"), **{f"store {o}": w for o, w in STORES.items()}} | waits


def wait_site(word: str, bound: int, order: str) -> str:
    return f"{word} of {bound} or more ({order})"


class Memory:
    """The words and slots of a world, and who may change which."""

    def __init__(
        self, words: Mapping[str, Location], ring: Ring, owns: Mapping[str, Collection[str]]
    ) -> None:
        self.words, self.ring, self.owns = words, ring, owns

    def operation(self, role: str, said: tuple[Any, ...]) -> Operation:
        """What the answer yields; raises `Fault` where that is no operation of this role."""
        kind, *rest = said
        if kind in ("wait", "see"):
            word, bound, order = rest
            location = self._word(role, said)
            if order not in LOADS or type(bound) is not int or abs(bound) > FURTHEST:
                raise Fault(
                    f"{role} yields {short(said)}: a bound is a small int, an order one of {', '.join(LOADS)}"
                )
            form = at_least if kind == "wait" else values_at_least
            return form(wait_site(word, bound, order), (location, bound))
        if kind == "store":
            word, value, order = rest
            if order not in STORES or type(value) is not int:
                raise Fault(
                    f"{role} yields {short(said)}: a value is an int, an order one of {', '.join(STORES)}"
                )
            location = self._word(role, said)
            if word not in self.owns[role]:
                raise Fault(
                    f"{role} yields {short(said)}: that word is stored by the other side only"
                )
            return Store(f"store {order}", location, value)
        part = self._part(role, said)
        return Read(PLAIN_SITE, part) if kind == "read" else Write(PLAIN_SITE, part, rest[2])

    def _word(self, role: str, said: tuple[Any, ...]) -> Location:
        word = said[1]
        if type(word) is not str or word not in self.words:
            known = ", ".join(map(repr, self.words))
            raise Fault(f"{role} yields {short(said)}: a word is one of {known}")
        return self.words[word]

    def _part(self, role: str, said: tuple[Any, ...]) -> Location:
        kind, slot, part = said[:3]
        slots = self.ring.slots
        if type(slot) is not int or type(part) is not int:
            raise Fault(f"{role} yields {short(said)}: slot and part are ints")
        if not (0 <= slot < len(slots) and 0 <= part < len(slots[slot])):
            raise Fault(
                f"{role} yields {short(said)}: slots are 0 to {len(slots) - 1}, parts 0 to {len(slots[0]) - 1}"
            )
        if kind == "write" and ("slots" not in self.owns[role] or type(said[3]) is not int):
            raise Fault(
                f"{role} yields {short(said)}: the sender alone writes slots, an int at a time"
            )
        return slots[slot][part]


class Told:
    """What the reader's generator yields, asked for one by one, each only once."""

    def __init__(
        self, answer: Answer, function: str, role: str, arguments: tuple[Any, ...], most: int
    ) -> None:
        self.answer, self.function, self.arguments = answer, function, arguments
        self.role, self.most = role, most
        self._known: dict[tuple[Any, ...], tuple[Any, ...] | None] = {}

    def after(self, sent: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The operation that comes after these results, None at the end; raises `Fault` for what is no operation."""
        if sent not in self._known:
            self._known[sent] = self._asked(sent)
        return self._known[sent]

    def _asked(self, sent: tuple[Any, ...]) -> tuple[Any, ...] | None:
        said = yielded(self.answer, self.function, self.arguments, sent)
        if said == ("ends",):
            return None
        if len(sent) > self.most:
            raise Fault(
                f"{self.role} does not come to an end: it goes on after {self.most} operations"
            )
        return self._formed(said[1])

    def _formed(self, said: Any) -> tuple[Any, ...]:
        if not isinstance(said, list | tuple) or not said or said[0] not in list(FORMS):
            raise Fault(
                f"{self.role} yields {short(said)}, and an operation is one of {', '.join(FORMS)}"
            )
        form = FORMS[said[0]]
        if len(said) != 1 + len(form):
            raise Fault(f"{self.role} yields {short(said)}, not ({said[0]!r}, {', '.join(form)})")
        return tuple(said)
