"""unyoke explain FILE: checkpoints of unyoke, torch, timm and Hugging Face."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import unyoke
from unyoke.cli import main
from unyoke.equation import decay
from unyoke.explain_file import UnknownCheckpoint, explain_file, kind_of


def trained(make: Any, updates: int = 3) -> torch.optim.Optimizer:
    model = torch.nn.Linear(4, 3)
    optimizer: torch.optim.Optimizer = make(model.parameters())
    for _ in range(updates):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
    return optimizer


def saved(document: Any, folder: Path, name: str = "file.pt") -> Path:
    torch.save(document, folder / name)
    return folder / name


def test_ours_is_explained_as_the_optimizer_itself_is(tmp_path: Path) -> None:
    optimizer = trained(
        lambda params: unyoke.AdamW(
            params, lr=1e-3, weight_decay=1e-5, schedule=unyoke.schedules.cosine(10)
        )
    )
    (found,) = explain_file(saved(optimizer.state_dict(), tmp_path)).groups
    expected = optimizer.explain().groups[0]
    for name in ("parameters", "direction", "decay", "weight_decay", "lr", "per_update", "window"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name
    assert found.eta == pytest.approx(expected.eta)


@pytest.mark.parametrize("place", ["optimizer", "optimizer_state_dict", "optimizer_states"])
def test_torch_s_adamw_inside_a_training_checkpoint(tmp_path: Path, place: str) -> None:
    state = trained(lambda params: torch.optim.AdamW(params, lr=1e-3, weight_decay=0.1))
    inside: Any = state.state_dict()
    document = {"model": {}, "epoch": 3, place: [inside] if place.endswith("states") else inside}
    (found,) = explain_file(saved(document, tmp_path), updates=1000).groups
    assert found.parameters == 15
    assert found.per_update == pytest.approx(1e-4)
    assert found.total == pytest.approx(0.1)
    assert found.torch_weight_decay == pytest.approx(0.1)
    assert "torch's AdamW; here weight_decay=0.0001 at lr=0.001" in found.note


ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}
NADAM = {**ADAM, "momentum_decay": 4e-3}
OURS = {"base_lr": 1e-3, "direction": "lion"}


@pytest.mark.parametrize(
    ("group", "direction", "decay", "note"),
    [
        ({**OURS, "decay": "decoupled"}, "lion", "decoupled", ""),
        ({**OURS, "decay": "mine"}, "lion", "none", "this decay is not of this library"),
        ({"ns_steps": 5, "momentum": 0.95}, "muon", "lr_coupled", "torch's Muon"),
        ({"betas": (0.9, 0.99)}, "lion", "lr_coupled", "Lion"),
        ({**ADAM, "corrected_weight_decay": True}, "adam", "corrected", "timm's AdamW"),
        ({**ADAM, "corrected_weight_decay": False}, "adam", "lr_coupled", "timm's AdamW"),
        ({**ADAM, "correct_bias": True}, "adam", "lr_coupled", "Hugging Face's AdamW"),
        ({**ADAM, "decoupled_weight_decay": True}, "adam", "lr_coupled", "torch's AdamW"),
        ({**ADAM, "decoupled_weight_decay": False}, "adam", "l2", "torch's Adam, with L2"),
        ({**ADAM, "decoupled_weight_decay": None}, "adam", "lr_coupled", "does not say"),
        ({**ADAM, "momentum_decay": 4e-3}, "nadam", "l2", "torch's NAdam"),
        ({**NADAM, "decoupled_weight_decay": True}, "nadam", "lr_coupled", "torch's NAdam"),
        (ADAM, "adam", "lr_coupled", "Adam or AdamW, the file does not say: read as AdamW"),
        ({"dampening": 0, "momentum": 0.9}, "momentum", "l2", "torch's SGD"),
        ({"nesterov": True, "momentum": 0.9}, "nesterov", "l2", "torch's SGD"),
        ({"nesterov": False, "momentum": 0}, "gradient", "l2", "torch's SGD"),
        ({"alpha": 0.99}, "an optimizer", "l2", "as most of torch's optimizers have it"),
    ],
)
def test_a_group_s_names_tell_which_optimizer_wrote_it(
    group: dict[str, Any], direction: str, decay: str, note: str
) -> None:
    found = kind_of(group)
    assert (found.direction, found.decay) == (direction, decay)
    assert note in found.note
    assert bool(note) == bool(found.note)


def test_torch_s_adam_and_sgd(tmp_path: Path) -> None:
    adam = trained(lambda params: torch.optim.Adam(params, weight_decay=0.1))
    (found,) = explain_file(saved(adam.state_dict(), tmp_path)).groups
    assert found.per_update is None
    assert "L2 in the gradient" in found.note
    sgd = trained(lambda params: torch.optim.SGD(params, 0.1, momentum=0.9, weight_decay=5e-4))
    (found,) = explain_file(saved(sgd.state_dict(), tmp_path)).groups
    assert found.steady_state == pytest.approx(5e-4)
    assert found.torch_weight_decay is None


def test_timm_s_with_its_command_line(tmp_path: Path) -> None:
    state = trained(lambda params: torch.optim.AdamW(params, lr=1e-3, weight_decay=0.1))
    document = state.state_dict()
    for group in document["param_groups"]:  # the names that timm 1.0.31 has in its groups
        del group["decoupled_weight_decay"]
        group |= {"caution": False, "corrected_weight_decay": False, "initial_lr": 2e-3}
    whole = {"epoch": 1, "optimizer": document, "args": argparse.Namespace(lr=1e-3)}
    (found,) = explain_file(saved(whole, tmp_path)).groups
    assert "timm's AdamW; here weight_decay=0.0002 at lr=0.002" in found.note
    assert found.per_update == pytest.approx(1e-4)


def test_hugging_face_s_folder(tmp_path: Path) -> None:
    state = trained(lambda params: torch.optim.AdamW(params, lr=5e-5, weight_decay=0.01))
    saved(state.state_dict(), tmp_path, "optimizer.pt")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 3, "max_steps": 1003}))
    found = explain_file(tmp_path, updates_per_epoch=100)
    assert found.updates == 1000
    assert found.groups[0].total == pytest.approx(1000 * 5e-7)


class TestWhatItCannotRead:
    def test_no_file_and_no_optimizer(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownCheckpoint, match="no such file"):
            explain_file(tmp_path / "nowhere.pt")
        with pytest.raises(UnknownCheckpoint, match=r"holds no optimizer .* weight, bias: give"):
            explain_file(saved(torch.nn.Linear(1, 1).state_dict(), tmp_path))
        with pytest.raises(UnknownCheckpoint, match=r"folder without optimizer\.pt"):
            explain_file(tmp_path)
        (tmp_path / ".metadata").touch()
        with pytest.raises(UnknownCheckpoint, match="a distributed checkpoint"):
            explain_file(tmp_path)

    def test_bytes_and_code(self, tmp_path: Path) -> None:
        (tmp_path / "text.pt").write_text("not a checkpoint")
        with pytest.raises(UnknownCheckpoint, match="without executing it"):
            explain_file(tmp_path / "text.pt")
        with pytest.raises(UnknownCheckpoint, match=r"torch\.save wrote of optimizer\.state_dict"):
            explain_file(saved(trained(torch.optim.Adam), tmp_path))

    def test_nothing_in_the_file_is_executed(self, tmp_path: Path) -> None:
        path = saved({"optimizer": Touching(tmp_path / "touched")}, tmp_path)
        with pytest.raises(UnknownCheckpoint, match="without executing it"):
            explain_file(path)
        assert not (tmp_path / "touched").exists()


class Touching:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["explain", *words])


def test_the_command(tmp_path: Path) -> None:
    state = trained(lambda params: torch.optim.AdamW(params, lr=1e-3, weight_decay=0.1))
    answer = run(str(saved(state.state_dict(), tmp_path)), "--updates", "1000")
    assert "over the next 1,000 updates" in answer.stdout
    assert "total decay Σηλ       0.1" in answer.stdout
    refused = run(str(tmp_path / "nowhere.pt"))
    assert (refused.exit_code, len(refused.stderr.strip().splitlines())) == (2, 1)


@pytest.mark.parametrize(("schedule", "share"), [("constant", 1.0), ("linear", 0.5), (None, 1.0)])
def test_how_the_learning_rate_goes_on(tmp_path: Path, schedule: str | None, share: float) -> None:
    optimizer = trained(lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1))
    file = saved(optimizer.state_dict(), tmp_path)
    group = explain_file(file, 1000, schedule=schedule).groups[0]
    assert group.total == pytest.approx(share * 1e-4 * 1000, rel=2e-3)
    assert ("--schedule" in group.note) == (schedule is None)
    words = ["--schedule", schedule] if schedule else []
    assert run(str(file), "--updates", "1000", *words).exit_code == 0


def test_junk_is_a_whole_sentence(tmp_path: Path) -> None:
    file = tmp_path / "junk.pt"
    file.write_bytes(b"junk")
    with pytest.raises(UnknownCheckpoint, match=r"give a file that torch.save wrote of optimizer"):
        explain_file(file)


def test_a_decay_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    def lasso(weight: torch.Tensor) -> torch.Tensor:
        return weight.sign()

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = unyoke.SGDW([weight], lr=0.1, weight_decay=1e-3, decay=decay(lasso))
    weight.grad = torch.ones(2)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    (group,) = explain_file(tmp_path / "optimizer.pt").groups
    assert (group.direction, group.decay, group.per_update) == ("heavy_ball", "lasso", None)
    assert "not of this library" in group.note
