// A schedule of a ring, step by step: who moved, and what lies in whose memory after it.
// The data are those of dualpipe_ref.plot.ring_data.

import { element, followTheme, ownRoot, setColours } from "./dom.js";
import { RING_CSS } from "./ring_style.js";

/** Show `data` in `host`; returns {update(data), destroy()}. */
export function mountRing(host, data) {
  const ring = new Ring(host);
  if (data && data.steps) ring.update(data);
  return { update: (next) => ring.update(next), destroy: () => ring.destroy() };
}

class Ring {
  constructor(host) {
    Object.assign(this, ownRoot(host, RING_CSS));
    this.theme = "light";
    this.build();
    this.endTheme = followTheme((theme) => {
      this.theme = theme;
      this.colour();
    });
  }

  build() {
    this.sentence = element("p", { class: "sentence", "aria-live": "polite" });
    const button = (words, name, along) => {
      const made = element("button", { type: "button", "aria-label": name, title: name }, words);
      made.addEventListener("click", () => this.go(this.now + along));
      return made;
    };
    this.back = button("◀", "One step back", -1);
    this.on = button("▶", "One step on", 1);
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Step" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.told = element("output", {});
    const tools = element("div", { class: "tools" }, this.back, this.on, element("label", {}, this.slider, this.told));
    this.words = element("p", { class: "words", "aria-live": "polite" });
    this.picture = element("div", { class: "places" });
    this.steps = element("ol", {});
    this.list = element("div", { class: "list", tabindex: 0, role: "group", "aria-label": "all steps" }, this.steps);
    this.table = element("table", {});
    this.root.append(this.sentence, tools, this.words, this.picture, this.list, this.table);
  }

  update(data) {
    this.data = data;
    if (this.sentence.textContent !== data.sentence) this.sentence.textContent = data.sentence;
    this.slider.max = data.steps.length - 1;
    this.steps.replaceChildren(
      ...data.steps.slice(1).map(({ who, what }, at) => {
        const item = element("li", {}, `${who}: ${what}`);
        item.addEventListener("click", () => this.go(at + 1));
        return item;
      }),
    );
    this.table.replaceChildren(
      element("tbody", {}, ...data.facts.map(({ label, value, note }) => element("tr", {}, element("th", { scope: "row" }, label), element("td", { class: "value" }, value), element("td", { class: "note" }, note)))),
    );
    this.table.hidden = !data.facts.length;
    this.picture.replaceChildren(...data.places.map((place) => this.placeOf(place)));
    this.colour();
    // The end is where it shows.
    this.go(data.steps.length - 1);
  }

  /** The boxes of one memory; what changes from step to step is filled in by `go`. */
  placeOf({ name, slots, words, marks }) {
    const areas = slots.map((area) => {
      const made = area.slots.map((parts, at) =>
        element(
          "div",
          { class: "slot" },
          ...parts.map((part) => element("div", { class: "cell", "data-at": part })),
          element("div", { class: "number" }, `slot ${at}`),
          element("div", { class: "marks", "data-slot": at }),
        ),
      );
      const holder = element("div", { class: "slots", tabindex: 0, role: "group", "aria-label": area.label }, ...made);
      return element("div", { class: "area" }, element("p", { class: "label" }, area.label), holder);
    });
    const boxes = words.map(({ label, at, note }) =>
      element("div", { class: "word" }, element("span", {}, label), element("span", { class: "box", "data-at": at }), element("span", { class: "note" }, note)),
    );
    const place = element("section", { class: "place", "aria-label": name }, element("p", { class: "name" }, name), ...areas, ...boxes);
    place.counters = marks;
    return place;
  }

  go(step) {
    const last = this.data.steps.length - 1;
    this.now = Math.max(0, Math.min(last, step));
    const { who, what, at, values } = this.data.steps[this.now];
    this.slider.value = this.now;
    this.told.textContent = `step ${this.now} of ${last}`;
    this.slider.setAttribute("aria-valuetext", `${this.now}: ${who} ${what}`);
    this.back.disabled = this.now === 0;
    this.on.disabled = this.now === last;
    this.words.replaceChildren(...(who ? [element("b", {}, who)] : []), what);
    for (const box of this.picture.querySelectorAll("[data-at]")) {
      const value = values[box.dataset.at];
      box.textContent = value ?? "–";
      box.classList.toggle("touched", Number(box.dataset.at) === at);
      if (!box.classList.contains("cell")) continue;
      box.classList.toggle("full", value !== null);
      box.dataset.fill = value === null ? "" : this.data.colours[value];
    }
    for (const place of this.picture.children) this.markSlots(place, values);
    [...this.steps.children].forEach((item, place) => (place === this.now - 1 ? item.setAttribute("aria-current", "step") : item.removeAttribute("aria-current")));
    this.show(this.steps.children[this.now - 1]);
    this.fill();
  }

  /** Below each slot, the counters that stand there. */
  markSlots(place, values) {
    for (const box of place.querySelectorAll("[data-slot]")) {
      const here = place.counters.filter(({ at, size }) => values[at] % size === Number(box.dataset.slot));
      box.replaceChildren(...here.map(({ label, at }) => element("div", {}, `▲ ${label} ${values[at]}`)));
    }
  }

  /** Bring a step into the list's window without moving the page. */
  show(item) {
    if (!item) return void (this.list.scrollTop = 0);
    const { offsetTop: top, offsetHeight: height } = item;
    const { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.list.scrollTop = top + height - clientHeight;
  }

  colour() {
    if (!this.data) return;
    setColours(this.root, this.data.palettes[this.theme], this.theme);
    this.fill();
  }

  fill() {
    const { fills, inks } = this.data.palettes[this.theme];
    for (const cell of this.picture.querySelectorAll(".cell.full")) {
      cell.style.setProperty("--fill", fills[cell.dataset.fill]);
      cell.style.setProperty("--on", inks[cell.dataset.fill]);
    }
  }

  destroy() {
    this.endTheme();
    this.holder.remove();
  }
}

/** anywidget: the model has "data". */
function render({ model, el }) {
  const ring = mountRing(el, model.get("data"));
  const changed = () => ring.update(model.get("data"));
  model.on("change:data", changed);
  return () => {
    model.off("change:data", changed);
    ring.destroy();
  };
}

export default { render };
