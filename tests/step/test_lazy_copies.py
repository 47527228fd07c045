"""Tensors whose memory a lazy copy shared when their storage was resized.

torch fails with an internal assertion wherever it would write to one, at any size of the storage;
here that is refused by the parameter's name, before any other weight has moved.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from bits import same

import unyoke

pytestmark = pytest.mark.any_backend

FORMATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "codes": {"state_dtype": "int8", "rounding": "kahan"},
}
NAMES = {
    "plain": ("weight", "grad", "exp_avg", "step"),
    "codes": ("weight", "exp_avg", "exp_avg_scale", "compensation"),
}


def made(backend: str, updates: int, kind: str) -> tuple[list[torch.nn.Parameter], Any]:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(64, 65, generator=generator)) for _ in "ab"]
    optimizer = unyoke.AdamW(
        zip("ab", weights, strict=True), lr=1e-2, backend=backend, **FORMATS[kind]
    )
    for weight in weights:
        weight.grad = torch.randn(64, 65, generator=generator)
    for _ in range(updates):
        optimizer.step()
    return weights, optimizer


def everything(weights: list[torch.nn.Parameter], optimizer: Any) -> list[torch.Tensor]:
    states = (optimizer.state.get(weight, {}).items() for weight in weights)
    values = [value for _, value in sorted(itertools.chain(*states), key=lambda item: item[0])]
    return [each.detach().clone() for each in (*weights, *values)]


@pytest.mark.parametrize("backend", ["auto", "cpu", "eager"])
@pytest.mark.parametrize("updates", [0, 1, 6])
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names]
)
@pytest.mark.parametrize("size", ["nothing", "all of it"])
def test_what_torch_cannot_write_is_refused(
    size: str, kind: str, name: str, updates: int, backend: str
) -> None:
    weights, optimizer = made(backend, updates, kind)
    if updates:  # the optimizer's own cannot be resized
        optimizer.state[weights[1]]["step"] = torch.tensor(float(updates))
    own = {"weight": weights[1], "grad": weights[1].grad, **optimizer.state.get(weights[1], {})}
    if name not in own:
        pytest.skip("there is no state before the first update")
    tensor, numbers = own[name].data, own[name].detach().clone()
    lazily = torch._lazy_clone(tensor)
    size_of = tensor.untyped_storage().nbytes()
    tensor.untyped_storage().resize_(0 if size == "nothing" else size_of)
    twins, twin = made(backend, updates, kind)
    before = everything(twins, twin)
    try:
        optimizer.step()
    except (ValueError, RuntimeError) as error:
        said = str(error)
        assert "'b'" in said
        assert "torch._lazy_clone" in said or "storage of 0 bytes" in said
        tensor.untyped_storage().resize_(size_of)
        own[name].data = numbers.clone()
        found = everything(weights, optimizer)
        assert same([*found[:2]], [*before[:2]])
        assert updates == 0 or same(found, before)
        optimizer.step()
    else:  # kernels know the address, and gradients are only read
        assert size == "all of it"
    twin.step()
    assert same(everything(weights, optimizer), everything(twins, twin))
    assert torch.equal(lazily, numbers)
