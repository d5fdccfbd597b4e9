// The styles of the lanes; they live in their shadow root.

export const LANES_CSS = `
:host { display: block; }
.root { color: var(--ink); font: inherit; font-size: 15px; line-height: 1.4; max-width: 100%; }
.sentence { margin: 0 0 6px; font-weight: 600; }
.problem { border-left: 4px solid var(--highlight); padding-left: 10px; margin: 0 0 8px; font-size: 14px; overflow-wrap: anywhere; }
.problem:empty { display: none; }
.problem p { margin: 0 0 2px; }
.tools { display: flex; flex-wrap: wrap; gap: 6px; margin: 0 0 8px; }
.tools:empty { display: none; }
.tools button { font: inherit; font-size: 14px; color: var(--ink); background: transparent; border: 1px solid var(--muted); border-radius: 4px; min-height: 32px; padding: 0 10px; cursor: pointer; }
.tools button:hover { background: var(--idle); }
.tools button:disabled { color: var(--muted); border-style: dashed; cursor: default; }
@media (pointer: coarse) { .tools button { min-height: 44px; } }
button:focus-visible { outline: 3px solid var(--highlight); outline-offset: 2px; }
.picture { display: flex; gap: 6px; }
.names { flex: none; display: flex; flex-direction: column; font-size: 13.5px; text-align: right; padding-top: 6px; gap: 6px; }
.names span { height: 52px; display: flex; align-items: center; justify-content: flex-end; }
.frame { flex: 1 1 0; min-width: 0; overflow-x: auto; overflow-y: hidden; }
.inner { position: relative; padding: 6px 0 0; }
.lane { position: relative; height: 52px; margin-bottom: 6px; }
.lane::before { content: ""; position: absolute; left: 6px; width: var(--length); top: 0; bottom: 0; box-sizing: border-box; background: var(--idle); border: 1px solid var(--muted); }
.piece { position: absolute; top: 0; height: 52px; box-sizing: border-box; margin: 0; padding: 0; overflow: hidden; font: inherit; font-size: 12.5px; line-height: 1.2; border: 1px solid var(--paper); border-radius: 0; background: var(--fill); color: var(--on); display: flex; flex-direction: column; align-items: center; justify-content: center; cursor: pointer; user-select: none; -webkit-user-select: none; transition: left .2s, width .2s; }
@media (prefers-reduced-motion: reduce) { .piece { transition: none; } }
.piece span { white-space: nowrap; pointer-events: none; }
.piece:focus-visible { outline-offset: -3px; z-index: 2; }
.piece[aria-current], .piece.marked { box-shadow: inset 0 0 0 3px var(--highlight); z-index: 1; }
.tools:not(:empty) ~ .picture .piece { cursor: grab; touch-action: pan-y; }
.piece.moving { cursor: grabbing !important; opacity: .8; z-index: 3; transition: none; }
.kind0 { --fill: var(--fill-0); --on: var(--on-0); }
.kind1 { --fill: var(--fill-1); --on: var(--on-1); }
.kind2 { --fill: var(--fill-2); --on: var(--on-2); }
.top::before, .bottom::after { content: ""; position: absolute; left: 3px; right: 3px; height: 2.5px; background: var(--on); opacity: .6; }
.top::before { top: 3px; }
.bottom::after { bottom: 3px; }
.piece.ghost { background: var(--paper); color: var(--ink); border: 1.5px dashed var(--muted); --on: var(--ink); }
.bound { position: absolute; top: 0; height: 122px; width: 0; margin-left: -1px; border-left: 2px dashed var(--highlight); pointer-events: none; z-index: 2; }
.mark { position: absolute; height: 52px; width: 4px; margin-left: -2px; background: var(--highlight); pointer-events: none; z-index: 4; }
[hidden] { display: none; }
.axis { display: block; height: 40px; overflow: visible; }
.axis text { fill: var(--ink); font-family: Arial, Helvetica, "Liberation Sans", sans-serif; font-size: 12px; text-anchor: middle; }
.axis text.end { font-weight: 700; }
.axis text.name { fill: var(--muted); }
.axis path { stroke: var(--muted); fill: none; }
.words { margin: 4px 0 0; padding: 8px 12px; border: 1px solid var(--muted); border-radius: 4px; font-size: 14px; min-height: 1.4em; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 8px 0 0; padding: 0; font-size: 13.5px; }
.legend li { display: flex; align-items: center; gap: 6px; margin: 0; }
.swatch { position: relative; width: 28px; height: 18px; box-sizing: border-box; flex: none; background: var(--fill); }
.swatch.idle { background: var(--idle); border: 1px solid var(--muted); }
.swatch.ghost { background: var(--paper); border: 1.5px dashed var(--muted); }
.swatch.line { background: none; width: 0; border-left: 2px dashed var(--highlight); margin: 0 13px; }
table { border-collapse: collapse; font-size: 14px; margin-top: 10px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 24px 4px 0; border-top: 1px solid var(--muted); vertical-align: top; font-weight: 400; }
thead th, thead td { border-top: 0; color: var(--muted); }
tbody tr:first-child { font-weight: 600; }
tbody tr:first-child > * { font-weight: 600; }
@media (max-width: 520px) {
  .picture { display: block; }
  .names { flex-direction: row; justify-content: space-between; padding: 0; }
  .names span { height: auto; }
  .names span::before { content: "upper lane: "; white-space: pre; }
  .names span:last-child::before { content: "lower: "; }
  th, td { padding-right: 12px; }
}
`;
