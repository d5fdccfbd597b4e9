// The place of an answer: an editor with the skeleton in it, the checks, and what they found.

import { button, make, statusLine } from "./dom.js";
import { Stopped, ask, onStatus, stop } from "./engine.js";
import { codeField, fit } from "./editor.js";
import { showReport } from "./report.js";

export function mount(element) {
  const name = element.dataset.exercise;
  const skeleton = element.querySelector(".dualpipe-skeleton").textContent;
  const draft = new Draft(`dualpipe-answer-${name}`);
  const found = make("div", { className: "dualpipe-report" });
  const status = statusLine();
  const field = codeField(draft.text ?? skeleton, "Your answer", () => check());

  const check = async () => {
    busy(true);
    found.replaceChildren();
    const quiet = onStatus((text) => (status.textContent = text || "Checking…"));
    status.textContent = "Checking…";
    try {
      await showReport(found, await ask({ do: "check", exercise: name, source: field.value }));
      status.textContent = "";
    } catch (error) {
      status.textContent = error instanceof Stopped ? "Stopped. Your text is still here." : error.message;
    } finally {
      quiet();
      busy(false);
    }
  };

  const checking = button("Check", check);
  const stopping = button("Stop", stop, { hidden: true });
  const busy = (yes) => {
    [checking.hidden, stopping.hidden] = [yes, !yes];
    element.setAttribute("aria-busy", String(yes));
  };
  const reset = () => {
    if (field.value !== skeleton && !confirm("Throw your text away and begin with the skeleton again?")) return;
    field.value = skeleton;
    fit(field);
    draft.text = null;
    found.replaceChildren();
    status.textContent = "";
  };
  field.addEventListener("input", () => (draft.text = field.value));
  const buttons = make(
    "div",
    { className: "dualpipe-buttons" },
    checking,
    stopping,
    button("Reset", reset),
    button("Download answer.py", () => download(field.value)),
    status,
  );
  element.replaceChildren(field, buttons, found);
  fit(field);
}

/** What the reader wrote, kept in this browser; where it may not be kept, it lasts as long as the page. */
class Draft {
  constructor(key) {
    this.key = key;
  }

  get text() {
    try {
      return localStorage.getItem(this.key);
    } catch {
      return null;
    }
  }

  set text(text) {
    try {
      if (text === null) localStorage.removeItem(this.key);
      else localStorage.setItem(this.key, text);
    } catch {
      // Storage may be forbidden or full.
    }
  }
}

function download(text) {
  const link = make("a", {
    href: URL.createObjectURL(new Blob([text], { type: "text/x-python" })),
    download: "answer.py",
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
