"""Every command of the pages about maps runs, with a budget that a test can afford."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from unyoke.cli import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ("study", "own-task", "own-optimizer", "scale-out", "first-map")

AXES = ["--lr", "2^-6:2^-4:4", "--weight-decay", "0,2^-8"]
"""Before a command's own axes, which replace them."""
BUDGET = ["--updates", "3", "--seeds", "2", "--evaluations", "1", "--workers", "2"]
"""Behind a command's own, which it replaces."""
PLACES = {
    "FOLDER": "my-map",
    "FILE": "trainings.csv",
    "A": "part-1",
    "B": "part-2",
    "C": "two-parts",
    "slurm:partition=cpu,timeout_min=120": "slurm:cluster=local,timeout_min=5",
}
"""What a reader puts in the place of a word."""

MY_TASK = """
from functools import partial

my_model = partial(torch.nn.Linear, 3, 2)
inputs, targets = torch.randn(12, 3), torch.randint(2, (12,))
inputs_2, targets_2, inputs_3, targets_3 = inputs, targets, inputs, targets
my_loss = torch.nn.functional.cross_entropy


def my_error(outputs, targets):
    return (outputs.argmax(1) != targets).float()

"""


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def commands(page: str) -> list[list[str]]:
    """The words of each whole command of a page, in order; what only names a command is none."""
    text = re.sub(r" *\\\n *", " ", text_of(page))
    # Two spaces separate a command from what is said about it.
    pattern = r"^(?:\$ | {4})(unyoke (?:[^\s]| (?! ))*)|`(unyoke [a-z][^`\n]*)`"
    found = [first or second for first, second in re.findall(pattern, text, re.MULTILINE)]
    words = [shlex.split(line)[1:] for line in found]
    return [line for line in words if len(line) > 1 + (line[0] == "ledger")]


def blocks(page: str, word: str) -> str:
    """Those Python blocks of a page that have a word."""
    found = re.findall(r"^```python\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    return "\n".join(block for block in found if word in block)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody who has saved the pages' files, and has Fashion-MNIST."""
    monkeypatch.chdir(tmp_path)
    own = blocks("own-optimizer", "class SignDescentW") + blocks("own-optimizer", "def make(")
    (tmp_path / "my_file.py").write_text(own + MY_TASK + blocks("own-task", "def my_task("))
    (tmp_path / "rings.py").write_text(blocks("first-map", "def rings("))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name, count in (("train", 40), ("t10k", 20)):
        for kind, values in (
            ("images-idx3", torch.randint(256, (count, 28, 28), dtype=torch.uint8)),
            ("labels-idx1", torch.arange(count, dtype=torch.uint8) % 10),
        ):
            sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
            head = bytes([0, 0, 8, values.dim()]) + sizes
            (tmp_path / f"{name}-{kind}-ubyte").write_bytes(head + values.numpy().tobytes())
    monkeypatch.setenv("UNYOKE_FASHION_MNIST", str(tmp_path))
    return tmp_path


def affordable(words: list[str], number: int) -> list[str]:
    """A command with few updates, into a folder of its own where the page does not say which."""
    words = [PLACES.get(word, word) for word in words]
    if words[0] != "map":
        return words
    words = ["map", *AXES, *words[1:], *BUDGET]
    if "--executor" in words:  # of the page's one folder every other run would find all done
        words += ["--out", f"by-executor-{number}"]
    elif "--out" not in words:
        words += ["--out", f"run-{number}"]
    return words


def run(words: list[str], folder: Path) -> None:
    if words[:2] == ["ledger", "merge"] and (folder / words[-1]).exists():
        shutil.rmtree(folder / words[-1])  # the page fills one folder in several ways
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, f"unyoke {shlex.join(words)}: {done.output}"
    if words[0] == "map" and "--dry-run" not in words:
        out = folder / words[len(words) - 1 - words[::-1].index("--out") + 1]
        assert "trainings" in done.output
        assert "<title>unyoke map" in (out / "report.html").read_text(encoding="utf-8")
    if words[:2] == ["ledger", "export"]:
        assert (folder / words[-1]).stat().st_size > 0


@contextmanager
def dask() -> Iterator[str]:
    """A scheduler, and the workers that the page's command starts."""
    distributed = pytest.importorskip("distributed")
    (line,) = re.findall(r"`(dask worker [^`]*)`", text_of("scale-out"))
    with distributed.LocalCluster(
        n_workers=0, dashboard_address=None, protocol="tcp://"
    ) as cluster:
        address = cluster.scheduler_address
        line = line.replace("tcp://HOST:8786", address).replace("--nworkers 8", "--nworkers 2")
        command = [str(Path(sys.executable).parent / "dask"), *shlex.split(line)[1:]]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        worker = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
        try:
            with distributed.Client(address) as client:
                client.wait_for_workers(2, timeout=120)
            yield address.removeprefix("tcp://")
        finally:
            worker.terminate()
            worker.wait(timeout=60)


@contextmanager
def ray() -> Iterator[str]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


CLUSTERS = {"HOST:8786": dask, "HOST:6379": ray}


@pytest.mark.filterwarnings("ignore")  # of the clusters' own
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(
    page: str, reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # tests tell nobody that they ran
    found = commands(page)
    assert len(found) >= (2 if page.startswith("own") else 4)
    for number, words in enumerate(found):
        with ExitStack() as stack:
            for host, cluster in CLUSTERS.items():
                if any(host in word for word in words):
                    address = stack.enter_context(cluster())
                    words = [word.replace(host, address) for word in words]
            if "--shard" in words:  # "…": the other parts
                for part in range(1, 5):
                    whole = [f"part-{part}" if w == "part-1" else w for w in words]
                    whole = [f"{part}/4" if w == "1/4" else w for w in whole]
                    run(affordable(whole, number), reader)
                continue
            run(affordable(words, number), reader)


SMALL = {
    "landscape.py": ["--rounds", "1", "--sample", "2"],
    "refine.py": ["--groups", "2", "--optimizers", "AdamW"],
    "report.py": ["200"],
    "interval_coverage.py": ["2"],
    "dry_run.py": ["--task", "digits"],
}
"""Arguments of a benchmark that a test can afford."""


def test_every_benchmark_of_the_page_runs(tmp_path: Path) -> None:
    named = set(re.findall(r"`python benchmarks/([a-z_]*\.py)[^`]*`", text_of("study")))
    assert named == SMALL.keys()
    for name in sorted(named):
        command = [sys.executable, str(ROOT / "benchmarks" / name), *SMALL[name]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
