// A text field for code. Tab indents; Escape first, and Tab leaves the field, so nobody is caught in it.

import { make } from "./dom.js";

const INDENT = "    ";

/** A field with `code` in it; `onRun` is called on Ctrl+Enter. */
export function codeField(code, label, onRun) {
  const field = make("textarea", {
    className: "dualpipe-code",
    value: code,
    spellcheck: false,
    attributes: { "aria-label": `${label}. Tab indents; press Escape and then Tab to leave.`, autocapitalize: "off", autocomplete: "off", wrap: "off" },
  });
  let leaving = false;
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leaving = true;
    else if (event.key === "Tab" && !leaving) indent(field, event);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onRun();
    } else if (event.key === "Enter" && !event.shiftKey) sameIndentation(field, event);
    if (event.key !== "Escape") leaving = false;
  });
  field.addEventListener("blur", () => (leaving = false));
  field.addEventListener("input", () => fit(field));
  fit(field);
  return field;
}

/** As high as its text, within reason. */
export function fit(field) {
  const lines = field.value.split("\n").length;
  field.rows = Math.min(Math.max(lines, 3), 40);
}

function insert(field, text) {
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input"));
}

function indent(field, event) {
  event.preventDefault();
  const { value, selectionStart: start, selectionEnd: end } = field;
  const first = value.lastIndexOf("\n", start - 1) + 1;
  if (!event.shiftKey && start === end) return insert(field, INDENT);
  const lines = value.slice(first, end).split("\n");
  const moved = lines.map((line) => (event.shiftKey ? line.replace(/^ {1,4}/, "") : INDENT + line));
  field.setRangeText(moved.join("\n"), first, end, start === end ? "end" : "select");
  field.dispatchEvent(new Event("input"));
}

function sameIndentation(field, event) {
  const before = field.value.slice(0, field.selectionStart);
  const line = before.slice(before.lastIndexOf("\n") + 1);
  event.preventDefault();
  insert(field, `\n${line.match(/^ */)[0]}${line.trimEnd().endsWith(":") ? INDENT : ""}`);
}
