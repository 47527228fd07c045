"""Compile kernels for GPUs that are not there, and read what came out."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unyoke import decays, directions
from unyoke.backends.gpu import tables
from unyoke.backends.gpu.source import Recipe
from unyoke.equation import combine
from unyoke.storage import formats
from unyoke.storage.rounding import rounding_of

F64, F32, F16, BF16, U8 = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.uint8,
)
STATE_FORMATS = {F64: formats.PLAIN, F32: formats.PLAIN, BF16: formats.BFLOAT16}
POINTERS = {F64: "*fp64", F32: "*fp32"}
VECTOR = re.compile(r"\b(ld|st)\.global[.\w]*\.v(\d)\.[a-z](\d+)")


@dataclass(frozen=True)
class Case:
    """A kernel and the GPU it is compiled for."""

    direction: str
    decay: str
    capability: int
    weight: torch.dtype = F32
    grad: torch.dtype = F32
    state: torch.dtype = F32
    rounding: str = "nearest"
    scaled: bool = False
    table: bool = False

    def __str__(self) -> str:
        words = [self.direction, self.decay, f"sm_{self.capability}"]
        if (self.weight, self.grad, self.state) != (F32, F32, F32):
            words += [str(d).removeprefix("torch.") for d in (self.weight, self.grad, self.state)]
        words += [self.rounding] * (self.rounding != "nearest") + ["scaled"] * self.scaled
        return "-".join(words + ["table"] * self.table)

    @property
    def recipe(self) -> Recipe:
        rule = combine(directions.get(self.direction), decays.get(self.decay))
        own = rule.direction.state
        wide = torch.promote_types(self.weight, F32)
        states = tuple(self.state if name in own else wide for name in rule.state)
        eight = [formats.UNSIGNED if n in rule.nonnegative else formats.SIGNED for n in rule.state]
        kinds = tuple(
            kind if dtype == U8 else STATE_FORMATS[dtype]
            for dtype, kind in zip(states, eight, strict=True)
        )
        states = tuple(kind.dtype or dtype for dtype, kind in zip(states, kinds, strict=True))
        options = {"scaled": self.scaled, "by_value": not self.table and wide == F32}
        rounding = rounding_of(self.rounding, self.weight)
        return Recipe(rule, self.weight, self.grad, states, kinds, rounding, **options)


@dataclass(frozen=True)
class Report:
    """What a kernel takes.

    Attributes:
        registers: of a thread.
        local: bytes of a thread's registers that went to memory.
        loaded, stored: bytes that a thread moves by vector instructions.
        flushes: whether denormal numbers are taken for zero anywhere.
    """

    registers: int
    local: int
    loaded: int
    stored: int
    flushes: bool


def compiled(case: Case) -> Report:
    """Compile a case; runs in a process of its own, with a cache of its own."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from unyoke.backends.gpu import kernels
    from unyoke.backends.gpu.language import compiled as language

    recipe = case.recipe
    shape = tables.shape(recipe)
    types = {"addresses": "*i64", "chunks": "*i64", "keys": "*i32", "key": "i32"}
    types["coefficients"] = POINTERS[recipe.computation]
    types |= dict.fromkeys(recipe.coefficients, "fp32")
    signature = {name: types.get(name, "*fp32") for name in recipe.arguments}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRITON_CACHE_DIR"] = folder
        result = triton.compile(
            ASTSource(
                kernels.kernel(recipe, language()),
                signature={**signature, "BLOCK": "constexpr", "LANES": "constexpr"},
                constexprs={"BLOCK": shape.block, "LANES": shape.lanes},
            ),
            target=GPUTarget("cuda", case.capability, 32),
            options={"num_warps": shape.warps},
        )
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(result.asm["cubin"])
        usage = _usage(Path(triton.__file__).parent, cubin)
    ptx = result.asm["ptx"]
    moved = {"ld": 0, "st": 0}
    for which, count, bits in VECTOR.findall(ptx):
        moved[which] += int(count) * int(bits) // 8
    local = usage["STACK"] + usage["LOCAL"]
    return Report(usage["REG"], local, moved["ld"], moved["st"], ".ftz" in ptx)


def compile_program(capability: int) -> str:
    """Compile what forms NAdam's numbers under a schedule, and return its PTX."""
    import triton
    from interpreting import Interpreter
    from stepping import stepped
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from unyoke import backends, schedules
    from unyoke.backends.gpu.coefficients import LANES, WARPS
    from unyoke.backends.gpu.language import Language
    from unyoke.backends.gpu.language import compiled as language

    class NothingRuns(Interpreter):
        def language(self) -> Language:
            return language()

        def starter(self, function: Any, *rest: Any) -> Any:
            functions.append(function)
            return lambda *arguments: None

    functions: list[Any] = []
    gpu: Any = backends.ALL["gpu"]
    gpu._runtime = NothingRuns()
    options = {"direction": "nadam", "schedule": schedules.warm_restarts(5, 2)}
    optimizer: Any = stepped("gpu", updates=1, capturable=True, **options)
    program = optimizer._stepper.plans[0]._coefficient_kernel
    tensors = [program._numbers, *program._tensors]
    names = {F32: "*fp32", F64: "*fp64", torch.int32: "*i32", torch.int64: "*i64"}
    types = [*(names[tensor.dtype] for tensor in tensors), "i32", "i32", "i32", "constexpr"]
    (function,) = (each for each in functions if each.fn.__name__ == "coefficients")
    signature = dict(zip(function.arg_names, types, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRITON_CACHE_DIR"] = folder
        result = triton.compile(
            ASTSource(function, signature=signature, constexprs={"LANES": LANES}),
            target=GPUTarget("cuda", capability, 32),
            options={"num_warps": WARPS},
        )
    ptx: str = result.asm["ptx"]
    return ptx


def _usage(triton: Path, cubin: Path) -> dict[str, int]:
    """Registers, stack and local memory, as the assembler counted them."""
    tool = triton / "backends" / "nvidia" / "bin" / "cuobjdump"
    text = subprocess.run(
        [tool, "--dump-resource-usage", cubin], check=True, capture_output=True, text=True
    ).stdout
    return {name: int(number) for name, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}
