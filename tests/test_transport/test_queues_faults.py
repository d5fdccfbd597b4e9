"""What the checks of the queues are worth: each planted fault is caught, and the queues as they should be are not.

How many of 32 schedules show each fault: .venv/bin/python -m tests.test_transport.queue_faults 32
"""

from __future__ import annotations

import pytest

from tests.test_transport.queue_faults import FAULTS, RIGHT, Fault, shown

# Schedules that may have to be tried until one shows a fault; most show with the first or the second.
SEEDS = 40


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault: Fault) -> None:
    assert any(shown(fault, seed) for seed in range(SEEDS))


@pytest.mark.parametrize("fault", RIGHT, ids=lambda fault: fault.name)
def test_nothing_is_held_against_the_queues_as_they_should_be(fault: Fault) -> None:
    assert [shown(fault, seed) for seed in range(8)] == [None] * 8


@pytest.mark.slow
@pytest.mark.parametrize("fault", RIGHT, ids=lambda fault: fault.name)
def test_nor_with_all_schedules_that_faults_get(fault: Fault) -> None:
    assert [shown(fault, seed) for seed in range(8, SEEDS)] == [None] * (SEEDS - 8)
