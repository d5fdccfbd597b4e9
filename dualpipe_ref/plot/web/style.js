// The viewer's styles; they live in its shadow root.

export const CSS = `
:host { display: block; }
.root { color: var(--ink); font: inherit; font-size: 15px; line-height: 1.4; max-width: 100%; min-width: 0; }
.head { display: flex; gap: 8px 16px; align-items: center; flex-wrap: wrap; }
.title { font-weight: 600; margin: 0; flex: 1 1 12em; }
.summary { margin: 2px 0 6px; font-size: 14px; color: var(--ink); }
.tools { display: flex; gap: 4px; }
button { font: inherit; color: var(--ink); background: transparent; border: 1px solid var(--muted); border-radius: 4px; cursor: pointer; }
.tools button { min-width: 34px; height: 32px; padding: 0 8px; }
@media (pointer: coarse) { .tools button { min-width: 44px; height: 44px; } .jump { min-height: 32px; } }
button:hover { background: var(--idle); }
button:disabled { color: var(--muted); cursor: default; border-style: dashed; }
button:focus-visible, .frame:focus-visible { outline: 3px solid var(--highlight); outline-offset: 2px; }
.frame { position: relative; overflow: hidden; touch-action: pan-y; user-select: none; -webkit-user-select: none; border-radius: 2px; }
.frame:focus { outline-offset: 2px; }
.frame.moving { cursor: grabbing; }
svg { display: block; }
svg text { fill: var(--ink); font-family: Arial, Helvetica, "Liberation Sans", sans-serif; }
.ranks text { font-size: 12.5px; dominant-baseline: central; text-anchor: end; }
.axis text { font-size: 12px; text-anchor: middle; }
.axis text.end { font-weight: 700; }
.axis text.name { fill: var(--muted); }
.axis path { stroke: var(--muted); fill: none; }
.fill { stroke: var(--paper); }
.idle { fill: var(--idle); stroke: var(--muted); stroke-width: .4; }
.pair { fill: none; stroke: var(--border); stroke-linejoin: miter; }
.ghost { fill: var(--paper); stroke: var(--muted); stroke-width: 1.2; stroke-dasharray: 4 3; }
.numbers { text-anchor: middle; pointer-events: none; }
.numbers text { fill: inherit; dominant-baseline: central; }
.numbers.even { font-weight: 700; }
.numbers.odd { font-style: italic; }
.halo { fill: none; stroke: var(--paper); stroke-width: 4.6; }
.wanted { fill: none; stroke: var(--highlight); stroke-width: 2.6; }
.never { stroke-dasharray: 5 3; }
path.head { fill: var(--highlight); stroke: var(--paper); stroke-width: 1; }
.before, .after { fill: none; stroke: var(--border); stroke-width: 2; }
.after { stroke-dasharray: 4 3; }
.chosen { fill: none; stroke: var(--highlight); stroke-width: 2.6; }
.track { height: 10px; margin-top: 4px; background: var(--idle); border: 1px solid var(--muted); border-radius: 5px; position: relative; touch-action: none; cursor: pointer; }
.track[hidden] { display: none; }
.thumb { position: absolute; top: 0; bottom: 0; background: var(--muted); border-radius: 5px; min-width: 12px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 8px 0 0; padding: 0; font-size: 13.5px; }
.legend li { display: flex; align-items: center; gap: 6px; margin: 0; }
.panel { margin-top: 8px; padding: 8px 12px; border: 1px solid var(--muted); border-radius: 4px; font-size: 14px; overflow-wrap: anywhere; box-sizing: border-box; }
.panel p { margin: 0; }
.panel .what { font-weight: 600; }
.panel dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 10px; margin: 4px 0 0; }
.panel dt { color: var(--muted); display: flex; gap: 6px; align-items: center; }
.panel dd { margin: 0; }
.panel svg { flex: none; }
.jump { padding: 0 6px; border-radius: 3px; margin: 1px 2px 1px 0; font-size: 13.5px; }
.wait { display: inline-block; margin-right: 12px; }
kbd { font: inherit; font-size: 12.5px; border: 1px solid var(--muted); border-radius: 3px; padding: 0 4px; }
@media (max-width: 480px) { .panel dl { grid-template-columns: minmax(0, 1fr); gap: 0; } .panel dt { margin-top: 4px; } }
`;
