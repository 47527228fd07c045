"""A formula's literals take the dtype of the computation, wherever Python keeps them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from following_backends import assert_same_bits, trajectory

from unyoke.backends.cpu import compiled
from unyoke.equation import direction
from unyoke.primitives import int32, sqrt

OUTSIDE = 3


def bounded(grad: Any) -> Any:
    return grad / (1 + grad * grad * 3)


def of_all_kinds(grad: Any) -> Any:
    one, two = bounded(grad), 2
    return sqrt(one * one) * -1 + 300 * grad - 0.5 * grad / OUTSIDE * two


@direction(coefficients=lambda lr: {"lr": lr})
def bounded_step(grad: Any, lr: Any) -> Any:
    """step = α·η_t·g_t/(1 + 3·g_t²)."""
    return lr * (grad / (1 + grad * grad * 3))


@pytest.mark.parametrize("formula", [bounded, of_all_kinds])
@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_the_compiled_type_is_that_of_the_argument(formula: Any, number: Any) -> None:
    """Whole numbers too, which Python 3.14 keeps in its instructions."""
    kind = numba.from_dtype(np.dtype(number))
    bound = compiled.bind(formula, number, whole=number)
    bound.compile((kind,))
    (found,) = bound.nopython_signatures
    assert found.return_type == kind


def test_whole_numbers_of_bits_stay_whole() -> None:
    bound = compiled.bind(lambda x: int32((x >> 3) & 7) * 2, np.float32, whole=int)
    bound.compile((numba.int32,))
    (found,) = bound.nopython_signatures
    assert isinstance(found.return_type, numba.types.Integer)


def test_a_formula_with_whole_numbers_has_eagers_bits() -> None:
    found = trajectory("cpu", [(1000,)], direction=bounded_step)
    assert_same_bits(found, trajectory("eager", [(1000,)], direction=bounded_step))
