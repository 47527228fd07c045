"""Exponents measured by `unyoke map`: p of one map, q of two budgets.

p = d log λ*/d log α, how the best λ moves with the learning rate, is the verdict ``ridge`` of a
map's cells.json. q = d log λ*/d log T at one learning rate comes from the best cells of two
budgets. In gradient flow p = 1 + q, which checks both.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unyoke.transfer.run import TransferError

NAMES = {"adamw": "AdamW", "sgdw": "SGDW", "lion": "LionW"}
"""What a map calls the optimizers."""


@dataclass(frozen=True)
class Measured:
    """What maps of the task say.

    Attributes:
        p: d log λ*/d log α.
        p_low, p_high: its 95 % interval over seeds; None with one seed.
        q: d log λ*/d log T at one α; None with one budget.
        q_low, q_high: as far as half a step of the grid moves it.
        source: where it was read.
        caution: what makes these numbers doubtful; may be empty.
        folder: of the map, for commands that add to it.
    """

    p: float
    p_low: float | None
    p_high: float | None
    q: float | None
    q_low: float | None
    q_high: float | None
    source: str
    caution: str = ""
    folder: str = "FOLDER"

    def as_json(self) -> dict[str, Any]:
        """What was measured, and the q that is assumed in the place of one that was not."""
        return {**asdict(self), "q_assumed": self.p - 1.0 if self.q is None else None}

    def factor(self, lr_ratio: float, length_ratio: float) -> float:
        """λ′/λ = (α′/α)^p·(T′/T)^q; without two budgets q = p − 1, which gradient flow has."""
        q = self.p - 1.0 if self.q is None else self.q
        return float(lr_ratio**self.p * length_ratio**q)

    @property
    def decides(self) -> bool:
        """Whether p is known well enough to stand above the rules: an interval below 1 wide.

        p lies between 0 and 1 in what is understood, so a wider interval, or that of one seed,
        which is none, tells nothing apart.
        """
        return self.p_low is not None and self.p_high is not None and self.p_high - self.p_low < 1.0

    @property
    def objection(self) -> str | None:
        """Why p does not stand above the rules; None if it does."""
        if self.decides:
            return None
        more = f"unyoke map --out {self.folder} --extend --seeds"
        if self.p_low is None or self.p_high is None:
            return f"p = {self.p:.2g} is of one seed, which has no interval; more seeds: {more} 4"
        return (
            f"p = {self.p:.2g} has an interval of{_interval(self.p_low, self.p_high)}, 1 wide or "
            f"more, which tells nothing apart; more seeds: {more} 10"
        )

    @property
    def name(self) -> str:
        """What was measured, for a table of rules."""
        return "measured p" if self.q is None else "measured p, q"

    def says(self, lr_ratio: float, length_ratio: float) -> str:
        """What is measured and what is assumed of λ ∝ α^p·T^q, as far as the change needs it."""
        p = f"p = {self.p:.2g} measured{_interval(self.p_low, self.p_high)}"
        if length_ratio == 1.0:
            return f"λ ∝ α^p, {p}"
        q = "q = p − 1 assumed"
        if self.q is not None:
            q = f"q = {self.q:.2g} measured{_interval(self.q_low, self.q_high)}"
        return f"λ ∝ α^p·T^q, {p}, {q}"

    @property
    def agrees(self) -> bool | None:
        """Whether p = 1 + q within the intervals; None with one budget or one seed."""
        if self.q_low is None or self.q_high is None or self.p_low is None or self.p_high is None:
            return None
        return self.p_low <= 1.0 + self.q_high and 1.0 + self.q_low <= self.p_high


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2g}, {high:.2g}]"


@dataclass(frozen=True)
class _Best:
    """The best cell of one map."""

    updates: float
    lr: float
    weight_decay: float
    step: float  # the factor between neighbouring λ of the grid


def read_maps(folders: Sequence[Path], optimizer: str) -> Measured:
    """p and q of the maps in `folders`.

    Raises:
        TransferError: a folder without cells.json, of a map of other optimizers, or whose verdicts
            lack the ridge.
    """
    name = NAMES[optimizer]
    ridges: list[Mapping[str, Any]] = []
    bests: list[_Best] = []
    cautions: list[str] = []
    without_decay: list[int] = []
    why = ""
    for folder in folders:
        findings, step = _read(folder, name)
        for finding in findings:
            updates, best, ridge = finding["updates"], finding.get("best"), finding.get("ridge")
            if ridge and ridge.get("value") is not None:
                ridges.append(ridge)
            elif ridge:
                why = str(ridge.get("upright") or "").removeprefix("unknown: ") or why
            if finding.get("edges"):
                cautions.append(f"the best cell of {updates} updates lies on an edge of its grid")
            if best and best["weight_decay"] > 0:
                bests.append(_Best(updates, best["lr"], best["weight_decay"], step))
            elif best:
                without_decay.append(updates)
    if not ridges:
        raise TransferError(f"{folders[0]}: {_no_ridge(folders[0], name, without_decay, why)}")
    cautions += [f"the best weight decay of {updates} updates is 0" for updates in without_decay]
    p = float(ridges[-1]["value"])
    return Measured(
        p,
        ridges[-1].get("low"),
        ridges[-1].get("high"),
        *_exponent(bests, p),
        source="maps in " + ", ".join(map(str, folders)),
        caution="; ".join(cautions),
        folder=str(folders[-1]),
    )


def _no_ridge(folder: Path, name: str, without_decay: Sequence[int], why: str) -> str:
    """Why no map says how λ moves with the learning rate, and what to do."""
    if without_decay:
        return (
            f"the best weight decay of {without_decay[0]} updates is 0, so there is none that "
            f"could move with the learning rate: {name} needs no decay there, or smaller ones than "
            "were tried"
        )
    if why:
        return (
            f"how the best λ of {name} moves with the learning rate is not known from this map: "
            f"{why}. Give it the values beyond, or more seeds: unyoke map --out {folder} --extend"
        )
    return (
        f"the map has no ridge for {name}, d log λ*/d log α; it needs a grid of several learning "
        "rates and weight decays, all cells trained. Draw it anew with: unyoke report "
        f"{folder}"
    )


def _read(folder: Path, name: str) -> tuple[list[dict[str, Any]], float]:
    """A map's findings of an optimizer, and the factor between its λ; 2 if the table has none."""
    file = folder / "cells.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        findings = list(document["findings"])
    except FileNotFoundError:
        raise TransferError(
            f"{folder}: there is no cells.json; give the folder that `unyoke map --out` filled"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TransferError(f"{file} is not the table of a map: {error}") from error
    own = [finding for finding in findings if finding["optimizer"] == name]
    if not own:
        there = ", ".join(sorted({finding["optimizer"] for finding in findings})) or "nothing"
        raise TransferError(f"{folder}: the map is of {there}, not of {name}: give --optimizer")
    decays = {
        float(cell["weight_decay"])
        for cell in document.get("cells", ())
        if cell.get("optimizer") == name and cell.get("weight_decay")
    }
    steps = (high / low for low, high in itertools.pairwise(sorted(decays)))
    return own, min(steps, default=2.0)


def _exponent(bests: Sequence[_Best], p: float) -> tuple[float | None, float | None, float | None]:
    """q of the shortest and the longest budget, at one learning rate: the rest is p's."""
    budgets = {best.updates: best for best in bests}
    if len(budgets) < 2:
        return None, None, None
    first, last = budgets[min(budgets)], budgets[max(budgets)]
    length = math.log(last.updates / first.updates)
    moved = math.log(last.weight_decay / first.weight_decay)
    q = (moved - p * math.log(last.lr / first.lr)) / length
    slack = math.log(max(first.step, last.step)) / length
    return q, q - slack, q + slack
