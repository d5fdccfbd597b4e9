// The two lanes of an overlapped pair: pieces to look at and, where orders are asked for, to move.
// The data are those of dualpipe_ref.plot.lanes_data and lanes_view.

import { paintAxis } from "./axis.js";
import { element, followTheme, ownRoot, setColours } from "./dom.js";
import { LANES_CSS } from "./lanes_style.js";

const TAP = 5; // pixels that a finger or a mouse may move and still be still
const NARROWEST = 26; // pixels of the typical piece; below that the lanes scroll
const LETTER = 7.2; // pixels of a letter in a piece
const SIDE = 6; // pixels free at both ends of the lanes

/** Show `data` in `host`; `onOrder(order)` is told of each order that the reader makes. */
export function mountLanes(host, data, { onOrder } = {}) {
  const lanes = new Lanes(host, onOrder);
  if (data && data.lanes) lanes.update(data);
  return { update: (next) => lanes.update(next), destroy: () => lanes.destroy() };
}

class Lanes {
  constructor(host, onOrder) {
    Object.assign(this, ownRoot(host, LANES_CSS));
    this.onOrder = onOrder;
    this.pieces = new Map(); // by id: the button, and what the data say of it
    this.chosen = null;
    this.theme = "light";
    this.build();
    this.endTheme = followTheme((theme) => {
      this.theme = theme;
      this.colour();
    });
    this.sizes = new ResizeObserver(() => this.place());
    this.sizes.observe(this.holder);
  }

  build() {
    this.sentence = element("p", { class: "sentence", "aria-live": "polite" });
    this.problem = element("div", { class: "problem", role: "status" });
    this.tools = element("div", { class: "tools" });
    this.rows = [0, 1].map(() => element("div", { class: "lane", role: "group" }));
    this.bound = element("div", { class: "bound", "aria-hidden": "true" });
    this.mark = element("div", { class: "mark", hidden: true });
    this.axis = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.axis.setAttribute("class", "axis");
    this.axis.setAttribute("aria-hidden", "true");
    this.inner = element("div", { class: "inner" }, ...this.rows, this.bound, this.mark, this.axis);
    this.frame = element("div", { class: "frame" }, this.inner);
    this.names = element("div", { class: "names", "aria-hidden": "true" });
    this.words = element("p", { class: "words" });
    this.legend = element("ul", { class: "legend", "aria-label": "legend" });
    this.table = element("div", {});
    this.root.append(this.sentence, this.problem, this.tools, element("div", { class: "picture" }, this.names, this.frame), this.words, this.legend, this.table);
    if (!this.onOrder) return;
    const tool = (words, act) => {
      const made = element("button", { type: "button" }, words);
      made.addEventListener("click", act);
      this.tools.append(made);
      return made;
    };
    this.earlier = tool("◀ earlier", () => this.step(-1));
    this.later = tool("later ▶", () => this.step(1));
    tool("Published order", () => this.onOrder(this.data.orders.published));
    tool("Best order", () => this.onOrder(this.data.orders.best));
  }

  update(data) {
    this.data = data;
    this.drag = null;
    const focused = this.holder.shadowRoot.activeElement?.dataset.id;
    if (this.sentence.textContent !== data.sentence) this.sentence.textContent = data.sentence;
    this.problem.replaceChildren(...data.problem.map((words) => element("p", {}, words)));
    this.names.replaceChildren(...data.lanes.map(({ name }) => element("span", {}, name)));
    const before = this.pieces;
    this.pieces = new Map();
    data.lanes.forEach((lane, row) => this.fill(lane, row, before));
    if (!this.pieces.has(this.chosen)) this.chosen = data.marked[0] ?? null;
    this.table.replaceChildren(...(data.rows ? [tableOfLanes(data.rows)] : []));
    this.colour();
    this.place();
    this.choose(this.chosen);
    // A button that changed its place in the page has lost the focus.
    if (focused) this.pieces.get(focused)?.button.focus({ preventScroll: true });
  }

  fill({ name, pieces }, row, before) {
    this.rows[row].setAttribute("aria-label", name);
    const buttons = pieces.map((piece, place) => {
      const button = before.get(piece.id)?.button ?? this.newPiece(piece.id);
      const { top, bottom } = this.data.kinds[piece.kind];
      button.className = `piece kind${piece.kind}${top ? " top" : ""}${bottom ? " bottom" : ""}${piece.ran ? "" : " ghost"}${this.data.marked.includes(piece.id) ? " marked" : ""}`;
      const where = `${piece.words}; number ${place + 1} of ${pieces.length} in ${name}`;
      this.pieces.set(piece.id, { button, piece, row, place, where });
      return button;
    });
    const there = [...this.rows[row].children];
    if (buttons.length !== there.length || buttons.some((button, place) => button !== there[place])) this.rows[row].replaceChildren(...buttons);
  }

  newPiece(id) {
    const button = element("button", { type: "button", tabindex: -1, "data-id": id });
    button.append(element("span"), " ", element("span"));
    button.addEventListener("focus", () => this.choose(id));
    button.addEventListener("click", () => this.choose(id));
    button.addEventListener("keydown", (event) => this.key(event, id));
    if (this.onOrder) followDrag(button, this, id);
    return button;
  }

  /** Everything to scale; where pieces would be too narrow to take hold of, the lanes scroll. */
  place() {
    if (!this.data) return;
    const { data } = this;
    const spans = [...this.pieces.values()].map(({ piece }) => piece.end - piece.start).sort((a, b) => a - b);
    const typical = spans[spans.length >> 2] || 1;
    const room = this.frame.clientWidth - 2 * SIDE;
    this.scale = Math.max(room, (NARROWEST / typical) * data.end) / data.end;
    const width = this.scale * data.end;
    this.inner.style.width = `${Math.floor(width + 2 * SIDE)}px`;
    const form = [0, 1, 2].find((which) => [...this.pieces.values()].every(({ piece }) => piece.labels[which].length * LETTER + 2 <= (piece.end - piece.start) * this.scale)) ?? 2;
    for (const { button, piece, where } of this.pieces.values()) {
      button.style.left = `${piece.start * this.scale + SIDE}px`;
      button.style.width = `${(piece.end - piece.start) * this.scale}px`;
      button.style.transform = "";
      button.firstChild.textContent = piece.labels[form];
      button.lastChild.textContent = piece.layer;
      // It begins with what is written in the piece: who speaks to the page says that.
      button.setAttribute("aria-label", `${piece.labels[form]} ${piece.layer}: ${where}`);
    }
    this.legend.replaceChildren(...legendOf(data, form));
    for (const row of this.rows) row.style.setProperty("--length", `${data.length * this.scale}px`);
    this.bound.hidden = data.bound == null;
    this.bound.style.left = `${(data.bound ?? 0) * this.scale + SIDE}px`;
    this.axis.setAttribute("width", width + 2 * SIDE);
    const view = { from: 0, to: data.end, scale: this.scale, x: (time) => time * this.scale + SIDE };
    this.axis.innerHTML = paintAxis({ makespan: data.length, end: data.end, data: { unit: "" } }, view, width + 2 * SIDE);
  }

  colour() {
    if (!this.data) return;
    const colours = this.data.palettes[this.theme];
    setColours(this.root, colours, this.theme);
    colours.fills.forEach((fill, kind) => {
      this.root.style.setProperty(`--fill-${kind}`, fill);
      this.root.style.setProperty(`--on-${kind}`, colours.inks[kind]);
    });
  }

  /** Choose a piece and say what is known of it; each lane keeps one stop for the Tab key. */
  choose(id) {
    this.chosen = id;
    this.rows.forEach((row, number) => {
      const own = this.pieces.get(id)?.row === number ? id : row.firstChild?.dataset.id;
      for (const button of row.children) {
        button.tabIndex = button.dataset.id === own ? 0 : -1;
        button.toggleAttribute("aria-current", button.dataset.id === id);
        if (button.dataset.id === id) button.setAttribute("aria-current", "true");
      }
    });
    const chosen = this.pieces.get(id);
    const help = this.onOrder ? "Drag a piece to another place in its lane. With keys: arrows choose, Shift with ← or → moves." : "Point at a piece or tap it.";
    this.words.textContent = chosen ? `${chosen.piece.words}.` : help;
    if (!this.onOrder) return;
    const last = chosen && this.data.lanes[chosen.row].pieces.length - 1;
    this.earlier.disabled = !chosen || chosen.place === 0;
    this.later.disabled = !chosen || chosen.place === last;
  }

  key(event, id) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, place, piece } = this.pieces.get(id);
    const pieces = this.data.lanes[row].pieces;
    const go = (to) => this.pieces.get(to.id).button.focus();
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const across = { ArrowUp: 0, ArrowDown: 1 }[event.key];
    if (along && event.shiftKey) this.step(along);
    else if (along) go(pieces[Math.max(0, Math.min(pieces.length - 1, place + along))]);
    else if (across !== undefined) go(nearestTo(this.data.lanes[across].pieces, piece));
    else if (event.key === "Home") go(pieces[0]);
    else if (event.key === "End") go(pieces.at(-1));
    else return;
    event.preventDefault();
    // Notebooks listen for the same keys.
    event.stopPropagation();
  }

  step(along) {
    const chosen = this.pieces.get(this.chosen);
    if (chosen) this.move(this.chosen, chosen.place + along);
  }

  /** Put a piece at another place of its lane. */
  move(id, to) {
    const { row, place } = this.pieces.get(id);
    const { name, pieces } = this.data.lanes[row];
    if (!this.onOrder || to < 0 || to >= pieces.length || to === place) return;
    const names = pieces.map((piece) => piece.id);
    names.splice(to, 0, ...names.splice(place, 1));
    const lanes = Object.fromEntries(this.data.lanes.map((lane) => [lane.name, lane.pieces.map((piece) => piece.id)]));
    this.onOrder({ layers: this.data.order.layers, ...lanes, [name]: names });
  }

  /** The place in its lane that a dragged piece would take at this pixel, and where that begins. */
  placeAt(id, x) {
    const { row } = this.pieces.get(id);
    const others = this.data.lanes[row].pieces.filter((piece) => piece.id !== id);
    const time = (x - SIDE) / this.scale;
    const to = others.filter((piece) => (piece.start + piece.end) / 2 < time).length;
    return { to, row, time: to < others.length ? others[to].start : others.at(-1).end };
  }

  showMark(found) {
    this.mark.hidden = !found;
    if (!found) return;
    this.mark.style.left = `${found.time * this.scale + SIDE}px`;
    this.mark.style.top = `${this.rows[found.row].offsetTop}px`;
  }

  destroy() {
    this.sizes.disconnect();
    this.endTheme();
    this.holder.remove();
  }
}

function followDrag(button, lanes, id) {
  let from = null;
  let moving = false;
  let found = null;
  const end = () => {
    from = null;
    moving = false;
    found = null;
    button.classList.remove("moving");
    lanes.showMark(null);
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = event.clientX;
    button.setPointerCapture(event.pointerId);
  });
  button.addEventListener("pointermove", (event) => {
    if (from === null || (!moving && Math.abs(event.clientX - from) < TAP)) return;
    if (!moving) button.classList.add("moving");
    moving = true;
    button.style.transform = `translateX(${event.clientX - from}px)`;
    found = lanes.placeAt(id, event.clientX - lanes.inner.getBoundingClientRect().left);
    lanes.showMark(found);
  });
  button.addEventListener("pointerup", () => {
    const there = found;
    end();
    button.style.transform = "";
    if (there) lanes.move(id, there.to);
  });
  button.addEventListener("pointercancel", () => {
    end();
    button.style.transform = "";
  });
}

/** What the other lane does when this piece starts. */
function nearestTo(pieces, { start }) {
  return pieces.reduce((best, piece) => (Math.abs(piece.start - start) < Math.abs(best.start - start) ? piece : best));
}

function legendOf({ kinds, bound, lanes }, form) {
  const entry = (name, words) => element("li", {}, element("span", { class: `swatch ${name}` }), words);
  const items = kinds.map((kind, place) => entry(`kind${place}${kind.top ? " top" : ""}${kind.bottom ? " bottom" : ""}`, kind.label));
  items.push(entry("idle", "idle"));
  if (bound != null) items.push(entry("line", "lower bound"));
  if (lanes.some(({ pieces }) => pieces.some((piece) => !piece.ran))) items.push(entry("ghost", "never starts"));
  // What is written in the pieces: whole words explain themselves.
  const short = new Map(lanes.flatMap(({ pieces }) => pieces).map(({ labels }) => [labels[form], labels[0]]));
  const words = [...short].filter(([one, whole]) => one !== whole).map(([one, whole]) => `${one} ${whole}`);
  items.push(element("li", {}, [...words, "number: layer"].join(", ")));
  return items;
}

function tableOfLanes(rows) {
  const head = element("tr", {}, ...["", "takes", "communication exposed"].map((words) => element(words ? "th" : "td", words ? { scope: "col" } : {}, words)));
  const body = rows.map(({ label, length, exposed }) => element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, length), element("td", {}, exposed)));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

/** anywidget: the model has "data", and "order", the order that the reader made last. */
function render({ model, el }) {
  const asked = (order) => {
    model.set("order", order);
    model.save_changes();
  };
  const lanes = mountLanes(el, model.get("data"), model.get("fixed") ? {} : { onOrder: asked });
  const changed = () => lanes.update(model.get("data"));
  model.on("change:data", changed);
  return () => {
    model.off("change:data", changed);
    lanes.destroy();
  };
}

export default { render };
