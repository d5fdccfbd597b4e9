"""How long a schedule takes and how much it holds. Standard library only."""

from dualpipe_ref.simulate.costs import Costs, Network
from dualpipe_ref.simulate.engine import simulate
from dualpipe_ref.simulate.timeline import Timeline

__all__ = ["Costs", "Network", "Timeline", "simulate"]
