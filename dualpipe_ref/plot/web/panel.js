// The details of an op, and the legend.

import { element } from "./dom.js";
import { box } from "./paint.js";
import { opWords, placeWords, shortWords, timeWords, waitWords } from "./words.js";

/** Say what is known of the op at `place`; without one, how to choose one. */
export function fillPanel(panel, model, place, jump) {
  const op = place && model.op(place.rank, place.index);
  panel.replaceChildren(...(op ? details(model, op, jump) : help()));
}

function help() {
  const key = (name) => element("kbd", {}, name);
  return [
    element("p", { class: "what" }, "Point at an op or tap it."),
    element("p", {}, "Keys: arrows go from op to op, ", key("Enter"), " to what it waited for, ", key("+"), " ", key("−"), " ", key("0"), " zoom, ", key("Shift"), " with arrows moves."),
  ];
}

function details(model, op, jump) {
  const { idle, peaks } = model.data;
  const button = (place) => {
    const made = element("button", { type: "button", class: "jump" }, shortWords(model, place));
    made.addEventListener("click", () => jump(place));
    return made;
  };
  const waits = op.waits.map((wait) => {
    const other = wait.index >= 0 ? model.op(wait.rank, wait.index) : null;
    const name = other ? button(wait) : shortWords(model, wait);
    const why = other || !wait.own ? ` ${waitWords(wait, other)}` : "";
    return element("span", { class: "wait" }, name, why);
  });
  const dependents = model.dependents(op).map((place) => element("span", { class: "wait" }, button(place)));
  // Spaces between them, for those who have it read aloud.
  const listed = (items) => (items.length ? items.flatMap((item) => [item, " "]) : ["nothing"]);
  return [
    element("p", { class: "what" }, opWords(model, op)),
    element("p", {}, `${placeWords(op)}: ${timeWords(model, op)}`),
    element(
      "dl",
      {},
      element("dt", {}, sample("before"), "waits for"),
      element("dd", {}, ...listed(waits)),
      element("dt", {}, sample("after"), "waited for by"),
      element("dd", {}, ...listed(dependents)),
      element("dt", {}, `rank ${op.rank}`),
      element("dd", {}, `idle ${idle[op.rank]}, activations held at most ${peaks[op.rank]}`),
    ),
  ];
}

function sample(name) {
  return svg(18, 8, `<path class="${name}" d="M0 4h18"/>`);
}

function svg(width, height, markup) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("width", width);
  made.setAttribute("height", height);
  made.setAttribute("aria-hidden", "true");
  made.innerHTML = markup;
  return made;
}

/** What the picture of these data needs explained. */
export function fillLegend(list, model, dense) {
  const { data } = model;
  const used = new Set(data.ops.flatMap((columns) => [...columns.kinds].map(Number)));
  const paired = used.has(4);
  const items = data.kinds
    .map((kind, place) => ({ ...kind, place }))
    .filter(({ place, name }) => used.has(place) || (paired && !dense && (name === "F" || name === "B")))
    .map(({ place, label }) => entry(kindSwatch(data, place, dense), label));
  items.push(entry(svg(28, 18, `<path class="idle" d="${box(0.5, 1, 27, 16)}"/>`), "idle"));
  if (!dense && data.slots > 1) {
    for (let slot = 0; slot < data.slots; slot += 1) items.push(slotEntry(data, slot));
  }
  if (data.stopped.length) items.push(entry(svg(28, 18, `<path class="ghost" d="${box(1, 2, 26, 14)}"/>`), "never starts"));
  if (data.highlight.arrows.length) items.push(entry(svg(28, 18, `<path class="wanted" d="M0 9h28"/>`), "waits for"));
  list.replaceChildren(...items);
}

function entry(picture, words) {
  return element("li", {}, picture, words);
}

function slotEntry(data, slot) {
  const two = data.offset > 0;
  const first = two ? data.offset * slot : 0;
  const style = slot % 2 ? "odd" : "even";
  const number = `<g class="numbers ${style}" style="fill:var(--ink-0-${slot});font-size:11px"><text x="14" y="9.5">${first}</text></g>`;
  const words = two ? `direction ${slot}: ${first}–${first + data.microbatches - 1}` : `slot ${slot}`;
  return entry(svg(28, 18, filled(0, slot, 0, 28) + number), words);
}

function kindSwatch(data, place, dense) {
  if (dense) return svg(28, 18, filled(place, 0, 0, 28));
  if (place === 4) {
    return svg(28, 18, `${filled(0, 0, 1, 9)}${filled(3, 0, 10, 17)}${barsOf(data.kinds[3], 3, 10, 17)}<path class="pair" style="stroke-width:1.6" d="${box(1, 1, 26, 16)}"/>`);
  }
  return svg(28, 18, filled(place, 0, 0, 28) + barsOf(data.kinds[place], place, 0, 28));
}

function filled(kind, slot, x, width) {
  return `<path class="fill" style="fill:var(--fill-${kind}-${slot})" d="${box(x, 1, width, 16)}"/>`;
}

function barsOf({ top, bottom }, kind, x, width) {
  const bar = (y) => box(x + 2.5, y, width - 5, 2);
  const path = (top ? bar(2.5) : "") + (bottom ? bar(13.5) : "");
  return `<path style="fill:var(--ink-${kind}-0);opacity:.6" d="${path}"/>`;
}
