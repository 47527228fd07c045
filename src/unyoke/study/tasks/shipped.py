"""Tables that scikit-learn ships, read without importing it.

They are text files. To import scikit-learn takes as long as to import torch, and a run would wait
for it before its first training.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unyoke.study.errors import StudyError

Numbers = NDArray[np.float64]


def digits() -> tuple[Numbers, Numbers]:
    """1,797 images of 8 × 8 pixels from 0 to 16, [1797, 64], and the digits that they show."""
    return _read("digits", "digits.csv.gz")


def breast_cancer() -> tuple[Numbers, Numbers]:
    """30 measurements of 569 tumours, [569, 30]; 0 is malignant and 1 benign."""
    return _read("breast_cancer", "breast_cancer.csv", headings=1)


def diabetes() -> tuple[Numbers, Numbers]:
    """10 measurements of 442 patients, [442, 10], and how far the disease is a year later."""
    files = ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz")
    return _read("diabetes", *files, delimiter=None)


def _read(
    name: str, *files: str, headings: int = 0, delimiter: str | None = ","
) -> tuple[Numbers, Numbers]:
    """The table of these files side by side, its last column apart.

    Raises:
        StudyError: scikit-learn is not installed, or cannot read its own table.
    """
    paths = [_folder(name) / file for file in files]
    if not all(path.is_file() for path in paths):
        return _read_by_library(name)
    parts = [np.loadtxt(path, delimiter=delimiter, skiprows=headings, ndmin=2) for path in paths]
    table = np.concatenate(parts, axis=1)
    return table[:, :-1], table[:, -1]


def _folder(name: str) -> Path:
    """Where scikit-learn keeps its files; found without running any of its code."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise _missing(name, "it is not installed")
    return Path(found.submodule_search_locations[0]) / "datasets" / "data"


def _read_by_library(name: str) -> tuple[Numbers, Numbers]:
    """The same by scikit-learn itself, for a version that keeps its files elsewhere."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise _missing(name, str(error)) from error
    as_measured = {"scaled": False} if name == "diabetes" else {}
    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True, **as_measured)
    return np.asarray(inputs, np.float64), np.asarray(targets, np.float64)


def _missing(name: str, why: str) -> StudyError:
    return StudyError(
        f"the task {name.replace('_', '-')!r} reads the data that scikit-learn ships, and "
        f"scikit-learn cannot be used ({why}); install it with: pip install 'unyoke[demo]'"
    )
