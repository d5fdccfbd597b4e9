// Pointer, wheel and keys, turned into what a viewer can do: zoom, move, hover, select, step.

const TAP = 5; // pixels that a finger or a mouse may move and still be still
const NEAR = { mouse: 2, touch: 12, pen: 6 };

/** Listen on `frame` and on the strip below it, `track`; returns what ends that. */
export function followGestures(frame, track, viewer) {
  const ending = new AbortController();
  const on = (node, type, act, options = {}) =>
    node.addEventListener(type, (event) => viewer.model && act(event), { signal: ending.signal, ...options });
  const fingers = new Map();
  let moved = false;

  const local = (event) => {
    const frameBox = frame.getBoundingClientRect();
    return [event.clientX - frameBox.left, event.clientY - frameBox.top];
  };
  const place = (event) => viewer.at(...local(event), NEAR[event.pointerType] ?? 2);

  on(frame, "pointerdown", (event) => {
    if (event.button) return;
    if (!fingers.size) moved = false;
    fingers.set(event.pointerId, local(event));
  });
  on(frame, "pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return event.pointerType === "mouse" ? viewer.hover(place(event)) : undefined;
    const now = local(event);
    if (!moved && Math.abs(now[0] - last[0]) < TAP && fingers.size === 1) return undefined;
    if (!moved) {
      moved = true;
      frame.setPointerCapture(event.pointerId);
      frame.classList.add("moving");
      viewer.hover(null);
    }
    if (fingers.size === 2) pinch(event.pointerId, now);
    else viewer.move((last[0] - now[0]) / viewer.plot);
    fingers.set(event.pointerId, now);
    return undefined;
  });
  function pinch(id, now) {
    const [other] = [...fingers].filter(([key]) => key !== id).map(([, at]) => at);
    const before = Math.abs(fingers.get(id)[0] - other[0]);
    const after = Math.abs(now[0] - other[0]);
    if (before > 8 && after > 8) viewer.zoom(after / before, (now[0] + other[0]) / 2 - viewer.left);
  }
  const lift = (event) => {
    const tapped = fingers.delete(event.pointerId) && !moved && event.type === "pointerup";
    if (!fingers.size) frame.classList.remove("moving");
    if (tapped) viewer.select(place(event));
  };
  on(frame, "pointerup", lift);
  on(frame, "pointercancel", lift);
  on(frame, "pointerleave", () => viewer.hover(null));

  on(
    frame,
    "wheel",
    (event) => {
      const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        viewer.zoom(Math.exp(-event.deltaY / 200), local(event)[0] - viewer.left);
      } else if (viewer.zoomed && Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
        event.preventDefault();
        viewer.move(sideways / viewer.plot);
      }
    },
    { passive: false },
  );

  on(frame, "focus", () => {
    if (frame.matches(":focus-visible") && !viewer.selected && !fingers.size) viewer.select({ rank: 0, index: 0 });
  });
  on(frame, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys(viewer, event.shiftKey)[event.key];
    if (!act) return;
    event.preventDefault();
    // Notebooks listen for the same keys.
    event.stopPropagation();
    act();
  });

  const drag = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const strip = track.getBoundingClientRect();
    const time = ((event.clientX - strip.left) / strip.width) * viewer.model.end;
    if (event.type === "pointerdown") track.setPointerCapture(event.pointerId);
    viewer.show(time - viewer.view.span / 2, viewer.view.scale);
  };
  on(track, "pointerdown", drag);
  on(track, "pointermove", drag);
  return () => ending.abort();
}

function keys(viewer, shift) {
  const last = (rank) => viewer.model.rows[rank].starts.length - 1;
  const rank = viewer.selected?.rank ?? 0;
  return {
    ArrowLeft: () => (shift ? viewer.move(-0.2) : viewer.step(-1, 0)),
    ArrowRight: () => (shift ? viewer.move(0.2) : viewer.step(1, 0)),
    ArrowUp: () => (shift ? viewer.zoom(1.5) : viewer.step(0, -1)),
    ArrowDown: () => (shift ? viewer.zoom(1 / 1.5) : viewer.step(0, 1)),
    Home: () => viewer.select({ rank, index: 0 }),
    End: () => viewer.select({ rank, index: last(rank) }),
    Enter: () => follow(viewer),
    Escape: () => viewer.select(null),
    "+": () => viewer.zoom(1.5),
    "=": () => viewer.zoom(1.5),
    "-": () => viewer.zoom(1 / 1.5),
    0: () => viewer.fit(),
  };
}

/** To the op that decided when the chosen one starts. */
function follow(viewer) {
  if (!viewer.selected) return;
  const { waits } = viewer.model.op(viewer.selected.rank, viewer.selected.index);
  const there = waits.filter((wait) => wait.index >= 0);
  const wait = there.find((one) => one.decides) || there.at(-1);
  if (wait) viewer.select(wait);
}
