"""What is trained for what: the scales' tables, tasks whose data are missing, folders of data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from planted import basin, fill

from unyoke.cli import main
from unyoke.study.claims import catalogue, page, paper_figures, plan, run
from unyoke.study.claims import request as claims_request
from unyoke.study.claims.plan import Scale
from unyoke.study.claims.request import Request, data_folders
from unyoke.study.errors import StudyError
from unyoke.study.tasks import built_in, registry

FASHION = built_in.BUILT_IN["fashion-mnist"]
LAPTOP = (
    *("digits", "digits-plain", "digits-noisy"),
    *("fashion-patches", "fashion-patches-plain", "fashion-mnist"),
    *("shakespeare-longer", "breast-cancer"),
)


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text for shakespeare; no other data are to be found."""
    for source in ("FASHION_MNIST", "CIFAR10", "SHAKESPEARE"):
        monkeypatch.delenv(f"UNYOKE_{source}", raising=False)
    fashion = replace(built_in.FASHION_MNIST, places=())
    without = {**built_in.BUILT_IN, "fashion-mnist": replace(FASHION, source=fashion)}
    for module in (built_in, registry, claims_request):
        monkeypatch.setattr(module, "BUILT_IN", without)
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "input.txt").write_text("to be or not to be\n" * 2_000)
    return folder


@pytest.mark.parametrize("scale", plan.SCALES)
def test_every_claim_of_a_table_has_its_studies(scale: str, tmp_path: Path) -> None:
    request = Request(tmp_path, scale)
    for task, rows in request.claims().items():
        studies = set(request.size.studies(task))
        assert studies <= set(plan.STUDIES)
        assert {study for row in rows for study in row.studies} <= studies
        assert any("main" in row.studies for row in rows)


def test_the_laptop_asks_eight_tasks_and_exact_claims_once(tmp_path: Path) -> None:
    planned = Request(tmp_path, "laptop").claims()
    assert tuple(planned) == LAPTOP
    exact = [row.name for rows in planned.values() for row in rows if not row.studies]
    assert exact == [row.name for row in catalogue.PROPOSITIONS]
    assert "language/little" in {row.name for row in planned["shakespeare-longer"]}
    assert "law/sgdw" in {row.name for row in planned["digits-noisy"]}
    assert "restarts/adamw-final" not in {row.name for row in planned["breast-cancer"]}


def test_best_cells_have_seeds_that_chose_nothing(tmp_path: Path) -> None:
    request = Request(tmp_path, "laptop", ("digits", "breast-cancer"))
    for (_, study), landscape in request.landscapes().items():
        again = plan.STUDIES[study].of is not None
        assert (min(landscape.seeds) >= plan.FRESH) == again, study
        assert max(landscape.seeds) < plan.FRESH or again, study
        assert len(landscape.seeds) >= (16 if again else 3), study


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (("coupling/adam-tilt",), {"main": 8, "main-best": 20}),
        (("generalisation/adam",), {"main": 8, "main-best": 20}),
        (
            ("schedules/adam-cosine-constant",),
            {"main": 4, "schedules": 4, "main-best": 20, "schedules-best": 20},
        ),
        (
            ("schedules/adam-cosine-constant", "gain/adamw"),
            {"main": 8, "schedules": 4, "main-best": 20, "schedules-best": 20},
        ),
    ],
)
def test_named_rows_take_no_more_seeds_than_they_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], seeds: dict[str, int]
) -> None:
    monkeypatch.setattr(
        plan,
        "SCALES",
        {"laptop": Scale({"digits-plain": plan.SCALES["laptop"].tasks["fashion-mnist"]})},
    )
    landscapes = Request(tmp_path, "laptop", ("digits-plain",), names).landscapes()
    assert {study: len(each.seeds) for (_, study), each in landscapes.items()} == seeds


def test_every_figure_has_its_studies_at_laptop_scale() -> None:
    studies = plan.SCALES["laptop"].tasks["digits"]
    for figure in paper_figures.FIGURES.values():
        assert set(figure.studies) <= set(studies), figure.number


def test_the_first_task_has_what_only_a_figure_shows(tmp_path: Path) -> None:
    request = Request(tmp_path, "smoke", ("digits-plain",))
    assert ("digits-plain", "long-fixed") in request.landscapes()
    assert ("digits-plain", "long-fixed") not in Request(
        tmp_path, "smoke", (), ("p1",)
    ).landscapes()


def test_what_is_named_for_a_named_task_is_asked(tmp_path: Path) -> None:
    request = Request(tmp_path, "laptop", ("diabetes",), ("restarts",))
    landscapes = request.landscapes()
    assert set(landscapes) == {("diabetes", "restarts"), ("diabetes", "restarts-best")}
    assert {each.updates for each in landscapes.values()} == {(600,)}


def test_the_papers_networks_by_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = bytes(1 + 3 * 32 * 32)
    for name in built_in.CIFAR10.files:
        (tmp_path / name).write_bytes(record * 2_000)
    monkeypatch.setenv("UNYOKE_CIFAR10", str(tmp_path))
    request = Request(tmp_path / "out", "paper")
    landscapes = request.studies({"cifar10": ["main", "restarts", "long", "long-fixed"]}).landscapes
    found = {study: (land.task.name, land.updates) for (_, study), land in landscapes.items()}
    assert found == {
        "main": ("cifar10-26-2x64d", (35_200,)),
        "restarts": ("cifar10-26-2x64d", (35_200,)),
        "long": ("cifar10-26-2x96d", (633_600,)),
        "long-fixed": ("cifar10-26-2x96d", (633_600,)),
    }
    rates = landscapes["cifar10", "main"].axes["AdamW"].lr
    assert {b / a for a, b in pairwise(rates)} == {2.0}
    assert request.folder("cifar10", "main") == tmp_path / "out" / "cifar10" / "main"


def test_a_task_without_data_is_incomplete_and_others_are_planned(
    text: Path, tmp_path: Path
) -> None:
    request = Request(tmp_path / "out", "laptop", ("digits-plain", "fashion-mnist"), ("gain",))
    needed = request.needed()
    assert set(needed.landscapes) == {("digits-plain", "main"), ("digits-plain", "main-best")}
    assert "UNYOKE_FASHION_MNIST" in needed.missing["fashion-mnist"]
    rows = run.answer(request, run.read(request, needed))
    lacking = {row.missing for row in rows if row.task == "fashion-mnist"}
    assert len(lacking) == 1
    assert "three ways to get it" in lacking.pop()


def test_missing_data_are_said_and_the_command_goes_on(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "exact.json").write_text("{}", encoding="utf-8")
    words = [
        *("claims", "gain", "--tasks", "digits-plain,fashion-mnist"),
        *("--report-only", "--out", str(out)),
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "fashion-mnist: nothing is trained" in result.output
    assert "UNYOKE_FASHION_MNIST" in (out / "claims.md").read_text()
    result = CliRunner().invoke(main, ["figure", "2", "--task", "cifar10", "--out", str(out)])
    assert result.exit_code == 2
    assert "UNYOKE_CIFAR10" in result.output


def test_ledgers_are_answered_from_without_the_data(text: Path, tmp_path: Path) -> None:
    names = ("gain/adamw", "budgets/adamw-norm-batch")
    with_data = Request(
        tmp_path / "out", "smoke", ("shakespeare",), names, {"shakespeare": str(text)}
    )
    fill(with_data, lambda cell: basin(cell, 0.06))
    without = replace(with_data, data={})
    assert "UNYOKE_SHAKESPEARE" in without.needed().missing["shakespeare"]
    assert not without.landscapes()
    found = [
        {row.claim.name: row for row in run.answer(each, run.read(each, each.needed()))}
        for each in (with_data, without)
    ]
    for name in names:
        numbers = [rows[name].measurement for rows in found]
        assert numbers[0] is not None, name
        assert repr(numbers[1]) == repr(numbers[0]), name  # NaN is not itself
    shutil.rmtree(without.folder("shakespeare", "main-best"))
    (row, other) = run.answer(without, run.read(without, without.needed()))
    assert (row.verdict, other.verdict) == ("incomplete", found[0][names[1]].verdict)
    assert "UNYOKE_SHAKESPEARE" in row.missing


def test_rows_set_aside_are_asked_where_they_are_named(tmp_path: Path) -> None:
    aside = plan.SCALES["laptop"].set_aside["digits"]
    for names in ((), ("schedules", "others")):
        asked = {
            row.name for row in Request(tmp_path, "laptop", ("digits",), names).claims()["digits"]
        }
        assert "schedules/adam-cosine-constant" in asked
        assert not asked & aside.keys()
    named = Request(tmp_path, "laptop", ("digits",), ("others/amsgrad",)).claims()["digits"]
    assert [row.name for row in named] == ["others/amsgrad"]


def test_a_row_is_set_aside_if_its_plan_has_fewer_seeds_than_a_verdict_needs(
    tmp_path: Path,
) -> None:
    task = "shakespeare-longer"
    request = Request(tmp_path, "laptop", (task,))
    rows = {row.name: row for row in request.claims()[task] if row.studies}
    assert "generalisation/adam" in rows  # of best cells trained again, with eight seeds
    assert not [name for name in rows if name.startswith("coupling/")]  # of two maps
    (aside,) = [
        row["needed"] for row in page.set_aside(request, []) if row["name"] == "coupling/sgd-tilt"
    ]
    assert aside == "3 at least; the plan has 2"
    named = Request(tmp_path, "laptop", (task,), ("coupling/sgd-tilt",)).claims()[task]
    assert [row.name for row in named] == ["coupling/sgd-tilt"]
    with pytest.raises(
        StudyError, match=r"coupling: .* does not decide it; name .* coupling/sgd-tilt"
    ):
        Request(tmp_path, "laptop", (task,), ("coupling",)).claims()


def test_a_claim_whose_studies_the_scale_has_for_no_task_is_refused(tmp_path: Path) -> None:
    request = Request(tmp_path, "cpu-night", ("cifar10-patches",), ("ablation",))
    with pytest.raises(StudyError, match="ablation: not tested on cifar10-patches at the scale"):
        request.claims()


def test_the_scale_that_shows_that_everything_works_asks_every_row(tmp_path: Path) -> None:
    request = Request(tmp_path, "smoke")
    asked = {row.name for row in request.claims()["digits-plain"]}
    assert asked == {row.name for row in catalogue.claims("digits-plain")}
    assert page.set_aside(request, []) == []


def test_what_is_set_aside_is_a_row_of_its_task(tmp_path: Path) -> None:
    scale = plan.SCALES["laptop"]
    for task, rows in scale.set_aside.items():
        studies = set(scale.studies(task))
        asked = {row.name for row in catalogue.claims(task) if studies.issuperset(row.studies)}
        assert rows.keys() <= asked, task
        assert min(rows.values()) > 50


def test_what_is_asked_again_has_seeds_that_the_first_page_had_not(tmp_path: Path) -> None:
    tasks = ("digits", "digits-plain")
    landscapes = Request(tmp_path, "laptop", tasks).landscapes()
    again = ("main", "budgets", "batches")
    for task in tasks:
        for study in (*again, "main-best", "schedules-best", "restarts-best"):
            first = min(landscapes[task, study].seeds)
            assert first == plan.SECOND + (0 if study in again else plan.FRESH), (task, study)
        paired = [f"{name}-best" for name in ("main", "schedules", "ablation", "nd-adam")]
        assert len({min(landscapes[task, study].seeds) for study in paired}) == 1


def test_a_folder_is_given_to_the_task_that_reads_it(text: Path, tmp_path: Path) -> None:
    planned = ("digits-plain", "shakespeare", "fashion-mnist")
    folders = data_folders([f"shakespeare={text}"], planned)
    assert folders == {"shakespeare": str(text)}
    assert data_folders([str(text)], ("digits-plain", "shakespeare")) == folders
    request = Request(tmp_path / "out", "laptop", planned, ("gain",), folders)
    assert request.needed().landscapes["shakespeare", "main"].task.data == str(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["folder"], "read by shakespeare, fashion-mnist; write --data TASK=FOLDER"),
        (["digits-plain=folder"], "digits-plain is not one of these or reads no data"),
        (["cifar10=folder"], "cifar10 is not one of these"),
        (["shakespeare=a", "shakespeare=b"], "already has a"),
    ],
)
def test_folders_that_are_nobodys(data: list[str], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        data_folders(data, ("digits-plain", "shakespeare", "fashion-mnist"))


def test_a_wrong_folder_is_refused_before_anything_starts(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["claims", "gain", "--tasks", "digits-plain,shakespeare", "--out", str(out)]
    result = CliRunner().invoke(main, [*words, "--data", f"shakespeare={tmp_path}"])
    assert result.exit_code == 2
    assert "has no input.txt" in result.output
    assert not out.exists()
