// <funding-table>: what perpetuals cost or pay now: each rate with its own interval, the same per hour and per year, who pays
// whom, how old it is; and what each sleeve was paid so far. Only what a venue told; nothing is estimated.

import { View, define, h, keyed, setAmount, setAttr, setText, setTone } from "./element.js";
import { UNKNOWN, age, compare, figure, isDecimal, negated, percent, rate, signOf, span, when } from "./format.js";
import { Table } from "./table.js";
import { sheet } from "./theme.js";

const MARKED = 3;

const LOOK = sheet(`
:host { container-type: inline-size; }
h2 { margin-bottom: 8px; }
h3 { margin: 14px 0 6px; }
.rank { display: inline-block; min-width: 1.5em; margin-inline-end: 0.2em; padding: 0 0.35em; border-radius: 4px; background: var(--sl-accent); color: var(--sl-accent-text); font-size: 0.78em; font-weight: 700; text-align: center; font-variant-numeric: tabular-nums; }
.scroll { position: relative; }
th, td { padding-inline: 7px; }
tbody th { white-space: nowrap; }
tbody th .who { display: block; color: var(--sl-muted); font-size: 0.86em; font-weight: 400; }
.every { color: var(--sl-muted); }
.paid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 220px), 1fr)); gap: 2px 28px; }
.paid li { display: flex; justify-content: space-between; gap: 12px; }
.paid .who { overflow-wrap: anywhere; }
`);

// "8 h", "1 h", "30 min": an interval in whole seconds.
export function interval(seconds) {
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`;
  if (seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds % 60 === 0) return `${seconds / 60} min`;
  return `${seconds} s`;
}

// A percentage in so much detail that a small rate is not shown as nothing: "0.0013%".
export function fine(text) {
  if (!isDecimal(text)) return UNKNOWN;
  const size = Math.abs(Number(text));
  const places = size === 0 ? 2 : Math.max(2, Math.min(7, 1 - Math.floor(Math.log10(size)) + 1));
  return `${figure(text, { sign: true, places })}%`;
}

// The rate for one hour, as decimal text in percent.
function hourly(row) {
  return (Number(row.rate) * (3600 / row.every_s)).toFixed(9);
}

function size(text) {
  return signOf(text) === -1 ? negated(text) : text;
}

export class FundingTable extends View {
  static tables = ["funding", "sleeves", "desk", "state"];
  static sheets = [LOOK];

  build() {
    this.heading = h("h2", { id: "heading" }, "Funding");
    this.table = new Table({
      caption: "Funding rates",
      hideCaption: true,
      sort: { by: "apr", down: true },
      empty: "No funding rate is known. It stands here when a venue tells one, or when funding was paid.",
      columns: [
        {
          name: "market",
          head: "Market",
          row: true,
          by: (row) => row.market,
          make: (value) => value.append(h("span", { class: "rank" }), " ", h("span"), h("span", { class: "who" })),
          cell: (value, row) => this.#market(value, row),
        },
        {
          name: "rate",
          head: "Rate",
          num: true,
          by: (row) => row.rate,
          make: (value) => value.append(h("span"), h("span", { class: "every" })),
          cell: (value, row) => this.#rate(value, row),
        },
        { name: "hour", head: "Per hour", num: true, by: hourly, cell: (value, row) => setText(value, fine(hourly(row))) },
        {
          name: "apr",
          head: "APR",
          num: true,
          by: (row) => size(row.apr),
          cell: (value, row) =>
            setAttr(setText(value, percent(row.apr, { sign: true })), "title", `${figure(row.apr)}% over 365 days, not compounded`),
        },
        {
          name: "interest",
          head: "Open interest",
          num: true,
          by: (row) => row.open_interest,
          cell: (value, row) => this.#interest(value, row),
        },
        { name: "age", head: "Told", num: true, by: (row) => -row.at_ms, cell: (value, row) => this.#age(value, row) },
      ],
    });
    this.paidHead = h("h3", { id: "paid" }, "Received so far, net of paid");
    this.paid = h("ul", { class: "paid", "aria-labelledby": "paid" });
    this.shadowRoot.append(
      h("section", { class: "panel", "aria-labelledby": "heading" }, this.heading, this.table.node, this.paidHead, this.paid),
    );
  }

  render(store) {
    const market = this.getAttribute("market");
    const rows = store.rows("funding").filter((row) => market === null || row.market === market);
    const largest = rows
      .filter((row) => signOf(row.apr) !== 0)
      .sort((a, b) => compare(size(b.apr), size(a.apr)))
      .slice(0, MARKED);
    this.ranks = new Map(rows.length > MARKED ? largest.map((row, index) => [row.market, index + 1]) : []);
    this.now = store.now_ms;
    this.markets = store.table("markets");
    this.table.update(rows, (row) => row.market);

    const [sleeve, vault] = [this.getAttribute("sleeve"), this.getAttribute("vault")];
    const paid = store
      .entries("sleeves")
      .filter(
        ([name, row]) => (sleeve === null || name === sleeve) && (vault === null || row.vault === vault) && signOf(row.funding) !== 0,
      );
    this.paidHead.hidden = this.paid.hidden = paid.length === 0;
    keyed(
      this.paid,
      paid,
      ([name]) => name,
      () => h("li", null, h("span", { class: "who" }), h("span", { class: "num" })),
      (node, [name, row]) => {
        setText(node.firstChild, name);
        setAmount(node.lastChild, row.funding, { signed: true, unit: row.asset });
      },
    );
  }

  #market(value, row) {
    const rank = this.ranks.get(row.market);
    const [mark, name, who] = value.children;
    setText(name, row.market);
    setText(who, row.direction);
    mark.hidden = rank === undefined;
    setText(mark, rank === undefined ? "" : `#${rank}`);
    setAttr(mark, "title", rank === undefined ? null : `number ${rank} by size of APR`);
  }

  #rate(value, row) {
    const [number, every] = value.children;
    setText(number, fine(row.rate));
    setText(every, ` / ${interval(row.every_s)}`);
    setAttr(
      value,
      "title",
      `${figure(row.rate)}% of notional every ${interval(row.every_s)}, at the ${row.basis} price ${figure(row.price)}`,
    );
  }

  #interest(value, row) {
    if (row.open_interest !== null) setAmount(value, row.open_interest, { unit: this.markets.get(row.market)?.base ?? "", shape: rate });
    else setTone(setAttr(setText(value, UNKNOWN), "title", "the venue did not tell it"), "muted");
  }

  #age(value, row) {
    const old = age(row.at_ms, this.now);
    setText(value, old === null ? UNKNOWN : `${span(old)} ago`);
    setAttr(value, "title", `${when(row.at_ms)} UTC`);
  }
}

define("funding-table", FundingTable);
