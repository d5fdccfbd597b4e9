"""How long a schedule takes and how much it holds. Standard library only."""

from dualpipe_ref.simulate.costs import Costs, Network
from dualpipe_ref.simulate.critical import CriticalPath, Step, critical_path
from dualpipe_ref.simulate.engine import CannotRunError, simulate
from dualpipe_ref.simulate.formula import Formula
from dualpipe_ref.simulate.formulas import FORMULAS, find_formula
from dualpipe_ref.simulate.memory import Level, Peaks, over_time, peaks
from dualpipe_ref.simulate.timeline import Idle, Span, Timeline, Transfer

__all__ = [
    "FORMULAS",
    "CannotRunError",
    "Costs",
    "CriticalPath",
    "Formula",
    "Idle",
    "Level",
    "Network",
    "Peaks",
    "Span",
    "Step",
    "Timeline",
    "Transfer",
    "critical_path",
    "find_formula",
    "over_time",
    "peaks",
    "simulate",
]
