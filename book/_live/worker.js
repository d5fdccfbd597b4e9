// Python in a worker of its own, so that the page stays alive and an endless loop can be stopped.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const MOST_PRINTED = 100_000; // characters of one request; a loop that prints must not fill the page
let left = 0;
let current = 0;

function print(text) {
  if (left < 0) return; // already said that there is more
  const shown = text.length > left ? `${text.slice(0, left)}\n… (more was printed than is shown)` : text;
  left -= text.length;
  postMessage({ id: current, kind: "print", text: `${shown}\n` });
}

async function fetched(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
}

async function start() {
  const archive = fetched("dualpipe_ref.zip").then((response) => response.arrayBuffer());
  const python = await loadPyodide({
    indexURL: new URL("pyodide/", import.meta.url).href,
    stdout: print,
    stderr: print,
  });
  python.unpackArchive(await archive, "zip");
  const glue = python.pyimport("page_glue");
  postMessage({ kind: "ready" });
  return glue;
}

const started = start();
started.catch((error) => postMessage({ kind: "failed", text: String(error.message ?? error) }));

self.onmessage = async ({ data: { id, request } }) => {
  const glue = await started;
  [current, left] = [id, MOST_PRINTED];
  postMessage({ id, kind: "started" });
  try {
    postMessage({ id, kind: "result", result: JSON.parse(glue.answer(JSON.stringify(request))) });
  } catch (error) {
    postMessage({ id, kind: "error", text: String(error.message ?? error) });
  }
};
