// Learning curves of the cells that were chosen on the maps.

// Okabe and Ito's colours, which the colour-blind tell apart; each has a dash of its own as well.
const LINES = [["#0072b2", ""], ["#d55e00", "6 3"], ["#009e73", "2 3"], ["#cc79a7", "10 3 2 3"],
  ["#e69f00", "10 4"], ["#56b4e9", "4 2 1 2"]];
const QUANTITIES = [["test error", 2], ["validation error", 1], ["training loss", 0]];

let chosen = []; // { panel, column, row, line }, the oldest first
let byHand = false; // until a cell is chosen, the best cells of the maps are shown

function sameCell(entry, panel, column, row) {
  return entry.panel === panel && entry.column === column && entry.row === row;
}

function toggleCurve(panel, column, row) {
  if (!byHand) chosen = [];
  byHand = true;
  const without = chosen.filter((entry) => !sameCell(entry, panel, column, row));
  if (without.length < chosen.length) {
    chosen = without;
  } else {
    addCurve(panel, column, row);
  }
  drawCurves();
}

function addCurve(panel, column, row) {
  if (chosen.length === LINES.length) chosen.shift();
  const used = new Set(chosen.map((entry) => entry.line));
  chosen.push({ panel, column, row, line: LINES.findIndex((_, line) => !used.has(line)) });
}

function chooseBest(panels) {
  if (byHand) return;
  chosen = [];
  for (const panel of panels.filter((each) => each.best).slice(0, LINES.length)) {
    addCurve(panel, ...panel.best);
  }
}

function clearCurves() {
  chosen = [];
  byHand = true;
  drawCurves();
}

function pointsOf({ panel, column, row }, quantity) {
  const lines = panel.curves.cells[`${column},${row}`];
  if (!lines) return null;
  return panel.curves.updates.map((update, index) => [update, lines[quantity][index]])
    .filter(([, value]) => value !== null);
}

function drawCurves() {
  drawPins();
  const [name, quantity] = QUANTITIES[document.getElementById("quantity").value];
  const curves = chosen.map((entry) => ({ ...entry, points: pointsOf(entry, quantity) }));
  document.getElementById("chart").replaceChildren(drawChart(curves, name));
  document.getElementById("chosen").replaceChildren(...curves.map(curveKey));
  document.getElementById("clear").hidden = chosen.length === 0;
}

function curveName({ panel, column, row }) {
  const setting = DATA.settings.length > 1 ? `, ${DATA.settings[panel.setting].text}` : "";
  return `${panel.title}, ${place(panel, column, row)}${setting}`;
}

function curveKey(entry) {
  const [stroke, dash] = LINES[entry.line];
  const sample = figure(28, 10, "");
  sample.setAttribute("aria-hidden", "true");
  sample.append(shape("line", { x1: 1, x2: 27, y1: 5, y2: 5, stroke, "stroke-width": 3,
    "stroke-dasharray": dash }));
  const note = entry.points === null ? " (its curve is in the ledger only)" : "";
  const remove = element("button", { type: "button",
    "aria-label": `Remove ${curveName(entry)}` }, "×");
  remove.addEventListener("click", () => toggleByHand(entry));
  return element("li", {}, sample, element("span", {}, curveName(entry) + note), remove);
}

function toggleByHand({ panel, column, row }) {
  byHand = true;
  toggleCurve(panel, column, row);
}

function drawPins() {
  for (const old of document.querySelectorAll(".pin")) old.remove();
  for (const cell of document.querySelectorAll('.cell[aria-selected]')) {
    cell.removeAttribute("aria-selected");
  }
  for (const svg of document.querySelectorAll(".map svg")) {
    for (const { panel, column, row, line } of chosen.filter(({ panel }) => panel === svg.panel)) {
      const cell = square(svg, column, row);
      const read = (side) => Number(cell.getAttribute(side));
      const side = read("width"), inset = isSweep(panel) ? 0 : Math.min(1.5, side / 8);
      const box = { x: read("x") + inset, y: read("y") + inset, class: "pin", rx: read("rx"),
        width: side - 2 * inset, height: side - 2 * inset };
      svg.append(shape("rect", { ...box, stroke: "#fff", "stroke-width": 4 }),
        shape("rect", { ...box, stroke: LINES[line][0], "stroke-width": 2.5 }));
      cell.setAttribute("aria-selected", "true");
    }
  }
}

function drawChart(curves, name) {
  const width = room("chart", 640), height = Math.min(300, 0.75 * width), left = 62, right = 14, top = 12, bottom = 44;
  const svg = figure(width, height, `Learning curves: ${name}`);
  const points = curves.flatMap((curve) => curve.points || []);
  if (points.length === 0) {
    svg.append(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle",
      class: "quiet" }, "Choose cells on the maps."));
    return svg;
  }
  const values = points.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values);
  const logarithmic = low > 0 && high > 4 * low;
  const height01 = scaleOf(low, high, logarithmic);
  const last = Math.max(...points.map(([update]) => update));
  const x = (update) => left + (width - left - right) * update / last;
  const y = (value) => height - bottom - (height - top - bottom) * height01(value);
  const inPercent = name !== "training loss" && DATA.unit === "%";
  for (const tick of ticks(low, high, logarithmic, inPercent ? 100 : 1)) {
    svg.append(shape("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick),
      class: "axis" }),
    shape("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" },
      name === "training loss" ? `${Number(tick.toPrecision(3))}` : tickError(tick)));
  }
  for (const tick of ticks(0, last, false, 1)) {
    svg.append(shape("text", { x: x(tick), y: height - bottom + 16,
      "text-anchor": tick === last ? "end" : "middle" }, tick));
  }
  const middle = (top + height - bottom) / 2;
  svg.append(shape("text", { x: (left + width - right) / 2, y: height - 8, class: "quiet",
    "text-anchor": "middle" }, "updates"),
  shape("text", { x: 12, y: middle, "text-anchor": "middle", class: "quiet",
    transform: `rotate(-90 12 ${middle})` }, logarithmic ? `${name}, log scale` : name));
  for (const curve of curves.filter(({ points }) => points && points.length > 0)) {
    const [stroke, dash] = LINES[curve.line];
    if (curve.points.length === 1) {
      const [update, value] = curve.points[0];
      svg.append(shape("circle", { cx: x(update), cy: y(value), r: 4, class: "curve", stroke },
        shape("title", {}, curveName(curve))));
      continue;
    }
    svg.append(shape("polyline", { class: "curve", stroke, "stroke-dasharray": dash,
      points: curve.points.map(([update, value]) => `${x(update)},${y(value)}`).join(" ") },
    shape("title", {}, curveName(curve))));
  }
  return svg;
}

function tickError(value) {
  return DATA.unit === "%" ? `${Number((100 * value).toPrecision(3))} %`
    : `${Number(value.toPrecision(3))} ${DATA.unit}`.trim();
}

// From a value to its height between 0 and 1.
function scaleOf(low, high, logarithmic) {
  const place = logarithmic ? Math.log : (value) => value;
  const margin = 0.04 * (place(high) - place(low)) || 0.5;
  const start = place(low) - margin, span = place(high) + margin - start;
  return (value) => (place(value) - start) / span;
}

// Round values between two ends: 1, 2 and 5 times powers of ten.
function ticks(low, high, logarithmic, scale) {
  const found = [];
  if (logarithmic) {
    for (let power = Math.floor(Math.log10(scale * low)); 10 ** power <= scale * high; power++) {
      found.push(...[1, 2, 5].map((digit) => digit * 10 ** power / scale));
    }
  } else {
    const rough = (high - low) / 5 || Math.abs(high) || 1, unit = 10 ** Math.floor(Math.log10(rough));
    const width = [1, 2, 5, 10].find((digit) => digit * unit >= rough) * unit;
    for (let tick = Math.ceil(low / width); tick * width <= high * (1 + 1e-9); tick++) {
      found.push(Number((tick * width).toPrecision(6)));
    }
  }
  return found.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
}

function startCurves() {
  const select = document.getElementById("quantity");
  QUANTITIES.forEach(([name], index) =>
    select.append(element("option", { value: index }, name)));
  select.addEventListener("change", drawCurves);
  document.getElementById("clear").addEventListener("click", clearCurves);
  document.getElementById("curve-tools").append(
    saveButton(() => document.querySelector("#chart svg"), "Learning curves"));
}
