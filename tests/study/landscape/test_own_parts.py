"""Optimizers and schedules with arguments, and those of a user's own files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from unyoke import schedules
from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.landscape.optimizers import OWN as UNKNOWN
from unyoke.study.landscape.optimizers import canonical, decay, direction, known
from unyoke.study.landscape.schedules import make
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.ledger.merge import merge
from unyoke.study.planning.commands import map_command
from unyoke.study.report.arrangement import rows_of, shear
from unyoke.study.report.report import write_report
from unyoke.study.report.survey import survey
from unyoke.study.running import driver
from unyoke.study.running.progress import ProgressBar

OWN = """
import torch

def make(params, lr, weight_decay, momentum=0.9):
    params = list(params)
    return torch.optim.SGD(
        [{"params": params[:1]}, {"params": params[1:], "weight_decay": 0.0, "lr": 2 * lr}],
        lr=lr, weight_decay=weight_decay, momentum=momentum,
    )

def ramp(updates, low=0.0):
    return lambda t: low + (1 - low) * (1 - t / updates)

def wrong(params, lr, weight_decay):
    return 3

from unyoke import optimizers
from unyoke.equation import direction
from unyoke.primitives import sign

@direction(coefficients=lambda lr: {"lr": lr})
def sign_descent(grad, lr):
    "Steps of one size."
    return lr * sign(grad)

class SignW(optimizers.Named, direction=sign_descent):
    "Sign descent with decoupled weight decay."

class Descent(optimizers.Named, direction="heavy_ball", decay="l2", momentum=0.5):
    "Gradient descent with a penalty."

from unyoke.equation import decay

@decay
def lasso(weight):
    "Decoupled L1."
    return sign(weight)

class Twin(optimizers.Named, direction="adam"):
    "Adam with decoupled weight decay."

class Lasso(optimizers.Named, direction="adam", decay=lasso):
    "Adam with decoupled L1."

class Coupled(optimizers.Named, direction="adam"):
    "Says decoupled, and multiplies by the learning rate."
    def __init__(self, params, lr, weight_decay, **options):
        super().__init__(params, lr, lr * weight_decay, **options)

class Base(optimizers.Named):
    "Without a direction."

class Raises(optimizers.Named, direction="adam"):
    "Cannot be made."
    def __init__(self, params, lr, weight_decay, **options):
        raise RuntimeError("my own\\nmistake")

class Picky(optimizers.Named, direction="adam"):
    "Takes none but large weight decays."
    def __init__(self, params, lr, weight_decay, **options):
        if 0 < weight_decay < 1e-3:
            raise LookupError(weight_decay)
        super().__init__(params, lr, weight_decay, **options)

class Kind(optimizers.Named, direction="adam"):
    "Has a parameter group for each kind, which it must be told."
    def __init__(self, params, lr, weight_decay, *, kind, **options):
        super().__init__(params, lr, weight_decay, **options)
        for _ in range(1, kind):
            self.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]})

number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def small(line_file: Path, own: Path, optimizers: str, schedule: str = "cosine") -> Landscape:
    return asked(
        task=f"{line_file}:line",
        optimizers=optimizers,
        schedule=schedule,
        lr="0.01,0.1",
        weight_decay="0,0.01",
        updates="6",
        seeds="1",
    )


def run(landscape: Landscape, folder: Path) -> None:
    driver.run(landscape, folder, ProgressBar(), workers=1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" AdamW ", "AdamW"),
        ("AdamW(eps=1e-6, betas=(0.9, 0.95))", "AdamW(betas=(0.9, 0.95), eps=1e-06)"),
        ("Adam(eps=1e+3)+l2", "Adam(eps=1000.0)"),
        ("AdamW()", "AdamW"),
        ("some/own.py:make(a=[1], b='+')", "own.py:make(a=[1], b='+')"),
    ],
)
def test_one_optimizer_has_one_name(text: str, name: str) -> None:
    assert canonical(text) == name
    assert canonical(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "AdamW(eps=__import__('os').getcwd())",
        "AdamW(eps=open)",
        "AdamW(0.9)",
        "AdamW(**{})",
        "AdamW(eps=1",
        "AdamW(eps=1)(eps=2)",
        "AdamW(speed=3)",
        "AdamW(eps=-1.0)",
        "AdamW(decay='l2')",
        "AdamW(lr=1.0)",
        "own.py:make+l3",
    ],
)
def test_what_is_no_optimizer_is_refused_and_nothing_is_executed(text: str) -> None:
    with pytest.raises(StudyError):
        canonical(text)


def test_commas_within_brackets_and_quotes_divide_nothing() -> None:
    assert calls.parts("a(b=(1, 2), c='x,)'), d,") == ("a(b=(1, 2), c='x,)')", "d")


def test_hyperparameters_change_neither_direction_nor_decay_nor_usual_axes() -> None:
    plain, other = asked(optimizers="Adam,Adam(betas=(0.8, 0.9))").axes.items()
    assert plain[1] == other[1]
    assert (direction(plain[0]), decay(plain[0])) == (direction(other[0]), decay(other[0]))
    assert decay(other[0]) == "l2"


def test_an_axis_can_be_for_an_optimizer_with_hyperparameters() -> None:
    name = "AdamW(betas=(0.9, 0.95))"
    assert asked(optimizers=f"SGDW,{name}", lr=[f"{name}=0.5"]).axes[name].lr == (0.5,)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("cosine", schedules.cosine(140)),
        ("cosine(minimum=0.1)", schedules.cosine(140, minimum=0.1)),
        ("cosine(updates=70)", schedules.cosine(70)),
        ("warm_restarts(growth=1)", schedules.warm_restarts(20, 1)),
        ("warm_restarts(first=10, growth=2)", schedules.warm_restarts(10, 2)),
        ("warmup(updates=40)", schedules.warmup(40, schedules.cosine(100))),
        (
            "warmup(updates=40, then=step_drops(factor=0.5))",
            schedules.warmup(40, schedules.step_drops(100, factor=0.5)),
        ),
    ],
)
def test_a_schedule_takes_arguments(text: str, schedule: schedules.Schedule) -> None:
    assert make(text, 140, {}) == schedule


@pytest.mark.parametrize("text", ["cosine(speed=1)", "cosine(minimum=2)", "swirl", "cosine+l2"])
def test_a_schedule_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(StudyError):
        asked(schedule=text)


def test_a_cosine_ends_at_its_minimum() -> None:
    eta = schedules.cosine(10, minimum=0.1)
    assert (eta(0), eta(5), eta(10), eta(20)) == pytest.approx((1.0, 0.55, 0.1, 0.1))


def test_a_map_of_ones_own_optimizer_and_schedule(
    tmp_path: Path, line_file: Path, own: Path
) -> None:
    """Trained, drawn, gone on with by the command that the report names, refused when changed."""
    mine = f"{own}:make(momentum=0.5)"
    landscape = small(line_file, own, f"SGDW,{mine}", f"{own}:ramp(low=0.5)")
    folder = tmp_path / "map"
    run(landscape, folder)
    written = write_report(folder)
    assert "own.py:make(momentum=0.5)" in written.page.read_text()
    assert f"{own}:make(momentum=0.5)" in map_command(landscape, folder)
    with Ledger.open_to_read(folder) as ledger:
        records = list(ledger.records())
        assert ledger.landscape == landscape
    assert {record.outcome.status for record in records} == {"finished"}
    errors = {
        record.cell.lr: record.outcome.train_loss
        for record in records
        if record.cell.optimizer.startswith("own.py")
    }
    assert len(set(errors.values())) == 2

    own.write_text(OWN.replace("low=0.0", "low=0.25"))
    changed = small(line_file, own, f"SGDW,{mine}", f"{own}:ramp(low=0.5)")
    with pytest.raises(StudyError, match=r"other code of own\.py"):
        run(changed, folder)


def test_extending_by_ones_own_optimizer_keeps_what_is_done(
    tmp_path: Path, line_file: Path, own: Path
) -> None:
    first = small(line_file, own, "SGDW")
    larger = small(line_file, own, f"SGDW,{own}:make")
    done = {cell.key for cell in first.cells()}
    assert done < {cell.key for cell in larger.cells()}
    assert first.is_part_of(larger)


def test_nothing_is_created_for_a_function_that_makes_no_optimizer(
    tmp_path: Path, line_file: Path, own: Path
) -> None:
    folder = tmp_path / "map"
    with pytest.raises(StudyError, match="returned int, which has no param_groups"):
        run(small(line_file, own, f"{own}:wrong"), folder)
    with pytest.raises(StudyError, match="no function or class 'none'"):
        run(small(line_file, own, f"{own}:none"), folder)
    assert not (folder / "ledger.sqlite").exists()


def test_own_groups_stay_multiples_of_what_was_given(line_file: Path, own: Path) -> None:
    """As torch trains it by hand: the second group learns twice as fast and does not decay."""
    import time

    import torch

    from unyoke.population import BatchOrder
    from unyoke.population.generators import seed_all
    from unyoke.study.tasks import registry
    from unyoke.study.training.training import train_together

    landscape = small(line_file, own, f"{own}:make", f"{own}:ramp")
    functions = registry.load_own(landscape.task.own)
    build = registry.load(landscape.task)
    cells = [cell for cell in landscape.cells() if cell.weight_decay and cell.lr == 0.1]
    found = train_together(cells * 1, build, time.perf_counter, "auto", 1, functions)[0]

    seed_all(0)
    task = build(0)
    optimizer = functions["own.py:make"](task.model.parameters(), lr=0.1, weight_decay=0.01)
    eta = functions["own.py:ramp"](6)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, eta)
    order = BatchOrder(len(task.train[1]), task.batch_size, [0])
    for update in range(6):
        chosen = order.at(update).reshape(-1)
        optimizer.zero_grad()
        task.loss(task.model(task.train[0][chosen]), task.train[1][chosen]).backward()
        optimizer.step()
        scheduler.step()
    loss = task.loss(task.model.eval()(task.train[0]), task.train[1]).item()
    assert found.train_loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(("name", "relative"), [("SignW", "AdamW"), ("Descent", "SGD")])
def test_a_named_optimizer_of_ones_own_has_the_axes_of_what_steps_alike(
    own: Path, name: str, relative: str
) -> None:
    axes = asked(optimizers=f"{relative},{own}:{name}").axes
    assert axes[f"own.py:{name}"] == axes[relative]
    some = asked(optimizers=f"{own}:{name}", lr="0.1").axes[f"own.py:{name}"]
    assert some == Axes((0.1,), axes[relative].weight_decay)


def test_a_function_of_ones_own_has_no_usual_axes(own: Path) -> None:
    with pytest.raises(StudyError, match=r"own\.py:make has no usual axes; give them: --lr"):
        asked(optimizers=f"{own}:make")


@pytest.mark.parametrize(
    ("mine", "ours"), [("SignW", "SignumW(momentum=0.0)"), ("Descent(momentum=0.9)", "SGD")]
)
def test_a_named_optimizer_of_ones_own_trains_in_a_stack_as_ours(
    line_file: Path, own: Path, mine: str, ours: str
) -> None:
    import time

    from unyoke.study.tasks import registry
    from unyoke.study.training.training import train_together

    landscape = small(line_file, own, f"{own}:{mine},{ours}")
    build, functions = registry.load(landscape.task), registry.load_own(landscape.task.own)
    parts = [[c for c in landscape.cells() if c.optimizer == name] for name in landscape.axes]
    stacked, expected = (
        train_together(part, build, time.perf_counter, "stacked", 1, functions) for part in parts
    )
    assert {outcome.engine for outcome in stacked} == {"stacked"}
    for one, other in zip(stacked, expected, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-6)


def table(folder: Path, *columns: str) -> dict[str, list[list[str]]]:
    """Columns of cells.csv by optimizer."""
    found: dict[str, list[list[str]]] = {}
    with (folder / "cells.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["optimizer"], []).append([row[name] for name in columns])
    return found


def losses(folder: Path) -> dict[str, list[float]]:
    """The training losses by optimizer; they differ by the rounding of sums in another stack."""
    return {
        name: [float(loss) for (loss,) in rows]
        for name, rows in table(folder, "train_loss").items()
    }


def known_entries(plain: Any) -> Any:
    """The same with True in the place of what is there, and None where nothing is."""
    if isinstance(plain, dict):
        return {name: known_entries(value) for name, value in plain.items()}
    return None if plain is None else True


def test_the_report_of_a_class_of_ones_own_has_what_ours_of_the_same_composition_has(
    tmp_path: Path, line_file: Path, own: Path
) -> None:
    pairs = {"own.py:Twin": "AdamW", "own.py:Twin+l2": "Adam", "own.py:Twin+lr_coupled": ""}
    pairs["own.py:Twin+lr_coupled"] = "AdamW+lr_coupled"
    mine = [name.replace("own.py", str(own)) for name in pairs]
    landscape = asked(
        task=f"{line_file}:line",
        optimizers=",".join([*mine, *pairs.values()]),
        lr="0.01,0.1",
        weight_decay="0,0.001,0.01,0.1",
        updates="6",
        seeds="1",
    )
    run(landscape, tmp_path / "map")
    written = write_report(tmp_path / "map")
    columns = ("lr", "weight_decay", "torch_weight_decay", "lambda_norm", "total_decay")
    cells, loss = table(tmp_path / "map", *columns), losses(tmp_path / "map")
    document = json.loads((tmp_path / "map" / "cells.json").read_text())
    found = {row["optimizer"]: row for row in document["findings"]}
    with Ledger.open_to_read(tmp_path / "map") as ledger:
        panels = {panel.optimizer: panel for panel in survey(landscape, ledger.records()).panels}
    for name, ours in pairs.items():
        assert cells[name] == cells[ours]
        assert loss[name] == pytest.approx(loss[ours], rel=1e-5)
        assert known_entries(found[name]) == known_entries(found[ours])
        assert shear(panels[name]) == shear(panels[ours])
        assert panels[name].decay_symbol == panels[ours].decay_symbol
    assert cells["own.py:Twin"][-1][2] == "1.0"
    assert found["own.py:Twin"]["ridge"]["in_torchs_number"] is not None
    assert shear(panels["own.py:Twin"]) is not None
    twins = [panels[name] for name in ("own.py:Twin+l2", "own.py:Twin")]
    assert len(rows_of([*twins, panels["Adam"], panels["AdamW"]])) == 2
    assert "own.py:Twin: direction adam, decay decoupled" in written.lines
    assert "own.py:Twin: direction adam, decay decoupled." in written.page.read_text()


def test_a_rule_of_ones_own_goes_with_our_optimizers_and_what_is_not_known_of_it_is_said(
    tmp_path: Path, line_file: Path, own: Path
) -> None:
    landscape = small(line_file, own, f"AdamW,AdamW+{own}:lasso,{own}:Lasso,{own}:Twin+{own}:lasso")
    run(landscape, tmp_path / "map")
    lines = write_report(tmp_path / "map").lines
    loss = losses(tmp_path / "map")
    assert loss["AdamW+own.py:lasso"] == pytest.approx(loss["own.py:Lasso"], rel=1e-5)
    assert loss["own.py:Twin+own.py:lasso"] == pytest.approx(loss["own.py:Lasso"], rel=1e-5)
    assert loss["own.py:Lasso"][:2] == pytest.approx(loss["AdamW"][:2], rel=1e-5)  # λ = 0
    assert loss["own.py:Lasso"][2:] != pytest.approx(loss["AdamW"][2:], rel=1e-3)
    torchs = table(tmp_path / "map", "torch_weight_decay")
    assert torchs["AdamW+own.py:lasso"] == torchs["own.py:Lasso"] == [[""]] * 4
    unknown = "decay lasso of own.py, so what torch would call its λ is not known"
    assert f"AdamW+own.py:lasso: direction adam, {unknown}" in lines
    assert f"AdamW+{own}:lasso" in map_command(landscape, tmp_path)
    assert f"{own}:Twin+{own}:lasso" in map_command(landscape, tmp_path)

    before = {cell.key for cell in landscape.cells() if "lasso" in cell.optimizer}
    own.write_text(OWN.replace("return sign(weight)", "return 2.0 * sign(weight)"))
    after = small(line_file, own, f"AdamW+{own}:lasso,{own}:Twin+{own}:lasso")
    assert not before & {cell.key for cell in after.cells()}


@pytest.mark.parametrize(
    ("optimizer", "moves", "pulls"),
    [
        ("Twin", "adam", "decoupled"),
        ("Twin+l2", "adam", "l2"),
        ("SignW", "own.py:sign_descent", "decoupled"),
        ("Lasso", "adam", UNKNOWN),
        ("make", UNKNOWN, UNKNOWN),
        ("Coupled", UNKNOWN, UNKNOWN),
        ("Picky", UNKNOWN, UNKNOWN),
        ("Kind(kind=1)", "adam", "decoupled"),
        ("Kind(kind=2)", UNKNOWN, UNKNOWN),
    ],
)
def test_what_is_known_of_an_optimizer_of_ones_own(
    line_file: Path, own: Path, optimizer: str, moves: str, pulls: str
) -> None:
    landscape = small(line_file, own, f"{own}:{optimizer}")
    again = Landscape.from_json(landscape.to_json())
    assert again == landscape
    (name,) = again.axes
    assert direction(name, again.task.own) == moves
    assert decay(name, again.task.own) == pulls


def test_of_a_ledger_that_does_not_say_nothing_is_known(line_file: Path, own: Path) -> None:
    plain = json.loads(small(line_file, own, f"{own}:Twin").to_json())
    plain["task"]["own"] = [each[:3] for each in plain["task"]["own"]]
    old = Landscape.from_json(json.dumps(plain))
    assert decay("own.py:Twin", old.task.own) == UNKNOWN
    assert decay("AdamW+own.py:lasso", old.task.own) == UNKNOWN
    assert "neither its direction nor its decay is known" in str(known("own.py:Twin", old.task.own))


def test_ledgers_of_which_each_has_parts_of_ones_own_are_merged(
    tmp_path: Path, line_file: Path, own: Path
) -> None:
    folders = [tmp_path / name for name in ("ours", "twin", "changed")]
    for folder, optimizer in zip(folders[:2], ("AdamW", f"{own}:Twin"), strict=True):
        run(small(line_file, own, optimizer, f"{own}:ramp"), folder)
    merged = merge(folders[:2], tmp_path / "merged")
    assert (merged.total, merged.done) == (8, 8)
    with Ledger.open_to_read(tmp_path / "merged") as ledger:
        assert decay("own.py:Twin", ledger.landscape.task.own) == "decoupled"
    own.write_text(OWN.replace("number = 3", "number = 4"))
    Ledger.open_to_write(folders[2], small(line_file, own, f"{own}:Twin")).close()
    Ledger.open_to_write(tmp_path / "plain", small(line_file, own, "AdamW")).close()
    with pytest.raises(StudyError, match=r"twin and .*changed .*\(other code of own\.py:Twin\)"):
        merge([tmp_path / "plain", *folders[1:]], tmp_path / "refused")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}:sign_descent", r"is a direction and no optimizer; write into its file: class Mine"),
        ("{}:lasso", r"is a decay rule and no optimizer; .*: AdamW\+own\.py:lasso"),
        ("{}:Base", r"is a base class without a direction"),
        ("{}:number", r"is of type int and no optimizer"),
        ("{}:none", r"no function or class 'none'"),
        ("{}:make+l2", r"own\.py:make is a function, whose optimizer has a decay of its own"),
        ("{}:Twin(decay='l2')", r"decay is no hyperparameter of a map's \(write NAME\+RULE"),
        ("{}:Twin(eps=-1)", r"cannot be trained: Invalid epsilon"),
        ("{}:Raises", r"^own\.py:Raises cannot be made: RuntimeError: my own mistake$"),
        ("{}:SignW+l2_first_moment", r"cannot be trained"),
        ("AdamW+{}:sign_descent", r"is a direction and no decay rule"),
        ("AdamW+{}:Twin", r"is a class and no decay rule"),
        ("AdamW+{}:make", r"is a function and no decay rule"),
        ("AdamW+nowhere.py:lasso", r"needs the file 'nowhere\.py', and there is none"),
    ],
)
def test_what_a_file_has_and_is_not_asked_for_is_refused_by_what_it_is(
    line_file: Path, own: Path, text: str, said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        small(line_file, own, text.format(own))


def test_a_first_try_with_large_decays_warns_of_nothing(line_file: Path, own: Path) -> None:
    """Warnings are errors here; a λ of 0.01 is one that optimizers ask about."""
    driver.try_here(small(line_file, own, f"{own}:Twin,AdamW+{own}:lasso"))
