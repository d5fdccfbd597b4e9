"""Makes functions for kernels out of the text of one PTX instruction: Numba finds their types, LLVM puts the text in place.

An instruction is volatile and touches memory as far as LLVM knows: it is neither moved, nor done once for a whole loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.cuda import cgutils
from numba.cuda.extending import intrinsic

_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_WORDS = 4
_VECTOR = types.UniTuple(types.int32, _WORDS)
# Numba's type, LLVM's and the letter of a register, for what an instruction takes and gives.
_KINDS = {
    "i64": (types.int64, _I64, "l"),
    "i32": (types.int32, _I32, "r"),
    "f32": (types.float32, _F32, "f"),
}


def load(text: str, kind: str = "i64") -> Any:
    """A function of an address."""

    def function(typing: Any, address: Any) -> Any:
        return _typed((address,), ("i64",), text, kind)

    return _named(function, text)


def store(text: str, kind: str = "i64") -> Any:
    """A function of an address and a value; gives nothing."""

    def function(typing: Any, address: Any, value: Any) -> Any:
        return _typed((address, value), ("i64", kind), text, None)

    return _named(function, text)


def atomic(text: str) -> Any:
    """A function of an address and a value; gives the old value."""

    def function(typing: Any, address: Any, value: Any) -> Any:
        return _typed((address, value), ("i64", "i64"), text, "i64")

    return _named(function, text)


def compare_and_swap(text: str) -> Any:
    """A function of an address, the expected value and the new one; gives the old value."""

    def function(typing: Any, address: Any, expected: Any, new: Any) -> Any:
        return _typed((address, expected, new), ("i64", "i64", "i64"), text, "i64")

    return _named(function, text)


def fence(text: str) -> Any:
    """A function of nothing that gives nothing."""

    def function(typing: Any) -> Any:
        return _typed((), (), text, None)

    return _named(function, text)


def register(text: str) -> Any:
    """A function of nothing that gives the int64 in a special register."""

    def function(typing: Any) -> Any:
        return _typed((), (), text, "i64")

    return _named(function, text)


def conversion(text: str, source: str, result: str) -> Any:
    """A function of one number that gives another; it touches no memory."""

    def function(typing: Any, number: Any) -> Any:
        return _typed((number,), (source,), text, result, memory=False)

    return _named(function, text)


def of_two(text: str, source: str, result: str) -> Any:
    """A function of two numbers that gives one; it touches no memory."""

    def function(typing: Any, low: Any, high: Any) -> Any:
        return _typed((low, high), (source, source), text, result, memory=False)

    return _named(function, text)


def load_vector(text: str) -> Any:
    """A function of an address; gives a tuple of 4 int32."""

    def function(typing: Any, address: Any) -> Any:
        if not _fits(address, "i64"):
            return None

        def lowered(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
            words = ir.LiteralStructType([_I32] * _WORDS)
            got = _call(builder, text, words, ["=r"] * _WORDS, values, ["l"], memory=True)
            parts = [builder.extract_value(got, place) for place in range(_WORDS)]
            return cgutils.pack_array(builder, parts)

        return _VECTOR(types.int64), lowered

    return _named(function, text)


def store_vector(text: str) -> Any:
    """A function of an address and a tuple of 4 int32; gives nothing."""

    def function(typing: Any, address: Any, value: Any) -> Any:
        if not _fits(address, "i64") or value != _VECTOR:
            return None

        def lowered(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
            parts = [builder.extract_value(values[1], place) for place in range(_WORDS)]
            letters = ["l", *["r"] * _WORDS]
            _call(builder, text, ir.VoidType(), [], [values[0], *parts], letters, memory=True)
            return context.get_dummy_value()

        return types.void(types.int64, _VECTOR), lowered

    return _named(function, text)


def address_of_array() -> Any:
    """A function of an array that gives the int64 address of its first element."""

    def function(typing: Any, array: Any) -> Any:
        if not isinstance(array, types.Array):
            return None

        def lowered(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
            (kind,) = signature.args
            return builder.ptrtoint(
                context.make_array(kind)(context, builder, values[0]).data, _I64
            )

        return types.int64(array), lowered

    return intrinsic(function)


def _named(function: Callable[..., Any], text: str) -> Any:
    """Errors of types name the instruction."""
    function.__name__ = text.partition(" ")[0].rstrip(";")
    return intrinsic(function)


def pointer(signed: bool) -> Any:
    """A function of an address that gives a pointer to integers of 64 bits, as C libraries take them."""

    def function(typing: Any, address: Any) -> Any:
        if not _fits(address, "i64"):
            return None

        def lowered(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
            return builder.inttoptr(values[0], _I64.as_pointer())

        word = types.int64 if signed else types.uint64
        return types.CPointer(word)(types.int64), lowered

    return intrinsic(function)


def _typed(
    given: Sequence[Any], wanted: Sequence[str], text: str, result: str | None, memory: bool = True
) -> tuple[Any, Callable[..., Any]] | None:
    """The signature and what stands for a call; None, which Numba reports as an error of types, where they do not fit."""
    if not all(map(_fits, given, wanted)):
        return None
    returned, word, letter = _KINDS[result] if result else (types.void, ir.VoidType(), "")

    def lowered(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        letters = [_KINDS[kind][2] for kind in wanted]
        outputs = [f"={letter}"] if result else []
        got = _call(builder, text, word, outputs, values, letters, memory)
        return got if result else context.get_dummy_value()

    return returned(*(_KINDS[kind][0] for kind in wanted)), lowered


def _fits(given: Any, wanted: str) -> bool:
    """Integers are made as wide as wanted; float32 is asked for by itself, since float64 would be rounded twice."""
    if wanted == "f32":
        return bool(given == types.float32)
    return isinstance(given, types.Integer)


def _call(
    builder: Any,
    text: str,
    result: Any,
    outputs: Sequence[str],
    values: Sequence[Any],
    letters: Sequence[str],
    memory: bool,
) -> Any:
    constraints = ",".join([*outputs, *letters, *(["~{memory}"] if memory else [])])
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=memory), values)
