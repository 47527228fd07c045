"""Every kernel compiled ahead of time for sm_80 and sm_90, and what the compiler made of it.

No GPU is needed: Triton brings its own assembler.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest
from ahead import BF16, F16, F32, F64, U8, Case, Report, compiled
from packaging.version import Version
from stepping import NEEDS_TRITON, refusal

from unyoke import decays, directions

pytest.importorskip("triton", reason=NEEDS_TRITON)

CAPABILITIES = (80, 90)
REGISTERS = {"plain": 72, "any": 128}
"""A multiprocessor has 65,536: at 72 a thread it holds 896 threads, at 128 512. With 8 elements of
each stream in flight in every thread, that is 112 KB for AdamW in float32 and 40 KB for 8-bit
state; bandwidth times latency is about 30 KB for a multiprocessor of an H100."""

WIDER = 24
"""More for each stream above five (Adan has six): its 8 numbers are in flight too, and at 96
registers 672 threads hold 129 KB."""

SPILLED = {"rmsprop_centered_momentum-cautious-sm_90-float32-float32-uint8": 8}
"""Bytes of each thread that Triton 3.8 keeps out of its registers, of which this kernel takes all
128; Triton 3.7 needs none."""


def cases() -> Iterator[Case]:
    """Every direction with three kinds of decay; every decay; every format of state and weights."""
    for direction, decay in itertools.product(directions.ALL, ("decoupled", "l2", "cautious")):
        yield from (Case(direction, decay, capability) for capability in CAPABILITIES)
    for direction, decay in itertools.product(("adam", "heavy_ball"), decays.ALL):
        yield Case(direction, decay, 90)
    for state, rounding, weight in itertools.product(
        (F32, BF16, U8), ("nearest", "kahan", "stochastic"), (F32, BF16)
    ):
        for capability in CAPABILITIES if rounding == "nearest" else (90,):
            yield Case("adam", "decoupled", capability, weight, weight, state, rounding)
    for direction in ("amsgrad", "lion", "rmsprop_centered_momentum"):
        yield from (Case(direction, "cautious", 90, state=state) for state in (BF16, U8))
        yield Case(direction, "l2", 90, table=True)
    yield Case("adam", "decoupled", 90, state=U8, table=True)
    yield Case("adam", "decoupled", 90, F64, F64, F64)
    yield Case("adam", "decoupled", 80, F16, F16, F32)
    yield Case("adam", "decoupled", 80, F32, F16, F32, scaled=True)


CASES = [case for case in dict.fromkeys(cases()) if refusal(case.direction, case.decay) is None]


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Iterator[dict[Case, Future[Report]]]:
    """The selected cases, being compiled by two processes."""
    selected = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield {case: pool.submit(compiled, case) for case in selected}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_compiler_made_a_fast_kernel(
    reports: dict[Case, Future[Report]], case: Case, record_property: Callable[[str, object], None]
) -> None:
    """Vector loads and stores for every stream, all in registers, nothing flushed to zero."""
    import triton

    from unyoke.backends.gpu import tables

    report, columns = reports[case].result(), case.recipe.columns
    shape = tables.shape(case.recipe)
    each = shape.block // shape.lanes
    record_property("registers", report.registers)
    assert report.loaded >= each * sum(column.dtype.itemsize for column in columns)
    written = sum(column.dtype.itemsize for column in columns if column.name != "grad")
    assert report.stored >= each * written
    since_3_8 = Version(triton.__version__) >= Version("3.8")
    assert report.local <= (SPILLED.get(str(case), 0) if since_3_8 else 0)
    assert not report.flushes or Version(triton.__version__) < Version("3.6")  # its root does
    plain = {case.weight, case.grad, case.state} == {F32} and case.rounding == "nearest"
    wider = WIDER * max(0, len(columns) - 5)
    assert report.registers <= REGISTERS["plain" if plain else "any"] + wider
