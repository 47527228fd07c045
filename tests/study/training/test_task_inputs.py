"""Tasks whose models take several tensors, and tasks whose data come in batches."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_together import CELL, assert_alike
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from unyoke.study.errors import TaskError
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.running import workers
from unyoke.study.tasks import reading, registry
from unyoke.study.tasks.reading import Reader
from unyoke.study.tasks.task import Task
from unyoke.study.training.training import train_together

SIZES = {"train": 50, "validation": 30, "test": 30}
ENGINES = ["one_by_one", "stacked"]


class Sides(nn.Module):
    """Scores of what two sides say, in whatever form these come."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 6)
        self.scores = nn.Linear(6, 2)

    def of(self, left: Tensor, right: Tensor) -> Tensor:
        scores: Tensor = self.scores(torch.tanh(self.inner(torch.cat([left, right], dim=1))))
        return scores


class Joint(Sides):
    def forward(self, both: Tensor) -> Tensor:
        return self.of(both[:, :3], both[:, 3:])


class Separate(Sides):
    def forward(self, right: Tensor, left: Tensor) -> Tensor:
        return self.of(left, right)


class Nested(Sides):
    def forward(self, sides: dict[str, Tensor], *, scale: Tensor) -> dict[str, Tensor]:
        return {"scores": self.of(sides["left"], sides["right"]) * scale[:, None]}


def drawn(number: int) -> tuple[Tensor, Tensor]:
    both = torch.randn(number, 5)
    return both, (both.sum(dim=1) > 0).long()


def task(model: Callable[[], nn.Module], form: Callable[[Tensor], Any], **more: Any) -> Task:
    made = model()
    parts = {part: drawn(size) for part, size in SIZES.items()}
    samples = {part: (form(both), targets) for part, (both, targets) in parts.items()}
    return Task(made, **samples, **{"batch_size": 10, **more})


def joint(_: int) -> Task:
    return task(Joint, lambda both: both)


def pairs(_: int) -> Task:
    return task(Separate, lambda both: (both[:, 3:], both[:, :3]))


def dicts(_: int) -> Task:
    return task(Separate, lambda both: {"right": both[:, 3:], "left": both[:, :3]})


def nested(_: int) -> Task:
    def scores_of(function: Callable[[Tensor, Tensor], Tensor]) -> Any:
        return lambda outputs, targets: function(outputs["scores"], targets)

    def wrong(scores: Tensor, targets: Tensor) -> Tensor:
        return (scores.argmax(dim=1) != targets).float()

    return task(
        Nested,
        lambda both: {
            "sides": {"left": both[:, :3], "right": both[:, 3:]},
            "scale": torch.ones(len(both)),
        },
        loss=scores_of(nn.functional.cross_entropy),
        error=scores_of(wrong),
    )


def trained(build: Callable[[int], Task], engine: str) -> list[Outcome]:
    cells = [replace(CELL, seed=seed, lr=lr) for seed in (0, 1) for lr in (0.01, 0.1)]
    return train_together(cells, lambda seed: Reader().read(build(seed)), lambda: 0.0, engine)


def assert_the_same(build: Callable[[int], Task], expected: Callable[[int], Task]) -> None:
    for engine in ENGINES:
        found = trained(build, engine)
        assert {outcome.engine for outcome in found} == {engine}
        for mine, theirs in zip(found, trained(expected, "one_by_one"), strict=True):
            assert_alike(mine, theirs)


@pytest.mark.parametrize("build", [pairs, dicts, nested])
def test_inputs_of_several_tensors_train_as_one_tensor_does(build: Callable[[int], Task]) -> None:
    assert_the_same(build, joint)


def collated(samples: list[tuple[Tensor, Tensor]]) -> UserDict[str, Tensor]:
    """As Hugging Face's collators do: a mapping with the targets as labels."""
    both = torch.stack([each for each, _ in samples])
    labels = torch.stack([target for _, target in samples])
    return UserDict(left=both[:, :3], right=both[:, 3:], labels=labels)


LOADERS: dict[str, Callable[[Task], Task]] = {
    "loader": lambda made: given_as(made, lambda data: DataLoader(data, batch_size=10)),
    "list": lambda made: given_as(made, lambda data: list(DataLoader(data, batch_size=10))),
    "hugging face": lambda made: replace(
        given_as(made, lambda data: DataLoader(data, batch_size=10, collate_fn=collated)),
        model=as_separate(made.model),
    ),
}


def given_as(made: Task, form: Callable[[Dataset[Any]], Any]) -> Task:
    parts = {part: form(TensorDataset(*getattr(made, part))) for part in SIZES}
    return replace(made, batch_size=Task.batch_size, **parts)


def as_separate(model: nn.Module) -> nn.Module:
    separate = Separate()
    separate.load_state_dict(model.state_dict())
    return separate


@pytest.mark.parametrize("form", LOADERS)
def test_batches_train_as_their_samples_do(form: str) -> None:
    assert_the_same(lambda seed: LOADERS[form](joint(seed)), joint)


class Halves(Dataset[Any]):
    """Samples whose inputs are a tuple, which torch's collate function makes lists of."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> tuple[tuple[Tensor, Tensor], int]:
        if number >= 6:
            raise IndexError
        return (torch.full((3,), float(number)), torch.ones(2)), number % 2


def part(given: Any) -> Any:
    return Reader().read(replace(joint(0), train=given, batch_size=32)).train


def test_a_shuffled_loader_is_read_in_one_order_whatever_the_seed() -> None:
    def loader() -> DataLoader[Any]:
        own = torch.Generator().manual_seed(torch.randint(100, ()).item())
        return DataLoader(Halves(), batch_size=4, shuffle=True, generator=own)

    (left, right), targets = part(loader())
    assert sorted(left[:, 0].tolist()) == list(range(6))
    assert left[:, 0].tolist() != list(range(6))
    assert right.shape == (6, 2)
    assert torch.equal(left[:, 0].long() % 2, targets)
    before = torch.get_rng_state()
    again = part(loader())
    assert torch.equal(again[0][0], left)
    torch.set_rng_state(before)
    kept = DataLoader(Halves(), batch_size=4, shuffle=True, generator=torch.Generator())
    state = kept.generator.get_state()
    part(kept)
    assert torch.equal(kept.generator.get_state(), state)


def test_batches_that_a_task_keeps_are_read_once() -> None:
    class Counted:
        walks = 0

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            self.walks += 1
            yield from [drawn(10), drawn(10)]

    batches, reader = Counted(), Reader()
    made = replace(joint(0), train=batches, validation=batches)
    first, second = reader.read(made), reader.read(made)
    assert batches.walks == 1
    assert first.train[0] is second.validation[0]


def test_the_size_of_batches_is_that_of_the_first() -> None:
    halves = DataLoader(Halves(), batch_size=4)
    assert Reader().read(replace(joint(0), train=halves, batch_size=32)).batch_size == 4
    with pytest.raises(TaskError, match=r"batch_size is 10.* 4 samples; give one of the two"):
        Reader().read(replace(joint(0), train=halves))


class Noisy(Halves):
    def __getitem__(self, number: int) -> Any:
        (left, right), target = super().__getitem__(number)
        return (left + torch.randn(3), right), target


TWO = torch.ones(2, 3), torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, r"its train is of the type int; give \(inputs, targets\), or batches"),
        (Halves(), "type Halves; .*DataLoader"),
        (DataLoader(Noisy(), batch_size=2), "draws random numbers.* a layer in front of the model"),
        ([], "has no batches"),
        (torch.ones(3, 3), r"batch 1 of its train is a Tensor; it must be \(inputs, targets\)"),
        ([(*TWO, TWO[1])], "batch 1 of its train is a tuple of 3"),
        ([TWO, (torch.ones(2, 4), TWO[1])], r"batch 2 .* \(float32 \[4\], .* pad or cut"),
        ([TWO, (TWO[0], TWO[1].numpy())], "targets of batch 2 of its train .*type ndarray"),
        ({"x": TWO[0], "y": TWO[1]}, "its train is a dict with the keys x, y; .*'labels'"),
        (({"x": [1.0, 2.0]}, TWO[1]), r"inputs\['x'\] of its train are of the type list"),
        (((TWO[0], torch.ones(3)), TWO[1]), "its train has 2 and 3 inputs and 2 targets"),
        (({}, TWO[1]), "inputs of its train are of the type dict"),
    ],
)
def test_data_that_cannot_be_read_are_named_with_how_to_mend_them(given: Any, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        part(given)


def test_batches_without_an_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield drawn(10)

    monkeypatch.setattr(reading, "MOST_BYTES", 10_000)
    with pytest.raises(TaskError, match=r"first 36 batches of its train .*Subset"):
        part(endless())


MISNAMED = """
import torch
from unyoke.study import Task


class Takes(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * self.weight, 'text'


def misnamed(seed):
    part = ({"y": torch.ones(6, 3)}, torch.zeros(6).long())
    return Task(Takes(), part, part, part)


def texts(seed):
    part = ({"x": torch.ones(6, 3)}, torch.zeros(6).long())
    return Task(Takes(), part, part, part)
"""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("misnamed", r"called as model\(y=…\): TypeError: .*unexpected keyword argument 'y'"),
        ("texts", "returns a tuple with a str; it must return a tensor"),
    ],
)
def test_a_model_that_does_not_take_its_inputs_is_named(
    function: str, said: str, tmp_path: Any
) -> None:
    (tmp_path / "mine.py").write_text(MISNAMED)
    with pytest.raises(Exception, match=said):
        workers.probe(registry.refer(f"{tmp_path}/mine.py:{function}"), 0)
