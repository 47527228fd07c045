"""The claims: verdicts come out either way, from the ledgers alone, and say what is missing."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from math import erfc, hypot, nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from planted import basin, fill, made_up

from unyoke.cli import main
from unyoke.study.claims import catalogue, exact, intervals_figure, page, plan, run
from unyoke.study.claims.claim import Claim, Measurement, Prediction, Region
from unyoke.study.claims.maps import Maps
from unyoke.study.claims.request import Needed, Request
from unyoke.study.claims.run import Workers
from unyoke.study.claims.verdicts import DIVERGED, Answer, judge, step_down
from unyoke.study.errors import StudyError
from unyoke.study.landscape.landscape import Axes, Cell
from unyoke.study.ledger.ledger import FILE_NAME, Ledger
from unyoke.study.report.tables import rows as table_rows
from unyoke.study.report.tables import write_csv
from unyoke.study.statistics import Interval
from unyoke.study.tasks.built_in import BUILT_IN

ASKED = ("coupling", "generalisation", "gain", "training-loss/main")


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Three learning rates and decays of the four optimizers, six seeds, nothing trained."""
    studies = plan.SCALES["smoke"].tasks["digits-plain"]
    small = {name: replace(size, seeds=6) for name, size in studies.items()}
    smoke = plan.Scale({"digits-plain": small})
    monkeypatch.setattr(plan, "SCALES", {**plan.SCALES, "smoke": smoke})
    return Request(tmp_path, "smoke", ("digits-plain",), ASKED)


def answers(request: Request) -> dict[str, Answer]:
    return {row.claim.name: row for row in run.answer(request, read(request))}


def read(request: Request) -> dict[str, Maps]:
    return run.read(request, request.needed())


def test_two_seeds_of_any_gain_decide_nothing() -> None:
    measurement = Measurement(Interval(0.2, 0.01, 0.18, 0.22), 2, gain=Interval(0, 1, -2, 2))
    (row,) = judge([("t", _claim(measurement), Maps({}, {}, {}))])
    assert row.verdict == "undecided"


def test_noise_alone_is_undecided(request_: Request) -> None:
    """A difference of half of what decay gains, at the border of what is notable."""
    fill(
        request_,
        lambda cell: basin(cell, 0.05 if cell.optimizer.endswith("W") else 0.07, 0.03),
        spread=0.004,
    )
    row = answers(request_)["generalisation/adam"]
    assert row.measurement is not None
    assert 0.3 < row.measurement.number.value < 1.0
    assert row.verdict == "undecided"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["digits-plain", "shakespeare"])
def test_rows_from_the_exported_tables_alone(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """Computed anew with plain Python from the CSV of the ledgers."""
    (tmp_path / "input.txt").write_text("to be or not to be\n" * 2_000)
    monkeypatch.setenv("UNYOKE_SHAKESPEARE", str(tmp_path))
    names = (*ASKED, "schedules", "others/lion")
    request = replace(request_, out=tmp_path / "out", tasks=(task,), names=names)
    fill(request, lambda cell: basin(cell, 0.06), spread=0.004)

    def best(optimizer: str, study: str, decay: str = "any", schedule: str = "") -> float:
        cells: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for line in exported(request.folder(task, f"{study}-best")):
            kind = "some" if float(line["weight_decay"]) else "none"
            if (
                line["optimizer"] == optimizer
                and line["schedule"].startswith(schedule)
                and decay in ("any", kind)
            ):
                figures = float(line["validation_error"]), float(line["test_error"])
                cells.setdefault((line["lr"], line["weight_decay"]), []).append(figures)
        means = [[sum(part) / len(part) for part in zip(*runs)] for runs in cells.values()]  # noqa: B905
        return min(means)[1]

    def gain(optimizer: str) -> float:
        return 1 - best(optimizer, "main", "some") / best(optimizer, "main", "none")

    def of_gain(decoupled: str, coupled: str, study: str = "main") -> float:
        own, other = (best(name, study, "some") for name in (decoupled, coupled))
        plain = sum(best(name, study, "none") for name in (decoupled, coupled)) / 2
        return (other - own) / (plain - (own + other) / 2)

    fixed = best("AdamW", "schedules", schedule="constant")
    equal = (gain("AdamW") - gain("SGDW")) / ((gain("AdamW") + gain("SGDW")) / 2)
    found = answers(request)
    for name, expected in (
        ("generalisation/adam", of_gain("AdamW", "Adam")),
        ("generalisation/sgd", 1 - best("AdamW", "main") / best("SGDW", "main")),
        ("gain/sgdw", gain("SGDW")),
        ("gain/equal", equal),
        ("others/lion", of_gain("LionW", "Lion+l2", "lion")),
        ("schedules/adamw-cosine-constant", 1 - best("AdamW", "main") / fixed),
    ):
        measurement = found[name].measurement
        assert measurement is not None
        assert measurement.number.value == pytest.approx(expected, rel=1e-12), name


def exported(folder: Path) -> list[dict[str, str]]:
    """The CSV of a ledger."""
    with Ledger.open_to_read(folder) as ledger:
        write_csv(table_rows(ledger.records()), folder / "cells.csv")
    with (folder / "cells.csv").open() as file:
        return list(csv.DictReader(file))


def test_of_maps_with_more_seeds_the_first_are_paired(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four seeds of the other schedule beside six of the cosine."""
    sizes = dict(request_.size.tasks["digits-plain"])
    sizes["schedules-best"] = replace(sizes["schedules-best"], seeds=4)
    monkeypatch.setattr(plan, "SCALES", {"smoke": plan.Scale({"digits-plain": sizes})})
    request = replace(request_, names=("schedules", "gain"))
    assert len(request.landscapes()["digits-plain", "main-best"].seeds) == 6
    fill(request, lambda cell: basin(cell, 0.06) + (0.5 if cell.seed % plan.FRESH > 3 else 0.0))
    measurement = answers(request)["schedules/adamw-cosine-constant"].measurement
    assert measurement is not None
    assert measurement.samples == 4
    assert abs(measurement.number.value) < 0.02


def test_an_interval_says_what_it_covers(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(request_, lambda cell: basin(cell, 0.06))
    drawn = answers(request_)
    page.write(request_, list(drawn.values()), read(request_))
    text = (request_.out / "claims.md").read_text()
    assert "and with them other test samples of the same data" in text
    fixed = replace(BUILT_IN["digits-plain"], split_by_seed=False)
    monkeypatch.setitem(BUILT_IN, "digits-plain", fixed)  # type: ignore[arg-type]
    rows = answers(request_)
    better, leaning = rows["generalisation/sgd"], rows["coupling/adam-tilt"]
    assert better.measurement is not None
    assert better.any_samples is not None
    # Errors of 0.06 and 0.065, each known to 0.001 of the test samples, as (0.065 − 0.06)/0.065.
    reach = (better.any_samples[1] - better.any_samples[0]) / 2
    seeds = (better.measurement.number.high - better.measurement.number.low) / 2
    samples = (reach**2 - seeds**2) ** 0.5
    assert samples == pytest.approx(1.96 * 0.001 * hypot(1, 0.06 / 0.065) / 0.065, rel=0.05)
    assert leaning.any_samples is None
    assert leaning.on_other_samples is None
    page.write(request_, list(rows.values()), read(request_))
    text = (request_.out / "claims.md").read_text()
    assert "not other test samples; with those too it is at most" in text
    assert "not other test samples, of whose part nothing is known" in text


def test_partial_ledgers_say_what_is_missing(request_: Request) -> None:
    fill(request_, lambda cell: basin(cell, 0.06), upto=100)
    row = answers(request_)["generalisation/adam"]
    assert row.verdict == "incomplete"
    assert "of 54 trainings of AdamW" in row.missing or "of 54 trainings of Adam" in row.missing


def test_best_cells_that_diverge_with_other_seeds_leave_a_row_undecided(request_: Request) -> None:
    request = replace(request_, names=("gain/adamw", "gain/sgdw"))

    def error(cell: Cell) -> float:
        lost = cell.optimizer == "SGDW" and cell.weight_decay == 0 and cell.seed == plan.FRESH + 1
        return nan if lost else basin(cell, 0.06)

    fill(request, error)
    found = answers(request)
    assert found["gain/adamw"].verdict != "undecided"
    row = found["gain/sgdw"]
    assert (row.verdict, row.missing) == ("undecided", DIVERGED)
    page.write(request, list(found.values()), read(request))
    assert f"Not known: {DIVERGED}." in (request.out / "claims.md").read_text()


def test_damaged_ledgers_are_left_and_said(request_: Request) -> None:
    path = request_.folder("digits-plain", "main") / FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a ledger")
    words = [
        "claims",
        *ASKED,
        "--scale",
        "smoke",
        "--tasks",
        "digits-plain",
        "--out",
        str(request_.out),
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "incomplete" in result.output
    assert "damaged" in result.output or "cannot be read" in result.output
    assert path.read_bytes() == b"not a ledger"
    assert "incomplete" in (request_.out / "claims.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["digest", "trainer", "name", "data_digest"])
def test_ledgers_by_other_code_are_drawn_and_said_but_not_gone_on_with(
    request_: Request, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    fill(request_, lambda cell: basin(cell, 0.06), spread=0.004)
    landscapes = {
        key: replace(planned, task=replace(planned.task, **{changed: "other"}))
        for key, planned in request_.landscapes().items()
    }
    monkeypatch.setattr(Request, "needed", lambda request: Needed(landscapes))
    rows = run.answer(request_, read(request_))
    page.write(request_, rows, read(request_))
    incomplete = {row.verdict for row in rows if row.claim.studies} == {"incomplete"}
    assert incomplete == (changed in ("name", "data_digest"))
    said = "other code than drew this page: unyoke 0" in (request_.out / "claims.md").read_text()
    assert said != incomplete
    with pytest.raises(StudyError, match="belongs to another landscape"):
        run.fill(request_, landscapes, NoWatcher, Workers(1), print)


def test_only_studies_with_curves_need_the_evaluations_that_are_planned(request_: Request) -> None:
    request = replace(request_, names=("generalisation", "restarts"))
    evaluations = {
        study: planned.evaluations for (_, study), planned in request.landscapes().items()
    }
    curves = {"restarts": None, "restarts-best": None}
    assert evaluations == {"main": 1, "main-best": 1, **curves}
    fill(request, lambda cell: basin(cell, 0.06), evaluations=5)
    found = {name: row.verdict == "incomplete" for name, row in answers(request).items()}
    assert found == {name: name.startswith("restarts") for name in found}
    assert set(found.values()) == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [row.name for row in catalogue.claims("digits-plain") if row.studies]
)
def test_a_row_alone_trains_the_optimizers_that_it_asks_about(request_: Request, name: str) -> None:
    request = replace(request_, names=(name,))
    (row,) = request.claims()["digits-plain"]
    trained = {each for planned in request.landscapes().values() for each in planned.axes}
    assert trained == set(row.optimizers)
    fill(request, lambda cell: basin(cell, 0.06))
    assert answers(request)[name].verdict != "incomplete"


def test_what_one_row_trained_is_gone_on_with_by_another(request_: Request) -> None:
    """Other optimizers, and a grid that edges have extended."""
    first = replace(request_, names=("gain/adamw",))
    (key, planned), _ = first.landscapes().items()
    wider = replace(planned, axes={"AdamW": Axes((*planned.axes["AdamW"].lr, 2.0), (0.0, 0.5))})
    folder = request_.folder(*key)
    with Ledger.open_to_write(folder, wider):
        pass
    later = replace(request_, names=("gain/sgdw", "generalisation/adam")).landscapes()[key]
    accepted = run._accepted(folder, later, Workers(1))
    assert set(accepted.axes) == {"Adam", "AdamW", "SGDW"}
    assert wider.is_part_of(accepted)
    assert later.is_part_of(accepted)
    assert len(list(accepted.cells())) < len(list(later.cells())) + len(list(wider.cells()))
    with pytest.raises(StudyError, match="updates"):
        run._accepted(folder, replace(later, updates=(7,)), Workers(1))


class NoWatcher:
    def begin(self, count: object) -> None:
        raise AssertionError("a training has begun")


def test_an_edge_extends_the_grid_and_not_for_ever(request_: Request) -> None:
    ((task, study), planned), *_ = request_.landscapes().items()
    folder, landscape = request_.folder(task, study), planned
    for _ in range(run.ROUNDS + 2):
        with Ledger.open_to_write(folder, landscape, extend=True) as ledger:
            for cell in iter(ledger.claim, None):
                ledger.record(cell, made_up(cell, 0.5 / (1 + np.log2(cell.lr * 2**20))), "{}")
        landscape = run.extended(landscape, planned, folder)
    grown = sum(lr > max(planned.axes["Adam"].lr) for lr in landscape.axes["Adam"].lr)
    assert grown == run.LONGEST_GROWTH
    assert planned.is_part_of(landscape)


def test_only_edges_of_what_is_asked_extend_the_grid(request_: Request) -> None:
    fill(request_, lambda cell: 0.5 / (1 + np.log2(cell.lr * 2**20)))
    ((task, study), there), *_ = request_.landscapes().items()
    planned = replace(there, axes={"AdamW": there.axes["AdamW"]})
    larger = run.extended(there, planned, request_.folder(task, study))
    assert larger.axes["AdamW"] != there.axes["AdamW"]
    assert {**larger.axes, "AdamW": there.axes["AdamW"]} == there.axes


@pytest.mark.parametrize(
    ("region", "value", "standard_error", "verdict"),
    [
        (Region(0.05), 0.2, 0.01, "held"),
        (Region(0.05), 0.02, 0.002, "smaller than notable"),
        (Region(0.05), 0.002, 0.002, "no difference"),
        (Region(0.05), -0.02, 0.002, "contradicted"),
        (Region(0.05), -0.2, 0.01, "contradicted"),
        (Region(0.05), 0.2, 0.2, "undecided"),
        (Region(0.05), -0.02, 0.02, "undecided"),
        (Region(high=-0.25), -0.7, 0.05, "held"),
        (Region(high=-0.25), -0.1, 0.02, "smaller than notable"),
        (Region(high=-0.25), 0.0, 0.02, "no difference"),
        (Region(high=-0.25), 0.3, 0.05, "contradicted"),
        (Region(low=-0.05), 0.0, 0.005, "held"),
        (Region(low=-0.05), -0.1, 0.005, "contradicted"),
        (Region(high=0.0, negligible=0.25), -0.1, 0.02, "held"),
        (Region(high=0.0, negligible=0.25), 0.1, 0.02, "contradicted"),
        (Region(high=0.0, negligible=0.25), 0.01, 0.02, "no difference"),
        (Region(high=0.0, negligible=0.25), -0.1, 0.1, "undecided"),
        (Prediction(-0.5, rival=0.0), -0.45, 0.05, "held"),
        (Prediction(-0.5, rival=0.0), -0.1, 0.05, "contradicted"),
        (Prediction(-0.5, rival=0.0), -0.25, 0.02, "contradicted"),
        (Prediction(-0.5, rival=0.0), -0.25, 0.2, "undecided"),
        (Prediction(-0.5, rival=0.0), -0.8, 0.16, "undecided"),  # −1 is as likely
        (Region(-0.1, 0.1), 0.02, 0.01, "held"),
        (Region(-0.1, 0.1), 0.3, 0.01, "contradicted"),
        (Region(-0.1, 0.1), 0.09, 0.01, "undecided"),
    ],
)
def test_the_rule(
    region: Region | Prediction, value: float, standard_error: float, verdict: str
) -> None:
    number = Interval(value, standard_error, value - 2 * standard_error, value + 2 * standard_error)
    measurement = Measurement(number, 20)
    claim = replace(_claim(measurement), region=region)
    (row,) = judge([("t", claim, Maps({}, {}, {}))])
    assert row.verdict == verdict


def test_a_row_alone_has_the_verdict_of_the_page() -> None:
    """Rows of other claims do not count."""
    measurement = Measurement(Interval(0.2, 0.05, 0.06, 0.34), 5)
    others = [replace(_claim(measurement), name=f"a/{number}") for number in range(20)]
    nothing = Maps({}, {}, {})
    (alone,) = judge([("t", _claim(measurement), nothing)])
    page_row, *_ = judge([("t", claim, nothing) for claim in (_claim(measurement), *others)])
    assert page_row.p_values == alone.p_values


@pytest.mark.parametrize("truths", [(0.0,) * 5, (0.05,) * 5, (-0.05, 0.0, 0.0, 0.05, 0.05)])
def test_a_family_has_a_false_rejection_in_one_of_twenty_at_most(truths: tuple[float, ...]) -> None:
    """Each true value lies at a tested point, some with so little noise that the others fall."""
    generator, trials = np.random.default_rng(0), 4000
    noise = np.array([0.001, 0.01, 0.02, 0.002, 0.03])
    points = np.array([0.05, 0.0, -0.05])
    false = 0
    for numbers in generator.normal(truths, noise, (trials, len(truths))):
        z = np.abs(numbers[:, None] - points) / noise[:, None]
        raw = [
            {point: erfc(away / sqrt(2)) for point, away in zip(points.tolist(), row, strict=True)}
            for row in z.tolist()
        ]
        rows = step_down(raw)
        false += any(row[truth] < 0.05 for row, truth in zip(rows, truths, strict=True))
    assert false / trials < 0.05 + 3 * sqrt(0.05 * 0.95 / trials)


def test_p_values_are_corrected_together() -> None:
    """A row that is decided alone is not among many."""
    measurement = Measurement(Interval(0.2, 0.05, 0.06, 0.34), 5)
    nothing = Maps({}, {}, {})
    (alone,) = judge([("t", _claim(measurement), nothing)])
    many = judge([("t", _claim(measurement), nothing)] * 10)
    assert many[0].p_value == pytest.approx(10 * alone.p_value)
    assert alone.verdict == "held"
    assert many[0].verdict == "undecided"


def test_a_number_without_an_interval_decides_nothing() -> None:
    """Of a ratio or a slope that some draw of the seeds does not have."""
    nan = float("nan")
    (row,) = judge([("t", _claim(Measurement(Interval(0.9, nan, nan, nan), 20)), Maps({}, {}, {}))])
    assert row.verdict == "undecided"
    assert row.p_values == {}


def test_what_rounding_leaves_is_nothing() -> None:
    """Seeds that agree to the last bits on 3e-16 do not show that it is not 0."""
    measurement = Measurement(Interval(3e-16, 2e-17, 2.6e-16, 3.4e-16), 6)
    claim = replace(_claim(measurement), region=Prediction(0.0, rival=-0.5))
    (row,) = judge([("t", claim, Maps({}, {}, {}))])
    assert row.p_values[0.0] == 1.0
    assert row.verdict == "held"


def test_two_seeds_decide_nothing() -> None:
    measurement = Measurement(Interval(0.2, 1e-6, 0.19, 0.21), 2)
    (row,) = judge([("t", _claim(measurement), Maps({}, {}, {}))])
    assert row.verdict == "undecided"


def _claim(measurement: Measurement) -> Claim:
    return Claim("a/b", "s", "p", "n", Region(0.05), "r", (), (), lambda maps: measurement)


@pytest.mark.parametrize("name", sorted(set(exact.FIGURES) - {"p3/moving"}))
def test_exact_claims_hold_on_a_drawn_problem(name: str) -> None:
    claim = next(q for q in catalogue.PROPOSITIONS if q.name == name)
    assert exact.FIGURES[name](7) in claim.region


def test_exact_claims_fail_on_another_penalty() -> None:
    """λ′ = λ/α and no other: a fault of 1 % is seen."""
    problem = exact.Problem(0)
    wrong = exact.path(
        exact.unyoke.SGD,
        problem,
        lr=exact.LR,
        momentum=0.0,
        weight_decay=1.01 * exact.DECAY / exact.LR,
    )
    right = exact.path(
        exact.unyoke.SGDW, problem, lr=exact.LR, momentum=0.0, weight_decay=exact.DECAY
    )
    assert exact.distance(wrong, right) > 1e-6


def test_exact_figures_are_kept(request_: Request) -> None:
    request = replace(request_, names=("p3/frozen",))
    run.compute_exact(request)
    path = request.out / run.EXACT_FILE
    kept = json.loads(path.read_text())
    kept["figures"]["p3/frozen"] = [0.5]
    path.write_text(json.dumps(kept))
    run.compute_exact(request)
    assert run.read_exact(request.out) == {"p3/frozen": (0.5,)}
    assert answers(request)["p3/frozen"].verdict == "contradicted"
    path.write_text("{")
    assert answers(request)["p3/frozen"].verdict == "incomplete"


def test_every_row_has_a_name_of_its_own_and_studies_that_exist() -> None:
    rows = catalogue.every_claim()
    assert len({row.name for row in rows}) == len(rows)
    assert {study for row in rows for study in row.studies} <= set(plan.STUDIES)
    assert all(row.reason and row.place and row.statistic for row in rows)


@pytest.mark.parametrize(
    ("value", "drawn"),
    [(150.0, (150.0, "o")), (458.0, (200.0, ">")), (-233.0, (-200.0, "<")), (-60.0, (-60.0, "o"))],
)
def test_a_number_beyond_the_axis_is_an_arrow_at_its_end(
    value: float, drawn: tuple[float, str]
) -> None:
    assert intervals_figure._on_axis(value, intervals_figure.GAIN_REACH) == drawn


def test_the_paper_s_claims_are_counted_apart(request_: Request) -> None:
    request = replace(request_, names=("law", "gain", "budgets", "p3"))
    fill(request, lambda cell: basin(cell, 0.06))
    run.compute_exact(request)
    maps = read(request)
    rows = run.answer(request, maps)
    page.write(request, rows, maps)
    text = (request.out / "claims.md").read_text()
    ours = ("law/adamw", "law/sgdw", *(f"budgets/{name}w-timescale" for name in ("adam", "sgd")))
    ours += tuple(f"{name}-batch" for name in ours[2:])
    for start, part in (("Of the paper's claims: ", False), (" Of what others and we add: ", True)):
        verdicts = [row.verdict for row in rows if (row.claim.name in ours) == part]
        (line,) = re.findall(f"{start}([^.]*)\\.", text)
        counts = {name: int(count) for count, name in re.findall(r"(\d+) ([a-z ]+)", line)}
        assert counts == {name: verdicts.count(name) for name in verdicts}
    undecided = [row for row in rows if row.verdict == "undecided" and row.measurement]
    assert undecided


def test_the_page_has_every_row(request_: Request) -> None:
    fill(request_, lambda cell: basin(cell, 0.06))
    maps = read(request_)
    rows = run.answer(request_, maps)
    page.write(request_, rows, maps)
    for kind in ("md", "html", "csv"):
        text = (request_.out / f"claims.{kind}").read_text()
        assert all(row.claim.name in text for row in rows), kind
    assert (request_.out / "claims.svg").exists()
    at_a_glance = (request_.out / "claims.md").read_text().partition("## The numbers")[0]
    for row in rows:
        if row.task:
            cell = re.escape(row.claim.sentence) + r" \| \**" + row.verdict
            assert re.search(cell, at_a_glance), row.claim.name


def test_the_page_at_a_glance_has_the_catalogue_s_order_and_says_what_is_set_aside(
    request_: Request,
) -> None:
    fill(request_, lambda cell: basin(cell, 0.06))
    rows = run.answer(request_, read(request_))
    aside = {("digits-plain", "gain/sgdw"), ("digits-plain", "generalisation/adam")}
    kept = [row for row in rows if (row.task, row.claim.name) not in aside]
    glance = {row["name"]: row["verdicts"] for row in page.at_a_glance(list(reversed(kept)), aside)}
    every = [claim.name for claim in catalogue.every_claim()]
    assert list(glance) == sorted(glance, key=every.index)
    assert "p1/same" not in glance
    for row in kept:
        if row.task:
            assert glance[row.claim.name] == [row.verdict]
    for _, name in aside:
        assert glance[name] == ["set aside"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claims", "nosuch"], "unknown claim 'nosuch'"),
        (["claims", "--scale", "huge"], "unknown scale 'huge'"),
        (["claims", "--tasks", "nosuch"], "unknown task 'nosuch'"),
        (["figure", "9"], "unknown figure '9'"),
        (["figure", "1", "--report-only"], "cannot be drawn yet; missing"),
        (["claims", "--report-only"], "out holds nothing that unyoke claims has recorded"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, [*words, "--out", str(out)])
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not out.exists()


def test_figures_are_drawn_with_their_data(request_: Request) -> None:
    fill(request_, lambda cell: basin(cell, 0.06))
    for number, lines in (("2", 4 * 9), ("s1", 4 * 700)):
        words = ["figure", number, "--report-only", "--scale", "smoke", "--out", str(request_.out)]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        with (request_.out / "digits-plain" / f"figure-{number}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == lines
        assert (request_.out / "digits-plain" / f"figure-{number}.svg").exists()


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here trains: all ledgers are made up."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a test began to train")

    monkeypatch.setattr("unyoke.study.running.driver.run", refuse)
    monkeypatch.setattr("unyoke.study.claims.command.estimates", lambda *_: [])


@pytest.mark.slow
def test_results_are_published_with_their_pictures(request_: Request, tmp_path: Path) -> None:
    fill(request_, lambda cell: basin(cell, 0.06))
    results = tmp_path / "docs" / "results.md"
    words = ["claims", *ASKED, "--report-only", "--scale", "smoke", "--tasks", "digits-plain"]
    words += ["--out", str(request_.out), "--results", str(results)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    text = results.read_text()
    for name in ("claims.svg", "figure-2.svg", "figure-s1.svg"):
        assert f"](images/results/{name})" in text
        assert (results.parent / "images" / "results" / name).exists()
    assert "figure-1.svg" not in text


def test_a_page_of_the_user_s_is_not_published_over(request_: Request, tmp_path: Path) -> None:
    results = tmp_path / "results.md"
    results.write_text("# Mine\n")
    words = ["claims", "--report-only", "--scale", "smoke", "--tasks", "digits-plain"]
    words += ["--out", str(request_.out), "--results", str(results)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "results.md was not written by unyoke" in result.output
    assert results.read_text() == "# Mine\n"


@pytest.mark.parametrize("name", ["claims.svg", "figure-3.svg"])
def test_a_picture_of_the_user_s_is_not_published_over(
    request_: Request, tmp_path: Path, name: str
) -> None:
    picture = tmp_path / "images" / "results" / name
    picture.parent.mkdir(parents=True)
    picture.write_text("mine")
    words = ["claims", "--report-only", "--scale", "smoke", "--tasks", "digits-plain"]
    words += ["--out", str(request_.out), "--results", str(tmp_path / "results.md")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"{name} was not written by unyoke" in result.output
    assert picture.read_text() == "mine"
