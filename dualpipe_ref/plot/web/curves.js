// Curves over one axis, with a level and marks: what plot/curves.py draws, for a view that changes.

import { element } from "./dom.js";

const CURVES_HIGH = 250; // pixels
const CURVES_EDGE = { left: 46, right: 12, top: 10, bottom: 40 };
const CURVES_DASHES = ["", "9 5", "9 4 2 4"];

export const CURVES_CSS = `
.curves { margin: 0 0 12px; }
.curves svg { display: block; overflow: visible; }
.curves svg svg { overflow: hidden; }
.curves text { fill: var(--ink); font-size: 13px; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.curves .axis { stroke: var(--muted); fill: none; }
.curves .curve { fill: none; stroke-width: 2.2; stroke: var(--line); }
.curves .mark { fill: var(--ink); }
.curves .names { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 2px 0 0; padding: 0; font-size: 14px; }
.curves .names li { display: flex; align-items: center; gap: 7px; margin: 0; }
`;

/** A picture of `chart` that is `width` pixels wide; `colours` are the theme's, with one for each line. */
export function curvesOf(chart, width, colours) {
  const picture = drawn("svg", { width, height: CURVES_HIGH, role: "img", "aria-label": chart.alt });
  const inner = { wide: width - CURVES_EDGE.left - CURVES_EDGE.right, high: CURVES_HIGH - CURVES_EDGE.top - CURVES_EDGE.bottom };
  const scale = {
    x: (value) => ((value - chart.from) / (chart.to - chart.from)) * inner.wide,
    y: (value) => inner.high * (1 - value / chart.highest),
  };
  const clipped = drawn("svg", { x: CURVES_EDGE.left, y: CURVES_EDGE.top, width: inner.wide, height: inner.high });
  clipped.append(...chart.lines.map((line, at) => curveOf(line, at, scale, colours)));
  picture.append(...axesOf(chart, inner, scale), clipped, ...chart.marks.map((mark) => markOf(mark, scale, width)));
  return element("div", { class: "curves" }, picture, namesOf(chart, colours));
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function curveOf({ points }, at, scale, colours) {
  const path = points.map(([x, y]) => `${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`).join("L");
  return drawn("path", { d: `M${path}`, class: "curve", "stroke-dasharray": CURVES_DASHES[at] || "none", style: `--line:${colours.lines[at]}` });
}

function axesOf(chart, inner, scale) {
  const { left, top } = CURVES_EDGE;
  const low = top + inner.high;
  const made = [drawn("path", { class: "axis", d: `M${left} ${top}V${low}H${left + inner.wide}` })];
  for (const value of roundSteps(chart.highest, inner.high / 45)) {
    made.push(drawn("text", { x: left - 6, y: top + scale.y(value) + 4, "text-anchor": "end" }, String(value)));
  }
  for (const value of roundSteps(chart.to, inner.wide / 60)) {
    if (value < chart.from) continue;
    made.push(drawn("text", { x: left + scale.x(value), y: low + 17, "text-anchor": "middle" }, String(value)));
  }
  made.push(drawn("text", { x: left + inner.wide / 2, y: low + 34, "text-anchor": "middle" }, chart.across));
  const level = top + scale.y(chart.level.value);
  made.push(drawn("path", { class: "axis level", d: `M${left} ${level}h${inner.wide}` }));
  made.push(drawn("text", { x: left + inner.wide, y: level - 5, "text-anchor": "end" }, chart.level.name));
  return made;
}

/** Numbers from 0 to `most` in round steps, about so many. */
function roundSteps(most, count) {
  const power = 10 ** Math.floor(Math.log10(most / Math.max(1, count)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => most / size <= Math.max(1, count)) || 10 * power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, at) => Number((at * step).toPrecision(6)));
}

/** A dot with words below it, moved in where they would reach beyond the picture. Above the picture there is none. */
function markOf({ x, y, text, above }, scale, width) {
  const { left, top } = CURVES_EDGE;
  const [across, up] = [left + scale.x(x), top + Math.max(0, scale.y(y))];
  const reach = 3.7 * text.length;
  const place = Math.min(width - reach, Math.max(left + reach + 3, across));
  const dot = drawn("circle", { class: "mark", cx: across, cy: up, r: 4.5 });
  return drawn("g", {}, dot, drawn("text", { x: place, y: up + (above && up > top + 20 ? -10 : 22), "text-anchor": "middle" }, text));
}

function namesOf({ lines, up }, colours) {
  const items = lines.map(({ name }, at) => {
    const sample = drawn("svg", { width: 34, height: 10, "aria-hidden": "true" });
    sample.append(curveOf({ points: [[0, 0.5], [1, 0.5]] }, at, { x: (value) => 34 * value, y: (value) => 10 * value }, colours));
    return element("li", {}, sample, `${name}, ${up}`);
  });
  return element("ul", { class: "names" }, ...items);
}
