"""What holds for every direction, with every decay it goes with."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from draws import normal
from pairs import PAIRS

import unyoke
from unyoke import decays, directions

pytestmark = pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
UPDATES = 4


# Every direction with a decay of each kind, and one direction of each scope with every decay.
KINDS = ("none", "l2", "decoupled", "constrained")
SOME = [(r, d) for r, d in PAIRS if d in KINDS or r in ("adam", "lamb")]


def train(start: torch.Tensor, grads: list[torch.Tensor], **settings: Any) -> torch.Tensor:
    p = torch.nn.Parameter(start.clone())
    optimizer = unyoke.Optimizer([p], backend="eager", **settings)
    for grad in grads:
        p.grad = grad.clone()
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize(
    ("direction", "decay", "tensor"),
    [(*pair, False) for pair in PAIRS] + [(*pair, True) for pair in SOME],
)
def test_nothing_moves_while_the_learning_rate_is_0(
    direction: str, decay: str, tensor: bool
) -> None:
    """From the first update on, and after buffers were filled; and it moves again afterwards."""
    p = torch.nn.Parameter(normal(3, 4))
    lr: Any = torch.tensor(0.02, dtype=torch.float64) if tensor else 0.02
    tight = {"bound_factor": 0.1} if decay == "constrained" else {}  # a multiplier that is not 0
    optimizer = unyoke.Optimizer(
        [p], lr, weight_decay=0.01, direction=direction, decay=decay, backend="eager", **tight
    )
    seen = []
    for update, rate in enumerate([0.0, 0.02, 0.02, 0.0, 0.0, 0.02]):
        group = optimizer.param_groups[0]
        group["lr"] = group["lr"].fill_(rate) if tensor else rate
        p.grad = normal(3, 4, seed=update + 1)
        before = p.detach().clone()
        optimizer.step()
        seen.append(torch.equal(p.detach(), before))
    assert seen == [True, False, False, True, True, False]
    assert p.isfinite().all()


@pytest.mark.parametrize(("direction", "decay"), SOME)
def test_stacked_models_go_as_each_would_alone(direction: str, decay: str) -> None:
    """lr and λ as [K]: K models in one tensor; the second has lr = 0 and stands still."""
    start = normal(3, 4, 5)
    grads = [normal(3, 4, 5, seed=update) for update in range(1, UPDATES + 1)]
    lr = torch.tensor([0.1, 0.0, 0.02], dtype=torch.float64)
    weight_decay = torch.tensor([0.001, 0.002, 0.003], dtype=torch.float64)
    parts = {"direction": direction, "decay": decay}
    stacked = train(start, grads, lr=lr, weight_decay=weight_decay, **parts)
    for model in range(3):
        alone = train(
            start[model],
            [grad[model] for grad in grads],
            lr=float(lr[model]),
            weight_decay=float(weight_decay[model]),
            **parts,
        )
        torch.testing.assert_close(stacked[model], alone, rtol=1e-14, atol=1e-15)
    assert torch.equal(stacked[1], start[1])
    assert not torch.equal(stacked[0], start[0])


@pytest.mark.parametrize("direction", directions.names())
def test_stacked_float32_models_are_not_computed_in_float64(direction: str) -> None:
    """Rates in float64 do not spread: each model ends on the float32 where it ends alone."""
    start = normal(2, 4, 5, dtype=torch.float32)
    grads = [normal(2, 4, 5, seed=1, dtype=torch.float32)] * UPDATES
    lr = torch.tensor([0.1, 0.02], dtype=torch.float64)
    parts = {"direction": direction, "decay": "none"}
    stacked = train(start, grads, lr=lr, **parts)
    for model in range(2):
        alone = train(start[model], [g[model] for g in grads], lr=float(lr[model]), **parts)
        assert torch.equal(stacked[model], alone)


@pytest.mark.parametrize(("direction", "decay"), [pair for pair in SOME if pair[1] in KINDS])
def test_a_0_d_tensor_is_the_number_in_it(direction: str, decay: str) -> None:
    start, grads = normal(3, 4), [normal(3, 4, seed=s) for s in range(1, 4)]
    ends = [
        train(start, grads, lr=lr, weight_decay=λ, direction=direction, decay=decay)
        for lr, λ in ((0.02, 0.01), [torch.tensor(x, dtype=torch.float64) for x in (0.02, 0.01)])
    ]
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-14, atol=1e-15)


ELEMENTWISE = [
    (r, d)
    for r, d in SOME
    if directions.get(r).objection(torch.zeros(2, 2, dtype=torch.complex64)) is None
]


@pytest.mark.parametrize(("direction", "decay"), ELEMENTWISE)
def test_complex_weights_are_pairs_of_reals(direction: str, decay: str) -> None:
    start = normal(3, 4, dtype=torch.complex128)
    grads = [normal(3, 4, seed=s, dtype=torch.complex128) for s in range(1, UPDATES + 1)]
    settings = {"lr": 0.02, "weight_decay": 0.01, "direction": direction, "decay": decay}
    if direction == "adagrad":
        settings["initial_accumulator_value"] = 0.1
    found = train(start, grads, **settings)
    as_reals = train(torch.view_as_real(start), [torch.view_as_real(g) for g in grads], **settings)
    torch.testing.assert_close(torch.view_as_real(found), as_reals, rtol=1e-15, atol=0)
    assert found.imag.ne(start.imag).any()


def test_all_element_wise_directions_take_complex_weights() -> None:
    taken = {direction for direction, _ in ELEMENTWISE}
    assert taken >= {r for r, part in directions.ALL.items() if part.scope == "element"}


WORDS = ("adjust_lr_fn", "ns_dtype")
PARTS = [*directions.ALL.values(), *decays.ALL.values()]
NUMBERS = [(part, name) for part in PARTS for name in part.defaults if name not in WORDS]


@pytest.mark.parametrize(("part", "name"), NUMBERS, ids=str)
@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_a_hyperparameter_out_of_range_is_named(part: Any, name: str, wrong: float) -> None:
    if name == "ns_coefficients":
        pytest.skip("any three numbers are a polynomial")
    value: Any = (wrong, wrong) if isinstance(part.defaults[name], tuple) else wrong
    arguments: dict[str, Any] = {"direction": "adam", "decay": "none", name: value}
    arguments["direction" if part in directions.ALL.values() else "decay"] = part
    spelled = {"betas": "beta", "eps": "epsilon"}.get(name, name)
    with pytest.raises(ValueError, match=f"{spelled}.*{wrong}"):
        unyoke.Optimizer([torch.nn.Parameter(normal(3, 4))], **arguments)


class TestForeignKeys:
    """Keys of the group's own decay and keys of nobody; see core/test_foreign for wrappers'."""

    def test_of_the_group_s_own_decay_and_of_nobody_pass(self) -> None:
        p = torch.nn.Parameter(normal(3))
        own = {"decay": "toward_average", "average_beta": 0.5, "name": "head", "lr_scale": 0.1}
        optimizer = unyoke.AdamW([{"params": [p], **own}])
        assert {key: optimizer.param_groups[0][key] for key in own} == own


class TestStackSizes:
    @pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
    def test_every_parameter_must_have_k_models(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"3 stacked models"):
            unyoke.AdamW([torch.nn.Parameter(torch.ones(shape))], lr=torch.ones(3))

    def test_lr_and_weight_decay_must_agree(self) -> None:
        p = torch.nn.Parameter(torch.ones(3, 2))
        with pytest.raises(ValueError, match=r"\[2, 3\] stacked models"):
            unyoke.AdamW([p], lr=torch.ones(3), weight_decay=torch.zeros(2))
