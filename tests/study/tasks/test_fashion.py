"""IDX files: read exactly, refused when anything about them is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from unyoke.study.errors import StudyError
from unyoke.study.tasks import fashion
from unyoke.study.tasks.fashion import parse_idx
from unyoke.study.tasks.registry import load, refer

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(values: torch.Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.dim()]) + sizes + bytes(values.flatten().tolist())


def pixels(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, 28, 28), generator=generator, dtype=torch.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 training and 6 test images; half of the files are compressed."""
    (tmp_path / IMAGES).write_bytes(idx(pixels(12)))
    (tmp_path / LABELS).write_bytes(idx(torch.arange(12) % 10))
    (tmp_path / f"{TEST_IMAGES}.gz").write_bytes(gzip.compress(idx(pixels(6))))
    (tmp_path / f"{TEST_LABELS}.gz").write_bytes(gzip.compress(idx(torch.arange(6))))
    return tmp_path


def halved(images: torch.Tensor) -> torch.Tensor:
    """Each pixel the mean of four, −1 to 1; written out."""
    corners = [images[:, i::2, j::2].float() for i in (0, 1) for j in (0, 1)]
    return sum(corners) / 4 / 127.5 - 1  # type: ignore[return-value]


def test_the_first_images_train_the_last_choose_and_the_test_files_report(folder: Path) -> None:
    task = load(refer("fashion-mnist", str(folder)))(0)
    first = halved(pixels(12)[:6])
    assert task.train[0].shape == (6, 14, 14)
    distance = (task.train[0][:, None] - first[None]).abs().amax(dim=(-2, -1))
    assert sorted(distance.argmin(dim=1).tolist()) == list(range(6))
    assert distance.amin(dim=1).max() < 1e-6
    torch.testing.assert_close(task.validation[0], halved(pixels(12)[6:]))
    assert task.validation[1].tolist() == [6, 7, 8, 9, 0, 1]
    torch.testing.assert_close(task.test[0], halved(pixels(6)))
    assert task.test[1].tolist() == list(range(6))
    assert task.model(task.test[0]).shape == (6, 10)


def test_networks_of_a_seed_see_the_same_images(folder: Path) -> None:
    names = ("fashion-mnist", "fashion-patches", "fashion-patches-plain")
    first, *others = (load(refer(name, str(folder)))(1) for name in names)
    for task in others:
        assert torch.equal(task.train[0], first.train[0])
        assert torch.equal(task.train[1], first.train[1])
        assert task.model(task.test[0]).shape == (6, 10)


def test_the_seed_draws_images_and_wrong_labels(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion, "TRAINING", 2_000)
    count = 5_000
    (folder / IMAGES).write_bytes(idx(torch.zeros(count, 28, 28, dtype=torch.uint8)))
    (folder / LABELS).write_bytes(idx(torch.zeros(count, dtype=torch.uint8)))
    build = load(refer("fashion-mnist", str(folder)))
    first, again, other = build(0), build(0), build(1)
    assert torch.equal(first.train[1], again.train[1])
    assert not torch.equal(first.train[1], other.train[1])
    # Of those with a drawn label, one in ten has the right one by chance: 0.4 · 0.9.
    wrong = (first.train[1] != 0).double().mean().item()
    assert wrong == pytest.approx(0.36, abs=0.04)  # four standard deviations of 2,000 draws
    assert not first.validation[1].any()
    largest = 4 / 196**0.5  # four times the usual bound of the first layer
    weights = next(first.model.parameters()).detach().abs().max().item()
    assert 0.99 * largest < weights <= largest


def test_of_many_images_few_train_and_choose_and_all_test_images_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion, "TRAINING", 3)
    monkeypatch.setattr(fashion, "VALIDATION", 2)
    task = load(refer("fashion-mnist", str(folder)))(0)
    parts = (task.train, task.validation, task.test)
    assert [len(targets) for _, targets in parts] == [3, 2, 6]
    assert task.validation[1].tolist() == [0, 1]


def test_the_place_of_debians_package_is_known() -> None:
    source = fashion.FASHION_MNIST
    assert source.places == (Path("/usr/share/datasets/fashion-mnist"),)
    assert "dataset-fashion-mnist" in source.get


def test_idx_is_read_byte_for_byte() -> None:
    values = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    assert torch.equal(parse_idx(idx(values), Path("f"), 3), values)


@pytest.mark.parametrize(
    ("name", "contents", "reason"),
    [
        (IMAGES, idx(pixels(12))[:-1], "its header announces"),
        (IMAGES, idx(pixels(12)) + b"\0", "its header announces"),
        (IMAGES, idx(pixels(12))[:7], "not an IDX file"),
        (IMAGES, b"", "begins with nothing"),
        (IMAGES, idx(torch.arange(12)), "in 3 dimensions"),
        (IMAGES, b"\0\0\x0d" + idx(pixels(12))[3:], "unsigned bytes"),
        (IMAGES, b"\x89PNG" * 99, "not an IDX file"),
        (IMAGES, idx(pixels(12)[:, :20]), "20 × 28 pixels"),
        (IMAGES, idx(pixels(11)), "belong to different sets"),
        (IMAGES, idx(pixels(12)[:0]), "its header announces"),
        (LABELS, idx(torch.arange(12)), "the class 11"),
    ],
)
def test_a_file_that_is_wrong_is_named(
    folder: Path, name: str, contents: bytes, reason: str
) -> None:
    (folder / name).write_bytes(contents)
    with pytest.raises(StudyError) as refused:
        load(refer("fashion-mnist", str(folder)))(0)
    assert reason in str(refused.value)
    assert str(folder / name) in str(refused.value)
    assert "\n" not in str(refused.value)
