"""The table of docs/frameworks.md is that of the results that are committed beside the checks."""

from __future__ import annotations

import json

from programs import tool


def test_the_page_has_the_results() -> None:
    frameworks = tool("frameworks")
    results = json.loads(frameworks.RESULTS.read_text(encoding="utf-8"))
    assert frameworks.page(results) == frameworks.PAGE.read_text(encoding="utf-8")


def test_every_check_has_run_and_none_is_far_from_the_plain_loop() -> None:
    results = json.loads(tool("frameworks").RESULTS.read_text(encoding="utf-8"))
    checks = {
        path.stem.removeprefix("check_") for path in tool("frameworks").CHECKS.glob("check_*.py")
    }
    assert set(results["checks"]) == checks
    for name, found in results["checks"].items():
        for each in found:
            result = each["result"]
            told = result == "runs" or result.startswith("refused: ")
            assert told or float(result) < 1e-5, (name, each)
