"""What `unyoke map` runs when it is not told otherwise.

The axes of `digits` and `digits-plain` were chosen by running them first with seeds that are not
reported, so that each optimizer's best cell lies inside; those of the other tasks come from small
coarse trials only. Each optimizer has its own: Adam's steps have the size α and SGD's the size of
the gradient times α, and an L2 penalty λ′ is not the same quantity as a decoupled decay λ. On the
digits one range of numbers holds the best of both, so that maps side by side have one scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from unyoke import decays, directions
from unyoke.optimizers import Composition
from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
from unyoke.study.landscape.axes import parse_axis
from unyoke.study.landscape.landscape import Axes
from unyoke.study.landscape.optimizers import decay, direction
from unyoke.study.planning.units import size_of_steps, unit_of_decay
from unyoke.study.tasks.built_in import resolve


@dataclass(frozen=True)
class Preset:
    """A size of landscape: axes for each optimizer, updates per cell, number of seeds."""

    lr: Mapping[str, str]
    weight_decay: Mapping[str, str]
    updates: int
    seeds: int
    folder: str

    def axes(self, optimizer: str, own: Composition | None = None) -> Axes:
        """The usual axes of one optimizer.

        Args:
            own: what an optimizer with parts of a user's own file is made of, where it is known.

        Raises:
            StudyError: the preset has none for it.
        """
        usual = self.usual(optimizer) if own is None else self._of(own)
        if usual is None:
            raise StudyError(
                f"{optimizer} has no usual axes; give them: --lr {optimizer}=2^-10:2^-2 "
                f"--weight-decay {optimizer}=0,2^-10:2^-2"
            )
        return usual

    def usual(self, optimizer: str) -> Axes | None:
        """Its own axes, or those of the relative whose steps have the same size, or None."""
        if calls.parse(optimizer).own_parts:
            return None
        named = directions.get(direction(optimizer)), decays.get(decay(optimizer))
        return self._of(Composition(*named))

    def _of(self, made: Composition) -> Axes | None:
        steps, strength = size_of_steps(made.direction), unit_of_decay(made.decay)
        if steps is None or strength is None:
            return None
        name, kind = _STEPS[steps], _STRENGTHS[strength]
        penalties = "0" if made.decay.kind == "none" else self.weight_decay[name + kind]
        return Axes(
            parse_axis(self.lr[name + kind], "learning rate"), parse_axis(penalties, "weight decay")
        )


TASK = "digits"
SCHEDULE = "cosine"
OPTIMIZERS = ("Adam", "AdamW", "SGD", "SGDW")

_STEPS = {"rate": "Adam", "gradient": "SGD"}
"""Whose steps have the same size at the same α."""

_STRENGTHS = {"penalty": "", "per update": "W"}
"""The end of the name of the optimizer whose λ is the same quantity."""


def full(task: str) -> Preset:
    """The usual landscape of a built-in task; of any other, a small one to begin with."""
    return _BUILT_IN.get(resolve(task), _OWN)


def quick(task: str) -> Preset:
    """A small version of the usual landscape: coarser axes, one seed, fewer updates."""
    usual = full(task)
    return Preset(
        lr={name: _coarser(axis) for name, axis in usual.lr.items()},
        weight_decay={name: _coarser(axis) for name, axis in usual.weight_decay.items()},
        updates=max(1, usual.updates * 2 // 3),
        seeds=1,
        folder=f"{usual.folder}-quick",
    )


def _coarser(axis: str) -> str:
    """The same range in steps four times as large."""
    return f"{axis.removesuffix(':4')}:16" if axis.endswith(":4") else f"{axis}:4"


def _preset(
    adam: str, sgd: str, l2: str, decoupled: str, updates: int = 150, seeds: int = 3
) -> Preset:
    """Axes of α for Adam's steps and for SGD's, and of λ′ and λ, which 0 joins."""
    return Preset(
        lr={"Adam": adam, "AdamW": adam, "SGD": sgd, "SGDW": sgd},
        weight_decay={
            "Adam": f"0,{l2}",
            "AdamW": f"0,{decoupled}",
            "SGD": f"0,{l2}",
            "SGDW": f"0,{decoupled}",
        },
        updates=updates,
        seeds=seeds,
        folder="unyoke-map",
    )


# Where one training takes long, steps of 4 instead of 2; the paper's heat maps have steps of 2.
_CIFAR = _preset("2^-12:2^-4:4", "2^-6:2^2:4", "2^-15:2^-7:4", "2^-15:2^-7:4", 300, seeds=1)
# Proposition 1: the best λ′ moves as 1/α, so its axis is as long as that of α.
_CIFAR_SMALL = _preset("2^-13:2^-3:4", "2^-9:2^1:4", "2^-15:2^-5:4", "2^-11:2^-5", 1_680, seeds=1)
_PAPER = _preset("2^-14:2^-6", "2^-8:2^0", "2^-15:2^-7", "2^-15:2^-7", 35_200, seeds=1)
_SHAKESPEARE = _preset("2^-10:2^-2:4", "2^-8:2^0:4", "2^-13:2^-5:4", "2^-11:2^-3:4", 400, seeds=2)

_OWN = _preset("2^-9:2^-1", "2^-8:2^0", "2^-9:2^-2", "2^-9:2^-2")

_BUILT_IN: Mapping[str, Preset] = {
    # Ten seeds decide comparisons that three cannot; these trainings take 30 milliseconds.
    "digits": _preset("2^-9:2^-1", "2^-8:2^0", "2^-12:2^-1", "2^-12:2^-1", seeds=10),
    "digits-plain": _preset("2^-9:2^-1", "2^-8:2^0", "2^-9:2^-2", "2^-9:2^-2", seeds=10),
    "digits-noisy": _preset("2^-9:2^-1", "2^-8:2^0", "2^-11:2^-1", "2^-11:2^-1", 600, seeds=5),
    "breast-cancer": _preset("2^-11:2^-3", "2^-8:2^0", "2^-9:2^-1", "2^-9:2^-1"),
    "diabetes": _preset("2^-8:2^0", "2^-8:2^0", "2^-8:2^0", "2^-8:2^0"),
    "fashion-mnist": _preset("2^-11:2^-3", "2^-9:2^-1", "2^-8:2^-2", "2^-10:2^-4", 300),
    "fashion-patches": _preset(
        "2^-9:2^-1:4", "2^-8:2^0:4", "2^-11:2^-1", "2^-11:2^-1", 300, seeds=5
    ),
    "fashion-patches-plain": _preset(
        "2^-11:2^-3:4", "2^-9:2^-1:4", "2^-11:2^-1", "2^-11:2^-1", 300, seeds=5
    ),
    "cifar10": _CIFAR,
    "cifar10-patches": _preset(
        "2^-13:2^-3:4", "2^-9:2^1:4", "2^-15:2^-5:4", "2^-11:2^-5", 1_200, seeds=3
    ),
    "cifar10-small": _CIFAR_SMALL,
    "cifar100": _CIFAR,
    "cifar10-26-2x64d": _PAPER,
    "cifar10-26-2x96d": _PAPER,
    "shakespeare": _SHAKESPEARE,
    "shakespeare-longer": _preset(
        "2^-10:2^-2:4", "2^-8:2^0:4", "2^-13:2^-5:4", "2^-11:2^-3:4", 1_200, seeds=2
    ),
    "shakespeare-lstm": _SHAKESPEARE,
}
