"""What compiled code needs and Numba has no word for: memory at an address, bits, C functions.

Each is one or two machine instructions. Imported with Numba, so never by ``import unyoke``.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import Compiler, CompilerBase
from numba.extending import intrinsic

# IEEE arithmetic as it stands. No flag that lets the compiler reorder, contract or approximate, so
# the results are eager's bit for bit; nothing is lost by it: division and root bound the speed in
# cache (0.4 ns per element of Adam with AVX2, with any flags), memory bounds it elsewhere.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,  # only compiled code calls it
}


def compiled(function: Any, compiler: type[CompilerBase] = Compiler) -> Any:
    """A function for Numba to compile when it is first called from compiled code."""
    return numba.njit(function, pipeline_class=compiler, **OPTIONS)


COLUMNS = 32
"""More than the tensors of one parameter, and what loops leave to each other."""


def column(element: Any, number: int) -> tuple[Any, Any]:
    """``get(address, index)``, which reads memory, and ``put(address, index, value)``.

    Columns of different numbers are told not to share memory, so that a loop over several need not
    ask, each time it begins, whether it may take whole vectors. (Two columns that are one and the
    same memory do no harm: an element is read before it is written.)

    Args:
        element: what lies in memory.
        number: of the column, less than COLUMNS.
    """

    def place(context: Any, builder: Any, address: Any, index: Any) -> Any:
        pointer = context.get_data_type(element).as_pointer()
        return builder.gep(builder.inttoptr(address, pointer), [index], inbounds=True)

    @intrinsic
    def get(context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = builder.load(place(context, builder, *arguments))
            return _apart(builder, value, number)

        return element(types.int64, types.int64), generate

    @intrinsic
    def put(context: Any, address: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, index, value = arguments
            _apart(builder, builder.store(value, place(context, builder, address, index)), number)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, element), generate

    return get, put


def _apart(builder: Any, access: Any, number: int) -> Any:
    """Note that a load or store touches this column's memory and no other's."""
    module = builder.module
    domain = module.add_metadata(["unyoke"])
    scopes = [module.add_metadata([f"unyoke column {k}", domain]) for k in range(COLUMNS)]
    own = scopes.pop(number)
    access.set_metadata("alias.scope", module.add_metadata([own]))
    access.set_metadata("noalias", module.add_metadata(scopes))
    return access


@intrinsic(prefer_literal=True)
def room(context: Any, size: Any) -> Any:
    """The address of so many bytes, a literal, which last as long as the function runs."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bytes_ = ir.ArrayType(ir.IntType(8), size.literal_value)
        place = cgutils.alloca_once(builder, bytes_)
        place.align = 64  # a vector that crosses two lines of the cache takes twice as long
        return builder.ptrtoint(place, ir.IntType(64))

    return types.int64(size), generate


@intrinsic
def copy(context: Any, to: Any, source: Any, size: Any) -> Any:
    """Copy so many bytes from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        target, origin = (builder.inttoptr(place, byte) for place in arguments[:2])
        cgutils.raw_memcpy(builder, target, origin, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(to, source, types.int64), generate


def _reading(memory: Any, number: Any) -> Any:
    """``at(address, index)``: number ``index`` of those of a type that lie at an address."""

    @intrinsic
    def at(context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = context.get_data_type(memory).as_pointer()
            place = builder.gep(builder.inttoptr(arguments[0], pointer), [arguments[1]])
            return context.cast(builder, builder.load(place), memory, number)

        return number(address, types.int64), generate

    return at


def _writing(memory: Any, number: Any) -> Any:
    """``put(address, value)``: write a number of a type to an address."""

    @intrinsic
    def put(context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = builder.inttoptr(arguments[0], context.get_data_type(memory).as_pointer())
            builder.store(context.cast(builder, arguments[1], number, memory), place)
            return context.get_dummy_value()

        return types.void(address, number), generate

    return put


word_at, put_word = _reading(types.int64, types.int64), _writing(types.int64, types.int64)
number_at, put_number = (each(types.float64, types.float64) for each in (_reading, _writing))
single_at, put_single = (each(types.float32, types.float64) for each in (_reading, _writing))


@intrinsic
def invoke(context: Any, function: Any, words: Any) -> Any:
    """What a C function of a tuple of words returns, a word."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        given = cgutils.unpack_tuple(builder, arguments[1])
        c_type = ir.FunctionType(word, [word] * len(given)).as_pointer()
        return builder.call(builder.inttoptr(arguments[0], c_type), given)

    return types.int64(function, words), generate


@intrinsic
def perform(context: Any, function: Any, integers: Any) -> Any:
    """What another compiled function of a tuple of integers returns; it raises nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, text = ir.IntType(64), ir.IntType(8).as_pointer()
        given = cgutils.unpack_tuple(builder, arguments[1])
        answer = cgutils.alloca_once(builder, word)
        kinds = (word.as_pointer(), text, *[word] * len(given))
        c_type = ir.FunctionType(ir.IntType(32), kinds).as_pointer()
        builder.call(builder.inttoptr(arguments[0], c_type), [answer, text(None), *given])
        return builder.load(answer)

    return types.int64(function, integers), generate


@intrinsic
def prefetch(context: Any, address: Any) -> Any:
    """Have the memory at an address brought near while something else is done."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        anything, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        known = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [anything],
            ir.FunctionType(ir.VoidType(), [anything, flag, flag, flag]),
        )
        to_read, keep_near, data = (ir.Constant(flag, value) for value in (0, 3, 1))
        place = builder.inttoptr(arguments[0], anything)
        builder.call(known, [place, to_read, keep_near, data])
        return context.get_dummy_value()

    return types.void(address), generate


@intrinsic
def wide_vectors(context: Any) -> Any:
    """Let the function that says so use the machine's widest vectors.

    For most processors with AVX-512 LLVM takes vectors of half its width, which older ones run at
    a higher frequency. To other machines it says nothing.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # llvmlite's own `add` knows attributes of one word only
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def select(context: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` or ``no`` without a branch, so that loops stay vectors."""
    common = context.unify_types(yes, no)
    if common is None:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flag = context.get_value_as_data(builder, types.boolean, arguments[0])
        flag = builder.icmp_unsigned("!=", flag, ir.Constant(flag.type, 0))
        values = [
            context.cast(builder, value, given, common)
            for value, given in zip(arguments[1:], (yes, no), strict=True)
        ]
        return builder.select(flag, *values)

    return common(condition, yes, no), generate


def _by_llvm(name: str) -> Any:
    """A function of one number that LLVM knows, for whole vectors where the machine has it."""

    @intrinsic
    def function(context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            known = builder.module.declare_intrinsic(name, [arguments[0].type])
            return builder.call(known, arguments)

        return x(x), generate

    return function


@intrinsic
def multiply_add(context: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z of float32, in one instruction where the machine has it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = ir.FloatType()
        c_type = ir.FunctionType(single, [single] * 3)
        known = builder.module.declare_intrinsic("llvm.fmuladd", [single], c_type)
        return builder.call(known, arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


square_root = _by_llvm("llvm.sqrt")
exponential = _by_llvm("llvm.exp")


def _reinterpreting(source: Any, target: Any) -> Any:
    @intrinsic
    def reinterpret(context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given = context.cast(builder, arguments[0], value, source)
            return builder.bitcast(given, context.get_value_type(target))

        return target(value), generate

    return reinterpret


bits_of_float32 = _reinterpreting(types.float32, types.int32)
float32_of_bits = _reinterpreting(types.int32, types.float32)


@intrinsic
def float32_of_half(context: Any, bits: Any) -> Any:
    """The 16 bits of a float16 as a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half = builder.bitcast(arguments[0], ir.HalfType())
        return builder.fpext(half, ir.FloatType())

    return types.float32(types.uint16), generate


@intrinsic
def half_of_float32(context: Any, value: Any) -> Any:
    """The 16 bits of the nearest float16, ties to even."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half = builder.fptrunc(arguments[0], ir.HalfType())
        return builder.bitcast(half, ir.IntType(16))

    return types.uint16(types.float32), generate


def names() -> dict[str, Any]:
    """What the names in the text that reads addresses stand for."""
    return {
        "compiled": compiled,
        "word_at": word_at,
        "put_word": put_word,
        "number_at": number_at,
        "put_number": put_number,
        "single_at": single_at,
        "put_single": put_single,
        "prefetch": prefetch,
        "invoke": invoke,
        "perform": perform,
        "_sqrt": square_root,
        "_exp": exponential,
        "_where": select,
    }
