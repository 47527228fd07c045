"""What later versions keep: public names with their arguments, and files that exist."""

from __future__ import annotations

import gzip
import importlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from programs import tool

from unyoke.cli import main

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
CHECKPOINTS = sorted((FIXTURES / "checkpoints").glob("*.pt"))


def words(parameters: list[str]) -> dict[str, str]:
    """By name, a parameter as it is written."""
    return {p.removeprefix("*, ").split("=")[0].lstrip("*"): p for p in parameters}


def test_no_public_name_has_gone_and_each_takes_what_it_took() -> None:
    """Run `make names` after an addition; a removal wants a deprecation first."""
    promised = json.loads((HERE / "public_names.json").read_text(encoding="utf-8"))
    today = tool("public_names").public()
    assert sorted(set(promised) - set(today)) == []
    broken = []
    for name, before in promised.items():
        after = today[name]
        if before is None:
            continue
        if after is None:
            broken.append(f"{name} cannot be called any more")
            continue
        now = words(after)
        broken += [
            f"{name}: {text!r} is {now.get(word)!r}"
            for word, text in words(before).items()
            if now.get(word) != text
        ]
        places = [p for p in before if not p.startswith("*")]
        if [p for p in after if not p.startswith("*")][: len(places)] != places:
            broken.append(f"{name}: arguments by place are {after}, and were {before}")
        needed = [p for p in after if "=" not in p and not p.startswith("**")]
        broken += [f"{name}: {p!r} must be given now" for p in needed if p not in before]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("module", tool("public_names").MODULES)
def test_what_a_module_lists_is_there(module: str) -> None:
    home = importlib.import_module(module)
    assert [name for name in getattr(home, "__all__", ()) if not hasattr(home, name)] == []


def test_what_is_new_is_promised_too() -> None:
    promised = json.loads((HERE / "public_names.json").read_text(encoding="utf-8"))
    assert sorted(set(tool("public_names").public()) - set(promised)) == []


@pytest.mark.parametrize("file", CHECKPOINTS, ids=lambda file: file.stem)
def test_a_checkpoint_of_version_0_1_goes_on(file: Path) -> None:
    """Three more updates end where they ended when the file was written."""
    fixtures = tool("write_fixtures")
    saved = torch.load(file, weights_only=True)
    weights, optimizer = fixtures.built(file.stem)
    with torch.no_grad():
        for weight, value in zip(weights, saved["weights"], strict=True):
            weight.copy_(value)
    optimizer.load_state_dict(saved["optimizer"])
    fixtures.updates(weights, optimizer, 3, 6)
    # Square roots and, with narrow state, roundings near a border differ between processors.
    narrow = "int8" in file.stem or "bfloat16" in file.stem or "stochastic" in file.stem
    for weight, value in zip(weights, saved["after"], strict=True):
        atol = 2e-3 if narrow else 1e-6
        torch.testing.assert_close(weight.detach(), value, rtol=1e-5, atol=atol)


def test_there_is_a_checkpoint_of_every_format() -> None:
    assert {file.stem for file in CHECKPOINTS} == set(tool("write_fixtures").OPTIMIZERS)


def test_a_ledger_of_version_0_1_is_read_and_drawn(tmp_path: Path) -> None:
    with (
        gzip.open(FIXTURES / "ledger.sqlite.gz", "rb") as packed,
        (tmp_path / "ledger.sqlite").open("wb") as file,
    ):
        shutil.copyfileobj(packed, file)
    drawn = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert drawn.exit_code == 0, drawn.output
    assert "8 of 8 cells" in drawn.output
    assert (tmp_path / "report.html").exists()
