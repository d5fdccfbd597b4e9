"""dualpipe_ref: pipeline schedules from GPipe to DualPipe as one object, verified, simulated and drawn.

>>> import dualpipe_ref
>>> schedule = dualpipe_ref.build("dualpipe", ranks=8, microbatches=20)
>>> dualpipe_ref.simulate(schedule, dualpipe_ref.Costs(FB=3)).makespan
66
"""

from dualpipe_ref.schedule import InputError, Schedule, build
from dualpipe_ref.simulate import Costs, Network, Timeline, simulate

__version__ = "0.1.0"

__all__ = ["Costs", "InputError", "Network", "Schedule", "Timeline", "build", "simulate"]
