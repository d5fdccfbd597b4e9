// Outlines and arrows over the cells: the highlight that came with the data, and the chosen op's waits.

import { box, boxOf } from "./paint.js";

// Where arrows leave and arrive, as shares of an op's width: those down the ranks keep to the right,
// those up to the left, so that two ranks that wait for each other have two arrows.
const LANES = { 1: [0.8, 0.8], "-1": [0.2, 0.2], 0: [0.8, 0.2] };

const OUTSIDE = 1; // pixels by which an outline stands clear of its cell's number

/** Outlined ops and arrows between them, such as the ring of a deadlock. */
export function paintHighlight(model, view) {
  const { ops, arrows } = model.data.highlight;
  const boxes = (wanted) => wanted.map(([rank, index]) => outline(boxOf(model, view, { rank, index }))).join("");
  const ran = ([rank, index]) => index < model.rows[rank].ran;
  const never = ops.filter((place) => !ran(place));
  const lines = arrows.map(([from, to]) => between(model, view, from, to)).join("");
  const twice = (path, name = "wanted") =>
    path ? `<path class="halo" d="${path}"/><path class="${name}" d="${path}"/>` : "";
  return twice(boxes(ops.filter(ran))) + twice(boxes(never), "wanted never") + twice(lines) + heads(model, view, arrows);
}

/** The chosen op, what it waits for (whole lines) and what waits for it (dashed ones). */
export function paintChosen(model, view, chosen) {
  if (!chosen) return "";
  const op = model.op(chosen.rank, chosen.index);
  if (!op) return "";
  const drawn = (place) => place.index >= 0 && boxOf(model, view, place).drawn;
  const before = op.waits.filter(drawn);
  const after = model.dependents(op).filter(drawn);
  const line = (from, to) => waitLine(boxOf(model, view, from), boxOf(model, view, to));
  const boxes = (places) => places.map((place) => outline(boxOf(model, view, place))).join("");
  const lines = (pairs) => pairs.map(([from, to]) => line(from, to)).join("");
  const needed = boxes(before) + lines(before.filter((wait) => !wait.own).map((wait) => [wait, op]));
  const needing = boxes(after) + lines(after.filter((wait) => !wait.own).map((wait) => [op, wait]));
  const twice = (name, path) => `<path class="halo" d="${path}"/><path class="${name}" d="${path}"/>`;
  return twice("after", needing) + twice("before", needed) + twice("chosen", outline(boxOf(model, view, op)));
}

function outline({ x, y, width, height, drawn }) {
  return drawn ? box(x - OUTSIDE, y - OUTSIDE, Math.max(width, 2) + 2 * OUTSIDE, height + 2 * OUTSIDE) : "";
}

/** From the end of one op to the start of another. */
function waitLine(from, to) {
  const start = [from.x + from.width, from.y + from.height / 2];
  const end = [to.x, to.y + to.height / 2];
  return `M${start.map(Math.round).join(" ")}L${end.map(Math.round).join(" ")}`;
}

/** The two ends of an arrow; off the middle, so that the numbers stay readable. */
function ends(model, view, from, to) {
  const down = Math.sign(to[0] - from[0]);
  const [leaves, arrives] = LANES[down];
  const at = ([rank, index], share, side) => {
    const { x, y, width, height } = boxOf(model, view, { rank, index });
    return { x: x + width * share, y: y + height * (0.5 + 0.18 * side) };
  };
  return [at(from, leaves, down), at(to, arrives, -down)];
}

function between(model, view, from, to) {
  const [start, end] = ends(model, view, from, to);
  return `M${start.x} ${start.y}L${end.x} ${end.y}`;
}

function heads(model, view, arrows) {
  const paths = arrows.map(([from, to]) => {
    const [start, end] = ends(model, view, from, to);
    const angle = Math.atan2(end.y - start.y, end.x - start.x);
    const corner = (turn) => `L${end.x - 9 * Math.cos(angle + turn)} ${end.y - 9 * Math.sin(angle + turn)}`;
    return `M${end.x} ${end.y}${corner(0.5)}${corner(-0.5)}z`;
  });
  return paths.length ? `<path class="head" d="${paths.join("")}"/>` : "";
}
