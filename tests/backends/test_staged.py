"""Directions with a stage for matrices: stacks change nothing but the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from following_backends import assert_same_bits, everything, normal, trajectory

import unyoke
from unyoke import decays, directions
from unyoke.backends import ALL, staged
from unyoke.equation import combine, passes

pytestmark = pytest.mark.filterwarnings("ignore:weight_decay=.* is per update")
STAGED = [name for name, part in directions.ALL.items() if part.stage is not None]
SHAPES = [(16, 24), (24, 16), (16, 24), (7, 7), (24, 16), (16, 24), (1, 5), (5, 1), (3, 0)]
LARGE = [(80, 96), (96, 80), (80, 96)]  # narrow state is for tensors of some size
SETTINGS: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.004}
ELEMENTS = [
    (direction, decay)
    for direction in STAGED
    for decay, part in decays.ALL.items()
    if part.scope == "element" and part.kind != "moment_penalty"
]
needs_cpu = pytest.mark.skipif(ALL["cpu"].missing() is not None, reason="no compiled backend here")


def by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on eager updates each matrix by the rule's function on whole tensors."""
    monkeypatch.setattr(staged, "objection", lambda work, index: "in this test")


@pytest.mark.parametrize(("direction", "decay"), ELEMENTS)
def test_stacks_are_the_formula_on_each_matrix(
    direction: str, decay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, where a sum in another order is another number by 1e-16 of it.

    Five Newton–Schulz steps magnify that by up to 3.4445^5 = 485 where a singular value is small.
    """
    settings = {"direction": direction, "decay": decay, "dtype": torch.float64, **SETTINGS}
    settings["maximize"] = decay in ("l2", "cautious")
    found = trajectory("eager", SHAPES, **settings)
    by_themselves(monkeypatch)
    expected = trajectory("eager", SHAPES, **settings)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@needs_cpu
@pytest.mark.parametrize(("direction", "decay"), ELEMENTS)
def test_compiled_passes_are_eager_s_bits(direction: str, decay: str) -> None:
    settings = {"direction": direction, "decay": decay, **SETTINGS}
    assert_same_bits(*(trajectory(name, SHAPES, **settings) for name in ("cpu", "eager")))


@needs_cpu
@pytest.mark.parametrize(
    "dtype",
    [
        torch.bfloat16,
        *(pytest.param(d, marks=pytest.mark.slow) for d in (torch.float64, torch.float16)),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"state_dtype": "int8"},
        {"state_dtype": torch.bfloat16},
        {"rounding": "kahan"},
        {"maximize": True},
        {"ns_dtype": "float32"},
        {"decay": "l2", "state_dtype": "int8"},
    ],
    ids=str,
)
def test_formats_and_dtypes(dtype: torch.dtype, options: dict[str, Any]) -> None:
    settings = {"direction": "muon", "dtype": dtype, **SETTINGS, **options}
    assert_same_bits(*(trajectory(name, LARGE, **settings) for name in ("cpu", "eager")))


@needs_cpu
def test_stochastic_rounding_is_eager_s_too() -> None:
    """And draws other bits for the weight than for the state, which are rounded in two passes."""
    settings = {"direction": "muon", "rounding": "stochastic", "state_dtype": "int8", **SETTINGS}
    found = [trajectory(name, LARGE, dtype=torch.bfloat16, **settings) for name in ("cpu", "eager")]
    assert_same_bits(*found)


@pytest.mark.parametrize("most", [1, 500, 900])
def test_small_stacks_are_large_ones(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """float64 again: products of a stack need not add in the order of the products of another."""
    settings = {"direction": "muon", "dtype": torch.float64, **SETTINGS}
    expected = trajectory("eager", SHAPES, **settings)
    monkeypatch.setattr(staged, "MOST", most)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    for one, other in zip(trajectory("eager", SHAPES, **settings), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def stacks_of(shapes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """How many matrices were in each stack of a step."""
    found: list[list[int]] = []
    make = staged._portions

    def watched(indices: Any, kind: Any) -> Any:
        portions = list(make(indices, kind))
        found.append([len(portion) for portion in portions])
        return portions

    monkeypatch.setattr(staged, "_portions", watched)
    trajectory("eager", shapes, updates=1, direction="muon", **SETTINGS)
    return found


class TestMemory:
    def test_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(staged, "MOST", 1000)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        assert stacks_of([(10, 20)] * 11 + [(40, 50)] * 5, monkeypatch) == [[3, 4, 4], [1, 2, 2]]

    def test_no_matrix_is_held_after_the_step(self) -> None:
        """What the stage made is not kept as the gradient of the second pass."""
        weights = [torch.nn.Parameter(torch.randn(8, 8)) for _ in range(3)]
        optimizer = unyoke.MuonW(weights, backend="eager")
        for weight in weights:
            weight.grad = torch.randn(8, 8)
        optimizer.step()
        (plan,) = optimizer._stepper.plans.values()
        (stacked,) = plan.work.cache["eager"]._together
        kept = {g.grad.data_ptr() for s in stacked.args[0]._stacks for g in s._givers}
        assert len(kept) == 3
        assert max(kept) - min(kept) == 2 * 8 * 8 * 2  # one workspace


class TestRefusals:
    def refused(self, **settings: Any) -> str:
        p = torch.nn.Parameter(torch.ones(3, 4))
        optimizer = unyoke.Optimizer([p], direction="muon", backend="cpu", **settings)
        p.grad = torch.ones(3, 4)
        with pytest.raises(RuntimeError) as caught:
            optimizer.step()
        return str(caught.value)

    @needs_cpu
    def test_a_decay_with_norms(self) -> None:
        assert "constrained works on whole tensors" in self.refused(decay="constrained")

    @needs_cpu
    def test_stacked_models(self) -> None:
        p = torch.nn.Parameter(torch.ones(2, 3, 4))
        optimizer = unyoke.MuonW([p], lr=torch.tensor([0.1, 0.2]), backend="cpu")
        p.grad = torch.ones(2, 3, 4)
        with pytest.raises(RuntimeError, match="stacked models one by one"):
            optimizer.step()


class TestWhatHappensBetweenSteps:
    def run(self, change: Callable[[int, list[torch.nn.Parameter]], object], backend: str) -> Any:
        generator = torch.Generator().manual_seed(0)
        weights = [torch.nn.Parameter(normal(shape, generator, torch.float32)) for shape in SHAPES]
        optimizer = unyoke.MuonW(weights, backend=backend, **SETTINGS)
        for t in range(6):
            for weight in weights:
                weight.grad = normal(weight.shape, generator, torch.float32)
            change(t, weights)
            optimizer.step()
        return everything(optimizer)

    @needs_cpu
    @pytest.mark.parametrize(
        "change",
        [
            lambda t, weights: weights[t].__setattr__("grad", None),
            lambda t, weights: weights[2].__setattr__("data", weights[2].data.clone()),
            lambda t, weights: weights[0].__setattr__("data", weights[0].data.T.clone().T),
            lambda t, weights: weights[0].__setattr__("grad", weights[1].grad.T),
        ],
        ids=["no gradient", "moved", "another order", "another order of the gradient"],
    )
    def test_the_compiled_passes_see_it(self, change: Any) -> None:
        """The latter two are eager's business, which "auto" hands over to it."""
        assert_same_bits(self.run(change, "auto"), self.run(change, "eager"))

    @needs_cpu
    def test_counts_that_differ(self) -> None:
        def frozen(t: int, weights: list[torch.nn.Parameter]) -> None:
            for number, weight in enumerate(weights):
                if t % (number + 1):
                    weight.grad = None

        assert_same_bits(self.run(frozen, "cpu"), self.run(frozen, "eager"))


class TestPasses:
    @pytest.mark.parametrize("direction", STAGED)
    def test_each_is_a_rule_on_elements(self, direction: str) -> None:
        for decay in ("decoupled", "l2", "none"):
            before, after = passes(directions.get(direction), decays.get(decay))
            assert before.scope == after.scope == "element"
            assert before.decay.name == ("l2" if decay == "l2" else "none")
            assert after.decay.name == ("none" if decay == "l2" else decay)

    def test_together_they_are_the_rule(self) -> None:
        """With a stage that changes nothing, Muon is an average of gradients."""
        rule = combine(directions.get("muon"), decays.get("decoupled"))
        before, after = passes(directions.get("muon"), decays.get("decoupled"))
        θ, g, b = torch.tensor(2.0), torch.tensor(3.0), torch.tensor(0.5)
        ahead, new = before.function(θ, g, b, 0.9, 0.1, 0.0)
        assert float(new) == pytest.approx(0.9 * 0.5 + 0.1 * 3)
        assert float(ahead) == pytest.approx(0.9 * float(new) + 0.1 * 3)
        (delta,) = after.function(θ, ahead, 0.7, 0.01)
        assert float(delta) == pytest.approx(0.7 * float(ahead) + 0.01 * 2)
        assert "stage(step, lr, " not in rule.source
        assert "step, = stage(step, ns_coefficients, eps, ns_steps, lr," in rule.source


class TestInterrupts:
    @needs_cpu
    @pytest.mark.parametrize("decay", ["decoupled", "l2"])
    @pytest.mark.parametrize("where", ["before the stage", "in the stage", "after the stage"])
    def test_the_update_happens_whole(
        self, where: str, decay: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever Ctrl-C stops, the step is made to its end before it is passed on.

        Under L2 the first pass reads the weights where it leaves its results.
        """
        settings = {"direction": "muon", "decay": decay, **SETTINGS}
        expected = trajectory("cpu", SHAPES, updates=2, **settings)
        cpu, calls = type(ALL["cpu"]), []
        name = "_stage_result" if where == "in the stage" else "step"
        owner: Any = staged.Stack if where == "in the stage" else cpu
        real = getattr(owner, name)

        def interrupted(self: Any, *given: Any) -> Any:
            calls.append(given)
            # cpu.step is called for the whole work first, then for the passes
            if (
                len(calls)
                == {"before the stage": 2, "in the stage": 1, "after the stage": 3}[where]
            ):
                real(self, *given)
                raise KeyboardInterrupt
            return real(self, *given)

        monkeypatch.setattr(owner, name, interrupted)
        generator = torch.Generator().manual_seed(5)
        weights = [torch.nn.Parameter(normal(shape, generator, torch.float32)) for shape in SHAPES]
        optimizer = unyoke.Optimizer(weights, backend="cpu", **settings)
        for t in range(2):
            for weight in weights:
                weight.grad = normal(weight.shape, generator, torch.float32)
            if t == 0:
                with pytest.raises(KeyboardInterrupt):
                    optimizer.step()
            else:
                optimizer.step()
        assert_same_bits(everything(optimizer), expected)
