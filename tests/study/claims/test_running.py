"""The commands as a user runs them, at the scale that only shows that everything works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from unyoke.cli import main
from unyoke.study.claims import estimate, plan
from unyoke.study.claims.request import Request
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.ledger.merge import merge

GAIN = ("claims", "gain", "--scale", "smoke", "--tasks", "digits-plain", "--workers", "2")


@pytest.fixture(autouse=True, scope="module")
def _grids_stay() -> Iterator[None]:
    """No best cell on an edge extends a grid, so that two ways of running train the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unyoke.study.claims.run.LONGEST_GROWTH", 0)
        yield


def ran(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


def figures(out: Path) -> list[tuple[str, float | None]]:
    """The test error of every training, by its key."""
    with Ledger.open_to_read(out / "digits-plain" / "main") as ledger:
        return sorted((r.cell.key, r.outcome.test_error) for r in ledger.records())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run by this machine's processes."""
    out = tmp_path_factory.mktemp("alone")
    text = ran(*GAIN, "--out", str(out))
    assert "digits-plain gain/adamw" in text
    return out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_answers_the_same(
    dask: str, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unyoke.study.running.executors.Processes", None)  # nobody here trains
    text = ran(*GAIN, "--executor", f"dask:{dask}", "--out", str(tmp_path / "out"))
    assert "undecided" in text
    found, expected = figures(tmp_path / "out"), figures(alone)
    assert [key for key, _ in found] == [key for key, _ in expected]
    # Batches differ with the number of workers, and with them the rounding of sums.
    known = [(a, b) for (_, a), (_, b) in zip(found, expected, strict=True) if a is not None]
    assert sum(a != b for a, b in known) <= len(known) // 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_figure_by_a_cluster(dask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unyoke.study.running.executors.Processes", None)
    words = ("figure", "2", "--scale", "smoke", "--executor", f"dask:{dask}")
    ran(*words, "--out", str(tmp_path))
    assert (tmp_path / "digits-plain" / "figure-2.svg").exists()


def test_shards_are_merged_into_the_whole(alone: Path, tmp_path: Path) -> None:
    parts = []
    for index in (1, 2):
        out = tmp_path / str(index)
        text = ran(*GAIN, "--shard", f"{index}/2", "--out", str(out))
        assert "main-best: left out, the maps of main are not whole" in text
        assert "incomplete" in text
        parts.append(out / "digits-plain" / "main")
    merged = merge(parts, tmp_path / "whole" / "digits-plain" / "main")
    assert merged.done == merged.total
    text = ran(*GAIN, "--out", str(tmp_path / "whole"))
    assert "incomplete" not in text
    assert [key for key, _ in figures(tmp_path / "whole")] == [key for key, _ in figures(alone)]


def test_a_dry_run_trains_nothing_and_names_its_samples(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = ran("figure", "2", "--scale", "smoke", "--dry-run", "--out", str(out))
    assert "digits-plain, main: 72 trainings, 1080 updates, about" in text
    assert "timed here: digits-plain, " in text
    assert not out.exists()


def test_an_estimate_is_of_what_is_left(alone: Path) -> None:
    request = Request(alone, "smoke", ("digits-plain",), ("gain",))
    for left in estimate.estimates(request, request.landscapes(), workers=1):
        assert (left.trainings, left.updates, left.seconds) == (0, 0, 0.0), left.study


def test_evaluations_do_not_grow_with_updates() -> None:
    """A budget twice as long costs its updates twice, and no more evaluations if these are few."""
    request = Request(Path("nowhere"), "smoke", ("digits-plain",))
    ((_, landscape),) = request.studies({"digits-plain": ["main"]}).landscapes.items()
    cells = [replace(cell, updates=20) for cell in list(landscape.cells())[:10]]
    known = estimate.cost(landscape.task, cells)
    made_up = replace(known, begin=0.0, update=0.001, evaluation=0.5)
    assert made_up.seconds(cells, None) == pytest.approx(10 * (0.020 + 4 * 0.5))
    assert made_up.seconds(cells, 1) == pytest.approx(10 * (0.020 + 1 * 0.5))
    longer = [replace(cell, updates=40) for cell in cells]
    assert made_up.seconds(longer, None) == pytest.approx(10 * (0.040 + 4 * 0.5))


def test_large_networks_are_timed_on_some_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from unyoke.study.tasks import registry

    request = Request(Path("nowhere"), "smoke", ("digits-plain",))
    ((_, landscape),) = request.studies({"digits-plain": ["main"]}).landscapes.items()
    monkeypatch.setattr(estimate, "SLOW", 0.0)
    # A gradient takes ten seconds for each sample.
    monkeypatch.setattr(estimate, "_backward", lambda task, samples: 10.0 * samples)
    monkeypatch.setattr(estimate, "_forward", lambda task, samples: 3.0 * samples)
    cost = estimate.cost(landscape.task, list(landscape.cells())[:1])
    task = registry.load(landscape.task)(0)
    samples = sum(len(targets) for _, targets in (task.train, task.validation, task.test))
    assert cost.update == pytest.approx(10.0 * task.batch_size)
    assert cost.evaluation == pytest.approx(3.0 * samples)
    assert cost.sample == f"4 of {task.batch_size} samples of a batch, forward and backward"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--executor", "cluster"), "unknown executor 'cluster'"),
        (("--shard", "3/2"), "--shard '3/2'"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*GAIN, *words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_every_study_begins_at_smoke_scale() -> None:
    assert set(plan.SCALES["smoke"].tasks["digits-plain"]) == set(plan.STUDIES)


def test_the_old_name_of_a_claim_works_for_one_release(tmp_path: Path) -> None:
    (tmp_path / "exact.json").write_text("{}", encoding="utf-8")
    text = ran("claims", "knobs/adam-tilt", "--report-only", "--out", str(tmp_path))
    assert "DeprecationWarning: knobs/adam-tilt is called coupling/adam-tilt" in text
    assert re.search(r"digits\S* coupling/adam-tilt +incomplete", text)
