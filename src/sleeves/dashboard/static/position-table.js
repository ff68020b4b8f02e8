// <position-table>: who holds what, at which price, how it stands, and how far away its liquidation is; with a button that closes
// it, where instructions can be given. Of one sleeve, vault or market by its attributes, or all. Sums only within one asset.

import { confirm } from "./confirm-dialog.js";
import { View, define, h, keyed, setAmount, setAttr, setText, setTone } from "./element.js";
import { age, drawn, figure, percent, rate, span, sum, when } from "./format.js";
import { Table } from "./table.js";
import { sheet } from "./theme.js";

const LOOK = sheet(`
:host { container-type: inline-size; }
h2 { margin-bottom: 8px; }
.sub { display: block; color: var(--sl-muted); font-size: 0.82em; font-weight: 400; line-height: 1.3; white-space: nowrap; }
th, td { padding-inline: 8px; }
.side, .main { white-space: nowrap; }
td.act { text-align: end; }
td.act button { min-height: 26px; padding: 0.05em 0.7em; }
.scroll { position: relative; }
@container (max-width: 960px) {
  table.stacks, table.stacks tbody, table.stacks tfoot, table.stacks caption { display: block; }
  table.stacks thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table.stacks tr { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 1px 22px; padding: 8px 0; border-top: 1px solid var(--sl-line); align-items: baseline; }
  table.stacks th, table.stacks td { display: flex; justify-content: space-between; gap: 8px; padding: 1px 0; border: 0; min-width: 0; text-align: end; }
  table.stacks .stack-label { display: inline; color: var(--sl-muted); font-size: 0.86em; font-weight: 400; white-space: nowrap; }
  table.stacks tbody th { grid-column: 1 / 4; justify-content: flex-start; text-align: start; }
  table.stacks tfoot th { grid-column: 1 / -1; text-align: start; }
  table.stacks td.act { grid-row: 1; grid-column: 4; justify-content: flex-end; }
  table.stacks td.none { display: none; }
  table.stacks thead:focus-within { position: static; width: auto; height: auto; clip-path: none; display: block; }
}
@container (max-width: 560px) {
  table.stacks tr { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1px 14px; }
  table.stacks tbody th { grid-column: 1; }
  table.stacks td.act { grid-column: 2; }
}
@container (max-width: 420px) { table.stacks td.far, table.stacks tfoot td { grid-column: 1 / -1; } }
`);

// How far the price is from where the account is liquidated, in percent of the price, with its direction in words.
export function distance(mark, liquidation) {
  const [from, to] = [drawn(mark), drawn(liquidation)];
  if (from === null || to === null || from <= 0) return null;
  const away = ((to - from) / from) * 100;
  return `${percent(Math.abs(away).toFixed(4), { places: Math.abs(away) < 10 ? 2 : 1 })} ${away <= 0 ? "below" : "above"}`;
}

function two(value) {
  value.append(h("span", { class: "main" }), h("span", { class: "sub" }));
}

const main = (value) => value.firstChild;
const sub = (value) => value.lastChild;

export class PositionTable extends View {
  static tables = ["positions", "accounts", "desk", "state", "sleeves"];
  static sheets = [LOOK];

  build() {
    this.heading = h("h2", { id: "heading" }, "Positions");
    this.table = new Table({
      caption: "Open positions",
      hideCaption: true,
      sort: { by: "sleeve", down: false },
      empty: "No open position. What a sleeve buys or sells short stands here until it is closed.",
      columns: [
        {
          name: "sleeve",
          head: "Sleeve",
          row: true,
          by: (row) => row.sleeve,
          make: two,
          cell: (value, row) => (setText(main(value), row.sleeve), setText(sub(value), row.account)),
        },
        {
          name: "market",
          head: "Market",
          by: (row) => row.market,
          make: two,
          cell: (value, row) => (setText(main(value), row.market), setText(sub(value), row.venue)),
        },
        {
          name: "side",
          head: "Side",
          by: (row) => row.side,
          make: (value) => value.append(h("span", { class: "side" })),
          cell: (value, row) => setText(value.firstChild, row.side === "long" ? "\u2197 long" : "\u2198 short"),
        },
        {
          name: "size",
          head: "Size",
          num: true,
          by: (row) => row.size,
          cell: (value, row) => setAmount(value, row.size, { unit: row.base, shape: figure }),
        },
        {
          name: "entry",
          head: "Entry",
          num: true,
          by: (row) => row.entry,
          cell: (value, row) => setAmount(value, row.entry, { shape: rate }),
        },
        { name: "mark", head: "Mark", num: true, by: (row) => row.mark, make: two, cell: (value, row) => this.#mark(value, row) },
        {
          name: "value",
          head: "Value",
          num: true,
          by: (row) => row.value,
          cell: (value, row) => setAmount(value, row.value, { unit: this.unit(row) }),
        },
        {
          name: "unrealized",
          head: "Unrealized",
          num: true,
          by: (row) => row.unrealized,
          cell: (value, row) => setAmount(value, row.unrealized, { signed: true, unit: this.unit(row) }),
        },
        {
          name: "liquidation",
          head: "Liquidation",
          num: true,
          by: (row) => away(row),
          make: two,
          cell: (value, row) => this.#liquidation(value, row),
        },
        {
          name: "margin",
          head: "Margin",
          num: true,
          by: (row) => row.margin,
          cell: (value, row) => this.#contract(value, row, "margin", "coins need no margin"),
        },
        {
          name: "funding",
          head: "Funding",
          num: true,
          by: (row) => row.funding,
          cell: (value, row) => this.#contract(value, row, "funding", "coins bear no funding", true),
        },
        {
          name: "close",
          head: "",
          label: "Close",
          wide: true,
          make: (value) => this.#button(value),
          cell: (value, row) => this.#offer(value, row),
        },
      ],
    });
    this.shadowRoot.append(h("section", { class: "panel", "aria-labelledby": "heading" }, this.heading, this.table.node));
  }

  render(store) {
    const wanted = { sleeve: this.getAttribute("sleeve"), vault: this.getAttribute("vault"), market: this.getAttribute("market") };
    const account = this.getAttribute("account");
    const rows = [];
    for (const [key, row] of store.entries("positions")) {
      if (Object.entries(wanted).some(([name, value]) => value !== null && row[name] !== value)) continue;
      const number = store.row("sleeves", row.sleeve)?.account ?? 0;
      if (account !== null && account !== (number ? `${row.vault}:${number}` : row.vault)) continue;
      rows.push({ ...row, key, account: number ? `sub-account ${number}` : "" });
    }
    this.now = store.now_ms;
    const quotes = new Set(rows.map((row) => row.quote));
    this.shared = quotes.size === 1 ? [...quotes][0] : null;
    setText(this.heading, this.shared === null ? "Positions" : `Positions, in ${this.shared}`);
    this.table.update(rows, (row) => row.key);
    this.#sums(rows);
  }

  // The asset behind a figure: said once above the table where all have the same.
  unit(row) {
    return this.shared === null ? row.quote : "";
  }

  #mark(value, row) {
    setAmount(main(value), row.mark, { shape: rate });
    const old = age(row.mark_ms, this.now);
    setText(sub(value), row.mark === null ? "never seen" : old === null ? "" : old < 1000 ? "just now" : `${span(old)} old`);
    setAttr(sub(value), "title", row.mark_ms === null ? null : `${when(row.mark_ms)} UTC`);
  }

  // A figure that only contracts have. On a phone what coins have not is left out.
  #contract(value, row, name, why, signed = false) {
    value.parentElement.classList.toggle("none", row.kind === "coins");
    if (row.kind === "coins") plainly(value, "none", why);
    else setAmount(value, row[name], { signed, unit: this.unit(row) });
  }

  #liquidation(value, row) {
    value.parentElement.classList.add("far");
    value.parentElement.classList.toggle("none", row.kind === "coins");
    if (row.kind === "coins") {
      plainly(main(value), "none", "coins that are paid for are not liquidated");
      setText(sub(value), "");
      return;
    }
    const known = row.liquidation !== null;
    setTone(setText(main(value), rate(row.liquidation)), known ? "" : "muted");
    setAttr(
      main(value),
      "title",
      known
        ? `${figure(row.liquidation)} ${row.quote}, while all else stays`
        : "none is known: a price is missing, or no price of this market alone liquidates the account",
    );
    setText(sub(value), distance(row.mark, row.liquidation) ?? "");
  }

  // -- sums ------------------------------------------------------------------------------------------------------------------

  #sums(rows) {
    const assets = [...new Set(rows.map((row) => row.quote))];
    if (rows.length < 2) {
      this.table.hideFoot();
      return;
    }
    const sums = assets.map((asset) => {
      const own = rows.filter((row) => row.quote === asset);
      const contracts = own.filter((row) => row.kind === "contract");
      const of = (name, among) => (among.length === 0 ? undefined : sum(...among.map((row) => row[name])));
      return {
        asset,
        count: own.length,
        value: of("value", own),
        unrealized: of("unrealized", own),
        margin: of("margin", contracts),
        funding: of("funding", contracts),
      };
    });
    keyed(
      this.table.foot,
      sums,
      ({ asset }) => asset,
      () =>
        h(
          "tr",
          null,
          h("th", { scope: "row", colspan: "6" }),
          ...["Value", "Unrealized", null, "Margin", "Funding"].map((head) =>
            head === null
              ? h("td", { class: "none" })
              : h("td", { class: "num" }, h("span", { class: "stack-label", "aria-hidden": "true" }, head), h("span", { class: "value" })),
          ),
          h("td", { class: "none" }),
        ),
      (tr, one) => {
        setText(tr.cells[0], `All ${one.count} in ${one.asset}`);
        for (const [at, name, signed] of [
          [1, "value", false],
          [2, "unrealized", true],
          [4, "margin", false],
          [5, "funding", true],
        ]) {
          const cell = tr.cells[at].lastChild;
          if (one[name] === undefined) plainly(cell, "none", null);
          else if (one[name] === null) plainly(cell, "\u2014", "unknown while one of them has no price");
          else setAmount(cell, one[name], { signed, unit: this.shared === one.asset ? "" : one.asset });
        }
      },
    );
  }

  // -- closing ---------------------------------------------------------------------------------------------------------------

  #button(value) {
    value.append(h("button", { type: "button", class: "danger", onclick: (event) => this.#close(event.currentTarget) }, "Close"));
  }

  #offer(value, row) {
    const button = value.firstChild;
    value.parentElement.classList.add("act");
    button.position = row;
    button.hidden = !this.store.commands;
    button.disabled = !this.store.commanding;
    setAttr(button, "aria-label", `Close ${row.market} of ${row.sleeve}`);
  }

  #close(button) {
    const { sleeve, market, side, size, base } = button.position;
    confirm(
      this,
      this.store,
      { what: "close", sleeve, market },
      { title: `Close ${side} ${figure(size)} ${base} in ${market} of ${sleeve}` },
    );
  }
}

// What is not a figure in a column of figures.
function plainly(node, text, title) {
  setText(node, text);
  setAttr(node, "title", title);
  setTone(node, "muted");
}

// The share of the price that it is away from liquidation, for sorting; the nearest first when it rises.
function away(row) {
  const [from, to] = [drawn(row.mark), drawn(row.liquidation)];
  return from === null || to === null || from === 0 ? null : Math.abs((to - from) / from).toFixed(12);
}

define("position-table", PositionTable);
