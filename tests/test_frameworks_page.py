"""The table of docs/frameworks.md is that of the results that are committed beside the checks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("frameworks", ROOT / "tools" / "frameworks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_results() -> None:
    frameworks = tool()
    results = json.loads(frameworks.RESULTS.read_text(encoding="utf-8"))
    assert frameworks.page(results) == frameworks.PAGE.read_text(encoding="utf-8")


def test_every_check_has_run_and_none_is_far_from_the_plain_loop() -> None:
    results = json.loads(tool().RESULTS.read_text(encoding="utf-8"))
    checks = {path.stem.removeprefix("check_") for path in tool().CHECKS.glob("check_*.py")}
    assert set(results["checks"]) == checks
    for name, found in results["checks"].items():
        for each in found:
            result = each["result"]
            told = result == "runs" or result.startswith("refused: ")
            assert told or float(result) < 1e-5, (name, each)
