"""The roles of the queues by number, as they stand in the record of a wait that did not end, and what they wait for."""

from __future__ import annotations

from dualpipe_ref.comm.errors import Role

SENDER, SENDER_WINDOW, SENDER_COORDINATOR = 0, 1, 2
FORWARDER, FORWARDER_ROOM, FORWARDER_COORDINATOR, RECEIVER = 3, 4, 5, 6
NVL_SENDER, REDUCING_FORWARDER, REDUCING_CREDIT, REDUCING_BARRIER = 7, 8, 9, 10
REDUCING_COORDINATOR, REDUCING_RECEIVER, RECEIVER_COORDINATOR = 11, 12, 13

ROLES = (
    Role("sender of dispatch", "credit for the RDMA ring"),
    Role("sender of dispatch", "room in the completion window"),
    Role("sender coordinator of dispatch", "staged messages"),
    Role("forwarder of dispatch", "messages over RDMA"),
    Role("forwarder of dispatch", "room in the NVLink ring"),
    Role("forwarder coordinator of dispatch", "progress of the forwarders"),
    Role("receiver of dispatch", "messages over NVLink"),
    Role("sender of combine", "room in the sub-ring"),
    Role("forwarder of combine", "rows over NVLink"),
    Role("forwarder of combine", "credit for the RDMA ring"),
    Role("forwarder of combine", "the other warps of its large warp"),
    Role("forwarder coordinator of combine", "progress of the forwarders"),
    Role("receiver of combine", "rows over RDMA"),
    Role("receiver coordinator of combine", "progress of the receivers"),
)
