"use strict";
// Elements, and figures that can be saved as files of their own.

const SVG = "http://www.w3.org/2000/svg";

// viridis, from worst to best: low error is bright in light and in dark.
const COLOURS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c",
  "#28ae80", "#5ec962", "#addc30", "#fde725"];

// The look of a figure, on the page and in the file that is saved from it.
const FIGURE_STYLE = `
  text { fill: var(--ink); font: 11px system-ui, "Segoe UI", Arial, sans-serif; }
  text.quiet { fill: var(--quiet); }
  text.small { font-size: 10px; }
  text.name { font-size: 14px; font-weight: 600; }
  .cell { stroke: var(--page); stroke-width: 1; }
  .dense .cell { stroke: none; }
  .cell.empty { fill: url(#hatch); }
  .cell.lost { fill: var(--raised); }
  .mark, .pin, .frame { fill: none; pointer-events: none; }
  .frame { stroke: var(--ink); stroke-width: 1.5; }
  .frame.focus { stroke-width: 3; }
  .frame.rim { stroke: var(--page); stroke-width: 4; }
  .frame.rim.focus { stroke-width: 7; }
  .cross { stroke: var(--quiet); stroke-width: 1.3; fill: none; pointer-events: none; }
  .axis { stroke: var(--line); }
  .bar { stroke: var(--accent); stroke-width: 2; }
  .dot { fill: var(--accent); stroke: var(--accent); stroke-width: 1.5; }
  .dot.open { fill: var(--page); }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
`;

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function shape(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function figure(width, height, label, role = "img") {
  return shape("svg", { viewBox: `0 0 ${width} ${height}`, role, "aria-label": label });
}

// How wide a figure in this element is drawn, in pixels, so that its text keeps its size.
function room(id, most) {
  return Math.max(280, Math.min(most, document.getElementById(id).clientWidth));
}

function hatching() {
  return shape("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)" },
  shape("rect", { width: 6, height: 6, style: "fill: var(--page)" }),
  shape("line", { x1: 0, x2: 0, y1: 0, y2: 6, style: "stroke: var(--line); stroke-width: 3" }));
}

// "2^-7" as 2 with a raised exponent, at x, y.
function axisLabel(text, x, y, anchor) {
  const node = shape("text", { x, y, "text-anchor": anchor });
  if (text.startsWith("2^")) {
    node.append("2",
      shape("tspan", { dy: -4, style: "font-size: 8px" }, text.slice(2).replace("-", "−")));
  } else {
    node.append(shortNumber(text));
  }
  return node;
}

function shortNumber(text) {
  const value = Number(text);
  return value !== 0 && value < 1e-3 ? value.toExponential(1) : `${Number(value.toPrecision(3))}`;
}

function plainPower(text) {
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  if (!text.startsWith("2^")) return text;
  return "2" + text.slice(2).replace("-", "⁻").replace(/\d/g, (digit) => digits[digit]);
}

function mix(first, second, part) {
  const channel = (colour, at) => parseInt(colour.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map((at) =>
    Math.round(channel(first, at) * (1 - part) + channel(second, at) * part));
  return `rgb(${mixed.join(",")})`;
}

function colour(error) {
  const { low, high } = DATA.scale;
  const height = Math.min(1, Math.max(0, (high - error) / (high - low))) * (COLOURS.length - 1);
  const below = Math.min(COLOURS.length - 2, Math.floor(height));
  return mix(COLOURS[below], COLOURS[below + 1], height - below);
}

function shownError(value, spread) {
  if (value === null) return "–";
  const scale = DATA.unit === "%" ? 100 : 1;
  const round = (number) => DATA.unit === "%" ? number.toFixed(1) : number.toPrecision(3);
  const known = spread === null || spread === undefined ? "" : ` ± ${round(scale * spread)}`;
  return `${round(scale * value)}${known} ${DATA.unit}`.trim();
}

// The colour scale as shapes, for a map that is saved alone.
function ramp(x, y, width) {
  const stops = [...COLOURS].reverse().map((stop, index) =>
    shape("stop", { offset: index / (COLOURS.length - 1), "stop-color": stop }));
  return shape("g", {}, shape("linearGradient", { id: "ramp" }, ...stops),
    shape("rect", { x, y, width, height: 9, fill: "url(#ramp)" }),
    shape("text", { x, y: y + 21 }, shownError(DATA.scale.low)),
    shape("text", { x: x + width / 2, y: y + 21, "text-anchor": "middle", class: "quiet" },
      "test error"),
    shape("text", { x: x + width, y: y + 21, "text-anchor": "end" },
      `≥ ${shownError(DATA.scale.high)}`));
}

// A figure as a file: its own name, scale, style and background; no page around it is needed.
function standalone(svg, name, scale) {
  const above = 26, below = scale ? 34 : 6;
  const { width, height } = svg.viewBox.baseVal;
  const page = getComputedStyle(document.documentElement);
  const style = FIGURE_STYLE.replace(/var\((--\w+)\)/g, (_, key) => page.getPropertyValue(key));
  const copy = svg.cloneNode(true);
  copy.setAttribute("viewBox", `0 ${-above} ${width} ${height + above + below}`);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height + above + below);
  copy.prepend(shape("style", {}, style), hatching(), shape("rect", { x: 0, y: -above,
    width: "100%", height: "100%", style: `fill: ${page.getPropertyValue("--page")}` }));
  copy.append(shape("text", { x: 10, y: -9, class: "name" }, name));
  if (scale) copy.append(ramp(46, height + 6, width - 60));
  for (const node of copy.querySelectorAll(".frame")) node.remove();
  for (const node of copy.querySelectorAll("[tabindex]")) node.removeAttribute("tabindex");
  for (const node of copy.querySelectorAll("pattern [style]")) {
    node.setAttribute("style", node.getAttribute("style")
      .replace(/var\((--\w+)\)/g, (_, key) => page.getPropertyValue(key)));
  }
  return new XMLSerializer().serializeToString(copy);
}

function saveButton(svg, name, scale = false) {
  const button = element("button", { type: "button", class: "save",
    "aria-label": `Save ${name} as SVG` }, "SVG");
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(
      new Blob([standalone(svg(), name, scale)], { type: "image/svg+xml" }));
    element("a", { href: address,
      download: `${name.replace(/[^\p{L}\p{N}]+/gu, "-")}.svg` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  return button;
}
