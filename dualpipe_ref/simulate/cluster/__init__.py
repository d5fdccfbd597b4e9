"""A whole training step on a cluster: planned from a model's shape, a device and a network. Standard library only.

`Plan` holds the choices, `evaluate` simulates a step, `books.mean` says where it goes, `explain.explain` where each number
comes from; `published` has runs to compare with, `study` rankings and sensitivity, `scaling` how it grows.
"""

from dualpipe_ref.simulate.cluster.books import mean, of_rank, waiting_ledger
from dualpipe_ref.simulate.cluster.constants import CONSTANTS, Kernels
from dualpipe_ref.simulate.cluster.device import DEVICES, Device, find_device
from dualpipe_ref.simulate.cluster.plan import Plan
from dualpipe_ref.simulate.cluster.published import RUNS, find_run
from dualpipe_ref.simulate.cluster.step import Step, evaluate
from dualpipe_ref.simulate.cluster.transport import TRANSPORTS, find_transport

__all__ = [
    "CONSTANTS",
    "DEVICES",
    "RUNS",
    "TRANSPORTS",
    "Device",
    "Kernels",
    "Plan",
    "Step",
    "evaluate",
    "find_device",
    "find_run",
    "find_transport",
    "mean",
    "of_rank",
    "waiting_ledger",
]
