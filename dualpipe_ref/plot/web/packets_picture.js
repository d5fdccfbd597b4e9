// What the picture of packets consists of, as SVG text. Nothing here touches the page.

export const [RDMA, NVLINK, OWN, SUM, ROW] = [0, 1, 2, 3, 4];
const ARCS = 74; // pixels above the upper node, and below the lower one, for NVLink
const RAILS = 104; // pixels between the nodes, for RDMA
const BESIDE = 6; // pixels from the middle of a GPU: one rail down at its left, one up at its right
const BARS = 18; // pixels for the two bars of a GPU
const CHART = { left: 62, top: 8, row: 48, gap: 12 };

function placeOf(data, width) {
  const column = width / (data.gpus + 0.4);
  const side = Math.min(46, column - 7);
  const rows = [ARCS, ARCS + side + BARS + RAILS + BARS];
  return {
    side,
    height: rows[1] + side + ARCS,
    middle: (rank) => (0.7 + (rank % data.gpus)) * column,
    top: (rank) => rows[Math.floor(rank / data.gpus)],
    isUpper: (rank) => rank < data.gpus,
  };
}

export function pictureSize(data, width) {
  return [width, placeOf(data, width).height];
}

/** The packets that are on a link at a moment, and how far each has come, 0 to 1. */
export function packetsAt(data, now, { before, after }) {
  const found = [];
  for (const packet of data.packets) {
    if (packet[0] < now - after) continue;
    if (packet[0] > now + before) break;
    if (packet[1] <= NVLINK) found.push({ packet, progress: Math.min(1, (now - packet[0] + before) / (before + after)) });
  }
  return found;
}

/** For RDMA and NVLink the messages that each GPU has sent until a tick. */
export function usedUntil(data, tick) {
  const used = [0, 1].map(() => new Array(data.nodes * data.gpus).fill(0));
  for (const [when, kind, source] of data.packets) if (when <= tick && kind <= NVLINK) used[kind][source] += 1;
  return used;
}

export function picture(data, { width, now, flying, followed, tick }) {
  const place = placeOf(data, width);
  const ranks = [...Array(data.nodes * data.gpus).keys()];
  const parts = [nodes(data, place, width), ...ranks.slice(0, data.gpus).map((rank) => rail(data, place, rank))];
  if (followed) parts.push(...trail(data, place, followed, tick));
  const used = usedUntil(data, tick);
  const most = Math.max(1, ...usedUntil(data, data.ticks).flat());
  const rows = rowsUntil(data, tick);
  for (const rank of ranks) parts.push(gpu(data, place, rank, { rows: rows[rank], used, most, followed }));
  const beside = new Map(); // several messages of one link lie one behind another
  for (const { packet, progress } of flying) {
    const [, kind, source, target, rank, token] = packet;
    const key = `${packet[0]} ${kind} ${source} ${target}`;
    const nth = beside.get(key) ?? 0;
    beside.set(key, nth + 1);
    const faint = followed && !(followed[0] === rank && followed[1] === token);
    parts.push(dot(place, kind, source, target, Math.max(0, progress - 0.13 * nth), faint));
  }
  parts.push(...sums(data, place, now, followed));
  return parts.join("");
}

function nodes(data, place, width) {
  return [0, 1]
    .map((node) => {
      const [top, shift] = [place.top(node * data.gpus), node ? BARS : 0];
      const low = top - 6 - shift;
      const label = node ? place.height - 6 : 14;
      return `<rect class="node" x="1" y="${low}" width="${width - 2}" height="${place.side + BARS + 12}" rx="4"/><text class="name" x="4" y="${label}">node ${node}, NVLink</text>`;
    })
    .join("");
}

function rail(data, place, rank) {
  const [top, low] = [place.top(rank) + place.side + BARS + 6, place.top(rank + data.gpus) - BARS - 6];
  return [-BESIDE, BESIDE]
    .map((shift) => {
      const x = place.middle(rank) + shift;
      const [tip, back] = shift < 0 ? [low, low - 6] : [top, top + 6];
      return `<path class="rail" d="M${x},${top} V${low} M${x - 3},${back} L${x},${tip} L${x + 3},${back}"/>`;
    })
    .join("");
}

function gpu(data, place, rank, { rows, used, most, followed }) {
  const { side } = place;
  const [x, y] = [place.middle(rank) - side / 2, place.top(rank)];
  const whole = data.awaited[rank];
  const high = whole ? (rows / whole) * (side - 2) : 0;
  const isWanted = followed && data.wanted[followed[0]][followed[1]].includes(rank);
  const classes = `gpu${isWanted ? " wanted" : ""}${followed && followed[0] === rank ? " home" : ""}`;
  const bars = [0, 1].map((kind) => {
    const at = place.isUpper(rank) ? y + side + 4 + 7 * kind : y - BARS + 2 + 7 * kind;
    const long = (used[kind][rank] / most) * side;
    return `<rect class="use" x="${x}" y="${at}" width="${side}" height="5"/><rect class="${kind ? "nvlink" : "rdma"}" x="${x}" y="${at}" width="${long}" height="5"/>`;
  });
  const ink = high > side / 2 ? ' style="fill: var(--on-filled)"' : "";
  return (
    `<rect class="${classes}" x="${x}" y="${y}" width="${side}" height="${side}"/>` +
    `<rect class="filled" x="${x + 1}" y="${y + side - 1 - high}" width="${side - 2}" height="${high}"/>` +
    `<text class="rank" x="${x + side / 2}" y="${y + side / 2 - 1}"${high > side * 0.7 ? ink : ""}>${rank}</text>` +
    `<text x="${x + side / 2}" y="${y + side / 2 + 13}"${high > side * 0.35 ? ' style="fill: var(--on-filled)"' : ""}>${rows}/${whole}</text>` +
    bars.join("")
  );
}

function rowsUntil(data, tick) {
  const rows = new Array(data.nodes * data.gpus).fill(0);
  for (const [when, kind, , target] of data.packets) if (when <= tick && kind === ROW) rows[target] += 1;
  return rows;
}

/** From GPU to GPU: a straight line over a rail, an arc inside a node. */
function wayOf(place, kind, source, target) {
  const [from, to] = [place.middle(source), place.middle(target)];
  const edge = (rank) => (place.isUpper(rank) ? place.top(rank) + place.side + BARS : place.top(rank) - BARS);
  if (kind === RDMA) {
    const x = from + (place.isUpper(source) ? -BESIDE : BESIDE);
    return { from: [x, edge(source)], to: [x, edge(target)], bend: [x, (edge(source) + edge(target)) / 2] };
  }
  const upper = place.isUpper(source);
  const level = upper ? place.top(source) : place.top(source) + place.side;
  const rise = Math.min(2 * ARCS - 16, 34 + 0.42 * Math.abs(to - from));
  return { from: [from, level], to: [to, level], bend: [(from + to) / 2, level + (upper ? -rise : rise)] };
}

function dot(place, kind, source, target, progress, faint) {
  const { from, to, bend } = wayOf(place, kind, source, target);
  const at = [0, 1].map((axis) => (1 - progress) ** 2 * from[axis] + 2 * progress * (1 - progress) * bend[axis] + progress ** 2 * to[axis]);
  const style = `packet ${kind === RDMA ? "rdma" : "nvlink"}${faint ? " faint" : ""}`;
  if (kind === RDMA) return `<circle class="${style}" cx="${at[0]}" cy="${at[1]}" r="5.5"/>`;
  return `<rect class="${style}" x="${at[0] - 4}" y="${at[1] - 4}" width="8" height="8"/>`;
}

/** The links that a token has crossed so far. */
function trail(data, place, [rank, token], tick) {
  return data.packets
    .filter((packet) => packet[0] <= tick && packet[1] <= NVLINK && packet[4] === rank && packet[5] === token)
    .map(([, kind, source, target]) => {
      const { from, to, bend } = wayOf(place, kind, source, target);
      return `<path class="way ${kind === RDMA ? "rdma" : "nvlink"}" d="M${from} Q${bend} ${to}"/>`;
    });
}

/** Where rows are being added up: how many. */
function sums(data, place, now, followed) {
  return data.packets
    .filter(([when, kind, , , rank, token, rows]) => kind === SUM && rows > 1 && Math.abs(when - now) < 0.6 && (!followed || (followed[0] === rank && followed[1] === token)))
    .map(([, , , target, , , rows]) => {
      const [x, y] = [place.middle(target), place.top(target) + (place.isUpper(target) ? -8 : place.side + 8)];
      return `<g class="sum"><rect x="${x - 13}" y="${y - 9}" width="26" height="17" rx="3"/><text x="${x}" y="${y + 4}">+${rows}</text></g>`;
    });
}

/** Messages a tick over both links, with the present moment. */
export function useChart(data, { width, now }) {
  const counts = [0, 1].map(() => new Array(data.ticks + 1).fill(0));
  for (const [tick, kind] of data.packets) if (kind <= NVLINK) counts[kind][tick] += 1;
  const wide = (width - CHART.left - 8) / (data.ticks + 1);
  const rows = counts.map((of, kind) => {
    const most = Math.max(1, ...of);
    const base = CHART.top + (kind + 1) * CHART.row + kind * CHART.gap;
    const bars = of.map((count, tick) => (count ? `<rect class="${kind ? "nvlink" : "rdma"}" x="${CHART.left + tick * wide}" y="${base - (count / most) * CHART.row}" width="${Math.max(0.8, wide - 0.6)}" height="${(count / most) * CHART.row}"/>` : ""));
    const name = kind ? "NVLink" : "RDMA";
    return `${bars.join("")}<line class="axis" x1="${CHART.left}" x2="${width - 8}" y1="${base}" y2="${base}"/><text class="name" x="2" y="${base - CHART.row + 12}">${name}</text><text class="name" x="2" y="${base - CHART.row + 28}">max ${Math.max(...of)}</text>`;
  });
  const x = CHART.left + (now + 0.5) * wide;
  const low = CHART.top + 2 * CHART.row + CHART.gap;
  return `${rows.join("")}<line class="now" x1="${x}" x2="${x}" y1="${CHART.top - 4}" y2="${low + 3}"/><text x="${(CHART.left + width) / 2}" y="${low + 16}">messages in each tick</text>`;
}
