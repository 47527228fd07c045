"""A pass of Numba's compiler that gives literals the dtype of the computation.

To Numba ``1.0`` is a float64 and ``1`` an int64, either of which would draw a formula in float32 to
float64 and halve its speed. Numba's own representation is the place to change them: a code
object keeps some of its literals among the constants and, from Python 3.14 on, small integers in
its instructions.
"""

from __future__ import annotations

import functools
from typing import Any

from numba.core import ir
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.untyped_passes import FixupArgs


@functools.cache
def compiler(number: Any, whole: Any) -> type[CompilerBase]:
    """A ``pipeline_class`` of ``numba.njit``.

    Args:
        number: makes a number of a literal with a point.
        whole: of one without.
    """
    kinds = {float: number, int: whole}

    @register_pass(mutates_CFG=False, analysis_only=False)
    class Literals(FunctionPass):
        _name = f"unyoke_literals_{number.__name__}_{whole.__name__}"

        def __init__(self) -> None:
            FunctionPass.__init__(self)

        def run_pass(self, state: Any) -> bool:
            for block in state.func_ir.blocks.values():
                for each in block.find_insts(ir.Assign):
                    literal = each.value
                    if isinstance(literal, ir.Const) and type(literal.value) in kinds:
                        literal.value = kinds[type(literal.value)](literal.value)
            return True

    class Compiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
            passes.add_pass_after(Literals, FixupArgs)
            passes.finalize()
            return [passes]

    return Compiler
