"""transfer(): each rule by hand, what decay amounts to, and which rule is recommended."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import unyoke
from unyoke.transfer import Run, Transfer, TransferError, read_maps, transfer
from unyoke.transfer.run import left_of_the_beginning, rotation

TUNED = Run(lr=3e-4, weight_decay=1.5e-5, batch_size=256, samples=50_000, epochs=30)
STRONG = TUNED.changed(weight_decay=1e-3)  # total decay 2.9


def by_name(answer: Transfer) -> dict[str, float]:
    return {row.rule: row.weight_decay for row in answer.rules}


def test_the_worked_example() -> None:
    """Twice the batch, three times the epochs: T goes from 5,859 to 8,789."""
    found = by_name(transfer(TUNED, TUNED.changed(batch_size=512, epochs=90)))
    assert found == {
        "keep λ": pytest.approx(1.5e-5),
        "keep λ/α": pytest.approx(1.5e-5 * math.sqrt(2)),
        "normalized": pytest.approx(1.5e-5 * math.sqrt(2 / 3)),
        "τ in epochs": pytest.approx(3e-5),
        "total decay": pytest.approx(1e-5, rel=1e-3),  # whole updates
    }


def test_rules_for_one_change_each() -> None:
    batch = by_name(transfer(TUNED, TUNED.changed(batch_size=1024)))
    assert batch["noise scale"] == pytest.approx(4 * TUNED.weight_decay)
    assert batch["τ in epochs"] == pytest.approx(4 * TUNED.weight_decay)
    data = by_name(transfer(TUNED, TUNED.changed(samples=200_000)))
    assert data["τ in epochs"] == pytest.approx(TUNED.weight_decay / 4)
    assert data["normalized"] == pytest.approx(TUNED.weight_decay / 2)
    wide = Run(lr=1e-2, weight_decay=1e-4, updates=10_000, width=256)
    answer = transfer(wide, wide.changed(width=1024))
    assert answer.to.lr == pytest.approx(2.5e-3)
    assert by_name(answer)["width"] == 1e-4
    assert by_name(answer)["root of width"] == pytest.approx(5e-5)
    # Fan et al. in their units: torch's weight decay grows by √4
    torch_s = next(row for row in answer.rules if row.rule == "root of width").torch_weight_decay
    assert torch_s == pytest.approx(2 * wide.torch_weight_decay)


def test_rules_for_language_models() -> None:
    small = Run(lr=1e-3, weight_decay=1e-4, updates=10_000, tokens=2e9, weights=1e8)
    large = transfer(small, small.changed(updates=40_000, tokens=8e9))
    share = {row.rule: row.window_share for row in large.rules}
    before = 1 / (small.weight_decay * small.length)
    assert share["power lines"] == pytest.approx(before * 4**-0.527)
    assert large.recommended.outcome.rule == "power lines"
    passes = small.changed(epochs=16.0, updates=160_000)
    again = transfer(small, passes)
    assert by_name(again)["repeated data"] == pytest.approx(30 * small.weight_decay)
    assert again.recommended.outcome.rule == "repeated data"


def test_nothing_changes_where_nothing_changes() -> None:
    answer = transfer(TUNED, TUNED)
    assert set(by_name(answer).values()) == {TUNED.weight_decay}
    assert answer.spread == 1.0
    assert answer.recommended.check == ""


def test_there_and_back() -> None:
    to = STRONG.changed(batch_size=1000, epochs=70, samples=20_000)
    for row in transfer(STRONG, to).rules:
        there = to.changed(lr=row.lr, weight_decay=row.weight_decay)
        back = by_name(transfer(there, STRONG, lr=STRONG.lr))
        assert back[row.rule] == pytest.approx(STRONG.weight_decay, rel=1e-9), row.rule


class TestRecommendation:
    def test_little_decay_keeps_its_sum_and_is_told_to_be_little(self) -> None:
        best = transfer(TUNED, TUNED.changed(batch_size=512, epochs=90)).recommended
        assert best.outcome.rule == "total decay"
        assert "4.3 % of its beginning" in best.reason
        assert "see whether decay matters" in best.check

    def test_much_decay_with_norms_keeps_the_window(self) -> None:
        best = transfer(STRONG, STRONG.changed(batch_size=512, epochs=90)).recommended
        assert best.outcome.rule == "τ in epochs"
        assert "see whether decay matters" not in best.check

    def test_without_norms_the_minimum_decides(self) -> None:
        best = transfer(STRONG, STRONG.changed(epochs=60), lr=6e-4, norms=False).recommended
        assert best.outcome.rule == "keep λ/α"
        assert best.outcome.torch_weight_decay == pytest.approx(STRONG.torch_weight_decay)

    def test_without_batches_decay_stays(self) -> None:
        run = Run(lr=0.1, weight_decay=1e-3, updates=10_000)
        assert transfer(run, run.changed(updates=20_000)).recommended.outcome.rule == "keep λ"

    def test_rules_close_to_each_other_need_no_measurement(self) -> None:
        assert transfer(STRONG, STRONG.changed(epochs=40)).recommended.check == ""


class TestLearningRate:
    def test_by_the_root_for_adam_and_linearly_for_sgd(self) -> None:
        to = TUNED.changed(batch_size=1024)
        assert transfer(TUNED, to).to.lr == pytest.approx(6e-4)
        sgd = TUNED.changed(optimizer="sgdw")
        assert transfer(sgd, sgd.changed(batch_size=1024)).to.lr == pytest.approx(1.2e-3)
        assert transfer(TUNED, to, lr_rule="same").to.lr == TUNED.lr
        assert transfer(TUNED, to, lr=1.0).to.lr == 1.0


def test_total_decay_is_what_an_optimizer_takes() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    run = Run(lr=1e-3, weight_decay=2e-3, updates=1500, schedule="cosine")
    optimizer = unyoke.AdamW(
        [weight], lr=1e-3, weight_decay=2e-3, schedule=unyoke.schedules.cosine(1500)
    )
    for _ in range(1500):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert weight[0].item() == pytest.approx(left_of_the_beginning(run), rel=2e-3)


class TestRotation:
    """A random walk, which is what arXiv 2305.17212 derives it for."""

    def walk(self, optimizer: str, **arguments: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(4000, generator=generator))
        made = getattr(torch.optim, optimizer)([weight], **arguments)
        angles = []
        for t in range(700):
            before = weight.detach().clone()
            weight.grad = torch.randn(4000, generator=generator)
            made.step()
            cosine = torch.nn.functional.cosine_similarity(before, weight.detach(), dim=0)
            if t >= 500:
                angles.append(math.acos(min(1.0, float(cosine))))
        return sum(angles) / len(angles)

    def test_of_adamw(self) -> None:
        found = self.walk("AdamW", lr=0.02, weight_decay=0.5, betas=(0.9, 0.99))
        assert found == pytest.approx(rotation(0.02 * 0.5, 0.9), rel=0.05)

    def test_of_sgd_with_l2(self) -> None:
        found = self.walk("SGD", lr=0.02, weight_decay=0.05, momentum=0.9)
        assert found == pytest.approx(rotation(0.02 * 0.05 / (1 - 0.9), 0.9), rel=0.05)
        assert rotation(0.01, 0.9) == pytest.approx(math.sqrt(2 * 0.02 * 0.05 / 1.9))


def write_map(folder: Path, best: dict[int, tuple[float, float]], ridge: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    findings = [
        {
            "optimizer": "AdamW",
            "updates": updates,
            "best": {"lr": lr, "weight_decay": λ},
            "ridge": ridge,
        }
        for updates, (lr, λ) in best.items()
    ]
    cells = [{"optimizer": "AdamW", "weight_decay": 0.01 * 2**k, "lr": 0.01} for k in range(-3, 4)]
    document = {"findings": findings, "cells": cells}
    (folder / "cells.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


RIDGE = {"value": 0.4, "low": 0.3, "high": 0.5}


class TestMeasured:
    def test_two_budgets_give_q_at_one_learning_rate(self, tmp_path: Path) -> None:
        # λ* = α^0.4·T^−0.6, and the longer run's best α is twice as large
        λ = 0.01 * 2**0.4 * 4**-0.6
        folder = write_map(tmp_path, {100: (0.1, 0.01), 400: (0.2, λ)}, RIDGE)
        found = read_maps([folder], "adamw")
        assert (found.p, found.q) == (0.4, pytest.approx(-0.6))
        assert found.agrees
        answer = transfer(TUNED, TUNED.changed(epochs=120), lr=6e-4, measured=found)
        assert answer.recommended.outcome.rule == "measured p, q"
        assert answer.recommended.outcome.says.endswith(
            "p = 0.4 measured [0.3, 0.5], q = -0.6 measured [-1.1, -0.1]"
        )
        expected = TUNED.weight_decay * 2**0.4 * 4**-0.6
        assert answer.recommended.outcome.weight_decay == pytest.approx(expected)

    def test_two_folders_are_as_good(self, tmp_path: Path) -> None:
        one = write_map(tmp_path / "a", {100: (0.1, 0.01)}, RIDGE)
        two = write_map(tmp_path / "b", {800: (0.1, 0.01)}, RIDGE)
        found = read_maps([one, two], "adamw")
        assert found.q == pytest.approx(0.0)
        assert found.agrees is False  # p = 0.4 and 1 + q = 1, ± half a step
        assert "check the answer" in transfer(TUNED, TUNED, measured=found).recommended.check

    def test_one_budget_takes_q_from_p(self, tmp_path: Path) -> None:
        found = read_maps([write_map(tmp_path, {100: (0.1, 0.01)}, RIDGE)], "adamw")
        assert found.q is None
        assert found.factor(1.0, 4.0) == pytest.approx(4**-0.6)
        answer = transfer(TUNED, TUNED.changed(epochs=120), lr=6e-4, measured=found)
        best = answer.recommended
        assert best.outcome.rule == "measured p"
        assert best.outcome.says == "λ ∝ α^p·T^q, p = 0.4 measured [0.3, 0.5], q = p − 1 assumed"
        assert "was not measured: q = p − 1 is assumed" in best.reason
        assert f"unyoke map --out {tmp_path} --extend --updates" in best.reason
        assert answer.as_json()["measured"]["q_assumed"] == pytest.approx(-0.6)

    def test_a_length_that_stays_needs_no_q(self, tmp_path: Path) -> None:
        found = read_maps([write_map(tmp_path, {100: (0.1, 0.01)}, RIDGE)], "adamw")
        best = transfer(TUNED, TUNED, lr=6e-4, measured=found).recommended
        assert best.outcome.says == "λ ∝ α^p, p = 0.4 measured [0.3, 0.5]"
        assert "assumed" not in best.reason

    def test_one_seed_and_an_edge_are_doubts(self, tmp_path: Path) -> None:
        alone = {"value": 0.4, "low": None, "high": None}
        folder = write_map(tmp_path, {100: (0.1, 0.01), 400: (0.1, 0.005)}, alone)
        document = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
        document["findings"][0]["edges"] = ["the smallest α tried"]
        (folder / "cells.json").write_text(json.dumps(document), encoding="utf-8")
        found = read_maps([folder], "adamw")
        assert found.agrees is None
        best = transfer(TUNED, TUNED.changed(epochs=60), measured=found).recommended
        assert "best cell of 100 updates lies on an edge" in best.check
        assert best.reason.startswith("the map does not decide: p = 0.4 is of one seed")
        assert f"unyoke map --out {folder} --extend --seeds 4. By the rules: " in best.reason

    @pytest.mark.parametrize(("low", "high"), [(None, None), (-0.4, 1.2)])
    def test_an_exponent_that_is_not_known_decides_nothing(
        self, tmp_path: Path, low: float | None, high: float | None
    ) -> None:
        ridge = {"value": 0.4, "low": low, "high": high}
        found = read_maps([write_map(tmp_path, {100: (0.1, 0.01)}, ridge)], "adamw")
        answer = transfer(TUNED, TUNED.changed(epochs=60), measured=found)
        assert not answer.recommended.outcome.rule.startswith("measured")
        assert "measured p" in [row.rule for row in answer.rules]
        assert answer.recommended.reason.startswith("the map does not decide: p = 0.4 ")

    @pytest.mark.parametrize(("norms", "told"), [(None, True), (True, False), (False, False)])
    def test_norms_that_nobody_spoke_of_are_an_assumption(
        self, norms: bool | None, told: bool
    ) -> None:
        tuned = Run(lr=1e-3, weight_decay=0.02, updates=1000)
        best = transfer(tuned, tuned.changed(updates=4000), lr=2e-3, norms=norms).recommended
        assert ("with --no-norms the answer is 'keep λ/α', 0.04" in best.reason) is told
        assert best.outcome.rule == ("keep λ/α" if norms is False else "keep λ")

    def test_a_best_decay_of_zero_is_said(self, tmp_path: Path) -> None:
        folder = write_map(tmp_path, {100: (0.1, 0.0)}, None)
        with pytest.raises(TransferError, match="the best weight decay of 100 updates is 0"):
            read_maps([folder], "adamw")

    def test_why_an_exponent_is_not_known_is_said_as_the_report_says_it(
        self, tmp_path: Path
    ) -> None:
        why = "the best λ is the smallest or largest tried at 2 of 5 α"
        ridge = {"value": None, "low": None, "high": None, "upright": f"unknown: {why}"}
        folder = write_map(tmp_path, {100: (0.1, 0.01)}, ridge)
        with pytest.raises(TransferError, match=f"from this map: {why}.*--extend"):
            read_maps([folder], "adamw")

    def test_what_it_cannot_read(self, tmp_path: Path) -> None:
        with pytest.raises(TransferError, match=r"no cells\.json"):
            read_maps([tmp_path / "nowhere"], "adamw")
        folder = write_map(tmp_path, {100: (0.1, 0.01)}, None)
        with pytest.raises(TransferError, match="no ridge for AdamW"):
            read_maps([folder], "adamw")
        with pytest.raises(TransferError, match="of AdamW, not of SGDW"):
            read_maps([folder], "sgdw")
        (folder / "cells.json").write_text("[]", encoding="utf-8")
        with pytest.raises(TransferError, match="not the table of a map"):
            read_maps([folder], "adamw")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 0}, "batch size 0: it must be a finite number > 0"),
        ({"epochs": -1}, "epochs -1"),
        ({"lr": math.inf}, "lr inf"),
        ({"weight_decay": 1.5}, "Give --convention torch"),
        ({"batch_size": 60_000}, "larger than the 50000 samples"),
        ({"updates": 9_000, "epochs": 30}, "are 5,859 updates, not 9,000: leave one"),
        ({"epochs": None, "updates": None}, "length of the run is not known"),
        ({"schedule": "cosinus"}, "unknown schedule 'cosinus'"),
        ({"optimizer": "adafactor"}, "unknown optimizer 'adafactor'"),
        ({"beta1": 1.0}, "beta1 1.0"),
    ],
)
def test_bad_runs_are_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    given = {"lr": 3e-4, "weight_decay": 1.5e-5, "batch_size": 256, "samples": 50_000, "epochs": 30}
    with pytest.raises(TransferError, match=words) as caught:
        Run(**{**given, **changes})
    assert "\n" not in str(caught.value)


def test_runs_too_far_apart() -> None:
    run = Run(lr=1e-3, weight_decay=0.5, updates=1e6)
    with pytest.raises(TransferError, match="too far apart"):
        transfer(run, run.changed(updates=10))
    with pytest.raises(TransferError, match="from adamw to lion"):
        transfer(run, run.changed(optimizer="lion"))


def test_code_to_paste_runs_and_takes_the_same() -> None:
    answer = transfer(STRONG, STRONG.changed(batch_size=512))
    model = torch.nn.Linear(2, 1)
    names = {"unyoke": unyoke, "torch": torch, "model": model}
    ours = eval(answer.code["unyoke"], names)
    exec(answer.code["torch"], names)
    group = names["optimizer"].param_groups[0]
    assert names["scheduler"].T_max == ours.schedule.budget
    assert ours.param_groups[0]["weight_decay"] == pytest.approx(
        group["lr"] * group["weight_decay"], rel=1e-3
    )
    assert set(answer.code) == {"unyoke", "torch", "timm", "hf", "optax", "keras"}


@pytest.mark.parametrize("schedule", ["cosine", "step_drops"])
def test_a_large_decay_is_pasted_as_the_run_s_so_that_nobody_asks_about_it(schedule: str) -> None:
    run = Run(lr=1e-3, weight_decay=0.02, updates=100, schedule=schedule)
    code = transfer(run, run).code["unyoke"]
    assert "weight_decay=unyoke.total_decay(" in code
    ours = eval(code, {"unyoke": unyoke, "model": torch.nn.Linear(2, 1)})  # a warning is an error
    assert ours.param_groups[0]["weight_decay"] == pytest.approx(0.02, rel=1e-3)
