"""Every operation of the roles by name, with the order that it keeps: the one place where order is stated.

A role names the site of each operation; what the operation orders comes from this table alone, so no ordered
operation can be left out of the tests that take its order away.
"""

from __future__ import annotations

from typing import NamedTuple

# From narrow to wide: threads of one block, of one GPU, of the whole system with its network cards.
SCOPES = ("block", "gpu", "system")
RELAXED, ACQUIRE, RELEASE, FENCE, QUEUE, PLAIN = (
    "relaxed",
    "acquire",
    "release",
    "fence",
    "queue",
    "plain",
)


class Site(NamedTuple):
    """One operation of one role: its order, its scope, and the narrowest scope that would do."""

    name: str
    order: str
    scope: str
    enough: str

    @property
    def is_ordered(self) -> bool:
        return self.order in (ACQUIRE, RELEASE, FENCE, QUEUE)


def _site(name: str, order: str, scope: str = "system", enough: str | None = None) -> Site:
    return Site(name, order, scope, enough or scope)


_RING = (
    _site("ring.sender.credit", RELAXED),
    _site("ring.sender.slot", PLAIN),
    _site("ring.sender.tail", RELEASE),
    _site("ring.receiver.tail", ACQUIRE),
    _site("ring.receiver.slot", PLAIN),
    _site("ring.receiver.credit", RELAXED),
    _site("ring.receiver.record", PLAIN),
)
_RDMA_RING = (
    _site("rdma_ring.sender.credit", RELAXED),
    _site("rdma_ring.sender.slot", PLAIN),
    _site("rdma_ring.sender.put", RELEASE),
    _site("rdma_ring.sender.tail", QUEUE),
    _site("rdma_ring.receiver.tail", ACQUIRE),
    _site("rdma_ring.receiver.slot", PLAIN),
    _site("rdma_ring.receiver.credit", RELAXED),
    _site("rdma_ring.receiver.record", PLAIN),
)
_DISPATCH = (
    _site("dispatch.sender.meta", RELAXED),
    _site("dispatch.sender.credit", RELAXED),
    _site("dispatch.sender.slot", PLAIN),
    _site("dispatch.sender.record", PLAIN),
    _site("dispatch.sender.window.room", RELAXED),
    _site("dispatch.sender.window.lock", ACQUIRE, "block"),
    _site("dispatch.sender.window.marks", PLAIN),
    _site("dispatch.sender.window.unlock", RELEASE, "block"),
    _site("dispatch.sender.staged", RELEASE, "block"),
    _site("dispatch.sender_coordinator.staged", ACQUIRE, "block"),
    _site("dispatch.sender_coordinator.put", RELEASE),
    _site("dispatch.sender_coordinator.tail", QUEUE),
    # Both ends are on one GPU, so its scope would do.
    _site("dispatch.sender_coordinator.own_fence", FENCE, "system", "gpu"),
    _site("dispatch.sender_coordinator.own_tail", RELAXED),
    _site("dispatch.forwarder.meta", RELAXED),
    _site("dispatch.forwarder.prefix", RELAXED),
    _site("dispatch.forwarder.room", RELAXED),
    _site("dispatch.forwarder.rdma_tail", ACQUIRE),
    _site("dispatch.forwarder.rdma_slot", PLAIN),
    _site("dispatch.forwarder.record", PLAIN),
    _site("dispatch.forwarder.nvl_slot", PLAIN),
    _site("dispatch.forwarder.passed", RELAXED),
    _site("dispatch.forwarder.nvl_tail", RELEASE),
    _site("dispatch.forwarder_coordinator.passed", RELAXED),
    _site("dispatch.forwarder_coordinator.credit", RELAXED),
    _site("dispatch.receiver.prefix", RELAXED),
    _site("dispatch.receiver.nvl_tail", ACQUIRE),
    _site("dispatch.receiver.nvl_slot", PLAIN),
    _site("dispatch.receiver.record", PLAIN),
    _site("dispatch.receiver.credit", RELAXED),
)
_COMBINE = (
    _site("combine.sender.room", RELAXED),
    _site("combine.sender.nvl_slot", PLAIN),
    _site("combine.sender.nvl_tail", RELEASE),
    _site("combine.forwarder.credit", RELAXED),
    _site("combine.forwarder.hint", RELAXED),
    _site("combine.forwarder.nvl_tail", ACQUIRE),
    _site("combine.forwarder.nvl_slot", PLAIN),
    _site("combine.forwarder.rdma_slot", PLAIN),
    _site("combine.forwarder.free", RELAXED),
    _site("combine.forwarder.barrier.arrive", RELEASE, "block"),
    _site("combine.forwarder.barrier.wait", ACQUIRE, "block"),
    _site("combine.forwarder.put", RELEASE),
    _site("combine.forwarder.tail", QUEUE),
    _site("combine.forwarder.own_fence", FENCE, "system", "gpu"),
    _site("combine.forwarder.own_tail", RELAXED),
    _site("combine.forwarder_coordinator.free", RELAXED),
    _site("combine.forwarder_coordinator.credit", RELAXED),
    _site("combine.receiver.hint", RELAXED),
    _site("combine.receiver.rdma_tail", ACQUIRE),
    _site("combine.receiver.rdma_slot", PLAIN),
    _site("combine.receiver.record", PLAIN),
    _site("combine.receiver.free", RELAXED),
    _site("combine.receiver_coordinator.free", RELAXED),
    _site("combine.receiver_coordinator.credit", RELAXED),
)

SITES: dict[str, Site] = {site.name: site for site in (*_RING, *_RDMA_RING, *_DISPATCH, *_COMBINE)}


class Weakened(NamedTuple):
    """One ordered operation with its order taken away (`scope` None) or with a narrower scope."""

    site: str
    scope: str | None


def weakenings(phase: str) -> tuple[Weakened, ...]:
    """Every way to take away too much of one ordered operation of a phase: `ring`, `rdma_ring`, `dispatch` or `combine`.

    >>> weakenings("ring")[:2]
    (Weakened(site='ring.sender.tail', scope=None), Weakened(site='ring.sender.tail', scope='gpu'))
    """
    found = []
    for site in SITES.values():
        if site.is_ordered and site.name.startswith(f"{phase}."):
            found.append(Weakened(site.name, None))
            narrower = SCOPES.index(site.enough) - 1
            if site.order != QUEUE and narrower >= 0:
                found.append(Weakened(site.name, SCOPES[narrower]))
    return tuple(found)


def orders(weakened: Weakened | None = None) -> dict[str, tuple[str, str]]:
    """(order, scope) of every site, with one of them weakened."""
    found = {site.name: (site.order, site.scope) for site in SITES.values()}
    if weakened is not None:
        order = found[weakened.site][0]
        found[weakened.site] = (
            (RELAXED, "system") if weakened.scope is None else (order, weakened.scope)
        )
    return found
