"""The wheel and the source distribution: built twice, installed away from the sources, used."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from programs import ROOT, tool

pytestmark = pytest.mark.slow
ONE = {"OMP_NUM_THREADS": "1"}


def run(command: list[object], where: Path, **variables: str) -> str:
    """What a command prints, without this checkout on the path."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=where,
        env=environ | ONE | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def built(tree: Path, folder: Path) -> dict[str, Path]:
    """The two files that are built of a source tree, by suffix."""
    run([sys.executable, "-m", "hatchling", "build", "-d", folder], tree)
    return {file.suffix: file for file in folder.iterdir()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, in a folder that is no repository."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(files[".gz"]) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


@pytest.fixture(scope="module")
def python(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel, and what it depends on shared with ours."""
    folder = tmp_path_factory.mktemp("installed")
    return Path(tool("frameworks").made(folder, ["--no-index", str(files[".whl"])]))


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_builds_are_reproducible_and_the_sdist_has_all_that_a_build_needs(
    files: dict[str, Path], unpacked: Path, tmp_path: Path
) -> None:
    """Built again at another time, in another place, of what the first build packed."""
    again = built(unpacked, tmp_path)
    assert {s: f.name for s, f in again.items()} == {s: f.name for s, f in files.items()}
    assert {s: digest(f) for s, f in again.items()} == {s: digest(f) for s, f in files.items()}


def test_the_sdist_has_every_file_of_the_repository(unpacked: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a repository")
    listed = run(["git", "ls-files"], ROOT).split()
    assert [name for name in listed if not (unpacked / name).exists()] == []


def test_the_tests_of_the_sdist_can_be_collected(unpacked: Path) -> None:
    options = ["--collect-only", "-q", "-p", "no:cacheprovider"]
    run([sys.executable, "-m", "pytest", *options], unpacked, PYTHONPATH=str(unpacked / "src"))


def test_the_wheel_has_the_package_and_nothing_else(files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files[".whl"]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"unyoke"}
    assert "unyoke/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_optimizer_makes_a_step(python: Path, tmp_path: Path) -> None:
    program = (
        "import torch, unyoke\n"
        "p = torch.nn.Parameter(torch.ones(3)); p.grad = torch.ones(3)\n"
        "optimizer = unyoke.AdamW([p], lr=0.1, backend='cpu'); optimizer.step()\n"
        "print(unyoke.__file__, round(p[0].item(), 3), sep='|')"
    )
    where, value = run([python, "-c", program], tmp_path).strip().split("|")
    assert Path(where).is_relative_to(python.parents[1])
    assert value == "0.9"


def test_the_installed_commands_answer(python: Path, tmp_path: Path) -> None:
    for command in ([python.with_name("unyoke")], [python, "-m", "unyoke"]):
        assert "0.1.0" in run([*command, "--version"], tmp_path)
        assert "AdamW" in run([*command, "optimizers"], tmp_path)


def test_a_map_from_the_wheel(python: Path, tmp_path: Path) -> None:
    run([python.with_name("unyoke"), "map", "--quick", "--out", tmp_path / "map"], tmp_path)
    for name in ("report.html", "landscape.png", "cells.csv"):
        assert (tmp_path / "map" / name).stat().st_size > 1000
