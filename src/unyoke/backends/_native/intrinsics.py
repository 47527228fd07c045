"""What compiled code needs and Numba has no word for: memory at an address, bits, C functions.

Each is one or two machine instructions. Imported with Numba, so never by ``import unyoke``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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


def instructions(signature: Any) -> Callable[[Any], Any]:
    """Make of what writes instructions a function for compiled code.

    It is called with LLVM's builder and the values of the arguments.

    Args:
        signature: of Numba's types; or what makes it of the types of the arguments.
    """

    def made(write: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = write(builder, *arguments)
            return context.get_dummy_value() if found is None else found

        @intrinsic
        @functools.wraps(write)  # Numba takes the arguments' names from it, but for the first
        def typed(context: Any, *kinds: Any) -> Any:
            return signature(*kinds) if callable(signature) else signature, generate

        return typed

    return made


def _llvm(kind: Any) -> Any:
    """LLVM's type of a number of Numba's."""
    floats = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
    return floats[kind] if kind in floats else ir.IntType(kind.bitwidth)


def _place(builder: Any, kind: Any, address: Any, index: Any = None, **options: Any) -> Any:
    """A pointer to number ``index`` of those of a type that lie at an address, or to the first."""
    pointer = builder.inttoptr(address, _llvm(kind).as_pointer())
    return pointer if index is None else builder.gep(pointer, [index], **options)


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

    @instructions(element(types.int64, types.int64))
    def get(builder: Any, address: Any, index: Any) -> Any:
        place = _place(builder, element, address, index, inbounds=True)
        return _apart(builder, builder.load(place), number)

    @instructions(types.void(types.int64, types.int64, element))
    def put(builder: Any, address: Any, index: Any, value: Any) -> None:
        place = _place(builder, element, address, index, inbounds=True)
        _apart(builder, builder.store(value, place), number)

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


@instructions(types.void(types.int64, types.int64, types.int64))
def copy(builder: Any, to: Any, source: Any, size: Any) -> None:
    """Copy so many bytes from one address to another."""
    target, origin = (_place(builder, types.int8, address) for address in (to, source))
    cgutils.raw_memcpy(builder, target, origin, size, 1)


@instructions(types.int64(types.int64, types.int64))
def word_at(builder: Any, address: Any, index: Any) -> Any:
    """Word number ``index`` of those that lie at an address."""
    return builder.load(_place(builder, types.int64, address, index))


@instructions(types.float64(types.int64, types.int64))
def number_at(builder: Any, address: Any, index: Any) -> Any:
    """The same of float64."""
    return builder.load(_place(builder, types.float64, address, index))


@instructions(types.float64(types.int64, types.int64))
def single_at(builder: Any, address: Any, index: Any) -> Any:
    """The same of float32, as a float64."""
    found = builder.load(_place(builder, types.float32, address, index))
    return builder.fpext(found, ir.DoubleType())


@instructions(types.void(types.int64, types.int64))
def put_word(builder: Any, address: Any, value: Any) -> None:
    """Write a word to an address."""
    builder.store(value, _place(builder, types.int64, address))


@instructions(types.void(types.int64, types.float64))
def put_number(builder: Any, address: Any, value: Any) -> None:
    """The same of a float64."""
    builder.store(value, _place(builder, types.float64, address))


@instructions(types.void(types.int64, types.float64))
def put_single(builder: Any, address: Any, value: Any) -> None:
    """The same, as a float32."""
    single = builder.fptrunc(value, ir.FloatType())
    builder.store(single, _place(builder, types.float32, address))


@instructions(lambda function, words: types.int64(types.int64, words))
def invoke(builder: Any, function: Any, words: Any) -> Any:
    """What a C function of a tuple of words returns, a word."""
    word, given = ir.IntType(64), cgutils.unpack_tuple(builder, words)
    c_type = ir.FunctionType(word, [word] * len(given)).as_pointer()
    return builder.call(builder.inttoptr(function, c_type), given)


@instructions(lambda function, integers: types.int64(types.int64, integers))
def perform(builder: Any, function: Any, integers: Any) -> Any:
    """What another compiled function of a tuple of integers returns; it raises nothing."""
    word, text = ir.IntType(64), ir.IntType(8).as_pointer()
    given = cgutils.unpack_tuple(builder, integers)
    answer = cgutils.alloca_once(builder, word)
    kinds = (word.as_pointer(), text, *[word] * len(given))
    c_type = ir.FunctionType(ir.IntType(32), kinds).as_pointer()
    builder.call(builder.inttoptr(function, c_type), [answer, text(None), *given])
    return builder.load(answer)


@instructions(types.void(types.int64))
def prefetch(builder: Any, address: Any) -> None:
    """Have the memory at an address brought near while something else is done."""
    place, flag = _place(builder, types.int8, address), ir.IntType(32)
    c_type = ir.FunctionType(ir.VoidType(), [place.type, flag, flag, flag])
    known = builder.module.declare_intrinsic("llvm.prefetch", [place.type], c_type)
    to_read, keep_near, data = (ir.Constant(flag, value) for value in (0, 3, 1))
    builder.call(known, [place, to_read, keep_near, data])


@instructions(types.void())
def wide_vectors(builder: Any) -> None:
    """Let the function that says so use the machine's widest vectors.

    For most processors with AVX-512 LLVM takes vectors of half its width, which older ones run at
    a higher frequency. To other machines it says nothing.
    """
    # llvmlite's own `add` knows attributes of one word only
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')


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

    @instructions(lambda x: x(x))
    def function(builder: Any, x: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic(name, [x.type]), [x])

    return function


square_root, exponential = _by_llvm("llvm.sqrt"), _by_llvm("llvm.exp")


@instructions(types.float32(types.float32, types.float32, types.float32))
def multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z of float32, in one instruction where the machine has it."""
    c_type = ir.FunctionType(x.type, [x.type] * 3)
    known = builder.module.declare_intrinsic("llvm.fmuladd", [x.type], c_type)
    return builder.call(known, [x, y, z])


@instructions(types.int32(types.float32))
def bits_of_float32(builder: Any, value: Any) -> Any:
    """The bits of a float32 as an int32."""
    return builder.bitcast(value, ir.IntType(32))


@instructions(types.float32(types.int32))
def float32_of_bits(builder: Any, bits: Any) -> Any:
    """The float32 with these bits."""
    return builder.bitcast(bits, ir.FloatType())


@instructions(types.float32(types.uint16))
def float32_of_half(builder: Any, bits: Any) -> Any:
    """The 16 bits of a float16 as a float32."""
    return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())


@instructions(types.uint16(types.float32))
def half_of_float32(builder: Any, value: Any) -> Any:
    """The 16 bits of the nearest float16, ties to even."""
    return builder.bitcast(builder.fptrunc(value, ir.HalfType()), ir.IntType(16))


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
