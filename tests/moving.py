"""How a module that is cast or moved gets other tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def swapping(is_on: bool) -> Iterator[None]:
    """By an exchange of whole tensors if it is on, else into its parameters' data."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(is_on)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
