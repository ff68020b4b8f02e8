// <sleeve-chart>: how money went, over time: balance and equity, profit, fees, what was returned, Tradeable against Total.
// Of one sleeve (sleeve="name"), of one vault and its sleeves (vault="owner"), or of all. A sleeve has one colour in all graphs;
// different assets never share an axis.

import uPlot from "./vendor/uplot.js";
import { UPLOT_CSS } from "./vendor-css.js";
import { View, define, h, inkOf, keyed, setAttr, setStyle, setText } from "./element.js";
import { COLOURS, NEUTRAL, UNKNOWN, clock, coloursOf, figure, money, toneOf, vaultName, when } from "./format.js";
import { Columns, draw, figures, indexAt, mixed, reach } from "./lines.js";
import { sheet } from "./theme.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const GRAPHS = [
  {
    name: "balance",
    tab: "Balance",
    says: "Balance at cost (thick) and equity at marks (thin)",
    lines: [
      { field: "balance", width: 2.25, step: true },
      { field: "equity", width: 1.1, step: false },
    ],
    none: "Nothing was marked yet. The lines begin with the first mark.",
  },
  {
    name: "profit",
    tab: "Profit",
    says: "Profit realized (solid) and unrealized (dotted)",
    zero: true,
    signed: true,
    lines: [
      { field: "realized", width: 2, step: true },
      { field: "unrealized", width: 1.4, step: false, dash: [2, 3] },
    ],
    none: "Nothing was marked yet. The lines begin with the first mark.",
  },
  {
    name: "fees",
    tab: "Fees",
    says: "Fees paid",
    zero: true,
    lines: [{ field: "fees", width: 2, step: true }],
    none: "Nothing was marked yet. The lines begin with the first mark.",
  },
  {
    name: "returned",
    tab: "Returned",
    says: "Profit handed back to Tradeable",
    zero: true,
    lines: [{ field: "returned", width: 2, step: true }],
    none: "No sleeve here hands its profit back.",
  },
  {
    name: "tradeable",
    tab: "Tradeable",
    says: "Tradeable (thick) against Total (thin)",
    ofVaults: true,
    lines: [
      { field: "tradeable", width: 2.25, step: true },
      { field: "total", width: 1.1, step: true },
    ],
    none: "Nothing was marked yet. The lines begin with the first mark.",
  },
];

const RANGES = [
  { name: "all", word: "All", span: Infinity },
  { name: "90d", word: "90 days", span: 90 * DAY },
  { name: "30d", word: "30 days", span: 30 * DAY },
  { name: "7d", word: "7 days", span: 7 * DAY },
  { name: "1d", word: "1 day", span: DAY },
  { name: "1h", word: "1 hour", span: HOUR },
  { name: "5m", word: "5 minutes", span: 5 * MINUTE },
];
const FEW = 8; // so many lines have room for all digits below the crosshair
const LEAST_SPAN = SECOND;
const PER_MS = 40; // points that may be painted for each millisecond of waiting
const DENSE = 20_000; // from so many points on, two pixels are drawn as one

const LOOK = sheet(`
:host { container-type: inline-size; --sl-chart-height: 260px; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; }
.head h2 { margin-inline-end: auto; }
.tabs { display: flex; flex-wrap: wrap; gap: 0 2px; margin: 8px 0 0; border-bottom: 1px solid var(--sl-line); }
.tabs button { all: unset; box-sizing: border-box; cursor: pointer; padding: 4px 11px 6px; min-height: 30px; color: var(--sl-muted); border-bottom: 2px solid transparent; margin-bottom: -1px; }
.tabs button:hover { color: var(--sl-text); }
.tabs button[aria-selected="true"] { color: var(--sl-text); border-bottom-color: var(--sl-accent); font-weight: 600; }
.tabs button:focus-visible { outline: 2px solid var(--sl-accent); outline-offset: -2px; border-radius: 5px; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 10px; }
.tools label { display: inline-flex; align-items: center; gap: 6px; color: var(--sl-muted); font-size: 0.86em; }
.tools select, .tools button { min-height: 26px; padding-block: 0.1em; font-size: 0.92em; }
.says { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 16px; margin: 8px 0 2px; color: var(--sl-muted); font-size: 0.86em; }
.says .at { font-variant-numeric: tabular-nums; white-space: nowrap; }
.legend { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 0 14px; margin: 6px -7px 4px; max-height: 13em; overflow: auto; }
.legend.many { grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); }
.legend button { all: unset; box-sizing: border-box; cursor: pointer; display: grid; grid-template-columns: minmax(0, 1fr) auto; column-gap: 10px; align-items: center; line-height: 1.35; padding: 2px 8px; border-radius: 6px; width: 100%; max-width: 440px; min-height: 24px; }
.legend button:hover { background: var(--sl-raised); }
.legend button:focus-visible { outline: 2px solid var(--sl-accent); outline-offset: -2px; }
.legend .who { display: inline-flex; align-items: center; gap: 7px; min-width: 0; }
.legend .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 22ch; font-weight: 550; }
.swatch { flex: none; width: 14px; height: 3px; border-radius: 2px; background: var(--colour); }
.legend button[aria-pressed="false"] .name { text-decoration: line-through; color: var(--sl-muted); font-weight: 400; }
.legend button[aria-pressed="false"] .swatch { opacity: 0.35; }
.legend button[aria-pressed="false"] .values { display: none; }
.legend .values { font-variant-numeric: tabular-nums lining-nums; white-space: nowrap; }
.legend .values span + span::before { content: "/"; color: var(--sl-muted); margin: 0 5px; font-weight: 400; }
.plot { position: relative; height: var(--sl-chart-height); border-radius: 6px; touch-action: pan-y; }
.plot:focus-visible { outline-offset: 3px; }
.plot .uplot { font-family: inherit; }
.plot .u-cursor-x { border-right-color: var(--sl-muted); border-right-style: solid; opacity: 0.6; }
.plot .u-select { background: color-mix(in srgb, var(--sl-accent) 16%, transparent); border-inline: 1px solid var(--sl-accent); }
.dot { position: absolute; left: 0; top: 0; width: 7px; height: 7px; margin: -3.5px 0 0 -3.5px; border-radius: 50%; background: var(--colour); box-shadow: 0 0 0 1.5px var(--sl-card); pointer-events: none; }
.figures { margin-top: 8px; }
.figures summary { cursor: pointer; color: var(--sl-muted); font-size: 0.86em; width: max-content; }
.figures table { margin-top: 6px; }
.probe { position: absolute; width: 0; height: 0; overflow: hidden; color: var(--sl-text); }
.probe.probe.probe { transition: color 1ms linear !important; }
@media (forced-colors: active) {
  .swatch, .dot { forced-color-adjust: none; }
  .tabs button { border-bottom-width: 0; }
  .tabs button[aria-selected="true"] { border-bottom: 3px solid Highlight; }
}
@container (max-width: 400px) { .tabs button { padding-inline: 5px; font-size: 0.9em; } }
`);

const VENDOR = sheet(UPLOT_CSS);

// A number that was drawn, as the shortest decimal text that is the same number.
function plain(value) {
  const text = String(value);
  return text.includes("e") ? value.toFixed(12).replace(/\.?0+$/, "") : text;
}

export class SleeveChart extends View {
  static tables = ["charts", "sleeves", "vaults", "state"];
  static sheets = [VENDOR, LOOK];

  #graph = GRAPHS[0];
  #asset = null;
  #hidden = new Set(); // names of series that were switched off, in all graphs
  #columns = new Map(); // series -> Columns
  #shown = []; // what the graph is of: { series, name, colour, lines }
  #chart = null;
  #window = null; // null for all; { span } follows the end; { from, to } stands still
  #time = null; // under the crosshair, in milliseconds
  #inks = null;
  #figured = 0;

  build() {
    const root = this.shadowRoot;
    this.title_ = h("h2", null, "Over time");
    this.assets = h("select", { onchange: () => this.#choose(this.assets.value) });
    this.assetLabel = h("label", { hidden: true }, "Asset", this.assets);
    this.ranges = h("select", { onchange: () => this.#range(this.ranges.value) });
    this.rangeLabel = h("label", null, "Range", this.ranges);
    this.reset = h("button", { type: "button", hidden: true, onclick: () => this.#whole() }, "Reset zoom");
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Graph", onkeydown: (event) => this.#tabKey(event) });
    this.legend = h("ul", { class: "legend", "aria-label": "Lines" });
    this.says = h("span", { id: "says" });
    this.at = h("span", { class: "at" });
    this.plot = h("div", {
      class: "plot",
      role: "slider",
      tabindex: "0",
      "aria-label": "Time under the crosshair",
      "aria-describedby": "says",
      onkeydown: (event) => this.#key(event),
      onpointerenter: () => this.#chart?.syncRect(), // it may have moved since, by what grew above it
      onpointerdown: (event) => this.#press(event),
      onpointermove: (event) => this.#press(event),
      onblur: () => this.#point(null),
    });
    this.plot.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.none = h("p", { class: "empty", hidden: true });
    this.rows = h("tbody");
    this.details = h(
      "details",
      { class: "figures", ontoggle: () => this.#figure(true) },
      h("summary", null, "The same in figures"),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          null,
          h("caption", { class: "vh" }, "First, last, least and greatest value of each line"),
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              ...["Line", "First", "Last", "Least", "Greatest"].map((word, n) => h("th", { scope: "col", class: n ? "num" : null }, word)),
            ),
          ),
          this.rows,
        ),
      ),
    );
    this.panel = h(
      "div",
      { role: "tabpanel", id: "panel" },
      h("p", { class: "says" }, this.says, this.at),
      this.legend,
      this.plot,
      this.none,
      this.details,
    );
    const probe = h("i", { class: "probe", "aria-hidden": "true" });
    probe.addEventListener("transitionend", () => this.#repaint());
    root.append(
      h(
        "section",
        { class: "panel" },
        h("div", { class: "head" }, this.title_, h("div", { class: "tools" }, this.reset, this.assetLabel, this.rangeLabel)),
        this.tabs,
        this.panel,
        probe,
      ),
    );
    this.watcher = new ResizeObserver(() => this.#size());
    this.watcher.observe(this.plot);
  }

  connectedCallback() {
    super.connectedCallback();
    if (this.plot) this.watcher.observe(this.plot);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.watcher?.disconnect();
    this.#drop();
  }

  // -- what is drawn -------------------------------------------------------------------------------------------------------

  render(store) {
    const sleeve = this.getAttribute("sleeve");
    const owner = this.getAttribute("vault");
    const graphs = GRAPHS.filter((graph) => !(graph.ofVaults && sleeve !== null));
    if (!graphs.includes(this.#graph)) this.#graph = graphs[0];
    this.#tab(graphs);

    const sleeves = store
      .entries("sleeves")
      .filter(([name, row]) => (sleeve === null || name === sleeve) && (owner === null || row.vault === owner));
    const vaults = sleeve === null ? store.entries("vaults").filter(([name]) => owner === null || name === owner) : [];
    this.#offer([...new Set([...sleeves, ...vaults].map(([, row]) => row.asset))]);
    setText(this.title_, sleeve !== null ? `${sleeve} over time` : owner !== null ? `${vaultName(owner)} over time` : "Over time");

    const graph = this.#graph;
    const names = [...store.table(graph.ofVaults ? "vaults" : "sleeves").keys()];
    const colours = coloursOf(names);
    const wanted = (graph.ofVaults ? vaults : sleeves).filter(
      ([, row]) => row.asset === this.#asset && (graph.name !== "returned" || sweeps(row)),
    );
    let changed = false;
    this.#shown = [];
    for (const [name, row] of wanted) {
      const series = `${graph.ofVaults ? "vault" : "sleeve"}:${name}`;
      const told = store.charts.get(series);
      if (told === undefined) continue;
      if (!this.#columns.has(series)) this.#columns.set(series, new Columns());
      const columns = this.#columns.get(series);
      if (columns.take(told) !== "same") changed = true;
      if (columns.x.length > 0) {
        const label = graph.ofVaults ? vaultName(name) : name;
        this.#shown.push({
          series,
          name: label,
          row,
          columns,
          colour: graph.ofVaults
            ? { base: NEUTRAL, cycle: names.indexOf(name) }
            : { base: colours.get(name), cycle: Math.floor(names.indexOf(name) / COLOURS.length) },
        });
      }
    }
    for (const series of this.#columns.keys()) if (!store.charts.has(series)) this.#columns.delete(series);

    const empty = this.#shown.length === 0;
    setText(this.says, empty ? "" : `${graph.says}, ${this.#asset}`);
    setText(
      this.none,
      wanted.length > 0 || graph.name !== "returned" ? "Nothing was marked yet. The lines begin with the first mark." : graph.none,
    );
    this.none.hidden = !empty;
    for (const node of [this.plot, this.legend, this.details, this.rangeLabel]) node.hidden = empty;
    if (empty) {
      this.reset.hidden = true;
      this.#drop();
      setText(this.at, "");
      return;
    }
    this.#spans();
    this.#list();
    if (this.#chart === null) this.#make();
    else if (this.#drawn !== this.#signature()) this.#update();
    else if (changed) this.#later();
    this.#read();
    this.#figure(false);
  }

  #drawn = "";
  #painted = 0;
  #timer = 0;

  // What is on the canvas besides the points: where it changes, it must be drawn anew.
  #signature() {
    return `${this.#graph.name}|${this.#asset}|${this.#shown.map(({ series }) => `${series}${this.#hidden.has(series) ? "-" : "+"}`).join("|")}`;
  }

  // Many points cost a slow machine some ten milliseconds to paint, and one point more is less than a pixel then: the more there
  // are, the longer the lines wait for new ones, a second at most. The figures in the legend never wait.
  #later() {
    if (this.#timer !== 0) return;
    const points = this.#visible().reduce((count, { columns }) => count + columns.x.length * this.#graph.lines.length, 0);
    const wait = Math.min(SECOND, points / PER_MS) - (performance.now() - this.#painted);
    if (wait <= 0) this.#update();
    else {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        if (this.#chart !== null && this.isConnected) this.#update();
      }, wait);
    }
  }

  #visible() {
    return this.#shown.filter(({ series }) => !this.#hidden.has(series));
  }

  // The first and last time of all that is drawn.
  #whole_span() {
    let [from, to] = [Infinity, -Infinity];
    for (const { columns } of this.#shown) {
      from = Math.min(from, columns.x[0]);
      to = Math.max(to, columns.x[columns.x.length - 1]);
    }
    return from === to ? [from - MINUTE, to + MINUTE] : [from, to];
  }

  #span() {
    const [from, to] = this.#whole_span();
    if (this.#window === null) return [from, to];
    if (this.#window.span !== undefined) return [Math.max(from, to - this.#window.span), to];
    return [this.#window.from, this.#window.to];
  }

  #bounds() {
    const [from, to] = this.#span();
    let [least, greatest] = this.#graph.zero ? [0, 0] : [Infinity, -Infinity];
    for (const { columns } of this.#visible()) {
      for (const { field } of this.#graph.lines) {
        const found = reach(columns.x, columns.of(field), from, to);
        if (found === null) continue;
        least = Math.min(least, found[0]);
        greatest = Math.max(greatest, found[1]);
      }
    }
    if (least > greatest) return [0, 1];
    const room = greatest > least ? (greatest - least) * 0.06 : Math.max(Math.abs(greatest) * 0.001, 1e-6, greatest === 0 ? 1 : 0);
    return [this.#graph.zero && least === 0 ? 0 : least - room, greatest === 0 && least < 0 ? 0 : greatest + room];
  }

  // -- the canvas ----------------------------------------------------------------------------------------------------------

  #make() {
    const muted = () => this.#ink().muted;
    const axis = {
      stroke: muted,
      font: this.#font(),
      ticks: { show: false },
      grid: { stroke: () => this.#ink().line, width: 1 },
      border: { show: false },
    };
    const { width, height } = this.#room();
    const options = {
      width,
      height,
      ms: 1,
      tzDate: (time) => uPlot.tzDate(new Date(time), "Etc/UTC"),
      padding: [10, 20, 0, 4],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: 5 },
        bind: { dblclick: () => () => this.#whole() },
      },
      scales: { x: { time: true }, y: { range: () => this.#bounds() } },
      axes: [
        { ...axis, gap: 6, size: 38, space: 78, values: (_, splits, __, ___, step) => timeTicks(splits, step) },
        { ...axis, gap: 8, space: 34, values: (_, splits, __, ___, step) => moneyTicks(splits, step), size: (_, values) => wide(values) },
      ],
      series: [{}, { show: true, points: { show: false }, paths: () => null }],
      hooks: {
        draw: [(chart) => this.#ply(chart)],
        setCursor: [(chart) => this.#pointed(chart)],
        setSelect: [(chart) => this.#selected(chart)],
      },
    };
    this.#chart = new uPlot(options, [this.#whole_span(), [null, null]], this.plot);
    this.dots = h("div", { "aria-hidden": "true" });
    this.#chart.over.append(this.dots);
    this.#update();
  }

  #font() {
    return `12px ${getComputedStyle(this).fontFamily}`;
  }

  #room() {
    return { width: Math.max(180, Math.floor(this.plot.clientWidth)), height: Math.max(120, Math.floor(this.plot.clientHeight)) };
  }

  #size() {
    if (this.#chart === null || this.plot.clientWidth === 0) return;
    const room = this.#room();
    if (room.width !== this.#chart.width || room.height !== this.#chart.height) this.#chart.setSize(room);
    this.#dotted();
  }

  #update() {
    const [from, to] = this.#span();
    this.#drawn = this.#signature();
    this.#painted = performance.now();
    this.#chart.batch(() => {
      this.#chart.setData([this.#whole_span(), [null, null]], false);
      this.#chart.setScale("x", { min: from, max: to });
    });
    this.#slide();
  }

  // The lines, drawn by us: each series keeps times of its own, so that none is stretched to fit another's.
  #ply(chart) {
    const { ctx, bbox } = chart;
    const scale = bbox.width / chart.over.clientWidth || 1;
    const { min, max } = chart.scales.x;
    const [low, high] = [chart.scales.y.min, chart.scales.y.max];
    const [, until] = this.#whole_span();
    const toX = (time) => bbox.left + ((time - min) / (max - min)) * bbox.width;
    const toY = (value) => bbox.top + (1 - (value - low) / (high - low)) * bbox.height;
    const points = this.#visible().reduce((count, { columns }) => count + columns.x.length * this.#graph.lines.length, 0);
    const grain = points > DENSE ? 2 * scale : scale;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - 2, bbox.width, bbox.height + 4);
    ctx.clip();
    ctx.lineJoin = "bevel"; // round joins cost half of the time again
    if (this.#graph.zero && low < 0) {
      ctx.strokeStyle = this.#ink().edge;
      ctx.lineWidth = scale;
      ctx.beginPath();
      ctx.moveTo(bbox.left, Math.round(toY(0)) + 0.5);
      ctx.lineTo(bbox.left + bbox.width, Math.round(toY(0)) + 0.5);
      ctx.stroke();
    }
    for (const { columns, colour } of this.#visible()) {
      ctx.strokeStyle = this.#colour(colour);
      for (const { field, width, step, dash = [] } of this.#graph.lines) {
        ctx.lineWidth = width * scale;
        ctx.setLineDash(dash.map((length) => length * scale));
        ctx.beginPath();
        draw(ctx, columns.x, columns.of(field), { from: min, to: max, until, step, toX, toY, grain });
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#chart?.destroy();
    this.#chart = null;
    this.#drawn = "";
  }

  #ink() {
    this.#inks ??= Object.fromEntries(["text", "muted", "line", "edge", "card"].map((name) => [name, inkOf(this, `--sl-${name}`)]));
    return this.#inks;
  }

  // The seventh name and those after it bear the same hues as the first six, darker or lighter; vaults are grey.
  #colour({ base, cycle }) {
    if (cycle === 0) return base;
    return mixed(base, cycle % 2 === 1 ? this.#ink().text : this.#ink().card, Math.min(0.7, 0.42 + 0.14 * Math.floor((cycle - 1) / 2)));
  }

  #repaint() {
    this.#inks = null;
    this.#list();
    this.#chart?.redraw(false, true);
  }

  // -- tabs, assets, ranges ------------------------------------------------------------------------------------------------

  #tab(graphs) {
    keyed(
      this.tabs,
      graphs,
      (graph) => graph.name,
      (graph) =>
        h(
          "button",
          { type: "button", role: "tab", id: `tab-${graph.name}`, "aria-controls": "panel", onclick: () => this.#turn(graph) },
          graph.tab,
        ),
      (node, graph) => {
        const chosen = graph === this.#graph;
        setAttr(node, "aria-selected", String(chosen));
        setAttr(node, "tabindex", chosen ? "0" : "-1");
      },
    );
    setAttr(this.panel, "aria-labelledby", `tab-${this.#graph.name}`);
  }

  #turn(graph) {
    this.#graph = graph;
    this.#time = null;
    this.draw();
    this.#figure(true);
  }

  #tabKey(event) {
    const tabs = [...this.tabs.children];
    const at = tabs.indexOf(event.target);
    const to = { ArrowRight: (at + 1) % tabs.length, ArrowLeft: (at + tabs.length - 1) % tabs.length, Home: 0, End: tabs.length - 1 }[
      event.key
    ];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    tabs[to].focus();
    tabs[to].click();
  }

  #offer(assets) {
    if (!assets.includes(this.#asset)) this.#asset = assets[0] ?? null;
    this.assetLabel.hidden = assets.length < 2;
    keyed(
      this.assets,
      assets,
      (asset) => asset,
      (asset) => h("option", { value: asset }, asset),
    );
    if (this.#asset !== null) this.assets.value = this.#asset;
  }

  #choose(asset) {
    this.#asset = asset;
    this.#window = null;
    this.draw();
    this.#figure(true);
  }

  #spans() {
    const [from, to] = this.#whole_span();
    const fits = RANGES.filter(({ span }) => span === Infinity || span < to - from);
    const chosen = this.#window === null ? "all" : (RANGES.find(({ span }) => span === this.#window.span)?.name ?? "own");
    const offered =
      chosen === "own"
        ? [...fits, { name: "own", word: "Zoomed" }]
        : fits.some(({ name }) => name === chosen)
          ? fits
          : [...fits, RANGES.find(({ name }) => name === chosen)];
    keyed(
      this.ranges,
      offered,
      ({ name }) => name,
      ({ name, word }) => h("option", { value: name }, word),
    );
    this.ranges.value = chosen;
    this.reset.hidden = chosen === "all";
  }

  #range(name) {
    if (name === "own") return;
    const { span } = RANGES.find((range) => range.name === name);
    this.#zoom(span === Infinity ? null : { span });
  }

  // -- zoom ----------------------------------------------------------------------------------------------------------------

  #zoom(window) {
    this.#window = window;
    this.#spans();
    if (this.#chart !== null) this.#update();
    this.#read();
  }

  #whole() {
    const focused = this.shadowRoot.activeElement === this.reset;
    this.#zoom(null);
    if (focused) this.plot.focus();
  }

  // Show these times, kept inside of what there is. What reaches the end follows it.
  #show(from, to) {
    const [first, last] = this.#whole_span();
    const span = Math.max(LEAST_SPAN, to - from);
    if (span >= last - first) return this.#zoom(null);
    const start = Math.min(Math.max(from, first), last - span);
    return this.#zoom(start + span >= last ? { span } : { from: start, to: start + span });
  }

  #scale(factor, time) {
    const [from, to] = this.#span();
    const at = time ?? (from + to) / 2;
    this.#show(at - (at - from) * factor, at + (to - at) * factor);
  }

  #selected(chart) {
    const { left, width } = chart.select;
    if (width < 5) return;
    const [from, to] = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#show(from, to);
  }

  // The wheel zooms where the reader means the chart: with a modifier, or when the chart has the focus. Else the page scrolls.
  #wheel(event) {
    if (this.#chart === null || !(event.ctrlKey || event.metaKey || this.shadowRoot.activeElement === this.plot)) return;
    event.preventDefault();
    const left = event.clientX - this.#chart.over.getBoundingClientRect().left;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const [from, to] = this.#span();
    if (sideways) this.#show(from + ((to - from) * event.deltaX) / 800, to + ((to - from) * event.deltaX) / 800);
    else this.#scale(Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY / 400))), this.#chart.posToVal(left, "x"));
  }

  // -- crosshair -----------------------------------------------------------------------------------------------------------

  #press(event) {
    if (event.type === "pointerdown") this.plot.focus({ preventScroll: true });
    if (event.pointerType !== "touch" || this.#chart === null) return;
    const box = this.#chart.over.getBoundingClientRect();
    this.#chart.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
  }

  #pointed(chart) {
    const { left } = chart.cursor;
    if (left === undefined || left === null || left < 0) {
      if (this.shadowRoot.activeElement !== this.plot) this.#point(null);
    } else this.#point(chart.posToVal(left, "x"));
  }

  #point(time) {
    if (time === this.#time) return;
    this.#time = time;
    if (time === null) this.#chart?.setCursor({ left: -10, top: -10 }, false);
    this.#read();
  }

  #key(event) {
    if (this.#chart === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const [from, to] = this.#span();
    const now = this.#time ?? to;
    const by = event.shiftKey ? 10 : 1;
    const moves = {
      ArrowLeft: () => this.#step(now, -by),
      ArrowDown: () => this.#step(now, -by),
      ArrowRight: () => this.#step(now, by),
      ArrowUp: () => this.#step(now, by),
      PageUp: () => this.#go(now + (to - from) / 10),
      PageDown: () => this.#go(now - (to - from) / 10),
      Home: () => this.#go(from),
      End: () => this.#go(to),
      "+": () => this.#scale(0.7, now),
      "=": () => this.#scale(0.7, now),
      "-": () => this.#scale(1 / 0.7, now),
      0: () => this.#zoom(null),
      Escape: () => (this.#window === null ? this.#point(null) : this.#zoom(null)),
    };
    if (moves[event.key] === undefined) return;
    event.preventDefault();
    moves[event.key]();
  }

  // To the next time, or the one before, at which one of the visible lines has a point.
  #step(time, by) {
    let at = time;
    for (let left = Math.abs(by); left > 0; left -= 1) {
      let next = by > 0 ? Infinity : -Infinity;
      for (const { columns } of this.#visible()) {
        const here = indexAt(columns.x, at);
        const found = by > 0 ? columns.x[here + 1] : columns.x[columns.x[here] === at ? here - 1 : here];
        if (found !== undefined) next = by > 0 ? Math.min(next, found) : Math.max(next, found);
      }
      if (!Number.isFinite(next)) break;
      at = next;
    }
    this.#go(at);
  }

  // Put the crosshair at a time, and the time into the picture.
  #go(time) {
    const [first, last] = this.#whole_span();
    const at = Math.min(Math.max(time, first), last);
    const [from, to] = this.#span();
    if (at < from) this.#show(at, at + (to - from));
    else if (at > to) this.#show(at - (to - from), at);
    this.#time = at;
    this.#chart.setCursor({ left: this.#chart.valToPos(at, "x"), top: this.#chart.over.clientHeight / 2 }, false);
    this.#read();
  }

  // Keep the crosshair on its time while the picture moves below it.
  #slide() {
    if (this.#time === null) return;
    const [from, to] = this.#span();
    if (this.#time < from || this.#time > to) this.#point(null);
    else if (this.shadowRoot.activeElement === this.plot)
      this.#chart.setCursor({ left: this.#chart.valToPos(this.#time, "x"), top: this.#chart.over.clientHeight / 2 }, false);
  }

  // -- legend and figures --------------------------------------------------------------------------------------------------

  #list() {
    this.legend.classList.toggle("many", this.#shown.length > FEW);
    keyed(
      this.legend,
      this.#shown,
      ({ series }) => series,
      ({ series }) =>
        h(
          "li",
          null,
          h(
            "button",
            { type: "button", onclick: () => this.#toggle(series) },
            h("span", { class: "who" }, h("span", { class: "swatch", "aria-hidden": "true" }), h("span", { class: "name" })),
            h("span", { class: "values" }),
          ),
        ),
      (node, { series, name, colour }) => {
        setText(node.querySelector(".name"), name);
        setAttr(node.querySelector(".name"), "title", name);
        setStyle(node.querySelector(".swatch"), "--colour", this.#colour(colour));
        setAttr(node.firstChild, "aria-pressed", String(!this.#hidden.has(series)));
      },
    );
  }

  #toggle(series) {
    if (!this.#hidden.delete(series)) this.#hidden.add(series);
    this.draw();
  }

  // What a line says under the crosshair, or now: exact text.
  #said({ columns, row }, field) {
    if (this.#time === null) return row[field] ?? null;
    const index = indexAt(columns.x, this.#time);
    const value = index < 0 ? null : columns.of(field)[index];
    return value === null ? null : plain(value);
  }

  #read() {
    const { lines, signed = false } = this.#graph;
    const pointing = this.#time !== null;
    setText(this.at, this.#shown.length === 0 ? "" : pointing ? `${when(this.#time)} UTC` : "latest");
    const spoken = [];
    for (const one of this.#shown) {
      const values = this.legend.keyed?.get(one.series)?.querySelector(".values");
      if (values === undefined) continue;
      keyed(
        values,
        lines,
        ({ field }) => field,
        ({ field }) => h("span", { "data-field": field }),
        (node, { field }) => {
          const text = this.#said(one, field);
          setText(
            node,
            text === null
              ? UNKNOWN
              : pointing && this.#shown.length <= FEW
                ? figure(text, { sign: signed })
                : money(text, { sign: signed }),
          );
          setAttr(node, "title", `${field} ${text === null ? "unknown" : `${figure(text)} ${this.#asset}`}`);
          setAttr(node, "class", signed && text !== null ? toneOf(text) : null);
        },
      );
      if (!this.#hidden.has(one.series)) {
        const said = lines.map(({ field }) => [field, this.#said(one, field)]);
        spoken.push(`${one.name} ${said.map(([field, text]) => `${field} ${text === null ? "unknown" : figure(text)}`).join(", ")}`);
      }
    }
    const [from, to] = this.#shown.length === 0 ? [0, 1] : this.#span();
    setAttr(this.plot, "aria-valuemin", Math.round(from));
    setAttr(this.plot, "aria-valuemax", Math.round(to));
    setAttr(this.plot, "aria-valuenow", Math.round(this.#time ?? to));
    setAttr(this.plot, "aria-valuetext", `${pointing ? `${when(this.#time)} UTC` : "now"}: ${spoken.join("; ")}, in ${this.#asset}`);
    this.#dotted();
  }

  // A dot where the crosshair meets each line.
  #dotted() {
    if (this.#chart === null) return;
    const chart = this.#chart;
    const found = [];
    if (this.#time !== null) {
      const left = chart.valToPos(this.#time, "x");
      for (const { series, columns, colour } of this.#visible()) {
        const index = indexAt(columns.x, this.#time);
        for (const { field, step } of this.#graph.lines) {
          const value = index < 0 ? null : columns.of(field)[index];
          if (value === null) continue;
          const at = step ? left : chart.valToPos(columns.x[index], "x");
          found.push({ key: `${series}|${field}`, colour: this.#colour(colour), left: at, top: chart.valToPos(value, "y") });
        }
      }
    }
    keyed(
      this.dots,
      found.length > 24 ? [] : found,
      ({ key }) => key,
      () => h("div", { class: "dot" }),
      (node, { colour, left, top }) => {
        setStyle(node, "--colour", colour);
        setStyle(node, "transform", `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`);
        setStyle(node, "visibility", left < -1 || left > chart.over.clientWidth + 1 ? "hidden" : "visible");
      },
    );
  }

  // First, last, least and greatest of each line: when they are looked at, and then no more than once a second.
  #figure(now) {
    if (!this.details.open || this.#shown.length === 0) return;
    if (!now && performance.now() - this.#figured < SECOND) return;
    this.#figured = performance.now();
    const signed = this.#graph.signed ?? false;
    const rows = this.#shown.flatMap(({ series, name, columns }) =>
      this.#graph.lines.map(({ field }) => ({ key: `${series}|${field}`, name: `${name}, ${field}`, found: figures(columns.of(field)) })),
    );
    keyed(
      this.rows,
      rows,
      ({ key }) => key,
      () => h("tr", null, h("th", { scope: "row" }), ...[1, 2, 3, 4].map(() => h("td", { class: "num" }))),
      (node, { name, found }) => {
        const [head, ...cells] = node.children;
        setText(head, name);
        ["first", "last", "least", "greatest"].forEach((word, index) => {
          setText(cells[index], found === null ? UNKNOWN : money(plain(found[word]), { sign: signed }));
          setAttr(cells[index], "title", found === null ? "unknown" : `${figure(plain(found[word]))} ${this.#asset}`);
        });
      },
    );
  }
}

// Whether a sleeve hands profit back: by its policy, or because it did.
function sweeps(row) {
  return row.policy !== "quiet" || Number(row.returned) !== 0;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// The words below the axis of time, UTC; the day, or the year, where it begins.
function timeTicks(splits, step) {
  let before = null;
  return splits.map((time) => {
    const at = new Date(time);
    const date = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
    const year = at.getUTCFullYear();
    let [word, below] = ["", ""];
    if (step >= 365 * DAY) word = String(year);
    else if (step >= 28 * DAY) [word, below] = [MONTHS[at.getUTCMonth()], String(year)];
    else if (step >= DAY) [word, below] = [date, String(year)];
    else
      [word, below] = [
        step >= MINUTE
          ? clock(time).slice(0, 5)
          : step >= SECOND
            ? clock(time)
            : `${clock(time).slice(6)}.${String(time % 1000).padStart(3, "0")}`,
        `${date} ${year}`,
      ];
    const said = below !== before && below !== "" ? `${word}\n${below}` : word;
    before = below;
    return said;
  });
}

// Figures beside the axis of money, with no more places than its steps need.
function moneyTicks(splits, step) {
  const places = Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + 1e-9)));
  return splits.map((value) => figure(value.toFixed(places), { places }));
}

function wide(values) {
  return 16 + 7 * Math.max(3, ...(values ?? []).map((value) => String(value).length));
}

define("sleeve-chart", SleeveChart);
