"""Figure 2 of CIFAR-10 on a GPU, rehearsed on the CPU at a thousandth of its size."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.func import functional_call

from unyoke.study.tasks.small_resnet import SmallResNet
from unyoke.study.tasks.task import Task, cross_entropy

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import cifar_gpu
    import cifar_stack

    yield cifar_gpu, cifar_stack
    for name in ("cifar_gpu", "cifar_stack", "cifar_figure"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_row_of_the_stack_is_the_tasks_network(scripts: Any) -> None:
    _, stacks = scripts
    stack = stacks.Stack([3, 4], 10, "cpu", torch.float32, compiled=False)
    images, targets = torch.randn(2, 8, 3, 32, 32), torch.randint(10, (2, 8))
    for row, seed in enumerate((3, 4)):
        torch.manual_seed(seed)
        network = SmallResNet(10)
        if row == 0:
            grads, losses = stack.gradients(images.transpose(1, 2), targets)
        loss = cross_entropy(network(images[row]), targets[row])
        loss.backward()
        torch.testing.assert_close(losses[row], loss)
        for name, weight in network.named_parameters():
            torch.testing.assert_close(grads[name][row], weight.grad, rtol=1e-3, atol=1e-5)
        for name, buffer in network.named_buffers():
            if name in stack.running:
                torch.testing.assert_close(stack.running[name][row], buffer)
        state = {name: x[row] for name, x in (stack.weights | stack.running).items()}
        expected = functional_call(network.eval(), state, (images[0],))
        found = stack.outputs(images[0])[row]
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_flips_and_crops_are_of_the_padded_image(scripts: Any) -> None:
    _, stacks = scripts
    images = torch.rand(20, 3, 32, 32)
    batches = stacks.Batches(images, torch.arange(20), [0, 1, 0], 10, 3, torch.float32)
    found, classes = batches.at(2)
    assert found.shape == (3, 3, 10, 32, 32)
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    flipped = 0
    for image, number in zip(found[1].transpose(0, 1), classes[1], strict=True):
        padded = torch.nn.functional.pad(images[number], (4,) * 4)
        windows = padded.unfold(1, 32, 1).unfold(2, 32, 1)
        mirrored = padded.flip(-1).unfold(1, 32, 1).unfold(2, 32, 1)
        there = [
            (w == image[:, None, None]).flatten(3).all(3).all(0).any() for w in (windows, mirrored)
        ]
        assert sum(there) == 1
        flipped += int(there[1])
    assert 0 < flipped < 10


@pytest.mark.slow
def test_the_whole_order_at_a_thousandth(scripts: Any, tmp_path: Path) -> None:
    script, _ = scripts
    images, classes = torch.randn(24, 3, 32, 32), torch.randint(10, (24,))
    samples = images, classes
    task = Task(SmallResNet(10), samples, samples, samples, batch_size=8)
    size = script.Size(2, decays=2, rates=1, first=(0,), later=(2,), fresh=(100,), pilot=(1000,))
    trainer = script.Trainer(task, 2, "cpu", compiled=False)
    assert script.run_all(trainer, size, tmp_path, 5.0, anyway=True) == "all done"
    cells = list(csv.DictReader((tmp_path / "cells.csv").read_text().splitlines()))
    assert len(cells) == 2 * 4 * 2
    assert {cell["optimizer"] for cell in cells} == set(script.OPTIMIZERS)
    undecayed = {
        c["test_error"]
        for c in cells
        if (c["optimizer"][:4], c["seed"]) == ("Adam", "0") and float(c["weight_decay"]) == 0
    }
    assert len(undecayed) == 1  # without decay Adam is AdamW
    assert len(list(csv.DictReader((tmp_path / "best.csv").read_text().splitlines()))) == 6
    assert script.run_all(trainer, size, tmp_path, 5.0).startswith("stopped")
    assert script.run_all(trainer, size, tmp_path, 0.0, anyway=True) == "the time is over"


@pytest.mark.slow
def test_the_committed_numbers_are_the_committed_trainings(scripts: Any) -> None:
    """By code of its own for the errors; the rest is what the script writes today."""
    numbers = json.loads((BENCHMARKS / "cifar-gpu-h200.json").read_text())
    lines = (BENCHMARKS / "cifar-gpu-h200-best.csv").read_text().splitlines()
    errors: dict[str, list[float]] = {}
    for cell in csv.DictReader(lines):
        name = cell["optimizer"] + ("" if float(cell["weight_decay"]) else " without decay")
        errors.setdefault(name, []).append(100 * float(cell["test_error"]))
    means = {name: sum(values) / len(values) for name, values in errors.items()}
    found = {name: one["value"] for name, one in numbers["six cells"]["errors"].items()}
    assert found == pytest.approx(means)
    for pair, difference in numbers["six cells"]["differences"].items():
        first, second = pair.split(" - ")
        assert difference["value"] == pytest.approx(means[first] - means[second])

    import cifar_figure

    for panel in cifar_figure.maps(cifar_figure.read(BENCHMARKS / "cifar-gpu-h200-cells.csv")):
        again, committed = cifar_figure.of_map(panel), numbers["maps"][panel.optimizer]
        for name in ("error", "tilt", "ridge", "lr_sensitivity", "regret"):
            assert again[name] == pytest.approx(committed[name]), (panel.optimizer, name)


def test_the_figure_is_drawn_of_the_committed_trainings(scripts: Any, tmp_path: Path) -> None:
    """Both axes of each map have as many labels as ticks, one of them in units of its own."""
    import cifar_figure

    panels = cifar_figure.maps(cifar_figure.read(BENCHMARKS / "cifar-gpu-h200-cells.csv"))
    cifar_figure.draw(panels, tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert "total weight decay λT over 1,680 updates" in text
