"""What the PTX of every shipped kernel keeps to; each rule gives its faults as sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from dualpipe_ref.bench.kernels import registers_for
from dualpipe_ref.comm.kernels.compiled import Assembly

from .reading import Block, Instruction, Kernel

# All that may touch memory: what kernels/ptx.py has, the kernel's own parameters, barriers of a warp and of the block.
FLAG = re.compile(r"(ld\.(acquire|relaxed)|st\.(release|relaxed))\.(sys\.global|cta)\.b64")
ADDED = re.compile(r"(red\.(release|relaxed)|atom\.acq_rel)\.(sys\.global|cta)\.add\.u64")
SWAPPED = re.compile(r"atom\.acq_rel\.sys\.global\.cas\.b64")
WORD = re.compile(r"(ld|st)\.global\.(b64|b32|s32|f32)")
VECTOR = re.compile(r"(ld|st)\.global(\.nc)?\.L1::no_allocate(\.L2::256B)?\.v4\.s32")
OTHER = re.compile(r"ld\.param\.\w+|bar\.sync|bar\.warp\.sync|fence\.acq_rel\.sys")
MEMORY = ("ld", "st", "red", "atom", "bar", "barrier", "fence", "membar", "cp", "prefetch", "call")
# Functions that move single words, and why they are no copies of rows.
WORDS = {
    "packing.copy_words": "scales and weights, whose rows need not begin at a multiple of 16 bytes",
    "packing.pack": "experts, which become shorter on the way",
    "packing.unpack": "experts and weights, each of which is looked at, and where the token comes from",
    "notify.pass_on": "counts, of which every other GPU gets its own",
    "direct_dispatch.place_there": "places",
    "direct_dispatch.stage": "places",
    "queue_heads.rewrite": "ring counters, most of which change on the way",
}


def foreign_faults(kernel: Kernel) -> Iterator[str]:
    """Nothing touches memory but the instructions of kernels/ptx.py; so flags are acquired and released by them alone."""
    for one in kernel.instructions():
        known = any(
            form.fullmatch(one.code) for form in (FLAG, ADDED, SWAPPED, WORD, VECTOR, OTHER)
        )
        if one.code.partition(".")[0] in MEMORY and not known:
            yield f"{one} is no instruction of kernels/ptx.py"
        if one.code == "bar.sync" and one.operands != "0":
            yield f"{one}: a barrier with a number"


def scope_faults(kernel: Kernel) -> Iterator[str]:
    """Words that GPUs share are at system scope; block scope is for words in the block's own memory."""
    for one in kernel.instructions():
        if re.search(r"\.(gpu|cluster)\b", one.code):
            yield f"{one}: a scope that other GPUs do not see"
        if ".cta." in one.code and not _is_shared(kernel, one):
            yield f"{one}: block scope, and the address is not in shared memory"


def _is_shared(kernel: Kernel, one: Instruction) -> bool:
    return any(writer.code.startswith("cvta.shared") for writer in kernel.writers(one.address()))


def copy_faults(kernel: Kernel) -> Iterator[str]:
    """What goes from memory to memory unchanged goes 16 bytes at a time, but for the functions of WORDS."""
    for name, one in word_movers(kernel).items():
        if name not in WORDS:
            yield f"{one}: a copy by words"


def word_movers(kernel: Kernel) -> dict[str, Instruction]:
    """The functions that move single words from memory to memory, with such a store each."""
    found: dict[str, Instruction] = {}
    for one in kernel.instructions():
        if re.fullmatch(r"st\.global\.\w+", one.code):
            value = one.operands.rpartition(", ")[2]
            if any(writer.code.startswith("ld.global") for writer in _unchanged(kernel, value)):
                name = f"{one.place.module}.{one.place.function}" if one.place else ""
                found.setdefault(name, one)
    return found


def _unchanged(kernel: Kernel, register: str) -> Iterator[Instruction]:
    """Where the number in a register comes from, through conversions of its width."""
    yield from kernel.writers([register], through=("cvt.", "mov."))


def spin_faults(kernel: Kernel) -> Iterator[str]:
    """Whatever turns around a word of memory looks at the clock in each turn, and every loop can end."""
    for cycle in kernel.cycles():
        if not _can_end(kernel, cycle):
            yield "a loop that nothing ends"
    for cycle in kernel.cycles(without=_clocks(kernel)):
        inside = [one for number in cycle for one in kernel.blocks[number].instructions]
        deciding = {id(writer) for writer in kernel.writers(_exits(kernel, cycle))}
        counted = None
        for one in inside:
            if one.is_load and id(one) in deciding:
                counted = _counted(inside) if counted is None else counted
                if not _reached(inside, one.address()) & counted:
                    yield f"{one}: turns without a look at the clock"


def _counted(inside: Sequence[Instruction]) -> set[str]:
    """The registers of a loop whose number in one turn comes of that in the turn before."""
    return {
        register
        for one in inside
        if one.read and not one.is_load
        for register in one.written
        if register in _reached(inside, one.read)
    }


def _reached(inside: Sequence[Instruction], registers: Iterable[str]) -> set[str]:
    """The registers and all in this loop from which their numbers come, through memory too."""
    sources: dict[str, set[str]] = {}
    for one in inside:
        for register in one.written:
            sources.setdefault(register, set()).update(one.read)
    found, waiting = set(registers), list(registers)
    while waiting:
        new = sources.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _exits(kernel: Kernel, cycle: set[int]) -> list[str]:
    """The registers that decide whether a loop is left."""
    blocks = [kernel.blocks[number] for number in cycle]
    leaving = [one for one in blocks if any(number not in cycle for number in one.following)]
    return [register for block in leaving for register in block.instructions[-1].read]


def _can_end(kernel: Kernel, cycle: set[int]) -> bool:
    """Whether a loop has an exit that something in it decides: what it loads, hears from other lanes, or counts."""
    inside = {id(one) for number in cycle for one in kernel.blocks[number].instructions}
    for one in kernel.writers(_exits(kernel, cycle)):
        if id(one) not in inside:
            continue
        is_news = one.is_load or one.code.startswith(("shfl", "vote")) or "%global" in one.operands
        if is_news or any(writer is one for writer in kernel.writers(one.read)):
            return True
    return False


def _clocks(kernel: Kernel) -> Callable[[Block], bool]:
    """Which blocks read the clock, with a reading that decides something."""
    tests = [one for one in kernel.instructions() if one.code.startswith("setp.")]
    deciding = {id(writer) for one in tests for writer in kernel.writers(one.read)}
    return lambda block: any(
        "%globaltimer" in one.operands and id(one) in deciding for one in block.instructions
    )


def assembly_faults(taken: Assembly, threads: int) -> Iterator[str]:
    """No value goes to memory for want of registers, and a block of `threads` finds its registers on an SM."""
    if taken.spills or taken.stack:
        yield f"{taken.spills} bytes of spills, {taken.stack} of stack"
    most = registers_for(threads)
    if taken.registers > most:
        yield f"{taken.registers} registers for each of {threads} threads: an SM has no more than {most}"


PTX_RULES = (foreign_faults, scope_faults, copy_faults, spin_faults)


def faults(text: str) -> list[str]:
    """All faults of a kernel's PTX."""
    kernel = Kernel(text)
    return [fault for rule in PTX_RULES for fault in rule(kernel)]
