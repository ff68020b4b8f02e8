// <order-log sleeve="flash">: the orders with what became of them, and what happened, newest first: orders, fills, refusals,
// instructions. Filters by kind and by sleeve; open orders can be canceled. Without `sleeve`, of all.

import { View, badge, define, h, keyed, setAmount, setAttr, setBadge, setText } from "./element.js";
import { confirm } from "./confirm-dialog.js";
import { clock, day, figure, levelOf, rate, when, words } from "./format.js";
import { Table } from "./table.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
.panel { display: grid; gap: 14px; }
.bar { display: flex; gap: 8px 14px; flex-wrap: wrap; align-items: end; }
.bar label { display: grid; gap: 2px; }
.bar label span { color: var(--sl-muted); font-size: 0.86em; }
.tabs { display: flex; gap: 4px; margin-inline-end: auto; }
.tabs button { border-color: transparent; background: transparent; color: var(--sl-muted); }
.tabs button[aria-selected="true"] { background: var(--sl-raised); color: var(--sl-text); border-color: var(--sl-line); font-weight: 600; }
.view { max-height: var(--sl-list); overflow: auto; }
.view:focus-visible { outline-offset: -2px; }
.log { display: grid; }
.log li { display: grid; grid-template-columns: 8.6em 6.4em 9em minmax(0, 1fr); gap: 2px 12px; padding: 5px 0; border-top: 1px solid var(--sl-line); align-items: baseline; }
.log li:first-child { border-top: 0; }
.log .subject, .log .text { overflow-wrap: anywhere; }
.log .subject { color: var(--sl-muted); }
.log time { color: var(--sl-muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
@container (max-width: 620px) { .log li { grid-template-columns: auto auto minmax(0, 1fr); } .log .text { grid-column: 1 / -1; } }
.reason { color: var(--sl-muted); overflow-wrap: anywhere; }
td .value button { min-height: 26px; padding-block: 0.1em; }
`);

const KINDS = ["order", "fill", "refusal", "status", "funds", "instruction", "recovery"];
const STATUS = {
  submitted: { tone: "fair", sign: "\u2026", word: "submitted" },
  unknown: { tone: "poor", sign: "?", word: "unknown" },
  open: { tone: "fair", sign: "\u25CB", word: "open" },
  filled: { tone: "good", sign: "\u25CF", word: "filled" },
  canceled: { tone: "muted", sign: "\u2013", word: "canceled" },
  rejected: { tone: "critical", sign: "\u2715", word: "rejected" },
};
const OPEN = new Set(["submitted", "unknown", "open"]);
const MARK = {
  order: "\u2192",
  fill: "\u25CF",
  refusal: "\u2715",
  status: "\u25C6",
  funds: "\u21C4",
  instruction: "\u270E",
  recovery: "\u21BA",
};

export class OrderLog extends View {
  static tables = ["orders", "sleeves", "log", "state"];
  static sheets = [SHEET];
  #tab = "orders";

  build() {
    this.kind = h("select", { onchange: () => this.invalidate() });
    this.sleeve = h("select", { onchange: () => this.invalidate() });
    this.kindLabel = h("label", null, h("span", null, "Kind"), this.kind);
    this.sleeveLabel = h("label", null, h("span", null, "Sleeve"), this.sleeve);
    this.kindSeen = "";
    this.tabs = new Map(
      [
        ["orders", "Orders"],
        ["log", "What happened"],
      ].map(([name, word]) => [
        name,
        h(
          "button",
          {
            type: "button",
            role: "tab",
            id: `tab-${name}`,
            "aria-controls": "view",
            onclick: () => this.#turn(name),
            onkeydown: (event) => this.#keys(event),
          },
          word,
        ),
      ]),
    );
    this.orders = new Table({
      caption: "Orders",
      hideCaption: true,
      empty: "No order yet. Each stands here with what became of it, from the moment it is sent.",
      columns: this.#columns(),
    });
    this.log = h("ul", { class: "log" });
    this.none = h("p", { class: "empty" });
    this.view = h("div", { class: "view", id: "view", role: "tabpanel" }, this.orders.node, this.log, this.none);
    const tablist = h("div", { class: "tabs", role: "tablist", "aria-label": "Orders, or all that happened" }, [...this.tabs.values()]);
    const heading = h("h2", { id: "heading" }, "Orders and what happened");
    const bar = h("div", { class: "bar" }, tablist, this.kindLabel, this.sleeveLabel);
    this.shadowRoot.append(h("section", { class: "panel", "aria-labelledby": "heading" }, heading, bar, this.view));
  }

  #columns() {
    return [
      { name: "id", head: "Order", row: true, cell: (td, [id]) => setText(td, id) },
      { name: "at", head: "At (UTC)", cell: (td, [, row]) => setText(td, this.#when(row.at_ms)) },
      { name: "market", head: "Market", cell: (td, [, row]) => setText(td, row.market) },
      { name: "side", head: "Side", cell: (td, [, row]) => setText(td, `${row.side}${row.closes ? " to close" : ""}`) },
      { name: "qty", head: "Quantity", num: true, cell: (td, [, row]) => setAmount(td, row.qty, { unit: row.base, shape: rate }) },
      { name: "price", head: "Price", num: true, cell: (td, [, row]) => this.#price(td, row) },
      { name: "filled", head: "Filled", num: true, cell: (td, [, row]) => setAmount(td, row.filled, { shape: rate }) },
      { name: "average", head: "Average", num: true, cell: (td, [, row]) => setAmount(td, row.average, { shape: rate }) },
      { name: "status", head: "Status", make: (td) => td.append(badge()), cell: (td, [, row]) => this.#status(td.firstChild, row) },
      {
        name: "reason",
        head: "Why",
        wide: true,
        make: (td) => td.classList.add("reason", "small"),
        cell: (td, [, row]) => setText(td, row.reason || `by ${row.by}`),
      },
      {
        name: "cancel",
        head: "",
        label: "Cancel",
        make: (td) => td.append(h("button", { type: "button" }, "Cancel")),
        cell: (td, [id, row]) => this.#cancel(td.firstChild, id, row),
      },
    ];
  }

  render(store) {
    const fixed = this.getAttribute("sleeve");
    this.#options(this.sleeve, [...store.table("sleeves").keys()], "All sleeves");
    const log = store.stream("log");
    const orders = store.entries("orders");
    this.#options(this.kind, this.#tab === "orders" ? ["open", "done"] : KINDS, this.#tab === "orders" ? "All orders" : "All kinds");
    this.sleeveLabel.hidden = fixed !== null || store.table("sleeves").size < 2;
    const sleeve = fixed ?? this.sleeve.value;
    const kind = this.kind.value;
    for (const [name, button] of this.tabs) {
      setAttr(button, "aria-selected", name === this.#tab ? "true" : "false");
      setAttr(button, "tabindex", name === this.#tab ? "0" : "-1");
    }
    setAttr(this.view, "aria-labelledby", `tab-${this.#tab}`);
    this.orders.node.hidden = this.#tab !== "orders";
    this.log.hidden = this.none.hidden = this.#tab === "orders";
    if (this.#tab === "orders") {
      const shown = orders.filter(
        ([, row]) => (sleeve === "" || row.sleeve === sleeve) && (kind === "" || OPEN.has(row.status) === (kind === "open")),
      );
      shown.sort(
        ([a, x], [b, y]) => OPEN.has(y.status) - OPEN.has(x.status) || y.at_ms - x.at_ms || b.localeCompare(a, "en", { numeric: true }),
      );
      this.today = day(store.now_ms);
      this.orders.sayEmpty(
        orders.length === 0
          ? "No order yet. Each stands here with what became of it, from the moment it is sent."
          : "No order is of this kind.",
      );
      this.orders.update(shown, ([id]) => id, `${this.today} ${store.commands} ${store.commanding}`);
    } else this.#drawLog(store, log, sleeve, kind);
  }

  #drawLog(store, log, sleeve, kind) {
    const shown = log.filter(
      (item) => (sleeve === "" || item.subject === sleeve || item.subject.startsWith(`${sleeve}-`)) && (kind === "" || item.kind === kind),
    );
    this.none.hidden = shown.length > 0;
    setText(
      this.none,
      log.length === 0
        ? "Nothing has happened yet. Orders, fills, refusals and instructions stand here, the newest first."
        : "Nothing of this kind has happened.",
    );
    this.today = day(store.now_ms);
    keyed(
      this.log,
      shown.slice(-200).reverse(),
      (item) => `${item.n} ${item.kind}`,
      (item) =>
        h(
          "li",
          null,
          h("time", { datetime: new Date(item.at_ms).toISOString(), class: "small" }),
          h("span", { class: "small" }, h("span", { "aria-hidden": "true" }, `${MARK[item.kind] ?? "\u00B7"} `), item.kind),
          h("span", { class: "subject small" }, item.subject),
          h(
            "span",
            { class: `text ${item.level === "info" ? "" : levelOf(item.level).tone}` },
            item.level === "info" ? item.text : `${levelOf(item.level).sign} ${item.text}`,
          ),
        ),
      (node, item) => setText(node.firstChild, this.#when(item.at_ms)),
    );
  }

  // The time alone for today; the day stands with it otherwise.
  #when(at_ms) {
    return day(at_ms) === this.today ? clock(at_ms) : when(at_ms);
  }

  #price(td, row) {
    if (row.limit === null && row.stop === null) setText(td, "at market").classList.add("muted");
    else setAmount(td, row.limit ?? row.stop, { shape: rate });
    if (row.limit === null && row.stop !== null) setText(td, `stop ${rate(row.stop)}`);
  }

  #status(node, row) {
    setBadge(node, STATUS[row.status] ?? { tone: "muted", sign: "?", word: row.status });
  }

  #cancel(button, id, row) {
    const { store } = this;
    button.hidden = !store.commands || !OPEN.has(row.status);
    button.disabled = !store.commanding;
    setAttr(button, "aria-label", `Cancel ${id}`);
    button.onclick = () =>
      confirm(
        this,
        store,
        { what: "cancel", order: id },
        {
          title: `Cancel order ${id}`,
          about: `Takes it off the venue's book: ${row.side} ${figure(row.qty)} ${row.base} of ${row.market}. What is filled stays filled.`,
          verb: `cancel ${id}`,
        },
      );
  }

  #options(select, values, all) {
    const seen = [all, ...values].join("\n");
    if (select.seen === seen) return;
    select.seen = seen;
    const had = select.value;
    select.replaceChildren(
      h("option", { value: "" }, all),
      ...values.map((value) => h("option", { value }, select === this.kind ? words(value) : value)),
    );
    select.value = values.includes(had) ? had : "";
  }

  #turn(name) {
    this.#tab = name;
    this.view.scrollTop = 0;
    this.invalidate();
  }

  #keys(event) {
    const names = [...this.tabs.keys()];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const name = names[(names.indexOf(this.#tab) + step + names.length) % names.length];
    this.#turn(name);
    this.tabs.get(name).focus();
  }
}

define("order-log", OrderLog);
