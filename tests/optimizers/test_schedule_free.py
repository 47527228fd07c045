"""Schedule-free AdamW and SGD: against the authors' package, and the weights that are evaluated."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

import unyoke
from unyoke import directions, schedules
from unyoke.population import Population

UPDATES = 60
LR, DECAY = 0.02, 0.1
WARM = schedules.warmup(10, then=schedules.constant())
BOTH = [unyoke.ScheduleFreeAdamW, unyoke.ScheduleFreeSGDW]


def start(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape or (4, 6), dtype=torch.float64, generator=generator).to(dtype)


def gradients(θ: torch.Tensor) -> Iterator[torch.Tensor]:
    """Of a noisy quadratic, at wherever θ is by then."""
    generator = torch.Generator().manual_seed(1)
    while True:
        noise = torch.randn(θ.shape, dtype=torch.float64, generator=generator)
        yield (0.7 * θ.detach() + noise).to(θ.dtype)


def step(optimizer: Any, grads: Iterator[torch.Tensor], updates: int = 1) -> None:
    (p,) = optimizer.param_groups[0]["params"]
    for _ in range(updates):
        p.grad = next(grads)
        optimizer.step()


def adamw(
    y: torch.Tensor, rates: Callable[[int], float], *, r: float = 0.0, power: float = 2.0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """adamw_schedulefree_reference.py 1.4.1: keeps x, y and z; decay is at y; yields x, y."""
    β1, β2, eps = 0.9, 0.99, 1e-4
    z, x, v = y.clone(), y.clone(), torch.zeros_like(y)
    weight_sum, lr_max, grads = 0.0, -1.0, gradients(y)
    for k in range(UPDATES):
        g, lr = next(grads), rates(k)
        lr_max = max(lr, lr_max)
        weight = ((k + 1) ** r) * (lr_max**power)
        weight_sum += weight
        c = weight / weight_sum
        z.sub_(y, alpha=lr * DECAY)
        v.mul_(β2).addcmul_(g, g, value=1 - β2)
        denominator = v.div(1 - β2 ** (k + 1)).sqrt_().add_(eps)
        z.addcdiv_(g, denominator, value=-lr)
        x.mul_(1 - c).add_(z, alpha=c)
        y.copy_(x.mul(β1).add_(z, alpha=1 - β1))
        yield x, y


def sgd(
    y: torch.Tensor, rates: Callable[[int], float], *, r: float = 0.0, power: float = 2.0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """sgd_schedulefree.py 1.4.1: y is updated in place; x comes of it as its eval() forms it."""
    momentum, z = 0.8, y.clone()
    weight_sum, lr_max, grads = 0.0, -1.0, gradients(y)
    for k in range(UPDATES):
        g, lr = next(grads), rates(k)
        lr_max = max(lr, lr_max)
        weight = ((k + 1) ** r) * (lr_max**power)
        weight_sum += weight
        c = weight / weight_sum
        g = g.add(y, alpha=DECAY)
        y.lerp_(end=z, weight=c)
        y.add_(g, alpha=lr * (momentum * (1 - c) - 1))
        z.sub_(g, alpha=lr)
        yield y.lerp(end=z, weight=1 - 1 / momentum), y


OURS = {
    adamw: (unyoke.ScheduleFreeAdamW, {"betas": (0.9, 0.99), "eps": 1e-4}),
    sgd: (unyoke.ScheduleFreeSGDW, {"momentum": 0.8}),
}


@pytest.mark.parametrize("average", [{}, {"r": 1.5}, {"power": 0.0}])
@pytest.mark.parametrize(
    "schedule", [None, WARM, schedules.cosine(2 * UPDATES)], ids=["constant", "warmup", "cosine"]
)
@pytest.mark.parametrize("authors", OURS)
def test_is_the_authors(authors: Any, schedule: Any, average: dict[str, float]) -> None:
    """y at every update, and x in evaluation mode; their decay is multiplied by the rate."""
    cls, own = OURS[authors]
    names = {"power": "weight_lr_power"}
    own = {**own, **{names.get(name, name): value for name, value in average.items()}}
    p = torch.nn.Parameter(start())
    optimizer = cls(
        [p], LR, weight_decay=DECAY, decay="lr_coupled", schedule=schedule, backend="eager", **own
    )
    rates = (lambda k: LR) if schedule is None else (lambda k: LR * schedule(k))
    theirs, grads = authors(start(), rates, **average), gradients(p)
    for _ in range(UPDATES):
        x, y = next(theirs)
        step(optimizer, grads)
        torch.testing.assert_close(p.detach(), y, rtol=0, atol=1e-12)
        optimizer.eval()
        torch.testing.assert_close(p.detach(), x, rtol=0, atol=1e-12)
        optimizer.train()
    assert (x - y).abs().max() > 1e-3


@pytest.mark.parametrize("authors", OURS)
def test_the_decoupled_form_is_theirs_at_λ_over_lr(authors: Any) -> None:
    """At a constant rate; under a warmup the paper's decay is λ·η_t, which is the same there."""
    cls, own = OURS[authors]
    p = torch.nn.Parameter(start())
    optimizer = cls([p], LR, weight_decay=LR * DECAY, backend="eager", **own)
    theirs, grads = authors(start(), lambda k: LR), gradients(p)
    for _ in range(UPDATES):
        _, y = next(theirs)
        step(optimizer, grads)
    torch.testing.assert_close(p.detach(), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cls", BOTH)
def test_a_schedule_s_multiplier_and_not_the_rate_moves_the_decay(cls: Any) -> None:
    """Without gradients two rates end in one place, where the decay takes them."""
    ends = []
    for lr in (1e-3, 0.5):
        p = torch.nn.Parameter(start())
        optimizer = cls([p], lr, weight_decay=0.004, schedule=WARM, backend="eager")
        for _ in range(30):
            p.grad = torch.zeros_like(p)
            optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-12, atol=0)
    assert 0.85 < float((ends[0] / start()).mean()) < 0.99


class TestEvaluation:
    @pytest.mark.parametrize("rounding", ["nearest", "kahan", "stochastic"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    @pytest.mark.parametrize("cls", BOTH)
    def test_back_again_bit_for_bit(self, cls: Any, dtype: torch.dtype, rounding: str) -> None:
        """However often, and twice in a row."""
        if rounding != "nearest" and dtype is not torch.bfloat16:
            pytest.skip("for narrow weights")
        p = torch.nn.Parameter(start(100, 50, dtype=dtype))
        optimizer = cls([p], 0.05, rounding=rounding)
        grads = gradients(p)
        step(optimizer, grads, 5)
        before = p.detach().clone()
        for _ in range(3):
            optimizer.eval()
            optimizer.eval()
            assert not torch.equal(p.detach(), before)
            optimizer.train()
            optimizer.train()
            assert torch.equal(p.detach(), before)
        assert set(optimizer.state[p]) <= {
            *("step", "weight_sum", "eta_max", "z", "exp_avg_sq", "compensation")
        }
        assert optimizer.param_groups[0]["evaluating"] is False

    @pytest.mark.parametrize("backend", ["eager", "cpu"])
    @pytest.mark.parametrize("cls", BOTH)
    def test_a_step_from_the_weights_to_evaluate_is_refused(self, cls: Any, backend: str) -> None:
        """After any number of updates, those that are replayed included; then it goes on."""
        ends = []
        for evaluations in (0, 2):
            p = torch.nn.Parameter(start(dtype=torch.float32))
            optimizer, grads = cls([p], 0.05, backend=backend), gradients(p)
            for update in range(8):
                step(optimizer, grads)
                if update % 3 == 2:
                    for _ in range(evaluations):
                        optimizer.eval()
                        x = p.detach().clone()
                        with pytest.raises(RuntimeError, match=r"group 0 .*optimizer.train\(\)"):
                            optimizer.step()
                        assert torch.equal(p.detach(), x)
                        optimizer.train()
            ends.append(p.detach().clone())
        assert torch.equal(ends[0], ends[1])

    def test_before_the_first_update_both_are_the_same(self) -> None:
        p, q = torch.nn.Parameter(start()), torch.nn.Parameter(start())
        optimizer = unyoke.ScheduleFreeAdamW([p, q])
        optimizer.eval()
        optimizer.train()
        p.grad = start()
        optimizer.step()  # q has no gradient
        optimizer.eval()
        assert torch.equal(q.detach(), start())
        torch.testing.assert_close(
            p.detach(), optimizer.state[p]["z"], rtol=1e-12, atol=0
        )  # c_1 = 1

    def test_of_a_group_alone(self) -> None:
        """A direction belongs to a group; the others' weights stay."""
        p, q = torch.nn.Parameter(start()), torch.nn.Parameter(start())
        groups = [{"params": [p], "direction": "schedule_free_sgd"}, {"params": [q]}]
        optimizer = unyoke.AdamW(groups, lr=0.1)
        for update in range(3):
            p.grad, q.grad = start() + update, start()
            optimizer.step()
        before = p.detach().clone(), q.detach().clone()
        optimizer.eval()
        assert not torch.equal(p.detach(), before[0])
        assert torch.equal(q.detach(), before[1])
        with pytest.raises(RuntimeError, match="group 0"):
            optimizer.step()
        optimizer.train()
        assert torch.equal(p.detach(), before[0])

    @pytest.mark.parametrize("direction", ["adam", "heavy_ball", "lamb"])
    def test_of_other_directions_changes_nothing(self, direction: str) -> None:
        p = torch.nn.Parameter(start())
        optimizer = unyoke.Optimizer([p], direction=direction)
        grads = gradients(p)
        step(optimizer, grads, 2)
        before = p.detach().clone()
        optimizer.eval()
        assert torch.equal(p.detach(), before)
        step(optimizer, grads)
        optimizer.train()

    def test_weights_that_were_replaced_meanwhile_are_those_to_evaluate(self) -> None:
        """As when the best model so far is loaded: y = β·x + (1 − β)·z of the new x."""
        p = torch.nn.Parameter(start())
        optimizer = unyoke.ScheduleFreeSGDW([p], 0.1, momentum=0.8)
        step(optimizer, gradients(p), 5)
        optimizer.eval()
        new = start() + 1.0
        p.data.copy_(new)
        optimizer.train()
        expected = 0.8 * new + 0.2 * optimizer.state[p]["z"]
        torch.testing.assert_close(p.detach(), expected, rtol=1e-12, atol=1e-12)


class TestCheckpoints:
    @pytest.mark.parametrize("evaluating", [False, True])
    @pytest.mark.parametrize("state_dtype", ["float32", "bfloat16", "int8"])
    @pytest.mark.parametrize("cls", BOTH)
    def test_go_on_bit_for_bit(self, cls: Any, state_dtype: str, evaluating: bool) -> None:
        """Also those that were made between eval() and train(), as the authors ask for."""

        def made() -> tuple[torch.nn.Parameter, Any]:
            p = torch.nn.Parameter(start(100, 50, dtype=torch.float32))
            return p, cls([p], 0.05, schedule=WARM, state_dtype=state_dtype)

        p, optimizer = made()
        grads = gradients(p)
        step(optimizer, grads, 7)
        if evaluating:
            optimizer.eval()
        model = p.detach().clone()
        saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
        q, other = made()
        q.data.copy_(model)
        other.load_state_dict(saved)
        if evaluating:
            with pytest.raises(RuntimeError, match="those to evaluate"):
                other.step()
            for each in (optimizer, other):
                each.train()
        assert torch.equal(p.detach(), q.detach())
        for g in [next(grads) for _ in range(5)]:
            for each, weight in ((optimizer, p), (other, q)):
                weight.grad = g.clone()
                each.step()
        assert torch.equal(p.detach(), q.detach())
        for name in ("z", "weight_sum", "eta_max"):
            assert torch.equal(optimizer.state[p][name], other.state[q][name])

    def test_one_of_training_ends_an_evaluation(self) -> None:
        p = torch.nn.Parameter(start())
        optimizer = unyoke.ScheduleFreeSGDW([p], 0.1)
        step(optimizer, gradients(p), 3)
        saved, y = copy.deepcopy(optimizer.state_dict()), p.detach().clone()
        optimizer.eval()
        optimizer.load_state_dict(saved)
        p.data.copy_(y)
        step(optimizer, gradients(p))

    def test_z_is_kept_as_weights_are(self) -> None:
        p = torch.nn.Parameter(start(100, 50, dtype=torch.bfloat16))
        optimizer = unyoke.ScheduleFreeAdamW([p], state_dtype="int8")
        step(optimizer, gradients(p), 2)
        dtypes = {name: optimizer.state[p][name].dtype for name in ("z", "exp_avg_sq")}
        assert dtypes == {"z": torch.float32, "exp_avg_sq": torch.uint8}

    def test_z_is_the_weight_just_before_its_first_update(self) -> None:
        """What is loaded into the model after init_state() counts."""
        p = torch.nn.Parameter(start())
        optimizer = unyoke.ScheduleFreeSGDW([p], 0.1, weight_decay=0.0)
        optimizer.init_state()
        p.data.add_(5.0)
        before = p.detach().clone()
        p.grad = torch.ones_like(p)
        optimizer.step()
        torch.testing.assert_close(optimizer.state[p]["z"], before - 0.1)


class TestLimits:
    @pytest.mark.parametrize("wrong", [0.0, 1.0, -0.5])
    def test_beta_lies_between_0_and_1(self, wrong: float) -> None:
        with pytest.raises(ValueError, match=f"beta parameter at index 0: {wrong}"):
            unyoke.ScheduleFreeAdamW([torch.nn.Parameter(start())], betas=(wrong, 0.9))
        with pytest.raises(ValueError, match=f"momentum value: {wrong}"):
            unyoke.ScheduleFreeSGDW([torch.nn.Parameter(start())], momentum=wrong)

    def test_x_is_the_mean_of_all_iterates(self) -> None:
        """At a constant rate with r = 0: x_t = (z_1 + … + z_t)/t."""
        p = torch.nn.Parameter(start())
        optimizer, iterates = unyoke.ScheduleFreeAdamW([p], 0.05, backend="eager"), []
        grads = gradients(p)
        for _ in range(9):
            step(optimizer, grads)
            iterates.append(optimizer.state[p]["z"].clone())
        optimizer.eval()
        torch.testing.assert_close(p.detach(), torch.stack(iterates).mean(0), rtol=0, atol=1e-12)

    def test_at_a_rate_of_0_nothing_moves_and_the_update_has_no_weight(self) -> None:
        ends = []
        for pauses in (0, 3):
            p = torch.nn.Parameter(start())
            optimizer = unyoke.ScheduleFreeSGDW([p], 0.1, backend="eager")
            grads = [start() + update for update in range(8)]
            for update, grad in enumerate(grads):
                if update == 4:
                    optimizer.param_groups[0]["lr"] = 0.0
                    for _ in range(pauses):
                        p.grad, before = grad.clone(), p.detach().clone()
                        optimizer.step()
                        assert torch.equal(p.detach(), before)
                    optimizer.param_groups[0]["lr"] = 0.1
                p.grad = grad.clone()
                optimizer.step()
            ends.append(p.detach().clone())
        torch.testing.assert_close(ends[0], ends[1], rtol=1e-12, atol=1e-12)

    def test_a_parameter_that_comes_later_has_an_average_of_its_own(self) -> None:
        p, q, alone = (torch.nn.Parameter(start()) for _ in range(3))
        optimizer = unyoke.ScheduleFreeAdamW([p, q], 0.05, backend="eager")
        other = unyoke.ScheduleFreeAdamW([alone], 0.05, backend="eager")
        for update in range(9):
            p.grad = start() - update
            if update >= 4:
                q.grad = alone.grad = start() + update
                other.step()
            optimizer.step()
        assert torch.equal(q.detach(), alone.detach())


class TestConvergence:
    @pytest.mark.parametrize(
        ("cls", "direction", "lr"),
        [(BOTH[0], "adam", 0.03), (BOTH[1], "gradient", 0.01)],
    )
    def test_the_average_does_without_a_schedule(self, cls: Any, direction: str, lr: float) -> None:
        """At a constant rate and under noise x ends much nearer to the least than the iterates."""
        curvature, distances = torch.logspace(0, 1.5, 20), {}
        for name, made in (
            ("free", lambda p: cls([p], lr, weight_decay=0.0)),
            ("plain", lambda p: unyoke.Optimizer([p], lr, 0.0, direction=direction)),
        ):
            p = torch.nn.Parameter(torch.ones(20))
            optimizer, generator = made(p), torch.Generator().manual_seed(0)
            for _ in range(1500):
                p.grad = curvature * p.detach() + torch.randn(20, generator=generator)
                optimizer.step()
            optimizer.eval()
            distances[name] = float((curvature * p.detach() ** 2).mean())
        assert distances["free"] < 0.3 * distances["plain"]

    def test_decay_is_seen_in_what_is_evaluated(self) -> None:
        ends = []
        for λ in (0.0, 0.005):
            p = torch.nn.Parameter(start())
            optimizer = unyoke.ScheduleFreeAdamW([p], 0.01, weight_decay=λ)
            step(optimizer, gradients(p), UPDATES)
            optimizer.eval()
            ends.append(p.detach().norm())
        assert ends[1] < 0.97 * ends[0]


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 6, dtype=torch.float64, generator=generator)
    return inputs, (inputs.sum(1) > 0).long() + (inputs[:, 0] > 1).long()


@pytest.mark.parametrize("engine", ["stacked", "one_by_one"])
@pytest.mark.parametrize("cls", BOTH)
def test_populations_evaluate_x(cls: Any, engine: str) -> None:
    """Each model as if alone, with its own rate, schedule and decay; one stops earlier."""
    lrs, λs = [0.05, 0.2, 0.1], [1e-3, 0.0, 9e-3]
    plans = [WARM, schedules.constant(), schedules.cosine(20)]
    lengths = [20, 12, 20]
    options = {"seeds": [0, 1, 2], "schedule": plans, "updates": lengths, "engine": engine}
    population = Population(
        lambda: torch.nn.Linear(6, 3).double(), lrs, λs, optimizer=cls, **options
    )
    inputs, targets = data()
    population.train(inputs, targets, batch_size=len(targets), updates=20)
    outputs = population.predict(inputs)
    again = population.predict(inputs)
    assert torch.equal(outputs, again)
    for k in range(3):
        torch.manual_seed(k)
        model = torch.nn.Linear(6, 3).double()
        optimizer = cls(model.parameters(), lrs[k], weight_decay=λs[k], schedule=plans[k])
        for _ in range(lengths[k]):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
        y = model(inputs)
        optimizer.eval()
        x = model(inputs)
        assert (x - y).abs().max() > 1e-4
        torch.testing.assert_close(outputs[k], x, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(population.model(k)(inputs), x, rtol=1e-9, atol=1e-9)


def test_released_gradients_are_not_applied_to_the_weights_to_evaluate() -> None:
    model = torch.nn.Linear(4, 1)
    optimizer = unyoke.ScheduleFreeSGDW(model.parameters(), 0.1)
    with unyoke.release(optimizer):
        model(torch.ones(2, 4)).sum().backward()
        before = model.weight.detach().clone()
        optimizer.eval()
        with pytest.raises(RuntimeError, match=r"optimizer.train\(\)"):
            model(torch.ones(2, 4)).sum().backward()
        optimizer.train()
        assert torch.equal(model.weight.detach(), before)
        model(torch.ones(2, 4)).sum().backward()
    assert not torch.equal(model.weight.detach(), before)


def test_explain_says_that_what_is_evaluated_follows_later() -> None:
    optimizer = unyoke.ScheduleFreeAdamW([torch.nn.Parameter(start())], weight_decay=1e-4)
    text = str(optimizer.explain(updates=100))
    assert "taken per update      0.0001" in text
    assert "the evaluated x, an average of z, follows later" in text
    assert "half-life" not in text


def test_goes_with_any_decay_and_a_mask() -> None:
    """The average takes the whole update; a mask belongs to the step."""
    masked = directions.grams_schedule_free_adam
    assert masked.average is directions.schedule_free_adam.average
    p = torch.nn.Parameter(start())
    optimizer = unyoke.Optimizer([p], 0.05, direction=masked, decay="cautious")
    step(optimizer, gradients(p), 3)
    optimizer.eval()
    optimizer.train()
