"""Figures and tables for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unyoke import study
from unyoke.study.landscape.landscape import Landscape
from unyoke.study.report.report import write_report


@pytest.fixture
def folder(tmp_path: Path, landscape: Landscape, fill: Callable[..., None]) -> Path:
    fill(tmp_path, landscape, lambda cell: None if cell.lr == 1.0 else cell.lr + cell.weight_decay)
    return tmp_path


def test_figures_are_matplotlibs_and_in_the_order_asked_for(folder: Path) -> None:
    made = study.figures(folder)
    assert set(made) == {"landscape", "torch", "hyperparameters"}
    titles = [plot.get_title() for plot in made["landscape"].axes if plot.get_title()]
    assert titles == ["AdamW", "SGD + L2"]
    other = study.figures(str(folder), optimizers=["SGD", "AdamW"])
    titles = [plot.get_title() for plot in other["landscape"].axes if plot.get_title()]
    assert titles == ["SGD + L2", "AdamW"]
    assert "torch" not in study.figures(folder, optimizers=["SGD"])
    with pytest.raises(study.StudyError, match="has no SGDW; it has AdamW, SGD"):
        study.figures(folder, optimizers=["SGDW"])


def test_a_table_has_a_row_for_each_training(folder: Path) -> None:
    pytest.importorskip("pandas")
    table = study.table(folder)
    assert len(table) == 36
    assert table.groupby("status").size().to_dict() == {"diverged": 12, "finished": 24}
    assert table.test_error.min() == 0.25


@pytest.mark.slow
def test_a_report_has_its_figures_as_pdf_too(folder: Path) -> None:
    """The same report twice is the same file."""
    write_report(folder)
    first = (folder / "landscape.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    write_report(folder)
    assert (folder / "landscape.pdf").read_bytes() == first


def test_without_a_ledger_there_is_nothing(tmp_path: Path) -> None:
    for function in (study.figures, study.table):
        with pytest.raises(study.StudyError, match="does not exist"):
            function(tmp_path)


def test_titles_and_labels_are_one_s_own(folder: Path) -> None:
    made = study.figures(
        folder,
        titles={"landscape": "Our network"},
        labels={"SGD + L2": "momentum, L2", "AdamW": "ours"},
    )
    assert made["landscape"].get_suptitle() == "Our network"
    titles = [plot.get_title() for plot in made["landscape"].axes if plot.get_title()]
    assert titles == ["ours", "momentum, L2"]
    with pytest.raises(study.StudyError, match="no figure 'map'; there are landscape"):
        study.figures(folder, titles={"map": "Our network"})
    with pytest.raises(study.StudyError, match="titles must be a dict from text to text, not 'x'"):
        study.figures(folder, titles="x")  # type: ignore[arg-type]
    with pytest.raises(study.StudyError, match=r"labels must be a dict .* not {'AdamW': nan}"):
        study.figures(folder, labels={"AdamW": float("nan")})  # type: ignore[dict-item]
    with pytest.raises(study.StudyError, match="no figure shows 'SGD'"):
        study.figures(folder, labels={"SGD": "momentum"})
