// Where the time of a set of devices goes: stacked bars on one scale, and a table of facts.
// The data are those of dualpipe_ref.plot.ledger_data.

import { CURVES_CSS, curvesOf } from "./curves.js";
import { element, followTheme, ownRoot, setColours } from "./dom.js";

const LEDGER_CSS = `
:host { display: block; }
.root { color: var(--ink); font: inherit; font-size: 15px; line-height: 1.4; max-width: 100%; }
.sentence { margin: 0 0 10px; font-weight: 600; }
figure { margin: 0 0 12px; }
figcaption { font-size: 14px; margin-bottom: 3px; }
.bar { display: flex; height: 38px; border: 1px solid var(--muted); box-sizing: border-box; overflow: hidden; }
.part { box-sizing: border-box; min-width: 0; display: flex; align-items: center; justify-content: center; overflow: hidden; border-right: 2px solid var(--paper); }
.part:last-child { border-right: 0; }
.part span { white-space: nowrap; padding: 1px 6px; font-size: 13.5px; border-radius: 3px; background: var(--fill); color: var(--on); }
.outside { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 4px 0 0; padding: 0; font-size: 13.5px; }
.outside:empty { display: none; }
.outside li { display: flex; align-items: center; gap: 6px; margin: 0; }
.swatch { width: 28px; height: 16px; border: 1px solid var(--muted); box-sizing: border-box; flex: none; }
.useful { background: var(--fill); }
.waiting { background: repeating-linear-gradient(45deg, var(--line) 0 1.5px, var(--fill) 1.5px 8px); }
.reserved { background: radial-gradient(circle, var(--line) 1.4px, transparent 1.8px) 0 0 / 8px 8px, var(--fill); }
.hidden { background: repeating-linear-gradient(0deg, var(--line) 0 1.5px, var(--fill) 1.5px 7px); }
.rest { background: repeating-linear-gradient(45deg, var(--line) 0 1px, transparent 1px 7px), repeating-linear-gradient(-45deg, var(--line) 0 1px, var(--fill) 1px 7px); }
.other { background: repeating-linear-gradient(90deg, var(--line) 0 1.5px, var(--fill) 1.5px 7px); }
table { border-collapse: collapse; font-size: 14px; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-top: 1px solid var(--muted); vertical-align: top; }
th { font-weight: 400; }
td.value { font-weight: 600; white-space: nowrap; }
td.note { color: var(--muted); }
.ranks { overflow-x: auto; margin-bottom: 10px; }
.ranks th, .ranks td { white-space: nowrap; text-align: right; }
.ranks :is(th, td):first-child { text-align: left; }
.ranks thead :is(th, td) { border-top: 0; color: var(--muted); vertical-align: bottom; }
@media (max-width: 480px) {
  .facts tr { display: grid; grid-template-columns: minmax(0, 1fr) max-content; border-top: 1px solid var(--muted); padding: 4px 0; }
  .facts :is(th, td) { border: 0; padding: 0 8px 0 0; }
  td.note { grid-column: 1 / -1; }
}
`;

/** Show `data` in `element`; returns {update(data), destroy()}. */
export function mountLedger(host, data) {
  const { holder, root } = ownRoot(host, LEDGER_CSS + CURVES_CSS);
  let shown = null;
  let theme = "light";
  const colour = () => shown && colourLedger(root, shown, theme);
  const update = (next) => {
    shown = next;
    fillLedger(root, next);
    colour();
    moveLabels(root);
  };
  const endTheme = followTheme((now) => {
    theme = now;
    colour();
  });
  const sizes = new ResizeObserver(() => {
    moveLabels(root);
    if (shown && shown.chart) drawChart(root, shown, theme);
  });
  sizes.observe(holder);
  if (data && data.bars) update(data);
  return {
    update,
    destroy: () => {
      sizes.disconnect();
      endTheme();
      holder.remove();
    },
  };
}

/** Each kind of part has a fill, a colour for its pattern and one for words on it. */
function colourLedger(root, data, theme) {
  const colours = data.palettes[theme];
  setColours(root, colours, theme);
  if (data.chart) drawChart(root, data, theme);
  for (const part of root.querySelectorAll("[data-kind]")) {
    const { fill, line, on } = colours.parts[part.dataset.kind] || colours.parts.other;
    part.style.setProperty("--fill", fill);
    part.style.setProperty("--line", line);
    part.style.setProperty("--on", on);
  }
}

/** Curves are drawn anew for each width and theme. */
function drawChart(root, { chart, palettes }, theme) {
  const place = root.querySelector(".chart");
  const width = Math.floor(place.clientWidth);
  if (width > 0) place.replaceChildren(curvesOf(chart, width, palettes[theme]));
}

function fillLedger(root, { sentence, bars, facts, table, chart }) {
  // The sentence stays the same element: it is what is read aloud when it changes.
  let words = root.querySelector(".sentence");
  if (!words) root.append((words = element("p", { class: "sentence", "aria-live": "polite" })));
  if (words.textContent !== sentence) words.textContent = sentence;
  const longest = Math.max(...bars.map(total));
  words.nextElementSibling?.remove();
  const curves = chart ? [element("div", { class: "chart" })] : [];
  root.append(element("div", {}, ...curves, ...bars.map((bar) => barOf(bar, longest)), ...(table ? [ranksOf(table)] : []), tableOf(facts)));
}

function total(bar) {
  return bar.parts.reduce((sum, part) => sum + part.value, 0);
}

function barOf(bar, longest) {
  const shown = bar.parts.filter((part) => part.value > 0);
  const words = shown.map((part) => wordsOf(part)).join(", ");
  const parts = shown.map((part) => {
    const width = `width:${(100 * part.value) / total(bar)}%`;
    const made = element("div", { class: `part ${classOf(part)}`, style: width, "data-kind": part.kind });
    made.append(element("span", {}, wordsOf(part)));
    return made;
  });
  const row = element("div", { class: "bar", role: "img", "aria-label": `${bar.label}: ${words}` }, ...parts);
  row.style.width = `${(100 * total(bar)) / longest}%`;
  return element("figure", {}, element("figcaption", {}, bar.label), row, element("ul", { class: "outside", "aria-hidden": "true" }));
}

function classOf(part) {
  return ["useful", "waiting", "reserved", "hidden", "rest"].includes(part.kind) ? part.kind : "other";
}

function wordsOf(part) {
  return `${part.label} ${part.text ?? `${Math.round(1000 * part.value) / 10} %`}`;
}

/** Words stand in their part where they fit, else below the bar beside a sample of its pattern. */
function moveLabels(root) {
  for (const figure of root.querySelectorAll("figure")) {
    const outside = figure.querySelector(".outside");
    outside.replaceChildren();
    for (const part of figure.querySelectorAll(".part")) {
      const words = part.firstElementChild;
      words.hidden = false;
      if (words.offsetWidth <= part.clientWidth) continue;
      words.hidden = true;
      const swatch = element("span", { class: `swatch ${part.className.replace("part ", "")}`, style: part.style.cssText });
      swatch.style.width = "";
      outside.append(element("li", {}, swatch, words.textContent));
    }
  }
}

function tableOf(facts) {
  const rows = facts.map((fact) =>
    element("tr", {}, element("th", { scope: "row" }, fact.label), element("td", { class: "value" }, fact.value), element("td", { class: "note" }, fact.note || "")),
  );
  return element("table", { class: "facts" }, element("tbody", {}, ...rows));
}

/** A table of several columns, the name of each row first. It may be wider than a phone: then it scrolls by itself. */
function ranksOf({ head, rows }) {
  const titles = head.map((title) => (title ? element("th", { scope: "col" }, title) : element("td", {})));
  const lines = rows.map(([name, ...cells]) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...lines));
  return element("div", { class: "ranks", tabindex: 0, role: "region", "aria-label": "ranking" }, table);
}

/** anywidget: the model has "data". */
function render({ model, el }) {
  const ledger = mountLedger(el, model.get("data"));
  const changed = () => ledger.update(model.get("data"));
  model.on("change:data", changed);
  return () => {
    model.off("change:data", changed);
    ledger.destroy();
  };
}

export default { render };
