"""The page in a browser: headless Chromium opens it, and a script uses it as a reader would."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from made_up import outcome as made

from unyoke.study.landscape.landscape import Axes, Cell, Landscape
from unyoke.study.landscape.outcome import Outcome
from unyoke.study.ledger.ledger import Ledger
from unyoke.study.report.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

Fill = Callable[[Path, Landscape, Callable[[Cell], float | None]], None]

# Stands before the scripts that the tests append; `report` writes down what they saw.
HELPERS = """
const at = (column, row, map = 0) => document.querySelectorAll(".map svg")[map]
  .querySelector(`.cell[data-column="${column}"][data-row="${row}"]`);
const tip = () => document.getElementById("tip");
const press = (key, target = document.activeElement) => target.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const point = (type, target, pointerType = "mouse") => {
  const box = target.getBoundingClientRect();
  target.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerType,
    clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }));
};
const place = (cell) => [Number(cell.dataset.column), Number(cell.dataset.row)];
const keys = () => [...document.querySelectorAll("#chosen li span")].map((key) => key.innerText);
const titles = (id) => [...document.querySelectorAll(`#${id} tbody th`)].map((th) => th.innerText);
const report = (seen) => document.body.append(Object.assign(document.createElement("output"),
  { textContent: JSON.stringify(seen) }));
"""


def open_page(page: Path, *flags: str) -> tuple[str, str]:
    """The page's document after its scripts ran, and what Chromium wrote about it."""
    assert CHROMIUM is not None
    run = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent}/profile"),
            *flags,
            *("--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.stdout, run.stderr


def use(page: Path, script: str, *flags: str) -> Any:
    """What `script` reports after the page was opened; a console message is a failure."""
    used = page.with_name("used.html")
    appended = f"<script>{{{HELPERS}{script}}}</script></body>"
    used.write_text(page.read_text().replace("</body>", appended))
    document, messages = open_page(used, *flags)
    assert "CONSOLE" not in messages, messages
    found = re.search(r"<output>(.*?)</output>", document, re.DOTALL)
    assert found is not None, messages
    return json.loads(html.unescape(found.group(1)))


def bowl(cell: Cell) -> float | None:
    """Best at α = 1/2 and λ = 1/4; diverges at α = 1."""
    if cell.lr == 1:
        return None
    return 0.1 + 0.02 * cell.seed + abs(cell.lr - 0.5) + abs(cell.weight_decay - 0.25)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page alone; test_report.py looks at the pictures."""
    monkeypatch.setattr("unyoke.study.report.report.write_figures", lambda *_: [])


@pytest.fixture
def page(tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
    fill(tmp_path, landscape, bowl, evaluations=2)
    return write_report(tmp_path).page


@pytest.fixture
def large(tmp_path: Path, landscape: Landscape, fill: Fill) -> Path:
    """Two schedules, two budgets, two batch sizes."""
    several = replace(
        landscape, schedules=("cosine", "constant"), updates=(10, 20), batch_sizes=(8, 16)
    )
    fill(tmp_path, several, lambda cell: 0.1 + abs(cell.lr - 0.5) + cell.updates / 1000)
    return write_report(tmp_path).page


def test_hover_and_touch_tell_a_cells_figures(page: Path) -> None:
    seen = use(
        page,
        """
        const count = (kind) => document.querySelectorAll(kind).length;
        const drawn = [count(".cell"), count(".cell.lost"), count(".cross"), count(".mark")];
        point("pointermove", at(1, 1));
        const hover = tip().innerText;
        document.querySelector(".map svg").dispatchEvent(new PointerEvent("pointerleave"));
        const left = tip().hidden;
        point("pointermove", at(1, 1), "touch");
        const moved = tip().hidden;
        at(1, 0).dispatchEvent(new MouseEvent("click", { bubbles: true }));
        const touched = tip().innerText;
        point("pointerdown", document.body, "touch");
        report({ drawn, hover, left, moved, touched, elsewhere: tip().hidden });
        """,
    )
    assert seen["drawn"] == [18, 6, 6, 2 * 12]  # two rings for each circled cell
    assert seen["hover"].splitlines() == [
        "AdamW",
        "α = 2⁻¹, λ = 2⁻²",
        "test error 11.0 ± 1.0 % (± standard error over seeds)",
        "validation error 11.0 %",
        "training error 11.0 %, loss 0.110",
        "2 seeds",
        "λ = 0.25, λ_norm = 0.791, Σηλ = 1.38, torch's 0.5",
    ]
    assert "α = 2⁻², λ = 2⁻²" in seen["touched"]
    assert (seen["left"], seen["moved"], seen["elsewhere"]) == (True, True, True)


@pytest.mark.slow
def test_the_maps_are_used_by_keyboard(page: Path) -> None:
    seen = use(
        page,
        """
        const map = document.querySelector(".map svg");
        const stops = [...map.querySelectorAll('[tabindex="0"]')].map(place);
        at(...stops[0]).focus();
        const walk = [];
        for (const key of ["ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowUp", "End", "ArrowDown"]) {
          press(key);
          walk.push(place(document.activeElement));
        }
        const box = (node) => ["x", "y", "width"].map((side) => node.getAttribute(side)).join();
        const frames = [...document.querySelectorAll(".frame.focus")]
          .map((frame) => box(frame) === box(document.activeElement));
        const told = tip().innerText.split("\\n")[1];
        const label = document.activeElement.getAttribute("aria-label");
        const inOrder = map.querySelectorAll('[tabindex="0"]').length;
        press("Enter");
        const chosen = keys(), selected = document.activeElement.getAttribute("aria-selected");
        press("Enter");
        const after = keys();
        document.activeElement.blur();
        report({ stops, walk, label, inOrder, chosen, selected, after, frames, told,
          left: [document.querySelectorAll(".frame").length, tip().hidden],
          roles: [map.getAttribute("role"), map.querySelector(".cell").getAttribute("role")] });
        """,
    )
    assert seen["roles"] == ["grid", "gridcell"]
    assert seen["stops"] == [[1, 1]]  # the best cell
    # Twice to the left and once upwards stops at the edges of the 3 × 3 grid.
    assert seen["walk"] == [[0, 1], [0, 1], [0, 2], [0, 2], [2, 2], [2, 1]]
    assert seen["label"].startswith("α = 2⁻¹, λ = 2⁻¹; test error 36.0 ± 1.0 %")
    assert seen["inOrder"] == 1
    assert seen["frames"] == [True, True]  # one with a rim, so that it is seen on every colour
    assert seen["told"] == "α = 2⁻¹, λ = 2⁻¹"
    assert seen["left"] == [0, True]
    assert seen["chosen"] == ["AdamW, α = 2⁻¹, λ = 2⁻¹"]
    assert seen["selected"] == "true"
    assert seen["after"] == []


@pytest.mark.slow
def test_curves_of_chosen_cells_are_drawn_side_by_side(page: Path) -> None:
    seen = use(
        page,
        """
        const click = (cell) => cell.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        const lines = () => document.querySelectorAll("#chart polyline.curve").length;
        const first = [keys(), lines()];
        click(at(0, 0)); click(at(1, 1, 1)); click(at(0, 2));
        const chosen = [keys(), lines(), document.querySelectorAll(".pin").length];
        const colours = new Set([...document.querySelectorAll("#chart .curve")]
          .map((line) => line.getAttribute("stroke") + line.getAttribute("stroke-dasharray")));
        document.getElementById("quantity").value = 2;
        document.getElementById("quantity").dispatchEvent(new Event("change"));
        const name = document.querySelector("#chart svg").getAttribute("aria-label");
        document.querySelector("#chosen button").click();
        const less = keys().length;
        document.getElementById("clear").click();
        report({ first, chosen, colours: colours.size, name, less, none: [keys(), lines()] });
        """,
    )
    best = ["AdamW, α = 2⁻¹, λ = 2⁻²", "SGD + L2, α = 2⁻¹, λ′ = 2⁻²"]
    assert seen["first"] == [best, 2]
    assert seen["chosen"][0] == ["AdamW, α = 2⁻², λ = 0", best[1], "AdamW, α = 2⁰, λ = 0"]
    assert seen["chosen"][1:] == [3, 2 * 3]  # a pin has a rim
    assert seen["colours"] == 3
    assert seen["name"] == "Learning curves: training loss"
    assert (seen["less"], seen["none"]) == (2, [[], 0])


@pytest.mark.slow
def test_a_curve_of_one_look_is_a_point(tmp_path: Path, landscape: Landscape, fill: Fill) -> None:
    fill(tmp_path, landscape, bowl, evaluations=1)
    seen = use(
        write_report(tmp_path).page,
        """
        const count = (shape) => document.querySelectorAll(`#chart ${shape}.curve`).length;
        report([keys().length, count("circle"), count("polyline")]);
        """,
    )
    assert seen == [2, 2, 0]


@pytest.mark.slow
def test_tabs_choose_the_setting(large: Path) -> None:
    seen = use(
        large,
        """
        const chosen = () => [...document.querySelectorAll('[role="tab"][aria-selected="true"]')]
          .map((tab) => tab.innerText);
        const lists = [...document.querySelectorAll('[role="tablist"]')]
          .map((list) => list.getAttribute("aria-label"));
        const first = chosen();
        const best = document.querySelector("#verdicts td").innerText;
        const tabs = document.querySelectorAll('[role="tab"]');
        tabs[2].focus();
        press("ArrowRight");
        const second = chosen(), focus = document.activeElement.innerText;
        tabs[1].click();
        const panel = document.getElementById("maps");
        report({ lists, first, second, focus, third: chosen(), role: panel.getAttribute("role"),
          named: panel.getAttribute("aria-labelledby").split(" ")
            .map((id) => document.getElementById(id).innerText),
          stops: document.querySelectorAll('[role="tab"][tabindex="0"]').length,
          maps: document.querySelectorAll(".map").length, best,
          then: document.querySelector("#verdicts td").innerText,
          settings: titles("settings").length, rows: titles("comparisons").length });
        """,
    )
    assert seen["lists"] == ["Schedule", "Updates", "Batch size"]
    assert seen["first"] == ["cosine", "10", "8"]
    assert seen["second"] == ["cosine", "20", "8"]
    assert seen["focus"] == "20"
    assert seen["third"] == seen["named"] == ["constant", "20", "8"]
    assert (seen["role"], seen["stops"], seen["maps"]) == ("tabpanel", 3, 2)
    assert seen["best"].startswith("11.0 %")
    assert seen["then"].startswith("12.0 %")
    assert seen["settings"] == 8
    assert seen["rows"] == 1


@pytest.mark.slow
def test_figures_are_saved_as_files_of_their_own(page: Path) -> None:
    saved = use(
        page,
        """
        const files = [];
        URL.createObjectURL = (blob) => { files.push(blob); return "blob:none"; };
        HTMLAnchorElement.prototype.click = function () { this.dataset.name = this.download; };
        for (const button of document.querySelectorAll("button.save")) button.click();
        report({ sizes: files.map((file) => file.size), types: files.map((file) => file.type),
          map: standalone(document.querySelector(".map svg"), "AdamW", true),
          chart: standalone(document.querySelector("#chart svg"), "Learning curves", false) });
        """,
    )
    assert len(saved["sizes"]) == 2 + 1 + 6  # maps, curves, hyperparameters
    assert set(saved["types"]) == {"image/svg+xml"}
    for name in ("map", "chart"):
        figure = ElementTree.fromstring(saved[name])
        assert figure.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--" not in saved[name]
        assert "system-ui" in saved[name]
    assert len(re.findall(r'class="cell[" ]', saved["map"])) == 9
    assert ">AdamW<" in saved["map"]
    assert ">11.0 %</text>" in saved["map"]  # the low end of its scale


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_never_wider_than_its_window(large: Path, width: int) -> None:
    """In a frame, because a window of Chromium is at least 500 pixels wide."""
    frame = large.with_name("frame.html")
    frame.write_text(
        f'<body><iframe width="{width}" height="800" style="border: 0" '
        f'srcdoc="{html.escape(large.read_text())}"></iframe><script>onload = () => {{'
        "const { document: inside, innerWidth } = frames[0];"
        "document.body.append(Object.assign(document.createElement('output'), { textContent: "
        "JSON.stringify([innerWidth, inside.documentElement.scrollWidth]) }));"
        "};</script></body>"
    )
    document, messages = open_page(frame, "--hide-scrollbars")
    assert "CONSOLE" not in messages
    assert f"<output>[{width},{width}]</output>" in document


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "darker"), [(0, True), (1, False)])
def test_the_page_follows_light_and_dark(page: Path, scheme: int, darker: bool) -> None:
    paper, ink = use(
        page,
        """
        const style = getComputedStyle(document.body);
        const light = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0);
        report([light(style.backgroundColor), light(style.color)]);
        """,
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    assert (paper < ink) is darker
    assert abs(paper - ink) > 3 * 128


def test_a_run_that_goes_on_has_hatched_cells_and_says_how_far_it_is(
    tmp_path: Path, landscape: Landscape
) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        for _ in range(13):
            cell = ledger.claim()
            assert cell is not None
            figures = (0.2, 0.2, 0.2, 0.1 + cell.lr, 0.01)
            ledger.record(cell, Outcome("finished", 1, *figures, 9, "%", 0, ()), "{}")
    seen = use(
        write_report(tmp_path).page,
        """
        const fill = getComputedStyle(document.querySelector(".cell.empty")).fill;
        report({ empty: document.querySelectorAll(".cell.empty").length, fill,
          label: document.querySelector(".cell.empty").getAttribute("aria-label"),
          notice: document.getElementById("unfinished").innerText.trim(),
          progress: document.querySelector("progress").value });
        """,
    )
    assert seen["empty"] == 2 * 9 - 13
    assert "#hatch" in seen["fill"]
    assert seen["label"].endswith("has not run")
    assert seen["notice"].startswith("13 of 36 cells have run.")
    assert seen["progress"] == 13


def test_a_map_of_many_small_cells_opens(tmp_path: Path, landscape: Landscape, fill: Fill) -> None:
    """Cells of 2 pixels: frames and circles fit, labels do not run into each other."""
    fine = tuple(2.0 ** (step / 16) for step in range(-150, 0))
    axes = replace(landscape.axes["AdamW"], weight_decay=fine)
    fill(tmp_path, replace(landscape, axes={"AdamW": axes}, seeds=(0,)), bowl)
    seen = use(
        write_report(tmp_path).page,
        """
        press("ArrowRight", at(20, 1));
        const tops = [...document.querySelectorAll('.map svg text[text-anchor="middle"]')]
          .filter((text) => text.querySelector("tspan") || /^[0-9.e-]+$/.test(text.textContent))
          .map((text) => text.getBoundingClientRect());
        const apart = tops.every((box, n) => n === 0 || box.left > tops[n - 1].right);
        report([tops.length > 2, apart, place(document.activeElement)]);
        """,
    )
    assert seen == [True, True, [21, 1]]


def test_a_page_where_all_diverged_opens(tmp_path: Path, landscape: Landscape, fill: Fill) -> None:
    fill(tmp_path, landscape, lambda cell: None)
    page = write_report(tmp_path).page
    assert use(page, "report(titles('verdicts'));") == ["AdamW", "SGD + L2"]


def test_a_page_with_a_fault_is_noticed(page: Path) -> None:
    """The tests above can fail: a script that throws is a console message."""
    page.write_text(page.read_text().replace("drawLegend();", "drawLegends();"))
    _, messages = open_page(page)
    assert "CONSOLE" in messages


def test_a_sweep_is_a_curve_whose_points_are_used_like_the_cells_of_a_map(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    axes = Axes(landscape.axes["AdamW"].lr, (0.0,))
    fill(tmp_path, replace(landscape, axes={"NDAdam": axes}), bowl, evaluations=2)
    seen = use(
        write_report(tmp_path).page,
        """
        const count = (kind) => document.querySelectorAll(kind).length;
        point("pointermove", at(0, 1));
        const hover = tip().innerText.split("\\n").slice(0, 3);
        at(0, 1).focus();
        press("ArrowDown"); press("Enter");
        const hidden = (kind) => [...document.querySelectorAll(kind)].map((part) => part.hidden);
        report({ hover, keys: keys(), title: document.querySelector("h1").innerText,
          drawn: [count(".map .cell"), count(".map .bar"), count(".map .cross")],
          maps: hidden(".of-maps"), sweeps: hidden(".of-sweeps") });
        """,
    )
    assert seen["hover"] == [
        "NDAdam",
        "α = 2⁻¹, λ = 0",
        "test error 36.0 ± 1.0 % (± standard error over seeds)",
    ]
    assert seen["drawn"] == [3, 2, 1]
    assert seen["keys"] == ["NDAdam, α = 2⁻², λ = 0"]
    assert seen["title"] == "Error over learning rate"
    assert set(seen["maps"]) == {True}
    assert seen["sweeps"] == [False]


def test_maps_of_a_pair_have_one_axis_and_cells_of_one_size(
    tmp_path: Path, landscape: Landscape, fill: Fill
) -> None:
    wide, narrow = Axes((0.25, 0.5), (0.0, 0.125, 0.25, 0.5)), Axes((0.5, 1.0), (0.0, 0.25, 0.5))
    other = Axes((0.25, 0.5), (0.25, 0.5))
    axes = {"Adam": wide, "AdamW": narrow, "SGD": other, "SGDW": other}
    fill(tmp_path, replace(landscape, axes=axes), lambda cell: 0.1 + cell.lr)
    seen = use(
        write_report(tmp_path).page,
        """
        const sides = (cell) => ["x", "width"].map((side) => Number(cell.getAttribute(side)));
        const rows = [...document.querySelectorAll("#maps .row")].map((row) => row.children.length);
        report({ rows, first: sides(at(2, 0)), second: sides(at(1, 0, 1)),
          sizes: [...new Set([...document.querySelectorAll(".map .cell")]
            .map((cell) => cell.getAttribute("width")))].length });
        """,
    )
    assert seen["rows"] == [2, 2]
    assert seen["first"] == seen["second"]  # both are λ = 1/4
    assert seen["sizes"] == 1


def test_decoupled_maps_are_seen_over_torchs_number_too(page: Path) -> None:
    seen = use(
        page,
        """
        const x = (column, row, map) => Number(at(column, row, map).getAttribute("x"));
        const shown = () => [x(1, 0, 0), x(1, 1, 0), x(0, 1, 0), x(1, 0, 1), x(1, 1, 1)];
        const label = () => [...document.querySelectorAll(".map svg")]
          .map((svg) => svg.textContent.includes("torch's weight_decay"));
        const before = [shown(), label()];
        const box = () => document.getElementById("torchs-number");
        box().click();
        report({ before, after: [shown(), label()], focus: document.activeElement === box(),
          checked: box().checked });
        """,
    )
    (a, b, _, c, d), labels = seen["before"]
    assert a == b
    assert c == d
    assert labels == [False, False]
    (sheared, next_to_it, zero, *penalty), labels = seen["after"]
    assert sheared > next_to_it > zero  # λ/α is smaller where α is larger
    assert penalty == [c, d]
    assert labels == [True, False]
    assert (seen["focus"], seen["checked"]) == (True, True)


def test_failed_cells_have_a_mark_and_a_notice(tmp_path: Path, landscape: Landscape) -> None:
    with Ledger.open_to_write(tmp_path, landscape) as ledger:
        while (cell := ledger.claim()) is not None:
            fails = (cell.optimizer, cell.lr) == ("AdamW", 0.25)
            ledger.record(cell, Outcome.failed("<b>no</b>") if fails else made(0.2), "{}")
    seen = use(
        write_report(tmp_path).page,
        """
        point("pointermove", at(1, 0));
        report({ tip: tip().innerText.split("\\n"),
          notice: document.getElementById("failures").hidden,
          text: document.querySelector("#failures code").textContent,
          marks: document.querySelectorAll(".failure").length,
          subject: document.getElementById("subject").innerText });
        """,
    )
    assert seen["tip"][-2] == "2 seeds, 2 failed"
    assert seen["notice"] is False
    assert seen["text"] == "6 × <b>no</b>"
    assert seen["marks"] == 3
    assert "0 diverged, 6 failed" in seen["subject"]
