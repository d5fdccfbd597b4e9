// What the checks found, as a table; under it the smallest case that fails, as a timeline, as lanes or as a ring.

import { make } from "./dom.js";

const LOOKS = { pass: "dualpipe-pass", FAIL: "dualpipe-fail" };

export async function showReport(element, report) {
  const total = `${report.points} of ${report.max_points} points`;
  element.append(make("p", { className: "dualpipe-points", textContent: total }));
  for (const note of report.notes ?? []) element.append(make("p", { textContent: note }));
  element.append(table(report.checks));
  const failed = report.checks.find(({ counterexample }) => counterexample);
  if (failed) await showCase(element, failed);
  if (report.printed) element.append(make("p", { textContent: "Your code printed:" }), make("pre", { textContent: report.printed, tabIndex: 0 }));
}

function table(checks) {
  const head = make("tr", {}, ...["", "check", "what it asks", "points"].map((text) => make("th", { textContent: text, scope: "col" })));
  const rows = checks.map(({ name, promise, status, points, max_points: most, reason, hint }) => {
    const asked = make("td", { textContent: promise });
    if (reason) asked.append(make("p", { className: "dualpipe-reason", textContent: reason }));
    if (hint && status !== "pass") asked.append(make("p", { className: "dualpipe-hint", textContent: `Hint: ${hint}` }));
    return make(
      "tr",
      { className: LOOKS[status] ?? "dualpipe-open" },
      make("td", { textContent: status }),
      make("th", { textContent: name, scope: "row" }),
      asked,
      make("td", { textContent: `${points} of ${most}` }),
    );
  });
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

async function showCase(element, { name, counterexample }) {
  const place = make("div", { className: "dualpipe-view" });
  element.append(make("p", { textContent: `The smallest case that fails “${name}”:` }), place);
  if (counterexample.view === "lanes") (await import("./view/lanes.js")).mountLanes(place, counterexample);
  else if (counterexample.view === "ring") (await import("./view/ring.js")).mountRing(place, counterexample);
  else (await import("./view/viewer.js")).mountViewer(place, counterexample);
}
