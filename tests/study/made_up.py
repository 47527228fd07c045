"""Outcomes made up for tests of ledgers and reports."""

from __future__ import annotations

from unyoke.study.landscape.outcome import CurvePoint, Outcome

VERSIONS = '{"unyoke": "0", "torch": "0"}'


def outcome(error: float | None, evaluations: int = 1) -> Outcome:
    """A finished outcome of this error, or a diverged one; its curve has so many points."""
    finished = error is not None
    return Outcome(
        status="finished" if finished else "diverged",
        updates=10 if finished else 3,
        train_loss=error,
        train_error=error,
        validation_error=error,
        test_error=error,
        test_standard_error=0.01 if finished else None,
        test_samples=100,
        error_unit="%",
        seconds=0.5,
        curve=tuple(
            CurvePoint(5 * point, 1.0 / point, 0.5, 0.5) for point in range(1, evaluations + 1)
        ),
    )
