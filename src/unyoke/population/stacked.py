"""K models as one program: torch.func's vmap over stacked weights, one optimizer step for all."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from unyoke.optimizer import Optimizer
from unyoke.population.convolution import convolutions
from unyoke.population.engine import Batch, Blueprint, Engine, UnstackableError, put_state
from unyoke.population.inputs import Inputs, called, joined, leaves
from unyoke.population.models import Models, Named
from unyoke.population.program import Program
from unyoke.population.settings import Rates

_TOGETHER = 16
"""Models evaluated in one call: their activations stay in the cache."""


class Stacked(Engine):
    """The active models are rows of a stack; when one of them stops, the stack gets shorter.

    So what happens to one model cannot reach another, and stopped models cost nothing.
    """

    name = "stacked"

    def __init__(self, blueprint: Blueprint, models: Models, rows: Sequence[int]) -> None:
        super().__init__(blueprint, models, rows)
        self._all = models
        self._before: Named = {}
        self._stepper: Optimizer | None = None
        self._names: dict[Tensor, str] = {}
        self._programs = {
            each: Program(self._loss, each, blueprint.pattern, blueprint.loss)
            for each in (False, True)
        }
        self._longest = max(budget or 0 for budget in blueprint.settings.budgets)
        if not models.state:
            self._build(range(len(models)))
            self._all.state = self._active().map(Tensor.clone).state
        self._build(rows)

    def _build(self, rows: Sequence[int]) -> None:
        """Lay out the stack of the active models as ``self._all`` has them."""
        self.rows = list(rows)
        self.rates = Rates(self.blueprint.settings, self.rows)
        active = self._all if len(self.rows) == len(self._all) else self._all.rows(self.rows)
        self._stacks = active.weights
        self._fixed = active.fixed
        self._weights: Named = {name: nn.Parameter(stack) for name, stack in active.weights.items()}
        if not self.rows:
            return
        self._stepper = self._optimizer(
            self._weights, self.rates.lr.clone(), self.rates.weight_decay.clone()
        )
        self._names = {weight: name for name, weight in self._weights.items()}
        _check_rows(self._stepper, self._weights)
        put_state(self._stepper, self._weights, active.state, slice(None))

    def gradients(self, batch: Batch) -> Tensor:
        self._before = {name: stack.clone() for name, stack in self._fixed.items()}
        self.blueprint.pattern.train()
        program = self._programs[batch.per_model]
        # What is drawn for the whole stack is not the same at two calls.
        left = 0 if batch.random else self._longest - batch.update
        with batch.drawing(0), torch.no_grad():
            grads, losses = program(
                self._stacks, self._fixed, batch.inputs, batch.targets, batch.keys, left
            )
        for name, weight in self._weights.items():
            weight.grad = grads[name]
        return losses

    def _loss(
        self, weights: Named, fixed: Named, inputs: Inputs, targets: Tensor, key: Tensor
    ) -> Any:
        def model(*arguments: Any, **named: Any) -> Any:
            with convolutions(key):
                tensors = {**weights, **fixed}
                return functional_call(self.blueprint.pattern, tensors, arguments, named)

        return self._call(model, inputs, targets, key)

    def keep(self, rows: Sequence[int]) -> None:
        positions = [self.rows.index(row) for row in rows]
        stopped = [row for row in self.rows if row not in set(rows)]
        grads = {name: weight.grad for name, weight in self._weights.items()}
        self._all.write(self.rows, self._active())
        places = [self.rows.index(row) for row in stopped]
        for name, stack in self._before.items():
            self._all.fixed[name][stopped] = stack[places]
        self._before = {}
        self._build(rows)
        for name, weight in self._weights.items():
            grad = grads[name]
            weight.grad = None if grad is None else grad[positions]

    def apply(self, update: int) -> None:
        self._before = {}
        if self.blueprint.clip_norm is not None:
            grads = [w.grad for w in self._weights.values() if w.grad is not None]
            clip_rows(grads, self.blueprint.clip_norm)
        lr, weight_decay = self.rates.at(update)
        assert self._stepper is not None, "there are active models"
        for group in self._stepper.param_groups:
            group["lr"].copy_(lr)
            if group.get("decays") is not False:
                group["weight_decay"].copy_(weight_decay)
        self._stepper.step()

    def finite(self) -> Tensor:
        rows = [s.isfinite().reshape(len(s), -1).all(dim=1) for s in self._stacks.values()]
        return torch.stack(rows).all(dim=0)

    def models(self) -> Models:
        if self.rows:
            self._all.write(self.rows, self._active())
        return self._all

    def to_evaluate(self) -> Models:
        models = self.models()
        return Models(self._evaluated(models), models.fixed, models.state)

    def _active(self) -> Models:
        assert self._stepper is not None, "there are active models"
        count = len(self.rows)
        state = {
            name: {
                key: value.expand(count) if value.dim() == 0 else value
                for key, value in self._stepper.state[weight].items()
            }
            for name, weight in self._weights.items()
        }
        return Models(self._stacks, self._fixed, state)

    def outputs(self, inputs: Inputs, rows: Sequence[int]) -> Any:
        models = self._some(rows)
        pattern = self.blueprint.pattern.eval()

        def one(weights: Named, fixed: Named) -> Any:
            def model(*arguments: Any, **named: Any) -> Any:
                return functional_call(pattern, {**weights, **fixed}, arguments, named)

            with convolutions(leaves(inputs)[0]):
                return called(model, inputs)

        with torch.no_grad():
            return joined(
                torch.cat,
                [
                    vmap(one, randomness="different")(part.weights, part.fixed)
                    for start in range(0, len(rows), _TOGETHER)
                    for part in [models.map(operator.itemgetter(slice(start, start + _TOGETHER)))]
                ],
            )

    def _some(self, rows: Sequence[int]) -> Models:
        """These models to evaluate, without state; where they lie side by side, without a copy."""
        place = {row: position for position, row in enumerate(self.rows)}
        if all(row in place for row in rows):
            models, positions = self._active(), [place[row] for row in rows]
        else:
            models, positions = self.models(), list(rows)
        chosen: Any = torch.tensor(positions)
        if positions == list(range(positions[0], positions[0] + len(positions))):
            chosen = slice(positions[0], positions[0] + len(positions))
        return Models(self._evaluated(models), models.fixed).map(operator.itemgetter(chosen))

    def _evaluated(self, models: Models) -> Named:
        """The weights to evaluate; of most optimizers those that are trained."""
        if self._stepper is None:  # all had stopped when the models came
            rows = self.rows
            self._build(range(len(self._all)))
            self._build(rows)
        assert self._stepper is not None
        result = dict(models.weights)
        for group in self._stepper.param_groups:
            for name in (self._names[weight] for weight in group["params"]):
                result[name] = self._stepper.evaluated(result[name], models.state[name], group)
        return result


def clip_rows(grads: Sequence[Tensor], limit: float) -> None:
    """Scale each model's gradient, in place, to a norm of at most ``limit``.

    As :func:`torch.nn.utils.clip_grad_norm_` does it for one model; rows do not touch each other.
    """
    norms = [torch.linalg.vector_norm(grad.reshape(len(grad), -1), dim=1) for grad in grads]
    total = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    scale = (limit / (total + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(scale.to(grad.dtype).reshape(-1, *(1,) * (grad.dim() - 1)))


def _check_rows(optimizer: Optimizer, weights: Named) -> None:
    """Everything in the optimizer's state must have a row per model, and none may share a draw."""
    for group in optimizer.param_groups:
        if group.get("rounding") == "stochastic":
            raise UnstackableError("stochastic rounding draws by place in the stack")
        if group.get("state_dtype", "float32") != "float32":
            raise UnstackableError(
                f"state in {group['state_dtype']} is rounded by random bits, or in blocks, that go "
                "by place in the stack"
            )
    for name, weight in weights.items():
        for key, value in optimizer.state[weight].items():
            if value.dim() > 0 and value.shape[0] != weight.shape[0]:
                raise UnstackableError(
                    f"the optimizer keeps {key} of {name} as {tuple(value.shape)}, which mixes "
                    "models: use state_dtype='float32'"
                )
