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
