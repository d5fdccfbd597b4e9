// What each page loads: it finds what is live on the page, and loads the rest only if there is something.

const FOUND = [
  [".dualpipe-live", "controls.js"],
  [".cell.tag_live", "cells.js"],
  [".dualpipe-answer", "exercise.js"],
];

for (const [selector, name] of FOUND) {
  const elements = document.querySelectorAll(selector);
  if (elements.length === 0) continue;
  import(new URL(name, import.meta.url))
    .then(({ mount }) => elements.forEach((element) => mount(element)))
    .catch((error) => console.error(`${name}: ${error.message}`));
}

// What scrolls sideways must be reachable without a mouse. Whether it scrolls depends on the window.
const WIDE = "table, pre, .math";
const reachable = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth && getComputedStyle(target).overflowX !== "visible";
    if (scrolls && target.tabIndex < 0) target.tabIndex = 0;
  }
});
for (const element of document.querySelectorAll(`main :is(${WIDE})`)) reachable.observe(element);
