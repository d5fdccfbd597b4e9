"""How tokens cross from node to node and back: the queues of dispatch and combine, as roles that can be run step by step.

Standard library only. The four tasks, each with its roles:

* forwarding between RDMA and NVLink, while what several GPUs of a node need crosses RDMA once: `dispatch`;
* moving data between RDMA buffers and the inputs and outputs: the senders and receivers of both phases;
* the reduction of combine, inside a node and then over nodes: `combine`;
* laying out memory in fine grain, while chunks travel to several experts over both links: `routes`, `world`.
"""

from dualpipe_ref.comm.protocol.combine import Combine
from dualpipe_ref.comm.protocol.dispatch import Dispatch
from dualpipe_ref.comm.protocol.explorer import Explored, explore
from dualpipe_ref.comm.protocol.heads import Handle, handle_of
from dualpipe_ref.comm.protocol.rdma_ring import rdma_ring_world
from dualpipe_ref.comm.protocol.ring import ring_world
from dualpipe_ref.comm.protocol.routes import Routes
from dualpipe_ref.comm.protocol.run import Outcome, run
from dualpipe_ref.comm.protocol.sizes import Sizes

__all__ = [
    "Combine",
    "Dispatch",
    "Explored",
    "Handle",
    "Outcome",
    "Routes",
    "Sizes",
    "explore",
    "handle_of",
    "rdma_ring_world",
    "ring_world",
    "run",
]
