"""Directions with norms through the cpu backend: one pass for the norms, then the update."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from following_backends import SHAPES, normal, trajectory
from pairs import reason_against

import unyoke
from unyoke import decays, directions
from unyoke.backends import ALL
from unyoke.backends._native import functions
from unyoke.backends.cpu import normed, workers
from unyoke.equation import direction, with_norms
from unyoke.stages import Norms

pytestmark = [
    pytest.mark.skipif(ALL["cpu"].missing() is not None, reason="no compiled backend here"),
    pytest.mark.filterwarnings("ignore:weight_decay=.* is per update"),
]
NORMED = [name for name, part in directions.ALL.items() if part.norms is not None]
NORMED += ["cautious_lion", "cautious_schedule_free_adam"]
TENSORS = [*SHAPES.values(), (40, 128), (3, 50)]
SETTINGS: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.004}

EVERY_TIME = {"decoupled", "l2", "cautious"}
"""Decays of the fast tier: each pair is a kernel to compile."""
PAIRS = [
    pytest.param(r, d, marks=[] if d in EVERY_TIME else pytest.mark.slow)
    for r in NORMED
    for d in decays.ALL
    if not reason_against(r, d) and decays.get(d).scope == "element"
]


def assert_cpu_is_eager(tolerance: float, **settings: Any) -> None:
    """Weights, to a share of each one's largest: norms are summed in another order."""
    found, expected = (
        trajectory(name, TENSORS, **{**SETTINGS, **settings}) for name in ("cpu", "eager")
    )
    for one, other in zip(found[: len(TENSORS)], expected[: len(TENSORS)], strict=True):
        assert one.dtype == other.dtype
        if other.numel():
            scale = float(other.abs().max())
            torch.testing.assert_close(one, other, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(("direction", "decay"), PAIRS)
def test_every_decay(direction: str, decay: str) -> None:
    assert_cpu_is_eager(1e-14, direction=direction, decay=decay, dtype=torch.float64)


@pytest.mark.parametrize(
    "direction",
    [
        pytest.param(each, marks=[] if each in {"lamb", "cautious_adam"} else pytest.mark.slow)
        for each in NORMED
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        {"dtype": torch.float32},
        {"dtype": torch.float32, "state_dtype": "int8"},
        {"dtype": torch.float32, "state_dtype": torch.bfloat16},
        {"dtype": torch.float32, "rounding": "kahan", "maximize": True},
        {"dtype": torch.float64, "state_dtype": "int8", "decay": "l2"},
    ],
    ids=str,
)
def test_formats(direction: str, options: dict[str, Any]) -> None:
    """The norms are of what codes stand for, and the update rounds as that of any rule.

    A number that falls on the other side of a code's border is another by 1/127 of its block.
    """
    narrow = options.get("state_dtype") is not None
    assert_cpu_is_eager(5e-3 if narrow else 1e-6, direction=direction, **options)


@pytest.mark.parametrize("direction", NORMED)
def test_the_norms_are_those_of_large_tensors_on_any_number_of_threads(direction: str) -> None:
    """More than one chunk, more than one share, and a last block that is not full."""
    shape = (2 * workers.WORTH + 77,)
    torch.set_num_threads(1)
    expected = trajectory("cpu", [shape], direction=direction, **SETTINGS)
    torch.set_num_threads(2)
    try:
        found = trajectory("cpu", [shape], direction=direction, **SETTINGS)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


class TestSteps:
    def optimizer(self, backend: str, **settings: Any) -> tuple[Any, list[torch.nn.Parameter]]:
        generator = torch.Generator().manual_seed(0)
        weights = [torch.nn.Parameter(normal(s, generator, torch.float64)) for s in TENSORS]
        return unyoke.LambW(weights, backend=backend, **{**SETTINGS, **settings}), weights

    def give(self, weights: list[torch.nn.Parameter], t: int) -> None:
        generator = torch.Generator().manual_seed(100 + t)
        for weight in weights:
            weight.grad = normal(weight.shape, generator, torch.float64)

    def test_are_replayed(self) -> None:
        ends = []
        for backend in ("cpu", "eager"):
            optimizer, weights = self.optimizer(backend, schedule=unyoke.schedules.cosine(20))
            for t in range(6):
                self.give(weights, t)
                optimizer.step()
            assert (optimizer._stepper.replay is not None) == (backend == "cpu")
            ends.append(weights)
        for one, other in zip(*ends, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)

    def test_parameters_at_different_t(self) -> None:
        ends = []
        for backend in ("cpu", "eager"):
            optimizer, weights = self.optimizer(backend)
            for t in range(6):
                self.give(weights, t)
                for number, weight in enumerate(weights):
                    weight.grad = None if t % (number + 1) else weight.grad
                optimizer.step()
            ends.append(weights)
        for one, other in zip(*ends, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)

    @pytest.mark.parametrize("number", [1, 2])
    def test_an_interrupt_leaves_a_whole_update(
        self, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the norms of the first step are formed, and after those of a replayed one."""
        ends, calls = [], []
        ratios = normed.Normed._ratios

        def interrupted(self: Any, *given: Any) -> Any:
            calls.append(1)
            if len(calls) == number:
                raise KeyboardInterrupt
            return ratios(self, *given)

        for is_interrupted in (False, True):
            optimizer, weights = self.optimizer("cpu")
            if is_interrupted:
                monkeypatch.setattr(normed.Normed, "_ratios", interrupted)
            stopped = 0
            for t in range(4):
                self.give(weights, t)
                try:
                    optimizer.step()
                except KeyboardInterrupt:
                    stopped += 1
            assert stopped == is_interrupted
            ends.append(weights)
        assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_zeros_have_a_ratio_of_1() -> None:
    p = torch.nn.Parameter(torch.zeros(300))
    optimizer = unyoke.LambW([p], lr=0.1, backend="cpu")
    p.grad = torch.ones(300)
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full((300,), -0.1), rtol=1e-5, atol=0)


def test_stacked_models_go_to_eager() -> None:
    p = torch.nn.Parameter(torch.ones(2, 3))
    optimizer = unyoke.LambW([p], lr=torch.tensor([0.1, 0.2]), backend="cpu")
    p.grad = torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="stacked models one by one"):
        optimizer.step()


def test_a_direction_of_somebody_s_own() -> None:
    """Three norms, coefficients on both sides, and a name that is not ``trust``."""

    def terms(weight, grad, scale):
        return weight, scale * grad, weight - scale * grad

    def ratio(weight_norm, grad_norm, apart_norm, floor):
        return (weight_norm + grad_norm) / (apart_norm + floor)

    @direction(
        coefficients=lambda lr, floor: {"lr": lr, "scale": 3.0, "floor": floor},
        defaults={"floor": 0.5},
        scope="tensor",
        norms=Norms(terms, ratio, "share"),
    )
    def shared(grad, lr, share, scale):
        """A step that depends on three norms."""
        return lr * share * scale * grad

    p, q = (torch.nn.Parameter(torch.linspace(-1, 2, 200)) for _ in range(2))
    before, g = p.detach().clone(), torch.linspace(3, 1, 200)
    for weight, backend in ((p, "cpu"), (q, "eager")):
        optimizer = unyoke.Optimizer([weight], 0.1, direction=shared, decay="none", backend=backend)
        weight.grad = g
        optimizer.step()
    share = (before.norm() + 3 * g.norm()) / ((before - 3 * g).norm() + 0.5)
    torch.testing.assert_close(p.detach(), before - 0.3 * share * g)
    torch.testing.assert_close(p, q)


def test_terms_take_what_the_formula_takes() -> None:
    def formula(grad, lr):
        return lr * grad

    norms = Norms(lambda grad, scale: (scale * grad,), lambda grad_norm: grad_norm, "share")
    with pytest.raises(ValueError, match=r"must take 'share'.* but for the weight: scale"):
        direction(norms=norms, scope="tensor")(formula)


def test_the_terms_are_the_formula_s_own() -> None:
    """What the first pass squares is what the second makes its step of, the penalty included."""
    rule, terms = with_norms(directions.get("lamb"), decays.get("l2"))
    assert rule.scope == "element"
    given = dict.fromkeys(rule.coefficient_names, 0.5) | {"trust": 7.0, "lr": 1.0}
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (2.0, 3.0, 0.1, 0.2)]
    coefficients = [given[name] for name in rule.coefficient_names]
    weight, step = terms(*numbers, *coefficients)
    assert float(weight) == 2.0
    assert float(rule.function(*numbers, *coefficients)[0]) == pytest.approx(7.0 * float(step))
    assert functions.fingerprint(terms) != functions.fingerprint(rule.function)
