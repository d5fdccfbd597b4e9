// The page's one Python: started when something first asks for it, replaced when it is stopped.

const HERE = new URL(".", import.meta.url);
const waiting = new Map(); // id -> {resolve, reject, print}
const listeners = new Set();
let worker = null;
let lastId = 0;

export class Stopped extends Error {}

/** `listener(text)` hears what Python is doing, in words; the result ends that. */
export function onStatus(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function say(text) {
  for (const listener of listeners) listener(text);
}

/** The answer to `request`, {do, ...}; `print` is given what it prints meanwhile. */
export function ask(request, print = () => {}) {
  if (location.protocol === "file:")
    return Promise.reject(
      new Error(
        "A page opened from a file may not start Python. Serve the folder: " +
          "python -m http.server -d _build/html, then open http://localhost:8000.",
      ),
    );
  start();
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, print });
    worker.postMessage({ id, request });
  });
}

/** End whatever runs, at once. The next request starts a fresh Python. */
export function stop() {
  worker?.terminate();
  worker = null;
  settle((one) => one.reject(new Stopped("stopped")));
  say("");
}

function start() {
  if (worker) return;
  say("Starting Python in your browser (13 MB, once)…");
  worker = new Worker(new URL("worker.js", HERE), { type: "module" });
  worker.onmessage = ({ data }) => hear(data);
  worker.onerror = (event) => fail(event.message || "Python could not be loaded");
}

function hear({ id, kind, text, result }) {
  const one = waiting.get(id);
  if (kind === "ready") say("");
  if (kind === "failed") fail(text);
  if (!one) return;
  if (kind === "print") one.print(text);
  if (kind === "result" || kind === "error") {
    waiting.delete(id);
    if (kind === "result") one.resolve(result);
    else one.reject(new Error(text));
  }
}

function fail(text) {
  worker?.terminate();
  worker = null;
  say("");
  settle((one) => one.reject(new Error(`Python did not start: ${text}`)));
}

function settle(how) {
  const all = [...waiting.values()];
  waiting.clear();
  all.forEach(how);
}
