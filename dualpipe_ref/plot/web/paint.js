// The marks of the picture as SVG path data. The measures are those of plot/paint.py, in pixels.

const MARGIN = 0.08; // of a row, left free above and below its cells
const DENSE = 1.6; // below this typical width cells are joined by kind
const SMALLEST = 6; // of a number
const LARGEST = 12;
const DIGIT = 0.6; // width of a digit, in font sizes
const LEAST_ROW = 10; // for bars
const PAIR = 4; // the place of FB among the kinds

const round = (value) => Math.round(value * 100) / 100;
export const box = (x, y, width, height) =>
  `M${round(x)} ${round(y)}h${round(width)}v${round(height)}h${round(-width)}z`;

/** Typical width and the cell that bounds the size of numbers, in units of time. */
export function measure(model) {
  const cells = [];
  model.rows.forEach((row, rank) => {
    for (let index = 0; index < row.ran; index += 1) {
      for (const cell of cellsOf(model, rank, index)) {
        cells.push({ width: cell.end - cell.start, digits: String(cell.number).length });
      }
    }
  });
  if (!cells.length) return { typical: 1, tight: { width: 1, digits: 1 } };
  const widths = cells.map((cell) => cell.width).sort((a, b) => a - b);
  cells.sort((a, b) => a.width / a.digits - b.width / b.digits);
  return { typical: widths[widths.length >> 1], tight: cells[Math.floor(cells.length / 20)] };
}

/** One cell of an op, or the two of a pair, which share its width. */
export function cellsOf(model, rank, index) {
  const { data, rows } = model;
  const columns = data.ops[rank];
  const kind = Number(columns.kinds[index]);
  const start = rows[rank].starts[index];
  const end = rows[rank].ends[index];
  const cell = (what, chunk, from, to) => {
    const slot = Math.floor(chunk / data.microbatches);
    const number = (chunk % data.microbatches) + data.homes[rank][slot][0] * data.offset;
    return { kind: what, slot, number, start: from, end: to };
  };
  if (kind !== PAIR) {
    return [cell(kind, kind === 0 ? columns.forward[index] : columns.backward[index], start, end)];
  }
  const forward = columns.forward[index];
  const backward = columns.backward[index];
  const slots = [forward, backward].map((chunk) => Math.floor(chunk / data.microbatches));
  const middle = start + (end - start) * data.shares[rank][slots[0]][slots[1]];
  const back = data.kinds.findIndex((entry) => entry.name === "B");
  return [cell(0, forward, start, middle), cell(back, backward, middle, end)];
}

/** A view: `x(time)`, the times `from` to `to` that it shows, pixels a unit (`scale`) and a row. */
export function isDense(view, measured) {
  return measured.typical * view.scale < DENSE;
}

/** SVG markup of all cells between `view.from` and `view.to`. Every value in it is a number. */
export function paintCells(model, view, measured) {
  const { data } = model;
  const dense = isDense(view, measured);
  const fills = new Map();
  const bars = new Map();
  const numbers = new Map();
  const typical = measured.typical * view.scale;
  const size = dense ? 0 : numberSize(view, measured);
  const thick = { bar: 2, gap: 1.5, inset: Math.min(2.5, typical / 6) };
  let pairs = "";
  let ghosts = "";
  const add = (groups, key, path) => groups.set(key, (groups.get(key) || "") + path);

  model.rows.forEach((row, rank) => {
    const y = rank * view.row + MARGIN * view.row;
    const height = view.row * (1 - 2 * MARGIN);
    for (let index = model.find(rank, view.from); index < row.starts.length; index += 1) {
      if (row.starts[index] > view.to) break;
      const left = view.x(row.starts[index]);
      const width = view.x(row.ends[index]) - left;
      const pair = Number(data.ops[rank].kinds[index]) === PAIR;
      const ghost = index >= row.ran;
      if (dense && !ghost) {
        index = joined(model, rank, index, view, (kind, from, to) =>
          add(fills, `${kind} 0`, box(from, y, to - from, height)),
        );
        continue;
      }
      for (const cell of cellsOf(model, rank, index)) {
        const x = view.x(cell.start);
        const wide = view.x(cell.end) - x;
        const key = `${cell.kind} ${cell.slot}`;
        const { top, bottom } = data.kinds[cell.kind];
        if (!ghost) add(fills, key, box(x, y, wide, height));
        if (!ghost && view.row >= LEAST_ROW && (top || bottom)) {
          const long = wide - 2 * thick.inset;
          if (top) add(bars, key, box(x + thick.inset, y + thick.gap, long, thick.bar));
          if (bottom) {
            add(bars, key, box(x + thick.inset, y + height - thick.gap - thick.bar, long, thick.bar));
          }
        }
        if (size && wide >= 0.62 * size * String(cell.number).length) {
          // A white cell tells no kind by its colour.
          const kind = ghost ? "FIWB"[cell.kind] : "";
          const place = `<text x="${round(x + wide / 2)}" y="${round(y + height / 2)}">`;
          add(numbers, ghost ? "ghost" : key, `${place}${kind}${Number(cell.number)}</text>`);
        }
      }
      if (ghost) ghosts += box(left + 1, y + 1, Math.max(2, width - 2), height - 2);
      else if (pair) pairs += box(left, y, width, height);
    }
  });
  return markup({ fills, bars, numbers, pairs, ghosts }, { dense, typical, size });
}

/** Join what neighbours of one kind cover together; returns the last op of the stretch. */
function joined(model, rank, first, view, draw) {
  const { starts, ends, ran } = model.rows[rank];
  const kinds = model.data.ops[rank].kinds;
  let last = first;
  while (
    last + 1 < ran &&
    kinds[last + 1] === kinds[first] &&
    (starts[last + 1] - ends[last]) * view.scale <= 0.1
  ) {
    last += 1;
  }
  draw(Number(kinds[first]), view.x(starts[first]), view.x(ends[last]));
  return last;
}

/** The largest size at which 19 of 20 numbers fit their cells; 0 if that is too small to read. */
function numberSize(view, { tight }) {
  const fits = (tight.width * view.scale - 1.2) / (DIGIT * tight.digits);
  const size = Math.min(fits, 0.5 * view.row, LARGEST);
  return size >= SMALLEST ? round(size) : 0;
}

function markup({ fills, bars, numbers, pairs, ghosts }, { dense, typical, size }) {
  const names = (key) => key.replace(" ", "-");
  const hairline = dense ? 0 : round(Math.min(0.9, typical / 8));
  let svg = "";
  for (const [key, path] of fills) {
    svg += `<path class="fill" style="fill:var(--fill-${names(key)});stroke-width:${hairline}" d="${path}"/>`;
  }
  for (const [key, path] of bars) {
    svg += `<path style="fill:var(--ink-${names(key)});opacity:.6" d="${path}"/>`;
  }
  const border = round(Math.min(1.7, typical / 5));
  if (pairs) svg += `<path class="pair" style="stroke-width:${border}" d="${pairs}"/>`;
  if (ghosts) svg += `<path class="ghost" d="${ghosts}"/>`;
  for (const [key, texts] of numbers) {
    const ink = key === "ghost" ? "var(--ink)" : `var(--ink-${names(key)})`;
    const odd = Number(key.split(" ")[1]) % 2 ? "odd" : "even";
    svg += `<g class="numbers ${odd}" style="fill:${ink};font-size:${size}px">${texts}</g>`;
  }
  return svg;
}

/** The strip behind every rank's cells: it shows wherever no cell covers it. */
export function paintIdle(model, view) {
  const width = view.x(model.makespan) - view.x(0);
  const strips = model.rows.map((_, rank) =>
    box(view.x(0), (rank + MARGIN) * view.row, width, view.row * (1 - 2 * MARGIN)),
  );
  return `<path class="idle" d="${strips.join("")}"/>`;
}

/** The box of one op, a little inside its row; of no width at a rank's end. */
export function boxOf(model, view, { rank, index }) {
  const row = model.rows[rank];
  const drawn = index < row.starts.length;
  const x = view.x(drawn ? row.starts[index] : (row.ends.at(-1) ?? 0));
  const width = drawn ? view.x(row.ends[index]) - x : 0;
  const y = (rank + MARGIN) * view.row;
  return { x, y, width, height: view.row * (1 - 2 * MARGIN), drawn };
}
