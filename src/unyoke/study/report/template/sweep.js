// A learning-rate sweep: test error over α, where a map has one weight decay only. Its points are
// cells like those of a map, so that pointer, touch and keyboard work as there.

const SWEEP = { height: 250, left: 52, right: 12, top: 18, bottom: 40, point: 11 };

function isSweep(panel) {
  return panel.weightDecay.length === 1;
}

// Where α number `row` and an error stand. What lies above the scale's end stands at its top.
function sweepLayout(panel) {
  const { low, high } = DATA.scale;
  const bottom = SWEEP.height - SWEEP.bottom;
  const step = (MAP_WIDTH - SWEEP.left - SWEEP.right) / panel.lr.length;
  const part = (error) => Math.min(1, Math.max(0, (error - low) / (high - low)));
  return { bottom, step, x: (row) => SWEEP.left + (row + 0.5) * step,
    y: (error) => bottom - 14 - part(error) * (bottom - 14 - SWEEP.top) };
}

function drawSweep(panel) {
  const at = sweepLayout(panel);
  const svg = figure(MAP_WIDTH, SWEEP.height,
    `${panel.title}: test error over learning rate, ${panel.decay} = ${plainPower(panel.weightDecay[0])}`,
    "grid");
  svg.panel = panel;
  drawSweepAxes(svg, panel, at);
  const known = panel.lr.map((_, row) => row).filter((row) => panel.test[row] !== null);
  svg.append(shape("polyline", { class: "curve", style: "stroke: var(--accent)",
    points: known.map((row) => `${at.x(row)},${at.y(panel.test[row])}`).join(" ") }));
  for (const row of known.filter((each) => panel.testLow[each] !== null)) {
    svg.append(shape("line", { class: "bar", x1: at.x(row), x2: at.x(row),
      y1: at.y(panel.testLow[row]), y2: at.y(panel.testHigh[row]) }));
  }
  const line = shape("g", { role: "row" }), crosses = [];
  panel.lr.forEach((_, row) => {
    const y = panel.test[row] === null ? SWEEP.top : at.y(panel.test[row]);
    line.append(drawPoint(panel, row, at.x(row), y));
    if (panel.lost[row]) crosses.push(cross(at.x(row), y));
    if (panel.failed[row]) crosses.push(plus(at.x(row), y));
  });
  svg.append(line, ...crosses);
  const [, best] = panel.best || [0, 0];
  if (panel.best) {
    svg.append(shape("circle", { cx: at.x(best), cy: at.y(panel.test[best]), r: 9, class: "mark",
      style: "stroke: var(--ink); stroke-width: 2" }));
  }
  moveTo(square(svg, 0, best), false);
  listen(svg);
  return svg;
}

function drawPoint(panel, row, x, y) {
  const cell = cellAt(panel, 0, row), side = SWEEP.point;
  const kind = cell.ran === 0 ? "cell empty" : cell.test === null ? "cell lost" : "cell";
  const node = shape("rect", { x: x - side / 2, y: y - side / 2, width: side, height: side,
    rx: side / 2, class: kind, role: "gridcell", tabindex: -1 });
  if (cell.test !== null) node.setAttribute("fill", colour(cell.test));
  node.dataset.row = row;
  node.dataset.column = 0;
  name(node, panel);
  return node;
}

function drawSweepAxes(svg, panel, at) {
  const { low, high } = DATA.scale, middle = (SWEEP.top + at.bottom) / 2;
  const scale = DATA.unit === "%" ? 100 : 1;
  for (const tick of ticks(scale * low, scale * high, false, 1)) {
    const y = at.y(tick / scale);
    svg.append(shape("line", { class: "axis", x1: SWEEP.left, x2: MAP_WIDTH - SWEEP.right,
      y1: y, y2: y }),
    shape("text", { x: SWEEP.left - 6, y: y + 4, "text-anchor": "end" }, tick));
  }
  const every = Math.ceil((isPowers(panel.lr) ? 26 : 46) / at.step);
  panel.lr.forEach((text, row) => {
    if (row % every === 0) svg.append(axisLabel(text, at.x(row), at.bottom + 16, "middle"));
  });
  svg.append(
    shape("text", { x: (SWEEP.left + MAP_WIDTH) / 2, y: SWEEP.height - 6, class: "quiet",
      "text-anchor": "middle" }, "learning rate α"),
    shape("text", { x: 10, y: middle, "text-anchor": "middle", class: "quiet",
      transform: `rotate(-90 10 ${middle})` }, `test error${DATA.unit && `, ${DATA.unit}`}`));
}
