// Small helpers for elements. (The viewer has its own: it also lives in notebooks.)

/** An element with these properties, attributes (in `attributes`) and children. */
export function make(tag, { attributes = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function button(text, onclick, properties = {}) {
  return make("button", { type: "button", className: "dualpipe-button", textContent: text, onclick, ...properties });
}

/** A line that screen readers hear when it changes. */
export function statusLine() {
  return make("p", { className: "dualpipe-status", attributes: { role: "status" } });
}

/** Text as it was printed. */
export function printed(text, className = "dualpipe-printed") {
  return make("pre", { className, textContent: text, tabIndex: 0 });
}
