// The ranks' names at the left and the time beneath.

const APART = 52; // pixels between the labels of two ticks, at least
const LOWEST_NAME = 13; // pixels of a row that can carry its name

/** Names of the rows, or of every second, fourth, ... where they are too low. */
export function paintRanks(model, row, left) {
  let step = 1;
  while (step * row < LOWEST_NAME) step *= 2;
  const names = model.rows.map((_, rank) =>
    rank % step ? "" : `<text x="${left - 6}" y="${(rank + 0.5) * row}">${left < 50 ? "" : "rank "}${rank}</text>`,
  );
  const heading = left < 50 ? `<text x="${left - 3}" y="${model.rows.length * row + 30}">rank</text>` : "";
  return names.join("") + heading;
}

/** Ticks at round times, and at the makespan, which is the number that the reader looks for. */
export function paintAxis(model, view, plot) {
  const { makespan, data } = model;
  const end = view.x(makespan);
  const seen = end <= plot;
  const times = roundTimes(view, APART / view.scale).filter(
    (time) => time <= model.end && (!seen || Math.abs(view.x(time) - end) >= APART),
  );
  const marks = seen ? [...times, makespan] : times;
  const lines = marks.map((time) => `M${view.x(time).toFixed(1)} 2v5`).join("");
  const labels = marks.map((time) => {
    const text = String(Number(time.toPrecision(6)));
    // A label at the very edge is moved in, so that it is seen whole.
    const reach = 3.6 * text.length;
    const x = Math.min(plot - reach, Math.max(view.x(time), Math.min(reach, view.x(time) + 4)));
    const last = time === makespan ? ' class="end"' : "";
    return `<text x="${x.toFixed(1)}" y="19"${last}>${text}</text>`;
  });
  return `<path d="${lines}"/>${labels.join("")}<text class="name" x="${plot / 2}" y="35">time${unitOf(data)}</text>`;
}

function roundTimes(view, least) {
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least);
  const times = [];
  for (let count = Math.ceil(view.from / step - 1e-9); count * step <= view.to; count += 1) {
    times.push(count * step);
  }
  return times;
}

/** The unit comes from outside: only letters of it become markup. */
function unitOf({ unit }) {
  const letters = String(unit || "").replace(/[^\p{L}\d ]/gu, "");
  return letters ? ` (${letters})` : "";
}
