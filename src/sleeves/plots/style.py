"""How the page looks, and what it does by itself: its style sheet, its script, and the frame around both. Text, nothing else."""

from __future__ import annotations

__all__ = ["CSS", "PAGE", "SCRIPT"]

CSS = """
:root {
  color-scheme: light dark;
  --paper: #f7f8f9; --card: #ffffff; --ink: #1b2026; --soft: #58616c; --line: #e1e5e9; --grid: #e8ebee; --zero: #aab2bb;
  --good: #00704f; --bad: #b3261e; --link: #0b5c94; --up: 0, 126, 90; --down: 196, 84, 0;
}
@media (prefers-color-scheme: dark) {
  :root:not(.print) {
    --paper: #111418; --card: #191d23; --ink: #e7eaed; --soft: #9ca6b1; --line: #2b313a; --grid: #262c34; --zero: #5a6470;
    --good: #4cc38a; --bad: #ff8a80; --link: #79b8ec; --up: 62, 180, 137; --down: 240, 138, 60;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 66rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3rem) clamp(0.875rem, 4vw, 2rem) 4rem; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); line-height: 1.2; margin: 0.25rem 0 0.5rem; letter-spacing: -0.015em; }
h1, h2, h3 { text-wrap: balance; }
h2 { font-size: 1.125rem; line-height: 1.3; margin: 0 0 0.25rem; }
h3 { font-size: 0.9375rem; line-height: 1.3; margin: 1rem 0 0.25rem; }
p { margin: 0 0 0.5rem; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
header p, figcaption, .what, .note, dt, .text, li { color: var(--soft); }
.over { font-size: 0.875rem; }
.verdict a { color: var(--good); text-decoration: none; font-weight: 600; font-size: 0.9375rem; }
.verdict a::before { content: "\\2713\\00a0"; }
.verdict.broken a { color: var(--bad); }
.verdict.broken a::before { content: "\\2717\\00a0"; }
.verdict a:hover, .verdict a:focus-visible { text-decoration: underline; }
nav ol { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; margin: 1rem 0 0; padding: 0; font-size: 0.875rem; }
nav a { color: var(--soft); text-decoration: none; display: inline-block; padding: 0.125rem 0; }
nav a:hover, nav a:focus-visible { color: var(--link); text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 0.875rem; margin: 1.25rem 0 0.75rem; }
.card, main > section:not(.cards) { background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem; }
.card { display: flex; flex-direction: column; border-top: 4px solid var(--sleeve); padding: 0.875rem 1.125rem 0.75rem; }
.what { font-size: 0.875rem; margin-bottom: 0.625rem; }
.net { font-size: 1.75rem; font-weight: 650; line-height: 1.2; margin: auto 0 0.625rem; letter-spacing: -0.01em; }
.net.gain { color: var(--good); }
.net.loss { color: var(--bad); }
.net small { font-size: 0.875rem; font-weight: 400; color: var(--soft); letter-spacing: 0; white-space: nowrap; }
.net, dd, td { font-variant-numeric: tabular-nums; }
dl { margin: 0; font-size: 0.9375rem; }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: 0.25rem 0; border-top: 1px solid var(--line); }
dd { margin: 0; text-align: right; }
.note { font-size: 0.8125rem; max-width: 60rem; }
main > section:not(.cards) { margin: 1rem 0 0; padding: 1rem 1.125rem; scroll-margin-top: 0.5rem; }
.tables { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1.5rem 3.5rem; }
.wide { overflow-x: auto; flex: 1 1 auto; min-width: min(100%, 17rem); max-width: 100%; margin-top: 0.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; overflow-wrap: break-word; }
th, td { padding: 0.3125rem 0 0.3125rem 1.25rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400; }
.word { text-align: left; }
td.word { min-width: 7rem; }
thead th, thead td { border-bottom: 1px solid var(--soft); vertical-align: bottom; }
thead th { font-weight: 600; }
thead td { color: var(--soft); text-align: left; padding-left: 0; }
tbody th { color: var(--soft); text-align: left; padding-left: 0; min-width: 9rem; }
tbody td, tbody th { vertical-align: top; }
thead td, tbody th { position: sticky; left: 0; background: var(--card); z-index: 1; }
tbody tr:last-child > * { border-bottom: 0; }
tr.sum > * { border-top: 1px solid var(--soft); font-weight: 600; color: var(--ink); }
tr:target > * { background: color-mix(in srgb, var(--link) 14%, var(--card)); }
#why td.word { font-size: 0.8125rem; color: var(--soft); min-width: 11rem; max-width: 26rem; }
#records table, #refusals table { font-size: 0.8125rem; }
#records tbody th { min-width: 4rem; }
#records td.word, #refusals td.word { min-width: 0; }
#records td:nth-child(2), #refusals td:nth-child(5), #drawdown td.word { white-space: nowrap; }
#records td:nth-child(6), #refusals td:nth-child(6), #refusals td:nth-child(7) { min-width: 15rem; }
#records td:nth-child(7) { min-width: 13rem; }
.calendar th, .calendar td { padding: 0.1875rem 0 0.1875rem 0.25rem; }
.calendar table { table-layout: fixed; min-width: calc(5rem + var(--across) * 4.3rem); }
.calendar tbody th { min-width: 0; }
.calendar thead td { width: 5rem; }
.calendar thead th { padding-right: 0.375rem; }
.calendar td:last-child { font-weight: 600; }
.calendar td > span { display: block; padding: 0.125rem 0.375rem; border-radius: 0.25rem; white-space: nowrap; }
.calendar b { display: block; font-weight: inherit; }
.calendar small { display: block; font-size: 0.6875rem; font-weight: 400; }
.calendar abbr { text-decoration: none; }
.none { color: var(--soft); }
.up1 { background: rgba(var(--up), 0.08); } .up2 { background: rgba(var(--up), 0.16); }
.up3 { background: rgba(var(--up), 0.26); } .up4 { background: rgba(var(--up), 0.38); }
.down1 { background: rgba(var(--down), 0.08); } .down2 { background: rgba(var(--down), 0.16); }
.down3 { background: rgba(var(--down), 0.26); } .down4 { background: rgba(var(--down), 0.38); }
details { flex: 1 1 100%; max-width: 100%; border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: 0.375rem 0; font-size: 0.9375rem; }
.tables:has(details) { gap: 0; }
figure { margin: 0; }
figcaption, .text { font-size: 0.9375rem; }
figcaption, .text { margin-bottom: 0.5rem; max-width: 52rem; text-wrap: pretty; }
[data-figure] { overflow: hidden; }
section ul { margin: 0.25rem 0 0; padding-left: 1.125rem; font-size: 0.9375rem; }
section li { margin: 0.1875rem 0; }
.laws { list-style: none; margin: 0.5rem 0 0; padding: 0; columns: 19rem; column-gap: 2.5rem; }
.laws li {
  display: grid; grid-template-columns: 3.75rem 1fr auto; margin: 0; padding: 0.25rem 0; border-bottom: 1px solid var(--line);
  break-inside: avoid; color: var(--ink);
}
.laws span { color: var(--soft); }
.laws b { font-weight: 400; }
.laws em { font-style: normal; font-weight: 600; color: var(--good); }
.laws .broken em { color: var(--bad); }
.laws p { grid-column: 2 / -1; margin: 0.125rem 0; color: var(--bad); }
footer { color: var(--soft); font-size: 0.8125rem; margin-top: 1rem; }
@media (pointer: coarse) { .mouse { display: none; } }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media (min-width: 84rem) {
  main { max-width: 80rem; padding-left: 15rem; position: relative; }
  nav { position: fixed; top: 0; bottom: 0; width: 12rem; margin-left: -13.5rem; overflow-y: auto; padding: 3rem 0 2rem; }
  nav ol { flex-direction: column; margin: 0; gap: 0.25rem; }
}
@media (max-width: 30rem) {
  main > section:not(.cards), .card { padding-left: 0.875rem; padding-right: 0.875rem; }
  th, td { padding-left: 0.625rem; }
  tbody th { min-width: 6rem; }
  table { font-size: 0.875rem; }
}
@page { size: A4; margin: 14mm; }
@media print {
  html { font-size: 12px; }
  body { font-size: 1rem; background: #ffffff; }
  main { max-width: none; padding: 0; }
  nav, footer .mouse, footer .names { display: none; }
  main > section:not(.cards), .card { border-color: var(--line); break-inside: auto; }
  figure, tr, h2, h3, .card { break-inside: avoid; }
  h2, h3, figcaption { break-after: avoid; }
  .wide { overflow: visible; }
  .wide table { font-size: 0.75rem; }
  .calendar table { font-size: 0.625rem; }
  .calendar small { font-size: 0.5625rem; }
  th, td { padding-left: 0.5rem; }
  td.word, tbody th, #records td, #refusals td, #why td { min-width: 0 !important; }
  .calendar table { min-width: 0; }
  thead td, tbody th { position: static; }
  a { color: inherit; text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

SCRIPT = """
(function () {
  "use strict";
  const figures = JSON.parse(document.getElementById("data").textContent);
  const heights = {};
  const touch = matchMedia("(pointer: coarse)").matches;
  const paper = { width: 652, height: 0.64 };
  function look(layout) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const change = {
      "paper_bgcolor": colour("--card"), "plot_bgcolor": colour("--card"),
      "font.color": colour("--soft"), "legend.font.color": colour("--ink"),
      "hoverlabel.font.color": colour("--ink"), "hoverlabel.bgcolor": colour("--card"), "hoverlabel.bordercolor": colour("--line"),
    };
    for (const name of Object.keys(layout)) {
      if (/^xaxis\\d*$/.test(name)) change[name + ".nticks"] = innerWidth < 600 ? 4 : 0;
      if (/^[xy]axis\\d*$/.test(name)) {
        change[name + ".gridcolor"] = colour("--grid");
        change[name + ".zerolinecolor"] = colour("--zero");
        if (touch) change[name + ".fixedrange"] = true;
      }
    }
    return change;
  }
  const drawn = [];
  const waiting = Array.from(document.querySelectorAll("[data-figure]"));
  function draw(place) {
    const figure = figures[place.dataset.figure];
    heights[place.dataset.figure] = figure.layout.height;
    if (touch) figure.layout.dragmode = false;
    if (innerWidth < 600 && figure.data.length > 6) figure.layout.hovermode = "closest";
    const config = { responsive: true, displayModeBar: false, displaylogo: false };
    Plotly.newPlot(place, figure.data, figure.layout, config).then((graph) => Plotly.relayout(graph, look(graph.layout)));
    drawn.push(place);
  }
  function next() {
    if (!waiting.length) return;
    draw(waiting.shift());
    setTimeout(next, 0);
  }
  function again(printed) {
    for (const graph of drawn) {
      const name = graph.dataset.figure;
      const height = Math.round(heights[name] * (printed && name !== "waterfall" ? paper.height : 1));
      graph.style.height = height + "px";
      Plotly.relayout(graph, Object.assign(look(graph.layout), { height, width: printed ? paper.width : null, autosize: !printed }));
    }
  }
  function reveal() {
    const place = document.getElementById(location.hash.slice(1));
    const folded = place && place.closest("details");
    if (!folded || folded.open) return;
    folded.open = true;
    place.scrollIntoView();
  }
  next();
  reveal();
  addEventListener("hashchange", reveal);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => again(false));
  let folded = [];
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("print");
    folded = Array.from(document.querySelectorAll("details:not([open])"));
    for (const one of folded) one.open = true;
    while (waiting.length) draw(waiting.shift());
    again(true);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("print");
    for (const one of folded) one.open = false;
    again(false);
  });
})();
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
<footer>Times are UTC. <span class="mouse">Drag over a graph to zoom in, double-click to zoom out.</span>
<span class="names">Click a name to hide its lines.</span>
<noscript>The graphs need JavaScript; every number above stands without it.</noscript></footer>
</main>
<script type="application/json" id="data">{figures}</script>
<script>{plotly}</script>
<script>{script}</script>
</body>
</html>
"""
