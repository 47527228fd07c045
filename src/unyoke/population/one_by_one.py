"""K models, one after the other: for what cannot be stacked, and to compare with."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from unyoke.population.engine import Batch, Blueprint, Engine, put_state, to_evaluate
from unyoke.population.inputs import Inputs, called, joined
from unyoke.population.models import Models, Named, load_row, stacked, trained, untrained
from unyoke.population.settings import Rates


class OneByOne(Engine):
    """A module and an optimizer for each model."""

    name = "one_by_one"

    def __init__(self, blueprint: Blueprint, models: Models, rows: Sequence[int]) -> None:
        super().__init__(blueprint, models, rows)
        settings = blueprint.settings
        self._modules = [
            load_row(copy.deepcopy(blueprint.pattern), models, row) for row in range(len(models))
        ]
        self._weights = [trained(module) for module in self._modules]
        self._fixed = [untrained(module) for module in self._modules]
        decays = Rates(settings, range(len(settings))).weight_decay.tolist()
        self._optimizers = []
        for row, weights in enumerate(self._weights):
            optimizer = self._optimizer(weights, settings.lr[row], decays[row])
            for group in optimizer.param_groups:
                group["seed"] = settings.seeds[row] & 0x7FFFFFFF
            put_state(optimizer, weights, models.state, row)
            self._optimizers.append(optimizer)
        self._shares = [
            [_shares(group, settings.lr[row], decays[row]) for group in optimizer.param_groups]
            for row, optimizer in enumerate(self._optimizers)
        ]
        self._before: list[Named] = []

    def gradients(self, batch: Batch) -> Tensor:
        losses = []
        self._before = []
        for position, row in enumerate(self.rows):
            module, optimizer = self._modules[row], self._optimizers[row]
            module.train()
            self._before.append({name: x.clone() for name, x in self._fixed[row].items()})
            optimizer.zero_grad()
            with batch.drawing(position), torch.enable_grad():
                loss = self._call(module, *batch.of(position), batch.keys[position])
                loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses)

    def keep(self, rows: Sequence[int]) -> None:
        if self._before:
            for row, before in zip(self.rows, self._before, strict=True):
                if row not in rows:
                    for name, tensor in self._fixed[row].items():
                        tensor.copy_(before[name])
        self._before = []
        self.rows = list(rows)
        self.rates = Rates(self.blueprint.settings, self.rows)

    def apply(self, update: int) -> None:
        self._before = []
        lrs, decays = self.rates.at(update)
        limit = self.blueprint.clip_norm
        pairs = zip(lrs.tolist(), decays.tolist(), strict=True)
        for row, (lr, decay) in zip(self.rows, pairs, strict=True):
            if limit is not None:
                torch.nn.utils.clip_grad_norm_(self._weights[row].values(), limit)
            optimizer = self._optimizers[row]
            for group, shares in zip(optimizer.param_groups, self._shares[row], strict=True):
                for name, value in (("lr", lr), ("weight_decay", decay)):
                    if name in shares:
                        group[name] = value * shares[name]
            optimizer.step()

    def finite(self) -> Tensor:
        return torch.tensor(
            [all(bool(x.isfinite().all()) for x in self._weights[r].values()) for r in self.rows]
        )

    def models(self) -> Models:
        state = {
            name: stacked(
                [
                    optimizer.state[weights[name]]
                    for optimizer, weights in zip(self._optimizers, self._weights, strict=True)
                ]
            )
            for name in self._weights[0]
        }
        return Models(stacked(self._weights), stacked(self._fixed), state)

    def to_evaluate(self) -> Models:
        with ExitStack() as stack:
            for optimizer in self._optimizers:
                stack.enter_context(to_evaluate(optimizer))
            return self.models()

    def outputs(self, inputs: Inputs, rows: Sequence[int]) -> Any:
        results = []
        with torch.no_grad():
            for module, optimizer in ((self._modules[row], self._optimizers[row]) for row in rows):
                module.eval()
                with to_evaluate(optimizer):
                    results.append(called(module, inputs))
        return joined(torch.stack, results)


def _shares(group: Mapping[str, Any], lr: float, weight_decay: float) -> dict[str, float]:
    """Times a group's numbers are those that its optimizer was given, where it has them."""
    given = {"lr": lr, "weight_decay": weight_decay}
    return {
        name: 1.0 if value == 0 or group[name] == value else float(group[name]) / value
        for name, value in given.items()
        if name in group and not (name == "weight_decay" and group.get("decays") is False)
    }
