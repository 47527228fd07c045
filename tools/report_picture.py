"""The picture of a report's page that the documentation shows, taken by a browser.

    unyoke map --out map
    python tools/report_picture.py map docs/images/report.png

Needs chromium. The picture is the upper part of the page, in 256 colours.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 1262, 1980
COLOURS = 256


def take(page: Path, picture: Path) -> None:
    """Write the upper part of `page` to `picture`.

    Raises:
        SystemExit: there is no browser.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("chromium is not installed, and takes the picture: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "page.png"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={folder}", f"--window-size={WIDTH},{HEIGHT}"]
        command += ["--virtual-time-budget=10000", f"--screenshot={raw}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(raw) as image:
            image.convert("RGB").quantize(COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    report, target = map(Path, sys.argv[1:])
    take((report / "report.html").resolve(), target)
