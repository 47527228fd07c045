"""Characters: windows and their targets, strict texts, and models that do not see ahead."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from unyoke.study.errors import StudyError
from unyoke.study.tasks import shakespeare
from unyoke.study.tasks.character_models import (
    CharacterLSTM,
    CharacterTransformer,
    causal_attention,
)
from unyoke.study.tasks.registry import load, refer
from unyoke.study.tasks.shakespeare import bits_per_character, mean_cross_entropy, parse_text


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty windows of the alphabet, and sizes to match."""
    for name, size in (("TRAINING", 4), ("VALIDATION", 2), ("TEST", 3)):
        monkeypatch.setattr(shakespeare, name, size)
    path = tmp_path / "input.txt"
    path.write_text("abcdefghijklmnopqrstuvwxyz\n" * 24)
    assert (len(path.read_text()) - 1) // 32 == 20
    return path


@pytest.mark.parametrize("task", ["shakespeare", "shakespeare-lstm"])
def test_windows_follow_the_text_and_targets_come_one_later(text: Path, task: str) -> None:
    build = load(refer(task, str(text.parent)))
    made = build(0)
    alphabet = "\nabcdefghijklmnopqrstuvwxyz"
    codes = torch.tensor([alphabet.index(character) for character in text.read_text()])
    for (inputs, targets), first, count in ((made.validation, 15, 2), (made.test, 17, 3)):
        span = slice(32 * first, 32 * (first + count))
        assert torch.equal(inputs.flatten(), codes[span])
        assert torch.equal(targets.flatten(), codes[1:][span])
    windows = [codes[start : start + 33].tolist() for start in range(0, 32 * 15, 32)]
    drawn = [[*inputs, targets[-1]] for inputs, targets in zip(*map(list, made.train), strict=True)]
    found = [windows.index(torch.stack(window).tolist()) for window in drawn]
    assert len(set(found)) == 4
    assert torch.equal(made.train[0][:, 1:], made.train[1][:, :-1])
    assert torch.equal(build(0).train[0], made.train[0])
    assert not torch.equal(build(1).train[0], made.train[0])
    outputs = made.model(made.test[0])
    assert outputs.shape == (3, 32, 27)
    errors = made.error(outputs, made.test[1])
    assert errors.shape == (3,)
    nats = made.loss(outputs, made.test[1])
    torch.testing.assert_close(errors.mean() * math.log(2), nats)


def test_guessing_among_eight_characters_costs_three_bits() -> None:
    outputs, targets = torch.zeros(5, 4, 8), torch.zeros(5, 4, dtype=torch.long)
    torch.testing.assert_close(bits_per_character(outputs, targets), torch.full((5,), 3.0))
    torch.testing.assert_close(mean_cross_entropy(outputs, targets), torch.tensor(3 * math.log(2)))


@pytest.mark.parametrize("model", [CharacterTransformer(9, 12), CharacterLSTM(9)])
def test_no_position_sees_what_follows(model: torch.nn.Module) -> None:
    codes = torch.randint(9, (3, 12), generator=torch.Generator().manual_seed(0))
    changed = codes.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 9
    with torch.no_grad():
        before, after = model(codes), model(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert (before[:, 7:] - after[:, 7:]).abs().amax(dim=2).min() > 0


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"abc\n" * 999 + "é".encode()[:1], "not a text in UTF-8, or is cut off"),
        (b"\x1f\x8b\x08\x00" * 999, "not a text in UTF-8"),
        (b"abc\0" * 999, "control code"),
        ("".join(map(chr, range(0x4E00, 0x4F10))).encode() * 9, "272 different characters"),
        (b"abc\n" * 66, "has 264 characters"),
    ],
)
def test_what_is_no_text_is_refused(text: Path, contents: bytes, reason: str) -> None:
    text.write_bytes(contents)
    with pytest.raises(StudyError) as refused:
        load(refer("shakespeare", str(text)))(0)
    assert reason in str(refused.value)
    assert str(text) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_attention_is_that_of_torch() -> None:
    query, key, value = torch.randn(3, 2, 4, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(causal_attention(query, key, value), expected)


def test_line_ends_are_made_plain() -> None:
    assert parse_text(b"a\r\nb\tc\n", Path("f")) == "a\nb\tc\n"
