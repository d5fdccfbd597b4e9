"""What every kernel takes of a Hopper SM: registers, spills, shared memory, instructions. Compiled, not run: no GPU is needed."""

from __future__ import annotations

from collections.abc import Iterator

from dualpipe_ref.bench.results import Row, as_text, record
from dualpipe_ref.bench.targets import fixed_limit
from dualpipe_ref.comm.kernels.compiled import Assembly, assembled
from dualpipe_ref.comm.kernels.registry import Case, cases

PACKAGES = ("numba", "numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvcc")
TIER = "CPU: compiled for sm_90, not run"
REGISTERS_OF_SM, PARTS_OF_SM, REGISTER_UNIT, LANES = 65_536, 4, 8, 32


def registers_for(threads: int) -> int:
    """The most registers of a thread with which a block of so many finds its own on a Hopper SM.

    Warps are shared out evenly over the SM's four parts, each with a quarter of the registers, which come in steps of 8
    a thread (CUDA programming guide, table of compute capabilities).

    >>> registers_for(512), registers_for(800), registers_for(1024)
    (128, 72, 64)
    """
    in_part = -(-threads // LANES // PARTS_OF_SM)
    each = REGISTERS_OF_SM // PARTS_OF_SM // (in_part * LANES)
    return min(each // REGISTER_UNIT * REGISTER_UNIT, 255)


def main(out: str | None = None) -> int:
    """Compile and assemble all kernels, print a table, write the results."""
    rows = [row for case in cases() for row in rows_of(case, assembled(case.ptx()))]
    print(as_text(rows))
    path = record("kernels", TIER, rows, PACKAGES, out)
    print(f"\nwritten to {path}")
    return 0


def rows_of(case: Case, taken: Assembly) -> Iterator[Row]:
    """The rows of one kernel; no spills and registers that fit are targets."""
    name = case.name.replace(", ", "_").replace(" ", "_")
    most = registers_for(case.shipped.threads)
    yield Row(f"kernels.{name}.threads", case.shipped.threads, "threads of a block")
    yield Row(f"kernels.{name}.registers", taken.registers, "registers a thread", f"<= {most}")
    spills = f"kernels.{name}.spills"
    yield Row(spills, taken.spills, "bytes of loads and stores", fixed_limit(spills))
    yield Row(f"kernels.{name}.shared", taken.shared / 1024, "KiB a block")
    yield Row(f"kernels.{name}.instructions", taken.instructions, "instructions of 16 bytes")
