from __future__ import annotations

import pytest

from unyoke.study.errors import StudyError
from unyoke.study.landscape.axes import describe_axis, label, parse_axis


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("2^-3:2^0", (0.125, 0.25, 0.5, 1.0)),
        ("0,2^-2:2^-1", (0.0, 0.25, 0.5)),
        ("2^-4:2^0:4", (0.0625, 0.25, 1.0)),
        ("2^-4:2^-1:4", (0.0625, 0.25)),  # the end is not overshot
        ("1e-3:1e-1:10", (1e-3, 1e-2, 1e-1)),
        ("0.3, 0.1,0.3", (0.1, 0.3)),
        ("0", (0.0,)),
    ],
)
def test_axes_are_read(text: str, values: tuple[float, ...]) -> None:
    assert parse_axis(text, "lr") == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (",", "empty"),
        ("2^-1:2^-3", "empty"),
        ("-0.1", "-0.1"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("2^99999", "2^99999"),
        ("many", "not a number"),
        ("0:1", "zero"),
        ("1:2:1", "factor 1"),
        ("1:2:3:4", "more than"),
        ("1:2:1.0001", "larger factor"),
        ("1:2:1.001,3:6:1.001", "shorter range"),
    ],
)
def test_what_is_no_axis_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(StudyError, match="weight decay") as refused:
        parse_axis(text, "weight decay")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.0, 0.125, 0.25, 0.5), "0,2^-3:2^-1"),
        ((0.125, 0.25), "2^-3,2^-2"),
        ((0.1, 0.3), "0.1,0.3"),
        ((0.0, 1 / 3, 1.0, 2.0, 4.0), "0,0.3333333333333333,2^0:2^2"),
        ((0.25, 1.0, 4.0), "2^-2,2^0,2^2"),
    ],
)
def test_an_axis_described_is_the_axis_read(values: tuple[float, ...], text: str) -> None:
    assert describe_axis(values) == text
    assert parse_axis(text, "lr") == values


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.25, "2^-2"), (1.0, "2^0"), (8.0, "2^3"), (0.003, "0.003")]
)
def test_labels(value: float, text: str) -> None:
    assert label(value) == text
