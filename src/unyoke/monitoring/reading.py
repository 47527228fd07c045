"""One reading: plain numbers by group and by layer, as text and as scalars by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

SKIPPED = ("name", "group", "index", "decay")
"""Fields that say which layer or group it is."""


@dataclass(frozen=True)
class LayerReading:
    """One parameter in one update.

    Attributes:
        name: the parameter's.
        group: number of its group.
        weight_norm: ‖θ‖ before the update.
        update_ratio: ‖Δθ‖/‖θ‖.
        rotation: the angle between θ before and after, in radians.
        rotation_predicted: in equilibrium, at this decay, if a normalization follows; None where
            it is not known (not Adam's or SGD's family).
        decay_share: of the decay in the update's length, ‖decay‖/(‖decay‖ + ‖step‖); None where
            the rule takes no fixed part.
    """

    name: str
    group: int
    weight_norm: float
    update_ratio: float
    rotation: float
    rotation_predicted: float | None
    decay_share: float | None


@dataclass(frozen=True)
class GroupReading:
    """One parameter group in one update. None where a quantity is not defined or not known.

    Attributes:
        index: the group's place in ``param_groups``.
        decay: its rule, by name.
        lr: α·η_t.
        eta: η_t.
        weight_decay: λ in the rule's own units.
        effective_decay: what the update takes of a weight, η_t·λ or lr·wd.
        decay_so_far: Σηλ since the beginning, or since the monitor was made where no schedule says
            what was before.
        decay_to_come: Σηλ of the updates that are left.
        window: τ = 1/effective_decay, in updates.
        updates_left: of the budget.
    """

    index: int
    decay: str
    lr: float
    eta: float
    weight_decay: float
    effective_decay: float | None
    decay_so_far: float | None
    decay_to_come: float | None
    window: float | None
    updates_left: int | None


@dataclass(frozen=True)
class Reading:
    """What a monitor saw in one update; prints as text.

    Attributes:
        update: the number of updates that the optimizer had made afterwards.
        groups: one entry for each parameter group.
        layers: one for each parameter that is watched and has moved.
        warnings: what somebody should know, in words.
    """

    update: int
    groups: tuple[GroupReading, ...]
    layers: tuple[LayerReading, ...]
    warnings: tuple[str, ...]

    def scalars(self) -> dict[str, float]:
        """Every number by name, such as ``decay/group0/decay_so_far``; what is None is left out."""
        found: dict[str, float] = {}
        rows: list[tuple[str, LayerReading | GroupReading]] = [
            *((f"group{group.index}", group) for group in self.groups),
            *((layer.name, layer) for layer in self.layers),
        ]
        for place, row in rows:
            for field in fields(row):
                value = getattr(row, field.name)
                if field.name not in SKIPPED and value is not None and math.isfinite(value):
                    found[f"decay/{place}/{field.name}"] = float(value)
        return found

    def __str__(self) -> str:
        lines = [f"update {self.update:,}"]
        for group in self.groups:
            lines.append(
                f"group {group.index}: {group.decay}, lr={group.lr:.3g}, "
                f"weight_decay={group.weight_decay:.3g}, taken per update "
                f"{_or_none(group.effective_decay)}, Σηλ {_or_none(group.decay_so_far)} so far and "
                f"{_or_none(group.decay_to_come)} to come, τ {_or_none(group.window)} updates, "
                f"{'?' if group.updates_left is None else f'{group.updates_left:,}'} left"
            )
            own = [layer for layer in self.layers if layer.group == group.index]
            if own:
                lines.append(
                    f"  {'layer':<32}{'‖θ‖':>10}{'‖Δ‖/‖θ‖':>10}{'rotation':>10}{'predicted':>10}"
                    f"{'decay':>8}"
                )
            lines += [
                f"  {layer.name:<32}{layer.weight_norm:>10.3g}{layer.update_ratio:>10.2g}"
                f"{layer.rotation:>10.2g}{_or_none(layer.rotation_predicted):>10}"
                f"{_percent(layer.decay_share):>8}"
                for layer in own
            ]
        return "\n".join([*lines, *(f"warning: {each}" for each in self.warnings)])


def _or_none(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2g} %"
