// A live figure: its controls, and the view that the package's own Python answers with.

import { button, make, statusLine } from "./dom.js";
import { Stopped, ask, onStatus } from "./engine.js";

const PAUSE = 150; // milliseconds without a change before Python is asked
const PATIENCE = 500; // milliseconds without an answer before the page says that it works on it
const VIEWS = {
  timeline: async (element, data) => (await import("./view/viewer.js")).mountViewer(element, data),
  waiting: async (element, data) => (await import("./view/ledger.js")).mountLedger(element, data),
  footprint: async (element, data) => (await import("./view/ledger.js")).mountLedger(element, data),
  packets: async (element, data) => (await import("./view/packets.js")).mountPackets(element, data),
  ring: async (element, data) => (await import("./view/ring.js")).mountRing(element, data),
  chooser: async (element, data) => (await import("./view/ledger.js")).mountLedger(element, data),
  volume: async (element, data) => (await import("./view/ledger.js")).mountLedger(element, data),
  sms: async (element, data) => (await import("./view/ledger.js")).mountLedger(element, data),
  lanes: async (element, data, change) =>
    (await import("./view/lanes.js")).mountLanes(element, data, { onOrder: (order) => change({ order }) }),
};

export async function mount(element) {
  const { view, state, controls, result } = JSON.parse(
    element.querySelector('script[type="application/json"]').textContent,
  );
  const place = make("div", { className: "dualpipe-view" });
  const status = statusLine();
  // A view may change a part of the state by itself.
  const mounted = await VIEWS[view](place, result, (part) => asker.take(part));
  const form = new Form(controls, () => later());
  const asker = new Asker(view, state, form, mounted, status);
  const later = debounced(() => asker.update(), PAUSE);
  element.querySelector(".dualpipe-fallback").replaceWith(form.element, status, place);
  element.dataset.ready = "yes";
}

/** Asks for the newest state only: an answer that was overtaken is dropped. */
class Asker {
  constructor(view, state, form, mounted, status) {
    Object.assign(this, { view, state, form, mounted, status, newest: 0 });
  }

  take(part) {
    Object.assign(this.state, part);
    return this.update();
  }

  async update() {
    const turn = ++this.newest;
    const state = { ...this.state, ...this.form.values() };
    const began = Date.now();
    let words = "";
    const quiet = onStatus((text) => (this.status.textContent = words = text));
    // Python that starts has words of its own; an answer that takes long shows how long it has been at work.
    const clock = setInterval(() => {
      if (!words && turn === this.newest) this.status.textContent = `Working it out… ${Math.round((Date.now() - began) / 1000)} s`;
    }, PATIENCE);
    try {
      const answer = await ask({ do: "live", view: this.view, state });
      if (turn === this.newest) this.show(answer);
    } catch (error) {
      if (!(error instanceof Stopped)) this.status.replaceChildren(error.message);
    } finally {
      clearInterval(clock);
      quiet();
    }
  }

  show({ result, refused, nearest }) {
    this.status.replaceChildren();
    if (result) return this.mounted.update(result);
    this.status.append(refused, " ");
    if (nearest)
      this.status.append(
        button("Take the nearest", () => {
          this.form.set(nearest);
          this.update();
        }),
      );
  }
}

/** The fields, by the name of the part of the state that each one sets. */
class Form {
  constructor(controls, onChange) {
    const changed = () => {
      this.showFields();
      onChange();
    };
    this.fields = new Map(controls.map((control) => [control.name, new Field(control, changed)]));
    this.element = make("form", { className: "dualpipe-controls", onsubmit: () => false });
    for (const field of this.fields.values()) this.element.append(field.element);
    this.showFields();
  }

  /** Hide the fields that have no use in this state; `is_shown` in plot/controls.py says when that is. */
  showFields() {
    const values = this.values();
    for (const { control, element } of this.fields.values()) {
      const parts = Object.entries(control.when ?? {});
      element.hidden = !parts.every(([part, wanted]) => wanted.includes(values[part]));
    }
  }

  values() {
    return Object.fromEntries([...this.fields].map(([name, field]) => [name, field.value]));
  }

  set(state) {
    for (const [name, field] of this.fields) if (name in state) field.value = state[name];
    this.showFields();
  }
}

class Field {
  constructor(control, onChange) {
    this.control = control;
    this.input = control.type === "select" ? choice(control) : number(control);
    this.output = make("output", { className: "dualpipe-value" });
    const name = make("span", { textContent: control.label });
    const label = make("label", { title: control.help ?? "" }, name, this.input);
    if (control.type === "range") label.append(this.output);
    this.element = label;
    this.value = control.value;
    this.input.addEventListener("input", () => {
      this.echo();
      onChange();
    });
  }

  // An empty number means that the package chooses; text such as 11/5 is left to Python to read.
  get value() {
    if (this.control.type === "range") return Number(this.input.value);
    return this.input.value.trim() === "" ? null : this.input.value.trim();
  }

  set value(value) {
    this.input.value = value ?? "";
    this.echo();
  }

  echo() {
    this.output.textContent = this.input.value;
  }
}

function choice({ options }) {
  return make("select", {}, ...options.map((option) => make("option", { value: option, textContent: option })));
}

function number({ type, min, max, step }) {
  if (type === "range") return make("input", { type, min, max, step });
  return make("input", { type: "text", inputMode: "decimal", size: 6 });
}

function debounced(action, pause) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, pause);
  };
}
