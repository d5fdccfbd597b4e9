"""The roles of the queues by number, as they stand in the record of a wait that did not end, and what they wait for."""

from __future__ import annotations

from dualpipe_ref.comm.errors import Role

SENDER, SENDER_WINDOW, SENDER_COORDINATOR = 0, 1, 2
FORWARDER, FORWARDER_ROOM, FORWARDER_COORDINATOR, RECEIVER = 3, 4, 5, 6
NVL_SENDER, REDUCING_FORWARDER, REDUCING_CREDIT, REDUCING_BARRIER = 7, 8, 9, 10
REDUCING_COORDINATOR, REDUCING_RECEIVER, RECEIVER_COORDINATOR = 11, 12, 13

ROLES = (
    Role("dispatch sender", "credit for the RDMA ring"),
    Role("dispatch sender", "room in the completion window"),
    Role("dispatch sender coordinator", "staged messages"),
    Role("dispatch forwarder", "messages over RDMA"),
    Role("dispatch forwarder", "room in the NVLink ring"),
    Role("dispatch forwarder coordinator", "progress of the forwarders"),
    Role("dispatch receiver", "messages over NVLink"),
    Role("combine sender", "room in the sub-ring"),
    Role("combine forwarder", "rows over NVLink"),
    Role("combine forwarder", "credit for the RDMA ring"),
    Role("combine forwarder", "the other warps of its large warp"),
    Role("combine forwarder coordinator", "progress of the forwarders"),
    Role("combine receiver", "rows over RDMA"),
    Role("combine receiver coordinator", "progress of the receivers"),
)
