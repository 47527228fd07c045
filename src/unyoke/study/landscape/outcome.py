"""What one cell's training gave: plain numbers, as the ledger keeps them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Status = Literal["finished", "diverged", "failed"]


FAILURE = 2_000
"""Characters of what was raised that are kept."""


class CurvePoint(NamedTuple):
    """One evaluation of the network during its training, after `update` updates."""

    update: int
    train_loss: float
    validation_error: float
    test_error: float


@dataclass(frozen=True)
class Outcome:
    """The result of one cell. A cell that diverged or failed has the status and no errors.

    Attributes:
        status: "diverged" when the loss or an output stopped being a finite number, or the loss
            grew past any use; training stopped there. "failed" when the task raised something.
        updates: updates made.
        train_loss, train_error: over the whole training data, at the end.
        validation_error: chooses the cell.
        test_error: reports it.
        test_standard_error: of test_error, from the finite number of test samples.
        test_samples: how many.
        error_unit: the task's.
        seconds: wall time of the training, evaluation included; of cells trained together, each
            one's share by its updates.
        curve: evaluations during training, the last one at the end.
        engine: "stacked" if it was trained as one of a stack, else "one_by_one".
        reason: why by that engine.
        failure: of a failed cell, what was raised; the first `FAILURE` characters.
        mistakes: of a classification, which test samples were wrong at the end: a bit for each in
            the test set's order, the first the highest of its byte. Two cells of one seed can so
            be compared sample by sample. None where errors are others than 0 and 1.
    """

    status: Status
    updates: int
    train_loss: float | None
    train_error: float | None
    validation_error: float | None
    test_error: float | None
    test_standard_error: float | None
    test_samples: int
    error_unit: str
    seconds: float
    curve: tuple[CurvePoint, ...]
    engine: str = "one_by_one"
    reason: str = ""
    failure: str | None = None
    mistakes: bytes | None = None

    @classmethod
    def failed(cls, text: str) -> Outcome:
        """The outcome of a cell whose task raised something, which `text` tells."""
        nothing = (None, None, None, None, None)
        return cls("failed", 0, *nothing, 0, "", 0.0, (), failure=text[:FAILURE])

    def figures(self) -> dict[str, Any]:
        """All but the curve and the mistakes."""
        figures = asdict(self)
        del figures["curve"], figures["mistakes"]
        if self.failure is None:
            del figures["failure"]
        return figures

    def to_json(self) -> tuple[str, str]:
        """The figures and the curve, each as JSON."""
        return json.dumps(self.figures(), allow_nan=False), json.dumps(self.curve, allow_nan=False)


def curve_from_json(text: str) -> tuple[CurvePoint, ...]:
    """The curve that `Outcome.to_json` wrote."""
    return tuple(CurvePoint(*point) for point in json.loads(text))
