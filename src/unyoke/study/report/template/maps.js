// Heat maps: drawing, pointer, touch and keyboard.

const MAP_WIDTH = 340; // in the units of a map's own coordinates
const DENSE = 6; // smaller cells have no lines between them, and get their names with the focus

function cellAt(panel, column, row) {
  const index = column * panel.lr.length + row;
  const read = (figure) => panel[figure][index];
  return { test: read("test"), testSpread: read("testSpread"), validation: read("validation"),
    trainError: read("trainError"), trainLoss: read("trainLoss"), ran: read("ran"),
    lost: read("lost"), failed: read("failed") };
}

function isPowers(axis) {
  return axis.every((text) => text === "0" || text.startsWith("2^"));
}

let torchsNumber = false; // maps of decoupled decay over α and torch's λ/α

function isSheared(panel) {
  return torchsNumber && panel.shear !== null;
}

// Where cells stand. Maps of one row have the columns of all of them, so that a basin of one can be
// seen beside that of the other. Sheared, each learning rate is moved by as much as λ/α is.
function mapLayout(panel) {
  const rows = panel.lr.length, zeros = panel.weightDecay[0] === "0" ? 1 : 0;
  const axis = isSheared(panel) ? [...["0"].slice(0, zeros), ...panel.shear.axis] : panel.axis;
  const left = isPowers(panel.lr) ? 46 : 56, top = 8, bottom = 40;
  const gap = axis[0] === "0" ? 9 : 0;
  const columns = isSheared(panel) ? axis.length : panel.columns;
  const side = Math.min(50, (MAP_WIDTH - left - gap - 4) / columns);
  const atPlace = (place) => left + place * side + (place > 0 ? gap : 0);
  const placeOf = (column, row) => isSheared(panel) && column >= zeros
    ? column + panel.shear.shift[row] : panel.places[column];
  return { rows, axis, left, top, side, atPlace, height: top + rows * side + bottom,
    x: (column, row) => atPlace(placeOf(column, row)),
    y: (row) => top + (rows - 1 - row) * side };
}

function drawMap(panel) {
  const at = mapLayout(panel);
  const svg = figure(MAP_WIDTH, at.height,
    `${panel.title}: test error over learning rate and weight decay`, "grid");
  svg.panel = panel;
  if (at.side < DENSE) svg.classList.add("dense");
  const crosses = [];
  for (let row = at.rows - 1; row >= 0; row--) {
    const line = shape("g", { role: "row" });
    for (let column = 0; column < panel.weightDecay.length; column++) {
      const cell = cellAt(panel, column, row);
      line.append(drawCell(panel, cell, column, row, at));
      const centre = [at.x(column, row) + at.side / 2, at.y(row) + at.side / 2];
      if (cell.lost) crosses.push(cross(...centre));
      if (cell.failed) crosses.push(plus(...centre));
    }
    svg.append(line);
  }
  svg.append(...crosses);
  panel.circled.forEach(([column, row], place) => {
    const centre = { cx: at.x(column, row) + at.side / 2, cy: at.y(row) + at.side / 2, class: "mark" };
    const r = Math.min(place === 0 ? 10 : 7, 0.34 * at.side), width = place === 0 ? 3 : 1.5;
    svg.append(shape("circle", { ...centre, r, stroke: "#fff", "stroke-width": width + 1.6 }),
      shape("circle", { ...centre, r, stroke: "#000", "stroke-width": width }));
  });
  drawAxes(svg, panel, at);
  const [column, row] = panel.best || [0, 0];
  moveTo(square(svg, column, row), false);
  listen(svg);
  return svg;
}

function drawCell(panel, cell, column, row, at) {
  const kind = cell.ran === 0 ? "cell empty" : cell.test === null ? "cell lost" : "cell";
  const node = shape("rect", { x: at.x(column, row), y: at.y(row), width: at.side, height: at.side,
    rx: Math.min(2, at.side / 8), class: kind, role: "gridcell", tabindex: -1 });
  if (cell.test !== null) node.setAttribute("fill", colour(cell.test));
  node.dataset.row = row;
  node.dataset.column = column;
  if (at.side >= DENSE) name(node, panel);
  return node;
}

function name(cell, panel) {
  const lines = tipLines(panel, Number(cell.dataset.column), Number(cell.dataset.row));
  cell.setAttribute("aria-label", lines.slice(1).join("; "));
}

function drawAxes(svg, panel, at) {
  const bottom = at.top + at.rows * at.side, middle = (at.top + bottom) / 2;
  const every = Math.ceil((isPowers(at.axis) ? 26 : 46) / at.side);
  const everyRow = Math.ceil(13 / at.side);
  at.axis.forEach((text, place) => { // labels must not run into each other
    if (place % every === 0) {
      svg.append(axisLabel(text, at.atPlace(place) + at.side / 2, bottom + 16, "middle"));
    }
  });
  panel.lr.forEach((text, row) => {
    if (row % everyRow === 0) {
      svg.append(axisLabel(text, at.left - 6, at.y(row) + at.side / 2 + 4, "end"));
    }
  });
  svg.append(
    shape("text", { x: (at.left + at.atPlace(at.axis.length)) / 2, y: at.height - 6,
      class: "quiet", "text-anchor": "middle" },
    isSheared(panel) ? "torch's weight_decay λ/α" : `${panel.decayName} ${panel.decay}`),
    shape("text", { x: 10, y: middle, "text-anchor": "middle", class: "quiet",
      transform: `rotate(-90 10 ${middle})` }, "learning rate α"));
}

function cross(x, y) {
  const reach = 4;
  return shape("path", { class: "cross", d: `M${x - reach} ${y - reach}l${2 * reach} ${2 * reach}`
    + `M${x - reach} ${y + reach}l${2 * reach} ${-2 * reach}` });
}

// Where the task raised something.
function plus(x, y) {
  const reach = 5;
  return shape("path", { class: "cross failure",
    d: `M${x - reach} ${y}h${2 * reach}M${x} ${y - reach}v${2 * reach}` });
}

function place(panel, column, row) {
  return `α = ${plainPower(panel.lr[row])}, `
    + `${panel.decay} = ${plainPower(panel.weightDecay[column])}`;
}

// The same decay per update, normalized, over the whole run, and as torch's weight_decay.
function otherUnits(panel, column, row) {
  const units = panel.otherUnits[column];
  if (!units) return [];
  const torchs = units.perUpdate === null ? ""
    : `, torch's ${Number((units.perUpdate / panel.rates[row]).toPrecision(3))}`;
  return [units.text + torchs];
}

function tipLines(panel, column, row) {
  const cell = cellAt(panel, column, row);
  const lines = [panel.title, place(panel, column, row)];
  if (cell.ran === 0) return [...lines, "has not run"];
  if (cell.test !== null) {
    const spread = cell.testSpread === null ? "" : " (± standard error over seeds)";
    lines.push(`test error ${shownError(cell.test, cell.testSpread)}${spread}`,
      `validation error ${shownError(cell.validation)}`,
      `training error ${shownError(cell.trainError)}, loss ${cell.trainLoss.toPrecision(3)}`);
  }
  const runs = `${cell.ran} ${cell.ran === 1 ? "seed" : "seeds"}`;
  lines.push([runs, cell.lost && `${cell.lost} diverged`, cell.failed && `${cell.failed} failed`]
    .filter(Boolean).join(", "));
  return [...lines, ...otherUnits(panel, column, row)];
}

function square(svg, column, row) {
  return svg.querySelector(`.cell[data-column="${column}"][data-row="${row}"]`);
}

function listen(svg) {
  const on = (type, action) => svg.addEventListener(type, (event) => {
    const cell = event.target.closest(".cell");
    if (cell) action(cell, event);
  });
  on("pointermove", (cell, event) => {
    if (event.pointerType !== "touch") showTip(cell, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") hideTip();
  });
  on("focusin", (cell) => {
    if (!cell.matches(":focus-visible")) return;
    showTip(cell);
    frame(cell, "focus");
  });
  on("click", (cell, event) => {
    moveTo(cell, false);
    toggleCurve(svg.panel, Number(cell.dataset.column), Number(cell.dataset.row));
    showTip(cell, event.clientX, event.clientY);
  });
  on("keydown", (cell, event) => {
    if (event.key === "Enter" || event.key === " ") {
      toggleCurve(svg.panel, Number(cell.dataset.column), Number(cell.dataset.row));
    } else if (event.key === "Escape") {
      hideTip();
    } else if (!step(svg, cell, event)) {
      return;
    }
    event.preventDefault();
  });
}

// Arrow keys move by one cell, Home and End to the ends of a row, with Ctrl to the corners.
function step(svg, cell, event) {
  const rows = svg.panel.lr.length, columns = svg.panel.weightDecay.length;
  let column = Number(cell.dataset.column), row = Number(cell.dataset.row);
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
    Home: [-columns, event.ctrlKey ? rows : 0], End: [columns, event.ctrlKey ? -rows : 0] };
  if (!(event.key in moves)) return false;
  const [right, up] = moves[event.key];
  column = Math.max(0, Math.min(columns - 1, column + right));
  row = Math.max(0, Math.min(rows - 1, row + up));
  moveTo(square(svg, column, row), true);
  return true;
}

// One cell of each map is in the tab order: the one that had the focus last.
function moveTo(cell, focus) {
  for (const other of cell.ownerSVGElement.querySelectorAll('[tabindex="0"]')) {
    other.setAttribute("tabindex", -1);
  }
  cell.setAttribute("tabindex", 0);
  name(cell, cell.ownerSVGElement.panel);
  if (focus) cell.focus();
}

// A frame around one cell, above all others: `kind` is "hover" or "focus".
function frame(cell, kind) {
  unframe(kind);
  const box = Object.fromEntries(["x", "y", "width", "height"]
    .map((side) => [side, cell.getAttribute(side)]));
  cell.ownerSVGElement.append(shape("rect", { ...box, class: `frame rim ${kind}`, rx: 2 }),
    shape("rect", { ...box, class: `frame ${kind}`, rx: 2 }));
}

function unframe(kind) {
  for (const old of document.querySelectorAll(`.frame.${kind}`)) old.remove();
}

function showTip(cell, x, y) {
  const tip = document.getElementById("tip");
  hideTip();
  frame(cell, "hover");
  const [name, ...lines] = tipLines(cell.ownerSVGElement.panel, Number(cell.dataset.column),
    Number(cell.dataset.row));
  tip.replaceChildren(element("b", {}, name), ...lines.flatMap((line) => [element("br"), line]));
  tip.hidden = false;
  const edge = cell.getBoundingClientRect();
  const fromX = x === undefined ? edge.right : x, fromY = y === undefined ? edge.bottom : y;
  const box = tip.getBoundingClientRect();
  const right = fromX + 16, left = fromX - box.width - 16;
  tip.style.left = `${Math.max(4, right + box.width < innerWidth ? right : left)}px`;
  tip.style.top = `${Math.max(4, Math.min(fromY + 12, innerHeight - box.height - 8))}px`;
}

function hideTip() {
  document.getElementById("tip").hidden = true;
  unframe("hover");
}

document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".cell")) hideTip();
});
document.addEventListener("focusout", () => {
  hideTip();
  unframe("focus");
});
