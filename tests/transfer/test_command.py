"""`unyoke transfer` and `unyoke convert`, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from unyoke.cli import main

EXAMPLE = (
    "transfer --lr 3e-4 --weight-decay 0.05 --convention torch --batch-size 256 --epochs 30 "
    "--samples 50000 --to-batch-size 512 --to-epochs 90"
)


def run(line: str) -> Result:
    return CliRunner().invoke(main, line.split())


def test_the_example_as_json() -> None:
    document = json.loads(run(EXAMPLE + " --json").stdout)
    keys = {"rule", "lr", "weight_decay", "torch_weight_decay", "total_decay", "source"}
    assert all(keys <= set(row) for row in document["rules"])
    assert keys <= set(document["recommended"])
    found = {row["rule"]: row for row in document["rules"]}
    assert found["τ in epochs"]["weight_decay"] == pytest.approx(3e-5)
    assert found["τ in epochs"]["torch_weight_decay"] == pytest.approx(0.0707, rel=1e-3)
    assert document["recommended"]["rule"] in found


def test_the_example_as_text() -> None:
    text = run(EXAMPLE).stdout
    for part in (
        "recommended: lr 0.000424",
        "normalized",
        "arXiv",
        "to decide: the rules differ 3-fold",
        "torch.optim.AdamW",
        "TrainingArguments(",
        "optax.adamw",
        "rotation",
    ):
        assert part in text


def test_where_a_rule_holds_is_said_once() -> None:
    text = " ".join(run(EXAMPLE).stdout.lower().split())
    assert text.count("holds for: runs that forget little") == 1


def test_unverified_rules_are_marked() -> None:
    line = "transfer --lr 1e-3 --weight-decay 1e-4 --updates 1000 --tokens 1e9 --weights 1e8"
    text = run(line + " --to-updates 2000 --to-tokens 2e9").stdout
    assert "power lines°" in text
    assert "° compared with what others quote of it" in " ".join(text.split())


def test_a_number_that_looks_like_torch_s_is_noted() -> None:
    answer = run("transfer --lr 3e-4 --weight-decay 0.05 --updates 100 --to-updates 200")
    assert "--convention torch" in answer.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (EXAMPLE + " --convention caffe", "unknown convention 'caffe'"),
        (EXAMPLE + " --to-batch-size 0", "batch size 0.0"),
        (EXAMPLE + " --map nowhere", "no cells.json"),
        (EXAMPLE + " --to-updates 5 --to-epochs 90", "leave one of these out"),
        ("convert 0.05 --from torch", "give the peak learning rate"),
        ("convert 0.05 --from torhc --lr 1", "did you mean torch"),
    ],
)
def test_mistakes_are_one_line(line: str, words: str) -> None:
    answer = run(line)
    assert answer.exit_code == 2
    assert words in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_convert() -> None:
    assert run("convert 0.05 --from torch --lr 3e-4 --to unyoke").stdout == "1.5e-05\n"
    assert run("convert 1.5e-05 --from unyoke --lr 3e-4 --to torch").stdout == "0.05\n"
    everything = run("convert 0.05 --from torch --lr 3e-4").stdout
    for part in ("optax", "keras", "composer", "lion", "1.5e-05", "steady state"):
        assert part in everything
    assert "needs --lr" in run("convert 1e-5 --from composer").stdout


def test_neither_torch_nor_the_study_is_imported() -> None:
    script = (
        "import sys; from unyoke import transfer; import unyoke.transfer.command;"
        "print([n for n in sys.modules if n == 'torch' or n.startswith('unyoke.study')])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
