from typing import NamedTuple
from dualpipe_ref.schedule.numbering import *
from dualpipe_ref.schedule.numbering import NO_CHUNK, Numbering, FlatOp, FlatBatch
class FlatRank(NamedTuple):
    ops: list
    batches: tuple
class FlatSchedule(NamedTuple):
    numbering: Numbering
    ranks: list
def flat_schedule(schedule):
    return FlatSchedule(schedule.numbering, list(map(FlatRank, schedule.flat_ops, schedule.batches)))
