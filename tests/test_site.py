"""The site that `make docs` builds: complete, without a network, and on a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unyoke import optimizers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

# Each page, in a frame of the given width, tells how wide it has become.
TELLING = """<script>addEventListener("load", () => parent.postMessage(
  [document.title, innerWidth, document.documentElement.scrollWidth], "*"))</script></body>"""
ASKING = """<script>
const told = [];
addEventListener("message", (event) => { told.push(event.data);
  document.querySelector("output").textContent = JSON.stringify(told); });
</script><output></output>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    places = ["-d", str(folder / "doctrees"), str(ROOT / "docs"), str(folder / "html")]
    done = subprocess.run([*command, *places], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def opened(page: Path, query: str = "") -> str:
    """The document after its scripts ran."""
    assert CHROMIUM is not None
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent}/profile"),
        *("--window-size=1400,900", "--dump-dom", page.as_uri() + query),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|img|link)[^>]+(?:src|href)=\"((?:https?:)?//[^\"]+)\"")
    loaded = {
        (page.name, address)
        for page in site.rglob("*.html")
        for address in loads.findall(page.read_text(encoding="utf-8"))
    }
    assert loaded == set()


def test_the_reference_has_every_optimizer(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    missing = [name for name in optimizers.names() if f'id="unyoke.{name}"' not in page]
    assert missing == []


def test_mathematics_is_drawn_by_the_browser(site: Path) -> None:
    page = (site / "equation.html").read_text(encoding="utf-8")
    assert page.count("<math") >= 3
    assert "&amp;" not in " ".join(re.findall(r"<math.*?</math>", page, re.DOTALL))
    assert "$$" not in page


@needs_chromium
def test_the_search_finds_without_a_network(site: Path) -> None:
    document = opened(site / "search.html", "?q=restarts")
    found = re.search(r'<ul[^>]* class="search">.*', document, re.DOTALL)
    assert found is not None
    assert 'href="schedules.html' in found.group(0)


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(site: Path, width: int) -> None:
    pages = sorted(page for page in site.glob("*.html") if "-used" not in page.stem)
    frames = []
    for page in pages:
        used = page.with_name(f"{page.stem}-used.html")
        text = page.read_text(encoding="utf-8").replace("</body>", TELLING)
        used.write_text(text, encoding="utf-8")
        frames.append(f'<iframe src="{used.name}" width="{width}" height="800"></iframe>')
    harness = site / "harness-used.html"
    harness.write_text(f"<body>{ASKING}{''.join(frames)}</body>", encoding="utf-8")
    told = re.search(r"<output>(.*?)</output>", opened(harness), re.DOTALL)
    assert told is not None
    seen: list[Any] = json.loads(html.unescape(told.group(1)))
    assert len(seen) == len(frames)
    assert [row for row in seen if row[2] > row[1]] == []
