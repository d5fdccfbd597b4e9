"""The PTX instructions that kernels use and Numba has no name for: the only place where PTX is written.

Addresses are int64. Words are 64 bits. "system" orders with all GPUs and NICs, "block" with the threads of one block. What
each instruction promises: PTX ISA 9.0, chapters "Memory Consistency Model" and "Data Movement and Conversion Instructions".
Importing this imports Numba.
"""

from __future__ import annotations

from dualpipe_ref.comm.kernels.assembly import (
    address_of_array,
    atomic,
    compare_and_swap,
    conversion,
    fence,
    load,
    load_vector,
    of_two,
    register,
    store,
    store_vector,
)

# ------------------------------------------------------------------------------------- plain
# For data: ordered by nothing but the acquire and the release around it.

# 32 bits become an int64 of the same sign.
ld_i32 = load("ld.global.s32 $0, [$1];")
st_i32 = store("st.global.b32 [$0], $1;", "i32")
ld_i64 = load("ld.global.b64 $0, [$1];")
st_i64 = store("st.global.b64 [$0], $1;")
ld_f32 = load("ld.global.f32 $0, [$1];", "f32")
st_f32 = store("st.global.f32 [$0], $1;", "f32")
# 4 int32 at an address that is a multiple of 16, past the L1: data is used once.
ld_v4 = load_vector("ld.global.L1::no_allocate.v4.s32 {$0, $1, $2, $3}, [$4];")
st_v4 = store_vector("st.global.L1::no_allocate.v4.s32 [$0], {$1, $2, $3, $4};")
# The same from memory that nobody writes while the kernel runs. Elsewhere the result is undefined, whatever was acquired.
ld_v4_constant = load_vector("ld.global.nc.L1::no_allocate.L2::256B.v4.s32 {$0, $1, $2, $3}, [$4];")

# ------------------------------------------------------------------------------------- system
ld_acquire_sys = load("ld.acquire.sys.global.b64 $0, [$1];")
ld_relaxed_sys = load("ld.relaxed.sys.global.b64 $0, [$1];")
st_release_sys = store("st.release.sys.global.b64 [$0], $1;")
st_relaxed_sys = store("st.relaxed.sys.global.b64 [$0], $1;")
red_add_release_sys = store("red.release.sys.global.add.u64 [$0], $1;")
red_add_relaxed_sys = store("red.relaxed.sys.global.add.u64 [$0], $1;")
atom_add_acq_rel_sys = atomic("atom.acq_rel.sys.global.add.u64 $0, [$1], $2;")
atom_cas_sys = compare_and_swap("atom.acq_rel.sys.global.cas.b64 $0, [$1], $2, $3;")
fence_acq_rel_sys = fence("fence.acq_rel.sys;")

# ------------------------------------------------------------------------------------- block
# Generic addresses: the words lie in shared memory.
ld_acquire_cta = load("ld.acquire.cta.b64 $0, [$1];")
ld_relaxed_cta = load("ld.relaxed.cta.b64 $0, [$1];")
st_release_cta = store("st.release.cta.b64 [$0], $1;")
st_relaxed_cta = store("st.relaxed.cta.b64 [$0], $1;")
red_add_release_cta = store("red.release.cta.add.u64 [$0], $1;")
atom_add_acq_rel_cta = atomic("atom.acq_rel.cta.add.u64 $0, [$1], $2;")
# The generic address of a `cuda.shared.array(n, np.int64)`.
shared_address = address_of_array()

# ------------------------------------------------------------------------------------- numbers
# The float32 of the low 32 bits of an integer, and back.
f32_of_bits = conversion("mov.b32 $0, $1;", "i32", "f32")
bits_of_f32 = conversion("mov.b32 $0, $1;", "f32", "i32")
# Two float32 (low, high) to one int32 of two bfloat16, rounded to the nearest, ties to even.
round_bf16x2 = of_two("cvt.rn.bf16x2.f32 $0, $2, $1;", "f32", "i32")
# A product that is rounded before it is added to anything: `a * b + c` may become one instruction that rounds once.
product_f32 = of_two("mul.rn.f32 $0, $1, $2;", "f32", "f32")

# ------------------------------------------------------------------------------------- registers
# Nanoseconds, the same clock on all SMs of a GPU; it may step by a microsecond.
globaltimer = register("mov.u64 $0, %globaltimer;")
# The SM that this thread runs on at this moment.
smid = register("{ .reg .u32 sm; mov.u32 sm, %smid; cvt.u64.u32 $0, sm; }")
