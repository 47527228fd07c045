"""Optimizers and schedules with arguments, and those of a user's own files."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import asked

from unyoke import schedules
from unyoke.study.errors import StudyError
from unyoke.study.landscape import calls
from unyoke.study.landscape.landscape import Axes, Landscape
from unyoke.study.landscape.optimizers import canonical, decay, direction
from unyoke.study.landscape.schedules import make
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.planning.commands import map_command
from unyoke.study.report.report import write_report
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
        "own.py:make+l2",
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
    functions = registry.load_own(landscape.task)
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
    build, functions = registry.load(landscape.task), registry.load_own(landscape.task)
    parts = [[c for c in landscape.cells() if c.optimizer == name] for name in landscape.axes]
    stacked, expected = (
        train_together(part, build, time.perf_counter, "stacked", 1, functions) for part in parts
    )
    assert {outcome.engine for outcome in stacked} == {"stacked"}
    for one, other in zip(stacked, expected, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-6)
