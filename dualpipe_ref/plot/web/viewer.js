// An interactive timeline: a row a rank, time to the right. For a page (mountViewer) and for
// anywidget (the default export). The data are those of dualpipe_ref.plot.viewer_data.

import { paintAxis, paintRanks } from "./axis.js";
import { element, followTheme, ownRoot, setColours } from "./dom.js";
import { followGestures } from "./gestures.js";
import { paintChosen, paintHighlight } from "./marks.js";
import { readTimeline } from "./model.js";
import { isDense, measure, paintCells, paintIdle } from "./paint.js";
import { fillLegend, fillPanel } from "./panel.js";
import { CSS } from "./style.js";

const AXIS = 40; // pixels below the rows
const NARROW = 600; // below this width a timeline of small cells starts enlarged to it
const LARGEST_CELL = 160;
const EDGE = 2; // pixels left free at both ends, for outlines

/** Show `data` in `element`. `onSelect(op)` hears of the chosen op: [rank, index], or [] for none. */
export function mountViewer(host, data, { onSelect = () => {} } = {}) {
  const viewer = new Viewer(host, onSelect);
  if (data && data.ops) viewer.update(data);
  return {
    update: (next) => viewer.update(next),
    select: (place) => viewer.select(place),
    destroy: () => viewer.destroy(),
  };
}

class Viewer {
  constructor(host, onSelect) {
    const { holder, root } = ownRoot(host, CSS);
    Object.assign(this, { holder, root, onSelect, selected: null, hovered: null, pending: 0, width: 0 });
    this.build();
    this.endings = [
      followTheme((theme) => this.colour(theme)),
      followGestures(this.frame, this.track, this),
    ];
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(holder);
  }

  build() {
    const button = (label, words, act) => {
      const made = element("button", { type: "button", "aria-label": words, title: words }, label);
      made.addEventListener("click", act);
      return made;
    };
    this.out = button("−", "zoom out", () => this.zoom(1 / 1.5));
    this.in = button("+", "zoom in", () => this.zoom(1.5));
    this.all = button("fit", "fit: show the whole time", () => this.fit());
    const tools = element("div", { class: "tools", role: "group", "aria-label": "zoom" }, this.out, this.in, this.all);
    this.title = element("p", { class: "title" });
    this.summary = element("p", { class: "summary" });
    this.frame = element("div", {
      class: "frame",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "timeline",
      "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown Home End Enter Escape + - 0",
    });
    this.frame.innerHTML =
      '<svg aria-hidden="true"><g class="ranks"></g><svg class="plot"><g class="cells"></g><g class="marks"></g></svg><g class="axis"></g></svg>';
    this.thumb = element("div", { class: "thumb" });
    this.track = element("div", { class: "track", "aria-hidden": "true", hidden: true }, this.thumb);
    this.legend = element("ul", { class: "legend", "aria-label": "legend" });
    this.panel = element("div", { class: "panel", "aria-live": "polite" });
    const head = element("div", { class: "head" }, this.title, tools);
    this.root.append(head, this.summary, this.frame, this.track, this.legend, this.panel);
    const part = (selector) => this.frame.querySelector(selector);
    this.parts = {
      svg: part("svg"),
      ranks: part(".ranks"),
      plot: part(".plot"),
      cells: part(".cells"),
      marks: part(".marks"),
      axis: part(".axis"),
    };
  }

  update(data) {
    this.data = data;
    this.model = readTimeline(data);
    this.measured = measure(this.model);
    this.selected = this.hovered = this.view = this.legendOf = null;
    this.title.textContent = data.title;
    this.summary.textContent = data.summary;
    const words = `Timeline of ${data.title}: ${data.summary}. Arrow keys go from op to op, plus, minus and 0 zoom, Shift with arrow keys moves.`;
    this.frame.setAttribute("aria-label", words);
    this.panel.style.minHeight = "";
    this.colour(this.theme);
    this.resize(true);
    this.describe();
  }

  destroy() {
    this.sizes.disconnect();
    this.endings.forEach((end) => end());
    cancelAnimationFrame(this.pending);
    this.holder.remove();
  }

  colour(theme) {
    this.theme = theme;
    if (!this.data) return;
    const colours = this.data.palettes[theme];
    setColours(this.root, colours, theme);
    colours.fills.forEach((row, kind) =>
      row.forEach((fill, slot) => {
        this.root.style.setProperty(`--fill-${kind}-${slot}`, fill);
        this.root.style.setProperty(`--ink-${kind}-${slot}`, colours.inks[kind][slot]);
      }),
    );
  }

  /** Take the width of the container; a view that showed everything goes on to do so. */
  resize(always = false) {
    const width = Math.floor(this.holder.getBoundingClientRect().width) || 800;
    if (!this.model || (width === this.width && !always)) return;
    const whole = !this.view || this.view.scale <= this.fitting * 1.001;
    this.width = width;
    this.left = width < 480 ? 30 : 58;
    this.plot = width - this.left;
    this.fitting = (this.plot - 2 * EDGE) / this.model.end;
    this.panel.style.minHeight = "";
    const ranks = this.model.rows.length;
    const usual = ranks <= 4 ? 36 * ranks : ranks <= 16 ? 29 * ranks : 480;
    const height = this.data.height || usual;
    this.row = Math.max(8, Math.min(40, height / ranks));
    if (whole) this.show(0, this.view ? this.fitting : this.firstScale());
    else this.show(this.view.from, this.view.scale);
    this.drawNow();
  }

  /** Everything; but a phone, where everything would be too small, starts with the beginning. */
  firstScale() {
    const tiny = this.measured.typical * this.fitting < 8;
    return tiny ? Math.max(this.fitting, NARROW / this.model.end) : this.fitting;
  }

  show(from, scale) {
    const most = Math.max(this.fitting, LARGEST_CELL / this.measured.typical);
    const kept = Math.min(most, Math.max(this.fitting, scale));
    const span = (this.plot - 2 * EDGE) / kept;
    const start = Math.max(0, Math.min(from, this.model.end - span));
    this.view = { from: start, to: start + span, span, scale: kept, row: this.row, x: (time) => (time - start) * kept + EDGE };
    if (!this.pending) this.pending = requestAnimationFrame(() => this.drawNow());
  }

  /** Zoom by a factor; the time at `pixel` of the plot (by default the middle) keeps its place. */
  zoom(factor, pixel = this.plot / 2) {
    const time = this.view.from + pixel / this.view.scale;
    const scale = this.view.scale * factor;
    this.show(time - pixel / Math.min(scale, Math.max(this.fitting, LARGEST_CELL / this.measured.typical)), scale);
  }

  fit() {
    this.show(0, this.fitting);
  }

  /** Move by a part of what is seen. */
  move(share) {
    this.show(this.view.from + share * this.view.span, this.view.scale);
  }

  get zoomed() {
    return this.view.scale > this.fitting * 1.001;
  }

  drawNow() {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    const { parts, view, model } = this;
    const height = this.row * model.rows.length;
    const set = (node, values) => Object.entries(values).forEach(([key, value]) => node.setAttribute(key, value));
    set(parts.svg, { width: this.width, height: height + AXIS });
    set(parts.plot, { x: this.left, y: 0, width: this.plot, height: height + 1 });
    set(parts.axis, { transform: `translate(${this.left} ${height})` });
    parts.ranks.innerHTML = paintRanks(model, this.row, this.left);
    parts.cells.innerHTML = paintIdle(model, view) + paintCells(model, view, this.measured);
    parts.axis.innerHTML = paintAxis(model, view, this.plot);
    this.mark();
    this.steer();
    const dense = isDense(view, this.measured);
    if (this.legendOf !== dense) fillLegend(this.legend, model, dense);
    this.legendOf = dense;
  }

  /** The strip below the picture shows which part of the time is seen. */
  steer() {
    this.track.hidden = !this.zoomed;
    this.track.style.marginLeft = `${this.left}px`;
    this.thumb.style.left = `${(100 * this.view.from) / this.model.end}%`;
    this.thumb.style.width = `${(100 * this.view.span) / this.model.end}%`;
    this.out.disabled = this.all.disabled = !this.zoomed;
  }

  mark() {
    const shown = this.hovered || this.selected;
    this.parts.marks.innerHTML = paintHighlight(this.model, this.view) + paintChosen(this.model, this.view, shown);
  }

  describe() {
    const shown = this.hovered || this.selected;
    fillPanel(this.panel, this.model, shown, (place) => {
      this.select(place);
      this.frame.focus({ preventScroll: true });
    });
    // Not now: asking for the height would make the page lay itself out once more.
    requestAnimationFrame(() => this.keepHeight());
  }

  /** The panel never shrinks while one moves from op to op: the page below would jump. */
  keepHeight() {
    const height = Math.ceil(this.panel.getBoundingClientRect().height);
    if (height > (parseInt(this.panel.style.minHeight, 10) || 0)) this.panel.style.minHeight = `${height}px`;
  }

  /** The op at a point of the frame; `near` pixels of idle time beside it count as well. */
  at(x, y, near) {
    const rank = Math.floor(y / this.row);
    const row = this.model.rows[rank];
    if (!row || !row.starts.length || x < this.left) return null;
    const time = this.view.from + (x - this.left - EDGE) / this.view.scale;
    const index = this.model.find(rank, time);
    const slack = near / this.view.scale;
    if (time >= row.starts[index] - slack && time <= row.ends[index] + slack) return { rank, index };
    return index + 1 < row.starts.length && row.starts[index + 1] - time <= slack ? { rank, index: index + 1 } : null;
  }

  hover(place) {
    if (place?.rank === this.hovered?.rank && place?.index === this.hovered?.index) return;
    this.hovered = place;
    this.mark();
    this.describe();
  }

  /** Choose an op, bring it into view and say what is known of it; nothing chooses none. */
  select(place) {
    const wanted = place && this.model?.op(place.rank, place.index) ? { rank: place.rank, index: place.index } : null;
    if (!this.model || (!wanted && !this.selected)) return;
    this.selected = wanted;
    this.hovered = null;
    if (wanted) this.reveal(wanted);
    this.mark();
    this.describe();
    this.onSelect(wanted ? [wanted.rank, wanted.index] : []);
  }

  reveal({ rank, index }) {
    const row = this.model.rows[rank];
    if (index >= row.starts.length) return;
    const { from, to, span, scale } = this.view;
    if (row.starts[index] >= from && row.ends[index] <= to) return;
    this.show((row.starts[index] + row.ends[index] - span) / 2, scale);
  }

  /** Go to the neighbour on the rank, or to what another rank does at the same time. */
  step(along, across) {
    const { rows } = this.model;
    if (!this.selected) return this.select({ rank: 0, index: 0 });
    const { rank, index } = this.selected;
    const row = rows[rank];
    if (along) return this.select({ rank, index: Math.max(0, Math.min(row.starts.length - 1, index + along)) });
    const other = rank + across;
    if (!rows[other]?.starts.length) return undefined;
    const middle = (row.starts[index] + row.ends[index]) / 2;
    return this.select({ rank: other, index: this.nearest(other, middle) });
  }

  nearest(rank, time) {
    const { starts, ends } = this.model.rows[rank];
    const index = this.model.find(rank, time);
    const next = index + 1 < starts.length && starts[index + 1] - time < time - ends[index];
    return next ? index + 1 : index;
  }
}

/** anywidget: the model has "data", and "selected", the chosen op as [rank, index]. */
function render({ model, el }) {
  const place = () => {
    const [rank, index] = model.get("selected") || [];
    return index === undefined ? null : { rank, index };
  };
  let own = false;
  const viewer = mountViewer(el, model.get("data"), {
    onSelect: (selected) => {
      own = true;
      model.set("selected", selected);
      model.save_changes();
      own = false;
    },
  });
  const changed = () => viewer.update(model.get("data"));
  const chosen = () => own || viewer.select(place());
  if (place()) viewer.select(place());
  model.on("change:data", changed);
  model.on("change:selected", chosen);
  return () => {
    model.off("change:data", changed);
    model.off("change:selected", chosen);
    viewer.destroy();
  };
}

export default { render };
