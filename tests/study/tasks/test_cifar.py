"""The binary formats of CIFAR, augmentation, and the networks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from unyoke.study.errors import StudyError
from unyoke.study.tasks.cifar import HUNDRED, TEN, FlipAndShift, normalised
from unyoke.study.tasks.registry import load, refer
from unyoke.study.tasks.shake_shake import ShakeShake, Skip, shake
from unyoke.study.tasks.small_resnet import SmallResNet


def records(labels: Iterable[tuple[int, ...]]) -> bytes:
    """One record per tuple of labels; the pixels count up from the last label."""
    parts = (bytes([*label, *((label[-1] + i) % 256 for i in range(3072))]) for label in labels)
    return b"".join(parts)


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    (tmp_path / "data_batch_1.bin").write_bytes(records((i,) for i in range(10)))
    (tmp_path / "data_batch_3.bin").write_bytes(records((i,) for i in range(10)))
    (tmp_path / "test_batch.bin").write_bytes(records([(7,), (8,), (9,)]))
    return tmp_path


def test_the_last_tenth_chooses_and_the_test_batch_reports(ten: Path) -> None:
    task = load(refer("cifar10", str(ten)))(0)
    assert task.train[1].tolist() == [*range(10), *range(8)]
    assert task.validation[1].tolist() == [8, 9]
    assert task.test[1].tolist() == [7, 8, 9]
    assert task.model(task.test[0]).shape == (3, 10)


def test_the_small_task_takes_all_of_one_training_batch(ten: Path) -> None:
    task = load(refer("cifar10-small", str(ten)))(0)
    assert task.batch_size == 128
    assert [len(part[1]) for part in (task.train, task.validation, task.test)] == [18, 2, 3]


def test_pixels_are_normalised_by_colour(ten: Path) -> None:
    (image, *_), _ = load(refer("cifar10", str(ten)))(0).test
    red, blue = (7 - 125.3) / 63.0, ((7 + 2 * 1024 + 33) % 256 - 113.9) / 66.7
    torch.testing.assert_close(image[0, 0, 0], torch.tensor(red))
    torch.testing.assert_close(image[2, 1, 1], torch.tensor(blue))
    assert normalised(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), HUNDRED).shape[1] == 3


def test_a_hundred_classes_have_two_labels_and_the_fine_one_is_the_target(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(records((i % 20, 99 - i) for i in range(20)))
    (tmp_path / "test.bin").write_bytes(records([(3, 50)]))
    task = load(refer("cifar100", str(tmp_path)))(0)
    assert task.train[1].tolist() == list(range(99, 81, -1))
    assert task.test[1].tolist() == [50]
    assert task.model(task.train[0]).shape == (18, 100)


@pytest.mark.parametrize(
    ("name", "contents", "reason"),
    [
        ("data_batch_1.bin", records([(1,)])[:-1], "not a multiple of 3073"),
        ("data_batch_3.bin", b"", "has 0 bytes"),
        ("test_batch.bin", records([(1,), (10,)]), "the class 10"),
        ("test_batch.bin", b"text" * 3073, "the class 120"),
        ("test_batch.bin", records([(1, 2)]), "not a multiple of 3073"),
    ],
)
def test_a_file_that_is_wrong_is_named(ten: Path, name: str, contents: bytes, reason: str) -> None:
    (ten / name).write_bytes(contents)
    with pytest.raises(StudyError) as refused:
        load(refer("cifar10", str(ten)))(0)
    assert reason in str(refused.value)
    assert str(ten / name) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_cifar_100_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    (tmp_path / "test.bin").write_bytes(records([(3, 50)]))
    for label, reason in (((20, 1), "coarse class 20"), ((1, 100), "the class 100")):
        (tmp_path / "train.bin").write_bytes(records([label]))
        with pytest.raises(StudyError, match=reason):
            load(refer("cifar100", str(tmp_path)))(0)


def test_augmentation_only_flips_and_shifts_by_four_and_only_in_training() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 8, 8) + 1
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
    possible = {
        tuple((view if not flipped else view.flip(-1)).flatten().tolist())
        for flipped in (False, True)
        for source in [padded.flip(-1) if flipped else padded]
        for down in range(9)
        for right in range(9)
        for view in [source[..., down : down + 8, right : right + 8]]
    } | {
        tuple(source[..., down : down + 8, right : right + 8].flatten().tolist())
        for source in (padded, padded.flip(-1))
        for down in range(9)
        for right in range(9)
    }
    layer = FlipAndShift()
    made = [tuple(one.flatten().tolist()) for one in layer(image.expand(2000, -1, -1, -1))]
    assert set(made) <= possible
    assert len(set(made)) > 155  # of 162; each is missed with probability e^-12
    assert torch.equal(layer.eval()(image), image)


@pytest.mark.parametrize(
    ("width", "weights"),
    # The paper says 11.6 M and 25.6 M. The second is 26.2 M in Gastaldi's network, all counted.
    [(64, 11_653_978), (96, 26_192_922)],
)
def test_the_papers_networks_have_their_size_and_learn(width: int, weights: int) -> None:
    torch.manual_seed(0)
    model = ShakeShake(width, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == weights
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    in_skips = sum(len(m.paths) for m in model.modules() if isinstance(m, Skip))
    # 26 deep: the entry, two in each of 12 blocks (of two branches), and the linear layer.
    assert (len(convolutions) - in_skips - 1) / 2 + 2 == 26
    scores = model(torch.randn(2, 3, 32, 32))
    assert scores.shape == (2, 10)
    torch.nn.functional.cross_entropy(scores, torch.tensor([1, 2])).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


def test_shake_weighs_forward_and_backward_apart_and_each_image_on_its_own() -> None:
    torch.manual_seed(0)
    first, second = torch.ones(50, 2, 3, 3).requires_grad_(), torch.zeros(50, 2, 3, 3)
    second.requires_grad_()
    combined = shake(first, second, training=True)
    alpha = combined.detach()[:, 0, 0, 0]
    assert torch.equal(combined.detach(), alpha[:, None, None, None].expand(50, 2, 3, 3))
    assert len(alpha.unique()) > 40
    combined.sum().backward()
    assert first.grad is not None
    assert second.grad is not None
    beta = first.grad[:, 0, 0, 0]
    assert (alpha - beta).abs().mean() > 0.1
    torch.testing.assert_close(first.grad + second.grad, torch.ones(50, 2, 3, 3))
    assert torch.equal(shake(first, second, training=False), torch.full((50, 2, 3, 3), 0.5))


def test_the_skip_of_a_stage_sees_the_shifted_pixels() -> None:
    skip = Skip(1, 2, 2).eval()
    for path in skip.paths:
        torch.nn.init.ones_(path.weight)  # type: ignore[arg-type]
    torch.nn.init.constant_(skip.norm.running_var, 1 - skip.norm.eps)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = torch.tensor([[[0.0, 2.0], [8.0, 10.0]], [[5.0, 7.0], [13.0, 15.0]]])
    torch.testing.assert_close(skip(image)[0], expected)


def test_the_small_network_is_small() -> None:
    assert sum(p.numel() for p in SmallResNet(10).parameters()) == 75_290
    assert TEN.classes == 10
