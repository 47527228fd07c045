"""Runs tests/frameworks, each in an environment of its own, and writes docs/frameworks.md.

    python tools/frameworks.py                 run everything, write the results and the page
    python tools/frameworks.py timm fastai     run these, and leave the others' results
    python tools/frameworks.py --page          write the page from the results that are committed

An environment lies in .frameworks under its framework's name and the hash of its lock file, and is
made once. It has what the lock file names; torch, NumPy and the rest of constraints.txt are shared
with the environment that runs this program. A check that fails keeps the results as they are.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ROOT / "tests" / "frameworks"
RESULTS = CHECKS / "results.json"
PAGE = ROOT / "docs" / "frameworks.md"
BEGIN, END = "<!-- results: make test-frameworks -->", "<!-- end of results -->"
SHOWN = {
    "torch": ("torch",),
    "lightning": ("pytorch-lightning",),
    "transformers": ("transformers", "peft"),
    "accelerate": ("accelerate",),
    "timm": ("timm",),
    "skorch": ("skorch",),
    "ignite": ("pytorch-ignite",),
    "fastai": ("fastai",),
    "optuna": ("optuna",),
    "logging": ("tensorboard", "mlflow-skinny"),
}
"""The checks in the order of the page, and the packages whose versions it tells."""


def lock_file(name: str) -> Path:
    """What one framework's environment has beside constraints.txt."""
    return CHECKS / "locks" / f"{name}.txt"


def made(folder: Path, requirements: list[str], with_dependencies: bool = False) -> Path:
    """The Python of a new environment: what pip installs by these arguments, then what ours has.

    Without dependencies unless they are wanted: timm and fastai would bring torchvision, whose
    wheel needs another build of torch.
    """
    shared = sysconfig.get_path("purelib")
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=False, clear=True)
    if requirements:
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        alone = [] if with_dependencies else ["--no-deps"]
        subprocess.run([*pip, *alone, *requirements], check=True)
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.check_output(where, text=True).strip())
    (own / "shared.pth").write_text(f"{shared}\n", encoding="utf-8")
    return python


def environment(name: str) -> Path:
    """The Python of one framework's environment, which is made if there is none of this state."""
    lock, constraints = lock_file(name), ROOT / "constraints.txt"
    state = lock.read_bytes() + constraints.read_bytes() + sysconfig.get_path("purelib").encode()
    folder = ROOT / ".frameworks" / f"{name}-{hashlib.sha256(state).hexdigest()[:12]}"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            lines = lock.read_text(encoding="utf-8").splitlines()
            is_empty = all(line.startswith("#") for line in lines)
            made(folder, [] if is_empty else ["-r", str(lock)])
            (folder / "complete").touch()
    return folder / "bin" / "python"


def environ() -> dict[str, str]:
    """The variables of a check: this tree's package, and no network."""
    paths = os.pathsep.join([str(ROOT / "src"), str(CHECKS)])
    own = {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return os.environ | own


def checked(name: str) -> list[dict[str, str]]:
    """What one framework's check has found.

    Raises:
        RuntimeError: some feature failed; with all that was printed.
    """
    command = [str(environment(name)), str(CHECKS / f"check_{name}.py")]
    done = subprocess.run(
        command, env=environ(), capture_output=True, text=True, timeout=900, check=False
    )
    marked = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = [json.loads(line.removeprefix("RESULT ")) for line in marked]
    if done.returncode or not found or any(each["result"].startswith("failed") for each in found):
        raise RuntimeError(f"{name}:\n{done.stdout}\n{done.stderr}")
    return found


def versions(name: str) -> dict[str, str]:
    """The versions in one framework's environment that the page tells."""
    program = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    command = [str(environment(name)), "-c", program, *SHOWN[name]]
    return dict(json.loads(subprocess.check_output(command, text=True)))


def commit() -> str:
    """The commit whose tree is checked; with a + where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    changed = subprocess.check_output(
        [*git, "status", "--porcelain", "--untracked-files=no", "src", "tests", "tools"], text=True
    )
    return head + ("+" if changed.strip() else "")


def table(results: dict) -> str:
    """The results as Markdown."""
    runs: dict[str, list[str]] = {}
    for name in SHOWN:
        runs.setdefault(" at ".join(results["runs"][name]), []).append(name)
    told = "; ".join(f"{', '.join(names)} on {run}" for run, names in runs.items())
    lines = [
        f"Run with Python {results['python']}: {told}.",
        "The difference is the largest of any weight after twelve updates, against a plain loop",
        "(or against torch's AdamW with the same decay, where the line says so).",
        "A refusal says why.",
        "",
        "| framework | feature | difference |",
        "| --- | --- | --- |",
    ]
    for name, packages in SHOWN.items():
        shown = ", ".join(f"{p} {results['versions'][p]}" for p in packages)
        for each in results["checks"][name]:
            result = each["result"].replace("|", "\\|")
            result = "none" if result == "0.0e+00" else result
            lines.append(f"| {shown} | {each['feature']} | {result} |")
            shown = ""
    return "\n".join(lines)


def page(results: dict) -> str:
    """docs/frameworks.md with these results in it."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{rest.split(END)[1]}"


def run(names: list[str]) -> dict:
    """The committed results, with those of these frameworks as they are now."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    now = [datetime.date.today().isoformat(), commit()]
    results["python"] = ".".join(map(str, sys.version_info[:3]))
    for name in names:
        results["checks"][name] = checked(name)
        results["versions"] |= versions(name)
        results["runs"][name] = now
        print(f"{name}: {len(results['checks'][name])} features", flush=True)
    shown = {package for packages in SHOWN.values() for package in packages}
    results["versions"] = {n: v for n, v in sorted(results["versions"].items()) if n in shown}
    for part in ("checks", "runs"):
        results[part] = {name: results[part][name] for name in SHOWN}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SHOWN, []], metavar="FRAMEWORK")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if not given.page:
        try:
            results = run(given.names or list(SHOWN))
        except RuntimeError as error:
            raise SystemExit(str(error)) from None
        text = json.dumps(results, indent=1, ensure_ascii=False)
        RESULTS.write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
