// Colours, type and space: every custom property that the parts use, with its default for light and dark.
//
// They are registered with the document, so each part has them wherever it is mounted, and a host page overrides any of them by
// plain CSS on any ancestor: `:root { --sl-accent: rebeccapurple }`. `light-dark()` follows `color-scheme`, which follows the
// reader's system, or the attribute theme="light" or theme="dark" of a part.

export const TOKENS = {
  "--sl-bg": "light-dark(#f4f5f7, #101418)",
  "--sl-card": "light-dark(#ffffff, #181d23)",
  "--sl-raised": "light-dark(#f7f8fa, #20262d)",
  "--sl-text": "light-dark(#161a1f, #e7ebef)",
  "--sl-muted": "light-dark(#59626d, #a2abb6)",
  "--sl-line": "light-dark(#dde1e6, #2e353d)",
  "--sl-edge": "light-dark(#858e98, #6d7782)",
  "--sl-accent": "light-dark(#0b5cad, #6cb2f5)",
  "--sl-accent-text": "light-dark(#ffffff, #0c1014)",
  "--sl-gain": "light-dark(#0a6b4d, #45c795)",
  "--sl-loss": "light-dark(#b3261e, #ff8a80)",
  "--sl-good": "light-dark(#0a6b4d, #45c795)",
  "--sl-fair": "light-dark(#7a5900, #e3b341)",
  "--sl-poor": "light-dark(#a8450a, #f5935a)",
  "--sl-critical": "light-dark(#b3261e, #ff8a80)",
  "--sl-shadow": "light-dark(rgb(20 30 40 / 0.07), rgb(0 0 0 / 0.35))",
  "--sl-radius": "10px",
  "--sl-font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif",
  "--sl-mono": "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  "--sl-size": "14px",
  "--sl-list": "440px",
};

for (const [name, initialValue] of Object.entries(TOKENS)) {
  try {
    CSS.registerProperty({ name, syntax: "*", inherits: true, initialValue });
  } catch (error) {
    if (error.name !== "InvalidModificationError") throw error; // registered before, by another copy of this module
  }
}

// A style sheet for shadow roots. The text is ours, never data.
export function sheet(text) {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

// What every part has: type, focus, numbers, badges, buttons, tables.
export const BASE = sheet(`
:host { display: block; box-sizing: border-box; color: var(--sl-text); font: 400 var(--sl-size)/1.45 var(--sl-font); text-align: start; min-width: 0; }
:host([hidden]) { display: none; }
:host(:state(auto)) { color-scheme: light dark; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
*, *::before, *::after { box-sizing: border-box; }
h1, h2, h3, h4, p, dl, dd, dt, ul, ol, figure, table, fieldset { margin: 0; padding: 0; border: 0; font: inherit; }
ul, ol { list-style: none; }
h2 { font-size: 1.15em; font-weight: 650; letter-spacing: -0.005em; }
h3 { font-size: 1em; font-weight: 650; }
[hidden] { display: none !important; }
.vh { position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; border: 0; }
.num { font-variant-numeric: tabular-nums lining-nums; text-align: right; white-space: nowrap; }
.muted { color: var(--sl-muted); }
.small { font-size: 0.86em; }
.gain { color: var(--sl-gain); }
.loss { color: var(--sl-loss); }
.good { color: var(--sl-good); }
.fair { color: var(--sl-fair); }
.poor { color: var(--sl-poor); }
.critical { color: var(--sl-critical); }
.panel { container-type: inline-size; background: var(--sl-card); border: 1px solid var(--sl-line); border-radius: var(--sl-radius); padding: 14px 16px; box-shadow: 0 1px 2px var(--sl-shadow); }
.empty { color: var(--sl-muted); padding: 10px 0; max-width: 62ch; }
.badge { display: inline-flex; align-items: center; gap: 0.4em; padding: 0.08em 0.6em; border: 1px solid currentColor; border-radius: 99px; font-size: 0.8em; font-weight: 600; line-height: 1.55; white-space: nowrap; }
.badge .sign { font-size: 0.9em; line-height: 1; }
button { font: inherit; color: var(--sl-text); background: var(--sl-card); border: 1px solid var(--sl-edge); border-radius: 7px; padding: 0.28em 0.8em; min-height: 30px; cursor: pointer; }
button:hover:not(:disabled) { background: var(--sl-raised); border-color: var(--sl-text); }
button:disabled { opacity: 0.55; cursor: not-allowed; }
button.main { background: var(--sl-accent); border-color: var(--sl-accent); color: var(--sl-accent-text); font-weight: 600; }
button.main:hover:not(:disabled) { background: var(--sl-accent); filter: brightness(1.08); }
button.danger { color: var(--sl-critical); border-color: currentColor; }
button.danger.main { background: var(--sl-critical); border-color: var(--sl-critical); color: var(--sl-accent-text); }
button.plain { border-color: transparent; background: transparent; }
input, select { font: inherit; color: var(--sl-text); background: var(--sl-card); border: 1px solid var(--sl-edge); border-radius: 7px; padding: 0.28em 0.55em; min-height: 30px; min-width: 0; max-width: 100%; }
:focus-visible { outline: 2px solid var(--sl-accent); outline-offset: 2px; }
.scroll { overflow-x: auto; position: relative; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: start; font-weight: 650; padding-bottom: 6px; }
th, td { padding: 5px 10px; text-align: start; vertical-align: baseline; border-top: 1px solid var(--sl-line); }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-top: 0; color: var(--sl-muted); font-weight: 500; font-size: 0.86em; white-space: nowrap; vertical-align: bottom; }
tbody th { font-weight: 550; }
th.num, td.num { text-align: right; }
tfoot td, tfoot th { border-top: 1px solid var(--sl-edge); font-weight: 600; }
thead button { all: unset; cursor: pointer; color: inherit; font: inherit; }
thead button:hover { color: var(--sl-text); text-decoration: underline; }
thead button:focus-visible { outline: 2px solid var(--sl-accent); outline-offset: 2px; border-radius: 3px; }
.stack-label { display: none; }
@container (max-width: 560px) {
  table.stacks, table.stacks tbody, table.stacks tfoot, table.stacks caption { display: block; }
  table.stacks thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table.stacks thead:focus-within { position: static; display: block; width: auto; height: auto; clip-path: none; }
  table.stacks tr { display: flex; flex-wrap: wrap; gap: 1px 16px; padding: 8px 0; border-top: 1px solid var(--sl-line); }
  table.stacks th, table.stacks td { display: flex; flex: 1 1 calc(50% - 8px); max-width: 100%; align-items: baseline; justify-content: space-between; gap: 8px; padding: 1px 0; border: 0; overflow-wrap: anywhere; text-align: end; }
  table.stacks tbody th, table.stacks .wide { flex-basis: 100%; text-align: start; }
  table.stacks td.lesser { display: none; }
  table.stacks .stack-label { display: inline; color: var(--sl-muted); font-size: 0.86em; font-weight: 400; white-space: nowrap; text-align: start; }
}
@media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; } }
@media (forced-colors: active) { .bar > *, .legend i, .key, .shares svg { forced-color-adjust: none; } .badge, .panel { border-color: CanvasText; } }
`);
