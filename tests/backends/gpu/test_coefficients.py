"""The kernel that forms a step's numbers, compiled ahead of time."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
from ahead import compile_program
from stepping import NEEDS_TRITON

pytest.importorskip("triton", reason=NEEDS_TRITON)

CAPABILITIES = (80, 90)


@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_numbers_are_formed_in_double_precision(capability: int) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        ptx = pool.submit(compile_program, capability).result()
    assert "div.rn.f64" in ptx
    assert "div.full" not in ptx
    assert "sqrt.approx" not in ptx
    assert "ex2.approx" not in ptx
