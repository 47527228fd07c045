// Puts the page together. Everything comes from DATA; nothing is fetched.

const AXES = [["schedule", "Schedule"], ["updates", "Updates"], ["batch_size", "Batch size"]];

const groups = []; // of tabs, for those axes that have several values
let current = 0;

function describe() {
  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const setting = DATA.settings.length === 1 ? DATA.settings[0].text
    : count(DATA.settings.length, "setting");
  document.getElementById("subject").textContent =
    `Task ${DATA.task}; ${setting}; ${count(DATA.seeds, "seed")}; `
    + `${count(DATA.done, "training")}, ${DATA.diverged} diverged`
    + `${DATA.failed ? `, ${DATA.failed} failed` : ""}. ${DATA.decaying}.`;
  if (DATA.failed) {
    const notice = document.getElementById("failures");
    notice.hidden = false;
    notice.append(element("details", {},
      element("summary", {}, `${count(DATA.failed, "training")} failed: the task raised something. `
        + "They are marked + and never chosen."),
      ...DATA.failures.map(({ text, number }) =>
        element("pre", {}, element("code", {}, `${number} × ${text}`)))));
  }
  if (DATA.done < DATA.total) {
    const notice = document.getElementById("unfinished");
    notice.hidden = false;
    const several = DATA.settings.length > 1;
    const missing = DATA.panels.filter((panel) => panel.lacking).map((panel) => element("p", {},
      `${panel.title}${several ? `, ${DATA.settings[panel.setting].text}` : ""}: ${panel.lacking}.`));
    notice.append(`${DATA.done} of ${DATA.total} cells have run. Hatched cells have not: the run `
      + "goes on, or was stopped (the same command goes on), or --refine left them out. ",
    element("progress", { value: DATA.done, max: DATA.total, "aria-label": "Cells that have run" }),
    element("details", missing.length <= 4 ? { open: "" } : {},
      element("summary", {}, "What the maps so far can say"), ...missing));
  }
  if (DATA.extension) {
    const edge = document.getElementById("edge");
    edge.hidden = false;
    const found = DATA.panels.filter((panel) => panel.edges.length);
    const several = DATA.settings.length > 1;
    const names = found.map((panel) =>
      `${panel.title}${several ? `, ${DATA.settings[panel.setting].text}` : ""}: `
      + `${panel.edges.join("; ")}.`);
    const details = element("details", {},
      element("summary", {}, `${count(found.length, "best cell")} on an edge of the grid, which is `
        + "not a result yet: a better one may lie beyond."),
      ...names.map((name) => element("p", {}, name)),
      element("p", {}, "This extends the grid and keeps what is done:"),
      element("pre", {}, element("code", {}, DATA.extension)));
    details.open = found.length <= 3;
    edge.append(details);
  }
  document.getElementById("significance").textContent =
    `Errors are those of the cell with the lowest validation error, with 95 % intervals over `
    + `${count(DATA.seeds, "seed")}. “On any test samples” also counts the ${DATA.testSamples} `
    + `test samples as drawn, which alone leave a standard error of ${DATA.samplingError}. `
    + "“All seeds alike” is no certainty: errors come in steps of one test sample and best cells "
    + "in steps of the grid, so that few seeds may agree.";
  document.getElementById("origin").append(
    element("p", {}, "Made by: ", element("code", {}, DATA.command)),
    element("p", {}, `${Math.round(DATA.seconds)} s of training; ${DATA.versions.join("; ")}.`));
}

function drawLegend() {
  const bar = element("div", { class: "colours" });
  bar.style.background = `linear-gradient(to right, ${[...COLOURS].reverse().join(",")})`;
  document.getElementById("legend").append(element("div", { class: "ramp" },
    shownError(DATA.scale.low), bar, `${shownError(DATA.scale.high)} and above`),
    "test error; circles: the ten best cells by validation error; click a cell for its curve");
}

function makeTabs() {
  for (const [axis, name] of AXES) {
    const values = [...new Set(DATA.settings.map((setting) => setting[axis]))];
    if (values.length < 2) continue;
    const list = element("div", { role: "tablist", "aria-label": name });
    const tabs = values.map((value, index) => element("button", { type: "button", role: "tab",
      id: `tab-${axis}-${index}`, "aria-controls": "maps" }, value ?? "the task's"));
    const group = { axis, values, tabs };
    tabs.forEach((tab, index) => tab.addEventListener("click", () => select(group, index)));
    list.addEventListener("keydown", (event) => turn(group, event));
    list.append(...tabs);
    document.getElementById("tabs").append(
      element("div", { class: "axis-tabs" }, element("span", { class: "quiet" }, name), list));
    groups.push(group);
  }
}

function turn(group, event) {
  const at = group.values.indexOf(DATA.settings[current][group.axis]), count = group.tabs.length;
  const next = { ArrowLeft: (at + count - 1) % count, ArrowRight: (at + 1) % count, Home: 0,
    End: count - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  select(group, next);
  group.tabs[next].focus();
}

function select(group, index) {
  const wanted = { ...DATA.settings[current], [group.axis]: group.values[index] };
  show(DATA.settings.findIndex((setting) => AXES.every(([axis]) => setting[axis] === wanted[axis])));
}

function show(setting) {
  current = setting;
  for (const { axis, values, tabs } of groups) {
    tabs.forEach((tab, index) => {
      const is = values[index] === DATA.settings[setting][axis];
      tab.setAttribute("aria-selected", is);
      tab.setAttribute("tabindex", is ? 0 : -1);
    });
  }
  const panels = DATA.panels.filter((panel) => panel.setting === setting);
  hideTip();
  drawMaps(panels);
  chooseBest(panels);
  drawCurves();
  drawVerdicts(panels);
  drawCoupling(panels);
  drawComparisons(setting);
  drawHyperparameters(panels);
}

// What speaks of maps is for those with maps, what speaks of sweeps for those with sweeps.
function chooseWords() {
  const maps = DATA.panels.some((panel) => !isSweep(panel));
  const sweeps = DATA.panels.some(isSweep);
  for (const node of document.querySelectorAll(".of-maps")) node.hidden = !maps;
  for (const node of document.querySelectorAll(".of-sweeps")) node.hidden = !sweeps;
  if (!maps) document.querySelector("h1").textContent = "Error over learning rate";
}

function drawMaps(panels) {
  const section = document.getElementById("maps");
  if (groups.length) {
    section.setAttribute("role", "tabpanel");
    section.setAttribute("aria-labelledby", groups.map(({ tabs }) =>
      tabs.find((tab) => tab.getAttribute("aria-selected") === "true").id).join(" "));
  }
  const rows = [...new Set(panels.map(({ row }) => row))].map((row) =>
    element("div", { class: "row" }, ...panels.filter((panel) => panel.row === row).map(drawFigure)));
  section.replaceChildren(...numberChoice(panels), ...rows);
}

function drawFigure(panel) {
  const svg = isSweep(panel) ? drawSweep(panel) : drawMap(panel);
  const several = DATA.settings.length > 1;
  const name = several ? `${panel.title}, ${DATA.settings[panel.setting].text}` : panel.title;
  const caption = panel.edges.length ? `Edge: ${panel.edges.join("; ")}.` : "";
  return element("figure", { class: "map" }, element("div", { class: "heading" },
    element("h3", {}, panel.title), saveButton(() => svg, name, !isSweep(panel))), svg,
  element("figcaption", {}, caption));
}

// Whether decoupled maps are drawn over the paper's λ or torch's number: the same trainings.
function numberChoice(panels) {
  if (!panels.some((panel) => panel.shear)) return [];
  const box = element("input", { type: "checkbox", id: "torchs-number" });
  box.checked = torchsNumber;
  box.addEventListener("change", () => {
    torchsNumber = box.checked;
    show(current);
    document.getElementById("torchs-number").focus();
  });
  return [element("label", { class: "tools" }, box,
    "Decoupled maps over torch's weight_decay = λ/α")];
}

document.head.append(element("style", {}, FIGURE_STYLE));
document.getElementById("patterns").append(hatching());
chooseWords();
describe();
makeTabs();
drawLegend();
startCurves();
drawOverview(show);
show(0);
addEventListener("resize", () => {
  drawCurves();
  drawHyperparameters(DATA.panels.filter((panel) => panel.setting === current));
});
