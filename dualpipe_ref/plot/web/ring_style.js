// The styles of a ring's schedule; they live in their shadow root.

export const RING_CSS = `
:host { display: block; }
.root { color: var(--ink); font: inherit; font-size: 15px; line-height: 1.4; max-width: 100%; }
.sentence { margin: 0 0 6px; font-weight: 600; overflow-wrap: anywhere; }
.tools { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; margin: 0 0 8px; font-size: 14px; }
.tools button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--muted); border-radius: 4px; min-height: 32px; min-width: 36px; padding: 0 10px; cursor: pointer; }
.tools button:hover { background: var(--idle); }
.tools button:disabled { color: var(--muted); border-style: dashed; cursor: default; }
.tools label { display: flex; gap: 6px; align-items: center; flex: 1 1 200px; }
.tools input { flex: 1 1 auto; min-width: 80px; accent-color: var(--highlight); }
.tools output { min-width: 5.5em; font-variant-numeric: tabular-nums; }
@media (pointer: coarse) { .tools button, .tools input { min-height: 44px; } }
button:focus-visible, input:focus-visible, .list:focus-visible { outline: 3px solid var(--highlight); outline-offset: 2px; }
.words { margin: 0 0 8px; padding: 8px 12px; border: 1px solid var(--muted); border-radius: 4px; font-size: 14px; min-height: 1.4em; overflow-wrap: anywhere; }
.words b { margin-right: .5em; }
.places { display: flex; flex-wrap: wrap; gap: 10px; }
.place { flex: 1 1 260px; min-width: 0; border: 1px solid var(--muted); border-radius: 6px; padding: 8px 12px 10px; }
.place.moved { border-color: var(--highlight); box-shadow: 0 0 0 1px var(--highlight); }
.place .name { margin: 0 0 6px; font: inherit; font-size: 13.5px; color: var(--muted); }
.area { margin: 0 0 8px; }
.area .label { font-size: 13px; margin: 0 0 3px; }
.slots { display: flex; gap: 6px; overflow-x: auto; padding: 3px; }
.slot { flex: 0 1 64px; min-width: 44px; text-align: center; font-size: 12px; }
.cell { display: flex; align-items: center; justify-content: center; height: 28px; box-sizing: border-box; border: 1px solid var(--border); background: var(--idle); color: var(--ink); font-size: 14px; font-variant-numeric: tabular-nums; }
.cell + .cell { border-top: 0; }
.cell.full { background: var(--fill); color: var(--on); font-weight: 700; }
.touched { outline: 3px solid var(--highlight); outline-offset: -1px; position: relative; z-index: 1; }
.number { color: var(--muted); margin-top: 2px; }
.marks { min-height: 2.5em; line-height: 1.25; }
.word { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 8px; font-size: 14px; margin-top: 4px; }
.word .box { border: 1px solid var(--border); background: var(--idle); padding: 2px 10px; font-weight: 700; font-variant-numeric: tabular-nums; }
.word .note { color: var(--muted); font-size: 13px; }
.list { margin: 10px 0 0; padding: 4px 0 4px; max-height: 13em; overflow-y: auto; border: 1px solid var(--muted); border-radius: 4px; font-size: 13.5px; position: relative; }
.list ol { margin: 0; padding: 0 8px 0 3em; }
.list li { padding: 1px 6px; overflow-wrap: anywhere; cursor: pointer; }
.list li[aria-current] { background: var(--idle); box-shadow: inset 3px 0 0 var(--highlight); font-weight: 600; }
table { border-collapse: collapse; font-size: 14px; width: 100%; margin-top: 10px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-top: 1px solid var(--muted); vertical-align: top; font-weight: 400; }
td.value { font-weight: 600; }
td.note { color: var(--muted); }
@media (max-width: 480px) {
  tr { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); border-top: 1px solid var(--muted); padding: 4px 0; }
  th, td { border: 0; padding: 0 8px 0 0; }
  td.note { grid-column: 1 / -1; }
}
`;
