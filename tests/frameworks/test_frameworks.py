"""Each framework in an environment of its own: as close to the plain loop as the page says."""

from __future__ import annotations

import json

import pytest
from programs import tool

CHECKED = tool("frameworks")
COMMITTED = json.loads(CHECKED.RESULTS.read_text(encoding="utf-8"))["checks"]
CLOSE = 1e-5


def kind(result: str) -> str:
    """A refusal by its first words, so that another version of torch may end the sentence."""
    if result.startswith("refused: "):
        return result[:40]
    return result if result == "runs" else "number"


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED.SHOWN)
def test_a_framework_trains_as_the_plain_loop(name: str) -> None:
    found = CHECKED.checked(name)
    expected = [(each["feature"], kind(each["result"])) for each in COMMITTED[name]]
    assert [(each["feature"], kind(each["result"])) for each in found] == expected
    for each in found:
        if kind(each["result"]) == "number":
            assert float(each["result"]) < CLOSE, each
