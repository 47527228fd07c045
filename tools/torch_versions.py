"""Runs the core's tests with another torch: python tools/torch_versions.py 2.8.0

The environment, .torch/VERSION, is made once. It has that torch with what it depends on, its triton
and, on Linux, several gigabytes of CUDA; everything else is shared with the environment that runs
this program. Further arguments go to pytest, in place of the usual tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import frameworks

ROOT = Path(__file__).resolve().parents[1]
NEEDED = 12 << 30
"""Bytes on the disk: torch 2.8.0 with CUDA's libraries takes 7 GB, and its files to download 4."""
TESTS = (
    *("tests/step", "tests/checkpoint", "tests/directions", "tests/decays", "tests/schedules"),
    *("tests/backends", "tests/optimizers", "tests/interchange"),
    *("tests/torch_suite", "tests/population", "tests/storage", "tests/test_trap_map.py"),
    *("tests/test_release.py", "tests/test_groups.py"),
)


def environment(version: str) -> Path:
    """The Python of an environment with this torch.

    Raises:
        SystemExit: there is no room for it.
    """
    folder = ROOT / ".torch" / version
    if not (folder / "complete").exists():
        free = shutil.disk_usage(ROOT).free
        if free < NEEDED:
            raise SystemExit(f"torch {version} needs {NEEDED >> 30} GB, and {free >> 30} are free")
        wanted = ["--no-cache-dir", f"torch=={version}"]
        frameworks.made(folder, wanted, with_dependencies=True)
        (folder / "complete").touch()
    return folder / "bin" / "python"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("pytest", nargs="*", default=TESTS)
    given, more = parser.parse_known_args()
    python = environment(given.version)
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    names = "torch", "triton", "numpy", "numba"
    show = (
        "from importlib.metadata import version; from importlib.util import find_spec; "
        f"print(*(n + ' ' + version(n) for n in {names} if find_spec(n)), sep=', ', flush=True)"
    )
    subprocess.run([python, "-c", show], env=environ, check=True)
    command = [python, "-m", "pytest", "-q", "-m", "not slow", *more, *given.pytest]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
