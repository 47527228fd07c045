"""Runs tests/frameworks in an environment of its own and writes the table of docs/frameworks.md.

    python tools/frameworks.py            run everything, write the results and the page
    python tools/frameworks.py --page     write the page from the results that are committed

The environment is made once for each state of requirements.txt and constraints.txt, in .frameworks.
A check that fails keeps the results as they are and ends with an error.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ROOT / "tests" / "frameworks"
RESULTS = CHECKS / "results.json"
PAGE = ROOT / "docs" / "frameworks.md"
BEGIN, END = "<!-- results: make test-frameworks -->", "<!-- end of results -->"
ORDER = ("torch", "lightning", "transformers", "timm", "skorch", "ignite", "others")
SHOWN = {
    "torch": ("torch",),
    "lightning": ("pytorch-lightning",),
    "transformers": ("transformers", "accelerate", "peft"),
    "timm": ("timm",),
    "skorch": ("skorch",),
    "ignite": ("pytorch-ignite",),
    "others": ("optuna", "tensorboard"),
}


def environment() -> Path:
    """The Python of an environment with what the checks need."""
    files = [CHECKS / "requirements.txt", ROOT / "constraints.txt"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = ROOT / ".frameworks" / digest
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--no-deps", "-q"]
        subprocess.run([*install, "-c", str(files[1]), "-r", str(files[0])], check=True)
        (folder / "complete").touch()
    return python


def checked(python: Path, name: str) -> list[dict[str, str]]:
    """What one framework's check has found."""
    paths = os.pathsep.join([str(ROOT / "src"), str(CHECKS)])
    environ = os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(python), str(CHECKS / f"check_{name}.py")]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=900, check=False
    )
    marked = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = [json.loads(line.removeprefix("RESULT ")) for line in marked]
    if done.returncode or not found or any(each["result"].startswith("failed") for each in found):
        raise SystemExit(f"{name}:\n{done.stdout}\n{done.stderr}")
    print(f"{name}: {len(found)} features", flush=True)
    return found


def versions(python: Path) -> dict[str, str]:
    wanted = [package for packages in SHOWN.values() for package in packages]
    program = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    command = [str(python), "-c", program, *wanted]
    return dict(json.loads(subprocess.check_output(command, text=True)))


def table(results: dict) -> str:
    """The results as Markdown."""
    lines = [
        f"Run on {results['date']} at {results['commit']}, Python {results['python']}.",
        "The difference is the largest of a weight after twelve updates, from a plain loop",
        "(or from torch's AdamW with the same decay, where the line says so).",
        "A refusal has its reason.",
        "",
        "| framework | feature | difference |",
        "| --- | --- | --- |",
    ]
    for name in ORDER:
        shown = ", ".join(f"{p} {results['versions'][p]}" for p in SHOWN[name])
        for each in results["checks"][name]:
            result = each["result"].replace("|", "\\|")
            result = "none" if result == "0.0e+00" else result
            lines.append(f"| {shown} | {each['feature']} | {result} |")
            shown = ""
    return "\n".join(lines)


def page(results: dict) -> str:
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true")
    if not parser.parse_args().page:
        python = environment()
        commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True)
        results = {
            "date": datetime.date.today().isoformat(),
            "commit": commit.strip(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "versions": versions(python),
            "checks": {name: checked(python, name) for name in ORDER},
        }
        text = json.dumps(results, indent=1, ensure_ascii=False)
        RESULTS.write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
