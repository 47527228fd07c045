"""The report: plain data first, then what is drawn from it."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from made_up import outcome as made
from report_files import WRITTEN

from unyoke.study.errors import StudyError
from unyoke.study.landscape.axes import parse_axis, tick
from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.landscape.optimizers import title
from unyoke.study.landscape.outcome import CurvePoint, Outcome
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report import curves
from unyoke.study.report.comparisons import PairVerdict, comparisons
from unyoke.study.report.curves import read_curves
from unyoke.study.report.extension import extension
from unyoke.study.report.figures import drawn
from unyoke.study.report.findings import (
    Finding,
    colour_range,
    edge_text,
    errors_over_lr,
    find,
    lacking,
)
from unyoke.study.report.page import page_data
from unyoke.study.report.report import write_report
from unyoke.study.report.survey import Setting, Survey, survey
from unyoke.study.report.tables import rows
from unyoke.study.statistics import Interval, mean_interval, paired_difference
from unyoke.study.wording import difference_text, error_text, interval_text

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]


def bowl(cell: Cell) -> float | None:
    """Best in the middle for AdamW, at the highest α and λ for SGD; one cell diverges."""
    if cell.lr == 1.0 and cell.weight_decay == 0 and cell.seed == 1:
        return None
    if cell.optimizer == "SGD":
        return 0.5 - 0.2 * cell.lr * cell.weight_decay + 0.01 * cell.seed
    return 0.1 + abs(cell.lr - 0.5) + abs(cell.weight_decay - 0.25) + 0.01 * cell.seed


@pytest.fixture
def folder(tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
    fill(tmp_path, landscape, bowl)
    return tmp_path


def surveyed(folder: Path) -> Survey:
    with Ledger.open_to_read(folder) as ledger:
        return survey(ledger.landscape, ledger.records())


def test_a_panel_holds_what_was_recorded(folder: Path) -> None:
    result = surveyed(folder)
    assert (result.total, result.done, result.diverged) == (36, 36, 2)
    adamw, sgd = result.panels
    assert [adamw.title, sgd.title] == ["AdamW", "SGD + L2"]
    assert adamw.decay_symbol != sgd.decay_symbol
    assert adamw.figures["test_error"][1, 2, 0] == pytest.approx(0.1 + 0.25 + 0.25 + 0.01)
    assert adamw.mean("test_error")[1, 1] == pytest.approx(0.105)
    assert adamw.standard_error("test_error")[1, 1] == pytest.approx(0.005)
    assert np.argwhere(adamw.diverged).tolist() == [[1, 0, 2]]
    assert math.isnan(adamw.mean("test_error")[0, 2])


def test_seeds_that_have_not_run_are_left_out(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        for _ in range(20):  # the first seed's 18 cells and two of the second's
            cell = ledger.claim()
            assert cell is not None
            error = bowl(cell)
            ledger.record(
                cell,
                Outcome("finished", 1, error, error, error, error, 0.01, 9, "%", 0, ()),
                "{}",
            )
    adamw, sgd = surveyed(tmp_path).panels
    assert adamw.mean("test_error")[0, 0] == pytest.approx(0.605)  # two seeds
    assert adamw.mean("test_error")[1, 1] == pytest.approx(0.1)  # one seed
    assert math.isnan(adamw.standard_error("test_error")[1, 1])
    found = find(sgd)
    assert found.error is not None
    assert found.error.value == pytest.approx(0.4)
    assert math.isnan(found.error.low)
    assert (found.seeds, find(adamw).seeds) == (1, 1)


def test_findings(folder: Path) -> None:
    adamw, sgd = (find(panel) for panel in surveyed(folder).panels)
    assert adamw.best == (1, 1)
    assert (adamw.error.value, adamw.error.standard_error) == pytest.approx((0.105, 0.005))
    assert adamw.any_samples.standard_error == pytest.approx(math.hypot(0.005, 0.01))
    assert adamw.without_decay.value == pytest.approx(0.355)
    assert adamw.gain.difference.value == pytest.approx(0.105 - 0.355)
    assert adamw.edges == []
    assert adamw.regret.value == pytest.approx(0, abs=1e-12)
    twice, four_times = adamw.off
    assert twice.decay_kept.value == pytest.approx((0.25 + 0.5) / 2)
    assert math.isnan(four_times.decay_kept.value)  # no learning rate there
    assert sgd.best == (2, 2)
    assert [(edge.axis, edge.end) for edge in sgd.edges] == [
        ("lr", "high"),
        ("weight_decay", "high"),
    ]
    assert "largest α tried, 2⁰" in edge_text(sgd.edges[0], sgd.panel)
    assert "largest λ′ tried, 2⁻¹" in edge_text(sgd.edges[1], sgd.panel)


def test_hyperparameters_of_an_unfinished_run_are_those_of_its_whole_maps(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.05, (10, 3, 3))

    def error(cell: Cell) -> float:
        row, column = (0.0, 0.25, 0.5).index(cell.weight_decay), (0.25, 0.5, 1).index(cell.lr)
        return float(0.5 + abs(row - 1) + abs(column - 1) + noise[cell.seed, row, column])

    fill(tmp_path / "three", replace(landscape, seeds=(0, 1, 2)), error)
    three = find(surveyed(tmp_path / "three").panels[0])
    with Ledger.open_to_write(tmp_path / "ten", replace(landscape, seeds=tuple(range(10)))) as some:
        for _ in range(3 * 18 + 4):  # three seeds, and a part of the fourth's first map
            cell = some.claim()
            assert cell is not None
            figures = (*(4 * [error(cell)]), 0.01)
            some.record(cell, Outcome("finished", 1, *figures, 9, "%", 0, ()), "{}")
    ten = find(surveyed(tmp_path / "ten").panels[0])
    assert math.isfinite(three.tilt.low)
    assert ten.tilt == three.tilt
    assert ten.regret == three.regret


def test_an_edge_winner_comes_with_the_command_that_extends_its_grid(folder: Path) -> None:
    result = surveyed(folder)
    findings = [find(panel) for panel in result.panels]
    command = extension(result, findings, folder)
    assert command is not None
    added = ["--lr", "SGD=2^1:2^3", "--weight-decay", "SGD=2^0:2^2"]
    assert shlex.split(command) == ["unyoke", "map", "--out", str(folder), "--extend", *added]
    assert extension(result, findings[:1], folder) is None


def test_no_command_asks_for_what_takes_the_whole_weight(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    fill(tmp_path, landscape, lambda cell: 1 - cell.weight_decay)  # the largest is best
    result = surveyed(tmp_path)
    command = extension(result, [find(panel) for panel in result.panels], tmp_path)
    assert command is not None
    assert shlex.split(command)[-2:] == [
        "--weight-decay",
        "SGD=2^0:2^2",
    ]  # a penalty may be as large


def test_the_colour_scale_is_common_and_keeps_the_basins_contrast(folder: Path) -> None:
    result = surveyed(folder)
    low, high = colour_range(result.panels)
    errors = np.concatenate([panel.mean("test_error").ravel() for panel in result.panels])
    assert low == pytest.approx(np.nanmin(errors))
    assert np.nanmedian(errors) < high <= np.nanmax(errors)


@pytest.mark.slow
def test_tables(folder: Path) -> None:
    write_report(folder)
    with (folder / "cells.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    document = json.loads((folder / "cells.json").read_text())
    assert len(table) == len(document["cells"]) == 36
    first = document["cells"][0]
    assert first["test_error"] == pytest.approx(0.6)
    assert float(table[0]["test_error"]) == first["test_error"]
    diverged = [row for row in table if row["status"] == "diverged"]
    assert [row["test_error"] for row in diverged] == ["", ""]
    assert {row["updates"] for row in table} == {"10"}
    assert {row["updates_made"] for row in diverged} == {"3"}
    assert document["findings"][0]["best"]["lr"] == 0.5
    assert document["landscape"]["seeds"] == [0, 1]


def test_page_data_is_json_and_complete(folder: Path) -> None:
    result = surveyed(folder)
    findings = [find(panel) for panel in result.panels]
    with Ledger.open_to_read(folder) as ledger:
        lines = read_curves(result, ledger.curve)
    data = page_data(result, findings, comparisons(findings), lines, folder)
    json.dumps(data, allow_nan=False)
    adamw = data["panels"][0]
    assert adamw["lr"] == ["2^-2", "2^-1", "2^0"]
    assert adamw["weightDecay"] == ["0", "2^-2", "2^-1"]
    assert adamw["test"][1 * 3 + 1] == pytest.approx(0.105)
    assert (adamw["test"][2], adamw["lost"][2], adamw["ran"][2]) == (None, 1, 2)
    assert adamw["curves"] == {"updates": (5,), "cells": adamw["curves"]["cells"]}
    assert adamw["curves"]["cells"]["1,1"] == [[1.0], [0.5], [0.5]]
    assert len(adamw["circled"]) == 8  # ten would be drawn if nine cells had not one diverged
    assert data["extension"]
    assert data["testSamples"] == 100


def test_the_report_is_all_there_and_one_page_without_network(folder: Path) -> None:
    report = write_report(folder)
    assert {path.name for path in folder.iterdir()} == WRITTEN
    page = report.page.read_text()
    assert "http://www.w3.org/2000/svg" in page  # the name of a language, not an address to fetch
    assert page.count("http") == 1
    assert "<title>unyoke map: made up</title>" in page
    assert not re.search(r"\{\{ \w+", page)  # no mark of the template is left
    assert any("edge" in line for line in report.lines)
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    for picture in folder.glob("*.svg"):
        ElementTree.parse(picture)


@pytest.mark.slow
def test_nothing_in_the_pictures_is_cut_off_or_covered(
    tmp_path: Path, landscape: Landscape, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight maps stand in four lines of pairs, and the decoupled ones once more."""
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    save = Figure.savefig

    def noted(figure: Figure, path: Path, **more: object) -> None:
        save(figure, path, **more)
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", noted)
    names = ("Adam", "AdamW", "SGD", "SGDW", "NAdam", "NAdamW", "RAdam", "RAdamW")
    axes = Axes(parse_axis("2^-8:2^8", "lr"), parse_axis("0,2^-7:2^8", "weight decay"))
    wide = replace(landscape, axes=dict.fromkeys(names, axes), seeds=(0,))
    fill(tmp_path, wide, lambda cell: cell.lr / 1000)
    write_report(tmp_path)
    assert len(figures) == 9
    for figure in figures[::2]:
        width, height = figure.get_size_inches()
        everything = figure.get_tightbbox()
        assert everything.x0 >= 0
        assert everything.y0 >= 0
        assert everything.x1 <= width
        assert everything.y1 <= height
        places = [each.get_tightbbox() for each in figure.axes if each.axison]
        pairs = combinations(places, 2)
        assert not any(one.overlaps(other) for one, other in pairs)


@pytest.mark.slow
def test_a_task_name_cannot_break_out_of_the_page(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    name = "</script><script>alert(1)</script>"
    fill(tmp_path, replace(landscape, task=replace(landscape.task, name=name)), bowl)
    page = write_report(tmp_path).page.read_text()
    assert page.count("</script>") == 1


def test_without_matplotlib_all_but_the_pictures_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report = write_report(folder)
    assert any("pip install 'unyoke[plot]'" in line for line in report.lines)
    assert report.page.exists()
    assert not list(folder.glob("*.png"))


class Unscripted(HTMLParser):
    """What a page shows where no script runs: the texts and pictures of its `noscript`."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.inside, self.text, self.pictures = 0, "", []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.inside += tag == "noscript"
        if tag == "img" and self.inside:
            self.pictures.append(dict(attributes)["src"])

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "noscript"

    def handle_data(self, data: str) -> None:
        self.text += data.strip() + "|" if self.inside else ""


def test_without_scripts_a_page_has_its_pictures_and_tables(folder: Path) -> None:
    shown = Unscripted(write_report(folder).page)
    assert shown.pictures
    assert all((folder / name).exists() for name in shown.pictures)
    data = json.loads((folder / "cells.json").read_text())
    texts = set(shown.text.split("|"))
    for finding in data["findings"]:
        assert title(finding["optimizer"]) in texts
        assert finding["ridge"]["upright"] in texts
        assert tick(finding["best"]["lr"]) in texts
    assert {row["first"] + " − " + row["second"] for row in data["comparisons"]} <= texts
    assert any(text.startswith("unyoke map --out") for text in texts)


def test_without_scripts_the_maps_of_several_settings_are_told_apart(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    fill(tmp_path, replace(landscape, updates=(10, 20)), bowl)
    texts = Unscripted(write_report(tmp_path).page).text
    for updates in (10, 20):
        assert f"|SGD + L2, cosine, {updates} updates|" in texts
        assert f"SGD + L2, cosine, {updates} updates: best at the largest α tried" in texts


def test_a_ledger_without_results_has_no_report(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape):
        pass
    with pytest.raises(StudyError, match="no finished cell"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "text"), [((0,), "give more with --seeds"), ((0, 1), "of 3 comparisons are decided")]
)
def test_one_seed_decides_nothing(
    tmp_path: Path, landscape: Landscape, fill: Fill, seeds: tuple[int, ...], text: str
) -> None:
    fill(
        tmp_path,
        replace(landscape, seeds=seeds),
        lambda cell: 0.1 + abs(cell.lr - 0.5) + abs(cell.weight_decay - 0.25),
    )
    assert any(text in line for line in write_report(tmp_path).lines)


def test_everything_diverged_is_still_a_report(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    fill(tmp_path, landscape, lambda cell: None)
    lines = write_report(tmp_path).lines
    assert lines[0] == "36 of 36 cells, 36 diverged"


@pytest.mark.slow
def test_several_schedules_and_budgets_are_panels_of_their_own(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    larger = replace(landscape, schedules=("cosine", "constant"), updates=(10, 20), seeds=(0,))
    fill(tmp_path, larger, bowl)
    write_report(tmp_path)
    assert len(surveyed(tmp_path).panels) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.1234, "%", "12.3 %"), (0.1234, "", "0.123"), (1.5, "mm", "1.5 mm"), (math.nan, "%", "–")],
)
def test_errors_are_written_in_their_unit(value: float, unit: str, text: str) -> None:
    assert error_text(value, unit) == text


ALIKE = "[all 3 seeds alike]"
AT_ZERO = "only itself at λ = 0: 0 of 1 decided"


def interval(value: float, error: float = math.nan, reach: float = math.nan) -> Interval:
    return Interval(value, error, value - reach, value + reach)


@pytest.mark.parametrize(
    ("estimate", "unit", "error", "difference"),
    [
        (interval(0.02, 0, 0.03), "%", "2.0 % [0.0, 5.0]", "+2.0 [−1.0, +5.0] points"),
        (interval(-0.0004, 0, 0.01), "%", "-0.0 % [0.0, 1.0]", "0.0 [−1.0, +1.0] points"),
        (interval(1.5, 0, 0.25), "mm", "1.5 mm [1.25, 1.75]", "+1.50 [+1.25, +1.75] mm"),
        (
            interval(3e-6, 0, 2e-6),
            "",
            "3e-06 [1e-06, 5e-06]",
            "+0.0000030 [+0.0000010, +0.0000050]",
        ),
        (interval(420), "kg", "420 kg", "+420 kg"),
        # Agreement is no certainty, and digits that hide the width would look like one
        (
            interval(0.05, 0, 1e-17),
            "%",
            "5.0 % [all 3 seeds alike]",
            "+5.0 [all 3 seeds alike] points",
        ),
        (interval(0.05, 0, 2e-4), "%", "5.00 % [4.98, 5.02]", "+5.00 [+4.98, +5.02] points"),
        (interval(1.0, 0, 0), "", f"1 {ALIKE}", f"+1.0 {ALIKE}"),
        (interval(0.1), "%", "10.0 %", "+10.0 points"),
        (None, "%", "–", "–"),
    ],
)
def test_intervals_are_written_with_their_ends(
    estimate: Interval | None, unit: str, error: str, difference: str
) -> None:
    assert interval_text(estimate, unit, 3) == error
    assert difference_text(estimate, unit, 3) == difference


def in_pairs(seeds: int, gap: float) -> Callable[[Cell], float]:
    """AdamW is better than SGD by `gap`, with noise over seeds that both share and their own."""
    generator = np.random.default_rng(0)
    shared = generator.normal(0, 0.02, seeds)
    own = generator.normal(0, 0.002, (2, seeds))
    own -= own.mean(axis=1, keepdims=True)

    def error(cell: Cell) -> float:
        sgd = cell.optimizer == "SGD"
        place = abs(cell.lr - 0.5) + abs(cell.weight_decay - 0.25)
        return float(0.2 + place + shared[cell.seed] + own[int(sgd), cell.seed] + gap * sgd)

    return error


@pytest.mark.parametrize(
    ("gap", "verdict", "better"),
    [
        (0.1, "better", "AdamW"),
        (0.01, "better on these test samples", "AdamW"),  # their standard error is 0.01 each
        (-0.1, "better", "SGD + L2"),
        (0.0, "undecided", None),
    ],
)
def test_comparisons_are_paired_and_can_come_out_either_way(
    tmp_path: Path, landscape: Landscape, fill: Fill, gap: float, verdict: str, better: str | None
) -> None:
    fill(tmp_path, replace(landscape, seeds=tuple(range(8))), in_pairs(8, gap))
    rows = comparisons([find(panel) for panel in surveyed(tmp_path).panels])
    assert [(row.first, row.second) for row in rows] == [
        ("AdamW", "SGD + L2"),
        ("AdamW", "AdamW, λ = 0"),
        ("SGD + L2", "SGD + L2, λ′ = 0"),
    ]
    assert (rows[0].verdict, rows[0].better) == (verdict, better)
    assert rows[0].p_value >= rows[0].comparison.p_value  # corrected for three questions


def test_who_is_better_stands_first_and_its_error_is_the_lower_one(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    fill(tmp_path, replace(landscape, seeds=tuple(range(8))), in_pairs(8, -0.02))
    lines = [line for line in write_report(tmp_path).lines if " than AdamW: " in line]
    assert len(lines) == 1
    assert re.match(
        r"SGD \+ L2 is better .*than AdamW: −2\.\d \[−\d\.\d, −\d\.\d\] points, ", lines[0]
    )


def test_a_verdict_counts_how_many_questions_were_asked() -> None:
    comparison = paired_difference([0.1, 0.2, 0.3], [0.2, 0.31, 0.4])
    assert comparison.p_value < 0.01
    question = PairVerdict(Setting("cosine", 10, None), "A", "B", comparison, p_value=0.04)
    assert question.better == "A"
    assert replace(question, p_value=0.06).better is None
    assert replace(question, p_value=math.nan).verdict == "undecided"


def test_a_learning_rate_at_which_all_diverges_costs_the_worst_error(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    def error(cell: Cell) -> float | None:
        place = abs(cell.lr - 0.5) + abs(cell.weight_decay - 0.25)
        return None if cell.lr == 1 else 0.1 + place

    fill(tmp_path, landscape, error)
    off = find(surveyed(tmp_path).panels[0]).off[0]
    worst = 0.25 + 0.25  # above the best
    assert off.decay_kept.value == pytest.approx((0.25 + worst) / 2)


def test_many_optimizers_are_compared_with_the_best_one(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    names = ("AdamW", "SGDW", "Lion", "Adam", "SGD", "RMSpropW", "AdagradW")
    axes = landscape.axes["SGD"]
    many = replace(landscape, axes=dict.fromkeys(names, axes))
    fill(tmp_path, many, lambda cell: 0.1 + cell.weight_decay + (cell.optimizer != "Lion"))
    rows = comparisons([find(panel) for panel in surveyed(tmp_path).panels])
    assert [row.first for row in rows] == ["Lion"] * 6


def test_curves_of_the_best_cells_come_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "TRAININGS", 3 * 2)  # three cells of two seeds
    result = surveyed(folder)
    with Ledger.open_to_read(folder) as ledger:
        adamw, sgd = read_curves(result, ledger.curve)
    best = [find(panel).circled for panel in result.panels]
    assert list(adamw.cells) == best[0][:2]
    assert list(sgd.cells) == best[1][:1]


def test_a_curve_is_a_mean_and_ends_where_a_seed_diverged(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    fill(tmp_path, landscape, bowl)
    result = surveyed(tmp_path)

    def curve(cell: Cell) -> tuple[CurvePoint, ...]:
        points = tuple(CurvePoint(update, 1.0 + cell.seed, 0.5, 0.4) for update in (5, 10))
        return points[:1] if cell.seed == 1 and cell.lr == 1 else points

    lines = read_curves(result, curve)[0]
    assert lines.updates == (5, 10)
    assert lines.cells[1, 1].tolist() == [[1.5, 1.5], [0.5, 0.5], [0.4, 0.4]]
    assert np.isnan(lines.cells[1, 2]).tolist() == [[False, True]] * 3


@pytest.mark.slow
def test_of_many_maps_the_pictures_show_those_beside_the_best(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    budgets = tuple(range(10, 23))
    many = replace(landscape, updates=budgets, seeds=(0,))
    fill(tmp_path, many, lambda cell: 0.2 + cell.lr - (cell.updates == 15) * 0.1)
    findings: list[Finding] = [find(panel) for panel in surveyed(tmp_path).panels]
    assert len(findings) == 26
    assert [f.panel.setting for f in drawn(findings)] == [Setting("cosine", 15, None)] * 2
    report = write_report(tmp_path)
    assert any("2 of 26 maps (cosine, 15 updates)" in line for line in report.lines)


def test_without_the_extra_the_report_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unyoke.study.statistics import intervals

    intervals.student_quantile.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(StudyError, match="pip install 'unyoke\\[study\\]'"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def sweep_of(landscape: Landscape, weight_decay: float) -> Landscape:
    axes = Axes(landscape.axes["AdamW"].lr, (weight_decay,))
    return replace(
        landscape, axes={"NDAdam": axes, "SGD": axes} if not weight_decay else {"AdamW": axes}
    )


@pytest.mark.slow
@pytest.mark.parametrize("weight_decay", [0.0, 0.25])
def test_a_map_of_one_weight_decay_is_a_curve_over_the_learning_rate(
    tmp_path: Path, landscape: Landscape, fill: Fill, weight_decay: float
) -> None:
    fill(
        tmp_path,
        sweep_of(landscape, weight_decay),
        lambda cell: (
            None
            if (cell.lr, cell.seed) == (1.0, 1)
            else 0.1 + abs(cell.lr - 0.5) + 0.01 * cell.seed
        ),
    )
    report = write_report(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {name for name in names if name.endswith((".png", ".svg"))} == {
        "sweep.png",
        "sweep.svg",
    }
    ElementTree.parse(tmp_path / "sweep.svg")
    found = find(surveyed(tmp_path).panels[0])
    assert found.best == (0, 1)
    assert found.edges == []
    assert math.isnan(found.tilt.value)
    assert math.isnan(found.regret.value)
    assert found.off[0].decay_kept.value > 0
    intervals = errors_over_lr(found.panel)
    assert intervals[1] == mean_interval([0.1, 0.11])
    assert intervals[0].value == pytest.approx(0.355)
    assert math.isnan(intervals[2].value)  # one seed diverged there
    document = json.loads((tmp_path / "cells.json").read_text())
    assert document["findings"][0]["tilt"]["value"] is None
    assert not any("edge" in line for line in report.lines)


@pytest.mark.slow
def test_a_sweep_beside_a_map_has_its_own_picture(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    axes = {"AdamW": landscape.axes["AdamW"], "NDAdam": Axes((0.5, 1.0), (0.0,))}
    fill(tmp_path, replace(landscape, axes=axes), lambda cell: 0.1 + abs(cell.lr - 0.5))
    write_report(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        "landscape",
        "torch",
        "hyperparameters",
        "sweep",
    }
    edges = find(surveyed(tmp_path).panels[1]).edges
    assert [(edge.axis, edge.end) for edge in edges] == [("lr", "low")]


def leaning(slope: float) -> Callable[[Cell], float]:
    """A basin whose best λ moves by `slope` powers of two when α doubles."""

    def error(cell: Cell) -> float:
        if cell.weight_decay == 0:
            return 0.6
        a, l = math.log2(cell.lr) + 3, math.log2(cell.weight_decay) + 5  # noqa: E741
        return 0.1 + 0.002 * cell.seed + 0.02 * ((l - slope * a) ** 2 + 0.1 * a**2)

    return error


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (lambda cell: 0.5, "λ = 0 is as good at 3 of 3 α"),
        (lambda cell: 0.5 + cell.weight_decay, "λ = 0 is as good at 3 of 3 α"),
        (
            lambda cell: None if cell.lr == 1 else 0.5 - cell.weight_decay,
            "the best λ is the smallest or largest tried at 2, no training succeeded at 1 of 3 α",
        ),
    ],
)
def test_a_report_says_why_p_is_not_known(
    tmp_path: Path,
    landscape: Landscape,
    fill: Fill,
    error: Callable[[Cell], float | None],
    why: str,
) -> None:
    axes = Axes((0.25, 0.5, 1.0), (0.0, 0.125, 0.25, 0.5))
    fill(tmp_path, replace(landscape, axes={"AdamW": axes}), error)
    written = write_report(tmp_path)
    assert f"  best λ ∝ αᵖ, p unknown: {why}" in written.lines
    assert "Every weight decays, biases and norms too (--groups all)" in written.lines
    alone = [line for line in written.lines if line.startswith("one optimizer: ")]
    without = "there is no other to compare it with"
    assert alone in ([f"one optimizer: {without}"], [f"one optimizer: {without}, {AT_ZERO}"])
    assert not any("comparisons" in line for line in written.lines)
    seeds = len(landscape.seeds)
    assert f"[low, high] are 95 % intervals over {seeds} seeds" in written.lines
    document = json.loads((tmp_path / "cells.json").read_text())
    assert document["findings"][0]["ridge"]["upright"] == f"unknown: {why}"


def test_what_a_report_says_has_no_carets(folder: Path) -> None:
    """But for the command, which is to be copied."""
    lines = [line for line in write_report(folder).lines if "unyoke map" not in line]
    assert [line for line in lines if "^" in line] == []


@pytest.mark.parametrize(
    ("optimizer", "slope", "text", "in_torchs_number"),
    [
        ("AdamW", 0.0, "upright in λ", -1.0),
        ("AdamW", 1.0, "upright in λ/α", 0.0),
        ("AdamW", 0.5, "in between λ and λ/α", -0.5),
        ("SGD", -1.0, "upright in α·λ′", None),
        ("Adam+lr_coupled", -1.0, "upright in λ", -1.0),
        ("Adam+lr_coupled", 0.0, "upright in λ/α", 0.0),
        ("Adam+corrected", 0.0, "upright in λ/α", 0.0),
        ("Adam+constrained", 0.0, "upright in λ", None),
    ],
)
def test_a_report_says_in_which_number_a_basin_is_upright(
    tmp_path: Path,
    landscape: Landscape,
    fill: Fill,
    optimizer: str,
    slope: float,
    text: str,
    in_torchs_number: float | None,
) -> None:
    axes = Axes(parse_axis("2^-5:2^-1", "lr"), parse_axis("0,2^-8:2^-2", "weight decay"))
    fill(tmp_path, replace(landscape, axes={optimizer: axes}), leaning(slope))
    report = write_report(tmp_path)
    verdict = json.loads((tmp_path / "cells.json").read_text())["verdicts"][optimizer]
    assert {"tilt", "lr_sensitivity", "ridge"} <= verdict.keys()
    for name in ("tilt", "lr_sensitivity", "ridge"):
        assert verdict[name]["low"] <= verdict[name]["value"] <= verdict[name]["high"]
    assert verdict["ridge"]["value"] == pytest.approx(slope, abs=1e-6)
    assert verdict["ridge"]["upright"] == text
    assert verdict["ridge"]["best_weight_decay"][2] == pytest.approx(2**-5)
    torchs = verdict["ridge"]["in_torchs_number"]
    assert (torchs and torchs["value"]) == pytest.approx(in_torchs_number, abs=1e-6)
    (line,) = (line for line in report.lines if "αᵖ" in line)
    assert text in line
    assert any("LR sensitivity" in line for line in report.lines)


def test_verdicts_are_of_the_setting_with_the_lowest_error(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    two = replace(landscape, updates=(10, 20), seeds=(0,))
    fill(tmp_path, two, lambda cell: 0.5 - cell.updates / 100 + abs(cell.lr - 0.5))
    write_report(tmp_path)
    verdicts = json.loads((tmp_path / "cells.json").read_text())["verdicts"]
    assert {name: each["setting"]["updates"] for name, each in verdicts.items()} == {
        "AdamW": 20,
        "SGD": 20,
    }


def test_failed_cells_are_told_and_shown_and_never_chosen(
    tmp_path: Path, landscape: Landscape
) -> None:
    """The cell that would be the best fails for one seed."""
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        while (cell := ledger.claim()) is not None:
            best = (cell.lr, cell.weight_decay) == (0.5, 0.25)
            fails = best and cell.optimizer == "AdamW" and cell.seed == 1
            error = bowl(cell)
            ledger.record(cell, Outcome.failed("ValueError: no") if fails else made(error), "{}")
    report = write_report(tmp_path)
    assert report.lines[:2] == ["36 of 36 cells, 2 diverged, 1 failed", "1 failed: ValueError: no"]
    assert report.failures == [("ValueError: no", 1)]
    panel = surveyed(tmp_path).panels[0]
    assert find(panel).best != (1, 1)
    assert (1, 1) not in find(panel).circled
    assert np.argwhere(panel.failed).tolist() == [[1, 1, 1]]
    assert surveyed(tmp_path).test_samples == 100
    with (tmp_path / "cells.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["failure"] for row in table if row["failed"] == "1"] == ["ValueError: no"]
    assert sum(row["diverged"] == "1" for row in table) == 2
    assert "1 failed: the task raised" not in report.page.read_text()  # the page's script says it
    assert '"failures":[{"text":"ValueError: no","number":1}]' in report.page.read_text()


@pytest.mark.parametrize(
    ("worse", "end"), [((0.03, -0.01, 0.02), "flat"), ((0.03, 0.032, 0.031), "zero")]
)
def test_a_best_decay_of_zero_is_an_edge_only_where_chance_does_not_explain_it(
    tmp_path: Path, landscape: Landscape, fill: Fill, worse: tuple[float, ...], end: str
) -> None:
    def error(cell: Cell) -> float:
        row = (0.0, 0.25, 0.5).index(cell.weight_decay)
        above = (0.0, worse[cell.seed], 0.1)[row]
        return 0.2 + above + abs(cell.lr - 0.5)

    fill(tmp_path, replace(landscape, seeds=(0, 1, 2)), error)
    result = surveyed(tmp_path)
    findings = [find(panel) for panel in result.panels]
    assert {edge.end for finding in findings for edge in finding.edges} == {end}
    assert (extension(result, findings, tmp_path) is None) == (end == "flat")


@pytest.mark.parametrize(("smallest", "end"), [(0.226, "flat"), (0.3, "zero")])
def test_one_seed_is_judged_by_what_its_test_samples_leave_open(
    tmp_path: Path, landscape: Landscape, fill: Fill, smallest: float, end: str
) -> None:
    def error(cell: Cell) -> float:
        row = (0.0, 0.25, 0.5).index(cell.weight_decay)
        return (0.2, smallest, 0.4)[row] + abs(cell.lr - 0.5)

    fill(tmp_path, replace(landscape, seeds=(0,)), error)
    finding = find(surveyed(tmp_path).panels[0])
    assert [edge.end for edge in finding.edges] == [end]


def partly(
    folder: Path, landscape: Landscape, ran: Callable[[Cell], bool]
) -> tuple[Finding, Finding]:
    """The findings of a ledger in which those cells of `bowl` have run."""
    with Ledger.open_to_write(folder, landscape) as ledger:
        cells = [cell for cell in ledger.open_cells() if ran(cell)]
        ledger.claim_cells(cells)
        ledger.record_all(
            (cell, made(0.2 if (e := bowl(cell)) is None else e), "{}") for cell in cells
        )
    first, second = (find(panel) for panel in surveyed(folder).panels)
    return first, second


def test_a_map_that_no_seed_has_run_whole_has_a_best_cell_and_no_verdict(
    tmp_path: Path, landscape: Landscape
) -> None:
    wide = replace(landscape, seeds=tuple(range(6)))
    some = partly(tmp_path, wide, lambda cell: cell.lr != 1.0 or cell.weight_decay != 0.5)
    for finding in some:
        assert finding.best is not None
        assert finding.error is not None
        assert finding.seeds == 6
        known = (finding.tilt, finding.regret, finding.lr_sensitivity, finding.ridge)
        assert not any(math.isfinite(each.value) for each in known)
        assert not any(math.isfinite(value) for value in finding.best_decays)
        assert finding.gain is None
        assert finding.without_decay is None
        assert "48 of 54 trainings have run, of no seed all" in (lacking(finding) or "")
    assert comparisons(list(some)) == []
    lines = write_report(tmp_path).lines
    assert sum("need a whole map" in line for line in lines) == 2
    assert not any("basin tilt" in line for line in lines)


def test_what_a_seed_that_has_not_run_its_map_says_changes_nothing(
    tmp_path: Path, landscape: Landscape
) -> None:
    """Though its cells would choose another best one."""
    wide = replace(landscape, seeds=(0, 1, 2))
    whole = partly(tmp_path / "whole", replace(wide, seeds=(0, 1)), lambda cell: True)
    extra = partly(tmp_path / "more", wide, lambda cell: cell.seed < 2 or cell.weight_decay == 0.25)
    for one, other in zip(whole, extra, strict=True):
        assert (one.best, one.error, one.gain, one.tilt) == (
            other.best,
            other.error,
            other.gain,
            other.tilt,
        )
        assert lacking(one) is None
        assert "rests on the 2 of 3 seeds" in (lacking(other) or "")
    assert [row.comparison for row in comparisons(list(whole))] == [
        row.comparison for row in comparisons(list(extra))
    ]


@pytest.mark.parametrize(
    ("optimizer", "torchs"),
    [
        ("AdamW", 0.5),
        ("AdamW+cautious", 0.5),
        ("AdamW+lr_coupled", 0.25),
        ("AdamW+corrected", 0.25),
        ("Adam", 0.25),
        ("AdamW+constrained", None),
    ],
)
def test_torchs_number_of_a_cell_is_that_of_its_rule(
    tmp_path: Path, fill: Fill, landscape: Landscape, optimizer: str, torchs: float | None
) -> None:
    one = replace(landscape, axes={optimizer: Axes((0.5,), (0.25,))}, seeds=(0,))
    fill(tmp_path / "out", one, lambda cell: 0.1)
    with Ledger.open_to_read(tmp_path / "out") as ledger:
        (row,) = rows(ledger.records())
    assert row["weight_decay"] == 0.25
    assert row["torch_weight_decay"] == torchs
