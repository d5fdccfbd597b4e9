// A code cell of the page that can be changed and run: its built output stays until it is run.

import { button, make, printed, statusLine } from "./dom.js";
import { Stopped, ask, onStatus, stop } from "./engine.js";
import { codeField, fit } from "./editor.js";

export function mount(cell) {
  const shown = cell.querySelector(".cell_input");
  const built = cell.querySelector(".cell_output");
  const code = shown.querySelector("pre").textContent.replace(/\n$/, "");
  const output = make("div", { className: "dualpipe-output" });
  const status = statusLine();
  let field = null;

  const edit = () => {
    if (field) return;
    field = codeField(code, "Code of this cell", run);
    shown.hidden = true;
    shown.after(field);
    fit(field);
    editing.hidden = true;
    field.focus();
  };

  const reset = () => {
    field?.remove();
    field = null;
    [shown.hidden, editing.hidden] = [false, false];
    output.replaceChildren();
    if (built) built.hidden = false;
    status.textContent = "";
  };

  const run = async () => {
    busy(true);
    output.replaceChildren();
    if (built) built.hidden = true;
    const quiet = onStatus((text) => (status.textContent = text));
    try {
      show(output, await ask({ do: "run", code: field?.value ?? code }, (text) => append(output, text)));
    } catch (error) {
      const words = error instanceof Stopped ? "Stopped. What the cells had defined is gone." : error.message;
      output.append(printed(words, "dualpipe-printed dualpipe-error"));
    } finally {
      quiet();
      busy(false);
    }
  };

  const running = button("Run", run);
  const stopping = button("Stop", stop, { hidden: true });
  const editing = button("Edit", edit);
  const busy = (yes) => {
    [running.hidden, stopping.hidden] = [yes, !yes];
    cell.setAttribute("aria-busy", String(yes));
  };
  const buttons = make("div", { className: "dualpipe-buttons" }, running, stopping, editing, button("Reset", reset), status);
  shown.after(buttons);
  cell.append(output);
}

function append(output, text) {
  if (!output.lastElementChild?.classList.contains("dualpipe-streamed"))
    output.append(printed("", "dualpipe-printed dualpipe-streamed"));
  output.lastElementChild.append(text);
}

async function show(output, { value, timeline, error }) {
  if (error) output.append(printed(error, "dualpipe-printed dualpipe-error"));
  if (value !== undefined) output.append(printed(value));
  if (timeline) {
    const place = make("div", { className: "dualpipe-view" });
    output.append(place);
    (await import("./view/viewer.js")).mountViewer(place, timeline);
  }
}
