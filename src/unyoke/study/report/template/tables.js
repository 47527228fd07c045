// Tables of findings and comparisons, and the intervals of the hyperparameters.

function table(id, head, rows) {
  const header = head.map((text) => element("th", { scope: "col" }, text));
  const body = rows.map(([name, ...cells]) => element("tr", {},
    element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
  document.getElementById(id).replaceChildren(
    element("thead", {}, element("tr", {}, ...header)), element("tbody", {}, ...body));
}

function drawVerdicts(panels) {
  const head = ["", "test error", "on any test samples", "at α", "at λ", "with λ = 0"];
  table("verdicts", head, panels.map((panel) => {
    const [column, row] = panel.best || [null, null];
    const mark = panel.edges.length ? " (edge)" : "";
    const known = panel.best && panel.seedsOfBest < DATA.seeds
      ? ` (${panel.seedsOfBest} of ${DATA.seeds} seeds)` : "";
    return [panel.title, panel.error + known, panel.anySamples,
      column === null ? "–" : plainPower(panel.lr[row]),
      column === null ? "–" : plainPower(panel.weightDecay[column]) + mark,
      panel.withoutDecay];
  }));
}

function drawCoupling(all) {
  const panels = all.filter((panel) => !isSweep(panel));
  const unit = DATA.differenceUnit && `, ${DATA.differenceUnit}`;
  const head = ["", `LR sensitivity${unit}`, `one-at-a-time regret${unit}`, "basin tilt",
    "p of λ* ∝ αᵖ", "so", "p of torch's λ/α", "best λ over α"];
  table("coupling", head, panels.map(({ title, intervals, upright, torchRidge, bestDecays }) => [title,
    bare(intervals.lrSensitivity.text), bare(intervals.regret.text), intervals.tilt.text, intervals.ridge.text,
    upright, torchRidge, bestDecays]));
}

function drawComparisons(setting) {
  const rows = DATA.comparisons.filter((row) => row.setting === setting);
  document.getElementById("compared").hidden = rows.length === 0;
  const unit = DATA.differenceUnit && `, ${DATA.differenceUnit}`;
  table("comparisons", ["", `difference${unit}`, `on any test samples${unit}`, "p (Holm)",
    "verdict", `could be seen${unit}`], rows.map((row) => [`${row.first} − ${row.second}`,
    ...[row.difference, row.anySamples].map(bare), row.probability, row.verdict,
    bare(row.detectable)]));
}

// A difference without its unit, which stands in the heading.
function bare(text) {
  return text.replace(` ${DATA.differenceUnit}`, "");
}

function drawOverview(show) {
  if (DATA.settings.length < 2) return;
  document.getElementById("overview").hidden = false;
  const titles = [...new Set(DATA.panels.map((panel) => panel.title))];
  const by = new Map(DATA.panels.map((panel) => [`${panel.setting} ${panel.title}`, panel]));
  table("settings", ["", ...titles], DATA.settings.map((setting, index) => {
    const go = element("button", { type: "button", class: "link" }, setting.text);
    go.addEventListener("click", () => {
      show(index);
      document.getElementById("maps").scrollIntoView();
    });
    return [go, ...titles.map((title) => shownError(by.get(`${index} ${title}`).bestError))];
  }));
}

function drawHyperparameters(all) {
  const panels = all.filter((panel) => !isSweep(panel));
  document.getElementById("hyperparameters").replaceChildren();
  if (panels.length === 0) return;
  const unit = DATA.differenceUnit && `, ${DATA.differenceUnit}`;
  const scale = DATA.unit === "%" ? 100 : 1;
  const titles = [[`LR sensitivity${unit}`, ["lrSensitivity"], scale],
    [`One-at-a-time regret${unit}`, ["regret"], scale],
    ["Basin tilt", ["tilt"], 1], ["p of λ* ∝ αᵖ", ["ridge"], 1],
    [`α off by 2${unit}: ○ λ kept, ● λ tuned anew`, ["kept2", "retuned2"], scale],
    [`α off by 4${unit}: ○ λ kept, ● λ tuned anew`, ["kept4", "retuned4"], scale]];
  document.getElementById("hyperparameters").replaceChildren(...titles.map(([title, names, factor]) => {
    const svg = drawIntervals(panels, title, names, factor);
    return element("figure", {}, element("div", { class: "heading" }, element("h3", {}, title),
      saveButton(() => svg, title)), svg);
  }));
}

// One line for each panel: a dot with its interval, on an axis with 0 marked.
function drawIntervals(panels, title, names, scale) {
  const all = panels.flatMap((panel) => names.map((name) => panel.intervals[name]));
  const { low, high } = endsOf(all, scale);
  const longest = Math.max(...panels.map((panel) => panel.title.length));
  const width = room("hyperparameters", 480), line = 26, height = 14 + panels.length * line;
  const left = Math.min(7 * longest + 12, 0.4 * width), right = 122;
  const at = (value) =>
    left + (Math.max(low, Math.min(high, value)) - low) / (high - low) * (width - left - right);
  const svg = figure(width, height, title);
  svg.append(shape("line", { x1: at(0), x2: at(0), y1: 4, y2: height, class: "axis" }));
  panels.forEach((panel, index) => {
    const y = 18 + index * line;
    svg.append(shape("text", { x: 0, y: y + 4 }, panel.title));
    names.forEach((name, which) => {
      const shift = names.length > 1 ? (which ? 5.5 : -5.5) : 0;
      const open = names.length > 1 && which === 0;
      svg.append(...intervalShapes(panel.intervals[name], at, scale, y + shift, width, open));
    });
  });
  return svg;
}

// The ends of the axis. Long intervals are cut at three times the span of the values.
function endsOf(intervals, scale) {
  const known = intervals.filter(({ value }) => value !== null);
  const values = known.map(({ value }) => scale * value);
  const reach = 3 * (Math.max(0, ...values) - Math.min(0, ...values) || 1);
  const ends = known.flatMap(({ value, low, high }) => [low ?? value, high ?? value])
    .map((end) => Math.max(-reach, Math.min(reach, scale * end)));
  const low = Math.min(0, ...ends), high = Math.max(0, ...ends);
  return { low, high: high > low ? high : low + 1 };
}

function intervalShapes({ value, low, high, text }, at, scale, y, width, open) {
  const label = shape("text", { x: width, y: y + 4, "text-anchor": "end", class: "quiet small" },
    bare(text));
  if (value === null) return [label];
  const dot = shape("circle", { cx: at(scale * value), cy: y, r: 3.5,
    class: open ? "dot open" : "dot" });
  if (low === null) return [label, dot];
  return [label, shape("line", { x1: at(scale * low), x2: at(scale * high), y1: y, y2: y,
    class: "bar" }), dot];
}
