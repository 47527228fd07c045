"""The benchmark's harness, with invented clocks; no real time is tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from unyoke import bench
from unyoke.bench import cases, contenders, fsdp, measure, report
from unyoke.bench.contenders import BASELINE, Contender
from unyoke.bench.timing import alternate
from unyoke.cli import main


class Clock:
    """Time that only the actions spend."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def action(self, name: str, *seconds: float) -> Callable[[], None]:
        calls = iter(range(10_000_000))

        def act() -> None:
            self.log.append(name)
            self.now += seconds[next(calls) % len(seconds)]

        return act


class TestAlternate:
    def test_everybody_has_a_turn_in_every_round(self) -> None:
        clock = Clock()
        actions = {name: clock.action(name, 1.0) for name in "abc"}
        alternate(actions, rounds=3, clock=clock)
        assert "".join(clock.log) == "aabbcc" + "abc" + "bca" + "cab"

    def test_gives_the_median(self) -> None:
        clock = Clock()
        outliers = clock.action("x", 9.0, 9.0, 1.0, 2.0, 50.0, 2.0, 1.5)  # two do not count
        times = alternate({"x": outliers}, rounds=5, clock=clock)
        assert times == {"x": 2.0}

    def test_repeats_what_is_short(self) -> None:
        clock = Clock()
        actions = {"short": clock.action("s", 0.01), "long": clock.action("l", 5.0)}
        times = alternate(actions, rounds=1, seconds=0.1, clock=clock)
        assert times == pytest.approx({"short": 0.01, "long": 5.0})
        assert clock.log.count("s") == 2 + 10
        assert clock.log.count("l") == 2 + 1


class TestCases:
    @pytest.mark.parametrize(
        ("shapes", "tensors", "weights"),
        [
            (cases.mlp_shapes(), 6, 26_122),
            (cases.resnet50_shapes(), 161, 25_557_032),  # as torchvision counts them
            (cases.gpt2_shapes(), 148, 124_439_808),  # as the published checkpoint has them
        ],
    )
    def test_are_the_real_models(self, shapes: Any, tensors: int, weights: int) -> None:
        assert len(shapes) == tensors
        assert cases.size(shapes) == weights

    def test_models_run(self) -> None:
        for model, batch in cases.models().values():
            assert model(batch).isfinite().all()


class Sleeper(torch.optim.SGD):
    """An optimizer for the harness."""


class Taker(torch.optim.SGD):
    """One that takes the gradients away, as some do."""

    updates = 0

    def step(self, closure: Any = None) -> Any:
        gradients = [p.grad for p in self.param_groups[0]["params"]]
        type(self).updates += all(g is not None for g in gradients)
        super().step()
        self.zero_grad()


FAKE = [
    Contender(BASELINE, lambda weights: torch.optim.SGD(weights, lr=0.1)),
    Contender("sleeper", lambda weights: Sleeper(weights, lr=0.1, momentum=0.9)),
    Contender("broken", lambda weights: torch.optim.SGD(weights, lr=-1.0)),
    Contender("one tensor only", lambda weights: Sleeper(weights, lr=0.1), compiled=True),
]


@pytest.fixture
def result(monkeypatch: pytest.MonkeyPatch) -> measure.Result:
    monkeypatch.setattr(measure, "FEW", 1)
    found = measure.Result(
        {"processor": "abacus", "commit": "123"}, {"1": 2.5e9}, absent={"x": "y"}
    )
    for case, shapes in {"small": [(4,), (3,)], "single": [(5, 5)]}.items():
        able = measure.those_able(FAKE, shapes, case, found.absent)
        found.steps += measure.step_rows(able, case, shapes, 1, 2)
    able = [one for one in FAKE if one.name != "broken"]
    found.bytes_per_weight = {one.name: measure.bytes_per_weight(one) for one in able}
    found.first_step = {"a": 0.25}
    return found


class TestMeasure:
    def test_rows_compare_with_the_baseline(self, result: measure.Result) -> None:
        assert [(row["case"], row["contender"]) for row in result.steps] == [
            ("small", BASELINE), ("small", "sleeper"),
            ("single", BASELINE), ("single", "sleeper"), ("single", "one tensor only"),
        ]  # fmt: skip
        for row in result.steps:
            baseline = next(
                other["seconds"]
                for other in result.steps
                if (other["case"], other["contender"]) == (row["case"], BASELINE)
            )
            assert row["speed"] == pytest.approx(baseline / row["seconds"])
        assert {row["weights"] for row in result.steps} == {7, 25}

    def test_gradients_that_one_takes_away_are_there_for_the_next(self) -> None:
        seen: list[bool] = []

        class Watcher(Taker):
            def step(self, closure: Any = None) -> Any:
                seen.append(all(p.grad is not None for p in self.param_groups[0]["params"]))

        fakes = [FAKE[0], Contender("taker", Taker), Contender("watcher", Watcher)]
        Taker.updates = 0
        measure.step_rows(fakes, "small", [(4,), (3,)], 1, 2)
        assert all(seen)
        assert Taker.updates > 4

    def test_a_broken_contender_is_absent_with_its_reason(self, result: measure.Result) -> None:
        assert "Invalid learning rate" in result.absent["broken, small"]

    def test_bytes_are_those_of_the_state(self, result: measure.Result) -> None:
        assert result.bytes_per_weight == {BASELINE: 0, "sleeper": 4, "one tensor only": 0}

    def test_bytes_of_our_formats(self) -> None:
        found = {
            one.name: measure.bytes_per_weight(one) for one in contenders.ours() if not one.compiled
        }
        assert found["unyoke eager"] == 8
        assert found["unyoke bfloat16 state"] == 4
        assert found["unyoke 8-bit state"] == pytest.approx(2.0625)
        assert found["unyoke kahan"] == 12

    def test_the_machine_is_named(self) -> None:
        assert set(measure.machine()) >= {"processor", "cores", "torch", "commit"}


class TestPeers:
    def test_are_absent_with_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        invented = (
            contenders.Peer("missing", "no_such_library", "AdamW"),
            contenders.Peer("wrong name", "torch.optim", "NoSuchOptimizer"),
            contenders.Peer("slow", "torch.optim", "AdamW", compiled=True),
            contenders.Peer("there", "torch.optim", "AdamW"),
        )
        monkeypatch.setattr(contenders, "PEERS", invented)
        found, absent = contenders.peers(None, quick=True)
        assert [one.name for one in found] == ["there"]
        assert "no_such_library" in absent["missing"]
        assert "NoSuchOptimizer" in absent["wrong name"]
        assert "quick" in absent["slow"]


class TestReport:
    def test_markdown_has_every_figure(self, result: measure.Result) -> None:
        text = report.markdown(result)
        for row in result.steps:
            assert report.step_cell(row) in text
        assert "processor abacus" in text
        assert "2.5 GB/s" in text
        assert "| one tensor only | – |" in text
        assert "| x | y |" in text

    @pytest.mark.parametrize(
        ("seconds", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs")]
    )
    def test_times_have_units(self, seconds: float, text: str) -> None:
        assert report.seconds_as_text(seconds) == text

    def test_files(self, result: measure.Result, tmp_path: Path) -> None:
        files = report.write(result, tmp_path / "new")
        assert {"bench.md", "bench.json"} <= {file.name for file in files}
        assert all(file.stat().st_size > 100 for file in files)
        assert json.loads((tmp_path / "new/bench.json").read_text())["steps"] == result.steps

    def test_the_plot_shows_the_most_threads(self, result: measure.Result) -> None:
        rows = [{**row, "threads": 2, "speed": 3.0} for row in result.steps]
        result.steps = result.steps + rows
        chart = report.bars(result)
        assert list(chart) == ["small", "single"]
        assert {speed for speeds in chart.values() for speed in speeds.values()} == {3.0}


class TestCommand:
    def test_measures_and_writes(
        self, result: measure.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[measure.Settings] = []

        def run(settings: measure.Settings, tell: Callable[[str], None]) -> measure.Result:
            asked.append(settings)
            tell("a case")
            return result

        monkeypatch.setattr(bench, "run", run)
        options = ["bench", "--threads", "1,4", "--rounds", "3", "--out", str(tmp_path)]
        done = CliRunner().invoke(main, options)
        assert done.exit_code == 0
        assert asked == [measure.Settings(threads=(1, 4), rounds=3)]
        assert str(tmp_path / "bench.md") in done.output

    def test_fsdp_prints_a_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fsdp, "CASES", ((1, 4),))
        done = CliRunner().invoke(main, ["bench", "--fsdp", "--rounds", "1"])
        assert done.exit_code == 0
        assert "| 1 layers of 4 × 4 |" in done.output

    @pytest.mark.parametrize("threads", ["0", "two", "1,,2", "-1"])
    def test_refuses_threads_that_are_no_numbers(self, threads: str) -> None:
        done = CliRunner().invoke(main, ["bench", f"--threads={threads}"])
        assert done.exit_code == 2
        assert "whole number" in done.output

    def test_refuses_to_write_over_a_file_of_the_user_s_before_it_measures(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bench, "run", lambda *_: pytest.fail("it measured"))
        (tmp_path / "bench.md").write_text("mine")
        done = CliRunner().invoke(main, ["bench", "--out", str(tmp_path)])
        assert done.exit_code == 2
        assert "was not written by unyoke" in done.output
        assert (tmp_path / "bench.md").read_text() == "mine"

    def test_writes_again_over_what_it_wrote(
        self, result: measure.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bench, "run", lambda *_: result)
        for _ in range(2):
            done = CliRunner().invoke(main, ["bench", "--out", str(tmp_path)])
            assert done.exit_code == 0, done.output
