"""Time of one step of every direction that torch has too: ours against the best of torch's.

    python benchmarks/directions.py [--threads 1,2] [--rounds 9] [--only adam,nadam]

Each row: ours, each way of torch's, and how many times ours is as fast as the fastest of those.
All make their step in turn on the same tensors (see unyoke.bench.timing); medians over rounds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import torch

import unyoke
from unyoke.bench import cases
from unyoke.bench.report import seconds_as_text
from unyoke.bench.timing import alternate
from unyoke.interchange.counterparts import FORMS, Form

SHAPES = {
    "six small": cases.mlp_shapes(),
    "400 × 1,000": [(1000,)] * 400,
    "one of 8 M": [(8_000_000,)],
}
ELSEWHERE = ("adam", "muon")
"""AdamW is in `unyoke bench`; Muon works on whole matrices, which no kernel of ours does."""

WAYS: dict[str, dict[str, Any]] = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def torchs(form: Form, weights: list[torch.Tensor]) -> dict[str, Callable[[], object]]:
    """The step of each way that torch has for this algorithm."""
    switches = {name: value or 0 for name, value in form.switches.items()}
    if form.switches.get("nesterov") is not None or switches.get("momentum"):
        switches["momentum"] = 0.9
    found = {}
    for way, options in WAYS.items():
        try:
            optimizer = form.optimizer(weights, lr=1e-4, **switches, **options)
            optimizer.step()
        except (TypeError, RuntimeError):
            continue  # torch does not have it
        found[way] = optimizer.step
    return found


def row(form: Form, shapes: cases.Shapes, rounds: int) -> tuple[float, dict[str, float]]:
    """Seconds of our step and of torch's."""
    weights = cases.parameters(shapes)
    decay = "lr_coupled" if form.decouples == "always" else "l2"
    ours = unyoke.Optimizer(
        weights, lr=1e-4, weight_decay=0.0, direction=form.direction, decay=decay
    )
    times = alternate({"ours": ours.step, **torchs(form, weights)}, rounds=rounds)
    return times.pop("ours"), times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="directions, separated by commas")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    chosen = {form.direction: form for form in FORMS if form.direction not in ELSEWHERE}
    if arguments.only:
        chosen = {name: chosen[name] for name in arguments.only.split(",")}
    print("| direction | threads | case | ours | torch | torch's best / ours |")
    print("|---|---|---|---|---|---|")
    for name, form in chosen.items():
        for threads in map(int, arguments.threads.split(",")):
            torch.set_num_threads(threads)
            for case, shapes in SHAPES.items():
                ours, theirs = row(form, shapes, arguments.rounds)
                listed = ", ".join(f"{way} {seconds_as_text(t)}" for way, t in theirs.items())
                ratio = min(theirs.values()) / ours
                line = f"| {name} | {threads} | {case} | {seconds_as_text(ours)} | {listed} "
                print(f"{line}| {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
