// The styles of the packets; they live in their shadow root.

export const PACKETS_CSS = `
:host { display: block; }
.root { color: var(--ink); font: inherit; font-size: 15px; line-height: 1.4; max-width: 100%; }
.sentence { margin: 0 0 6px; font-weight: 600; }
.tools { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; margin: 0 0 8px; font-size: 14px; }
.tools button, .tools select { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--muted); border-radius: 4px; min-height: 32px; min-width: 36px; padding: 0 10px; }
.tools button { cursor: pointer; }
.tools button:hover { background: var(--idle); }
.tools label { display: flex; gap: 6px; align-items: center; }
.tools .time { flex: 1 1 200px; }
.tools input { flex: 1 1 auto; min-width: 80px; accent-color: var(--highlight); }
.tools output { min-width: 6.5em; font-variant-numeric: tabular-nums; }
@media (pointer: coarse) { .tools button, .tools select, .tools input { min-height: 44px; } }
button:focus-visible, select:focus-visible, input:focus-visible { outline: 3px solid var(--highlight); outline-offset: 2px; }
svg { display: block; max-width: 100%; }
svg text { fill: var(--ink); font-family: Arial, Helvetica, "Liberation Sans", sans-serif; font-size: 12px; text-anchor: middle; }
svg text.name { fill: var(--muted); text-anchor: start; }
svg text.rank { font-weight: 700; font-size: 13px; }
svg .node { fill: none; stroke: var(--muted); }
svg .rail { stroke: var(--muted); stroke-width: 1; fill: none; opacity: .6; }
svg .gpu { fill: var(--idle); stroke: var(--border); stroke-width: 1; }
svg .gpu.wanted { stroke: var(--highlight); stroke-width: 3; }
svg .gpu.home { stroke: var(--border); stroke-width: 4; }
svg .filled { fill: var(--filled); }
svg .use { fill: var(--idle); stroke: var(--muted); stroke-width: .6; }
svg .rdma { fill: var(--highlight); }
svg .nvlink { fill: var(--ink); }
svg .way { fill: none; stroke-width: 1.6; }
svg .way.rdma { fill: none; stroke: var(--highlight); stroke-width: 2.4; }
svg .way.nvlink { fill: none; stroke: var(--ink); stroke-dasharray: 5 3; }
svg .packet { stroke: var(--paper); stroke-width: 1; }
svg .faint { opacity: .12; }
svg .sum rect { fill: var(--added); }
svg .sum text { fill: var(--on-added); font-weight: 700; font-size: 11px; }
svg .axis { stroke: var(--muted); }
svg .now { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 3 2; }
.words { margin: 6px 0 0; padding: 8px 12px; border: 1px solid var(--muted); border-radius: 4px; font-size: 14px; min-height: 2.8em; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 8px 0 0; padding: 0; font-size: 13.5px; }
.legend li { display: flex; align-items: center; gap: 6px; margin: 0; }
table { border-collapse: collapse; font-size: 14px; width: 100%; margin-top: 10px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-top: 1px solid var(--muted); vertical-align: top; font-weight: 400; }
td.value { font-weight: 600; white-space: nowrap; }
td.note { color: var(--muted); }
@media (max-width: 480px) {
  tr { display: grid; grid-template-columns: minmax(0, 1fr) max-content; border-top: 1px solid var(--muted); padding: 4px 0; }
  th, td { border: 0; padding: 0 8px 0 0; }
  td.note { grid-column: 1 / -1; }
}
`;
