// <book-view>: the order book around a maker's own quotes: price by price, what is its own and what is the market's, the spread,
// and what it holds. Of one sleeve or market by its attributes, or all. Without depth of the venue it shows the best prices alone.

import { View, define, h, keyed, setAttr, setStyle, setText } from "./element.js";
import { UNKNOWN, compare, drawn, figure, minus, rate, signOf, sum } from "./format.js";
import { sheet } from "./theme.js";

const LEVELS = 10;

const LOOK = sheet(`
:host { container-type: inline-size; }
h2 { margin-bottom: 8px; }
.all { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 20px 28px; }
.book { min-width: 0; max-width: 480px; }
.book h3 { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; margin-bottom: 2px; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: 0 16px; margin-bottom: 6px; color: var(--sl-muted); font-size: 0.9em; font-variant-numeric: tabular-nums; }
.facts b { color: var(--sl-text); font-weight: 550; }
table { table-layout: fixed; font-variant-numeric: tabular-nums lining-nums; }
thead th { padding-bottom: 3px; }
tbody th, tbody td { position: relative; border: 0; padding: 1px 8px; height: 24px; }
tbody tr { border: 0; }
.own { text-align: end; }
thead .price, tbody .price { text-align: center; }
.price { font-weight: 550; white-space: nowrap; }
.market { text-align: start; }
tr.bid .price { color: var(--sl-gain); }
tr.ask .price { color: var(--sl-loss); }
tr.best .price { font-weight: 700; }
tr.best .price::before { content: "\\25B8 "; color: var(--sl-muted); }
tr.best .price::after { content: " \\25C2"; color: var(--sl-muted); }
.bar { position: absolute; inset-block: 3px; width: calc(var(--part) * 100%); border-radius: 2px; pointer-events: none; }
.own .bar { inset-inline-end: 0; border-inline-end: 3px solid var(--sl-accent); background: color-mix(in srgb, var(--sl-accent) 34%, transparent); }
.market .bar { inset-inline-start: 0; background: color-mix(in srgb, var(--sl-muted) 26%, transparent); }
.figure { position: relative; }
tr.spread td { text-align: center; color: var(--sl-muted); font-size: 0.86em; border-block: 1px solid var(--sl-line); height: 26px; }
.own .figure { font-weight: 600; }
.thin { margin-top: 6px; }
@media (forced-colors: active) { .bar { border: 1px solid CanvasText; } .own .bar { border-color: Highlight; } }
`);

// The best bid and ask: those of the depth, which is read as it is now; where a side has none, those of the last quote.
export function best(book) {
  return { bid: book.depth?.bids[0]?.[0] ?? book.bid, ask: book.depth?.asks[0]?.[0] ?? book.ask };
}

// The prices that are shown, from the greatest to the least: [{ key, side, price, own, market, best, orders }]. All of one's own,
// the best of the market, and of its depth as many as `levels` on each side.
export function ladder(book, levels = LEVELS) {
  const found = new Map();
  const at = (side, price) => {
    const key = `${side}|${figure(price)}`;
    if (!found.has(key)) found.set(key, { key, side, price, own: null, market: null, best: false, orders: 0 });
    return found.get(key);
  };
  for (const [price, qty] of book.depth?.bids.slice(0, levels) ?? []) at("bid", price).market = qty;
  for (const [price, qty] of book.depth?.asks.slice(0, levels) ?? []) at("ask", price).market = qty;
  const { bid, ask } = best(book);
  if (bid !== null) at("bid", bid).best = true;
  if (ask !== null) at("ask", ask).best = true;
  for (const { side, price, left } of book.own) {
    const level = at(side === "buy" ? "bid" : "ask", price);
    level.own = level.own === null ? left : sum(level.own, left);
    level.orders += 1;
  }
  return [...found.values()].sort((a, b) => compare(b.price, a.price) || (a.side === b.side ? 0 : a.side === "ask" ? -1 : 1));
}

export class BookView extends View {
  static tables = ["books", "positions", "markets", "holdings", "state"];
  static sheets = [LOOK];
  static observedAttributes = [...View.observedAttributes, "levels"];

  build() {
    this.heading = h("h2", { id: "heading" }, "Order books");
    this.all = h("div", { class: "all" });
    this.none = h(
      "p",
      { class: "empty", hidden: true },
      "No sleeve quotes a market. A maker's resting orders stand here, against the best prices and, where the venue tells it, the depth.",
    );
    this.shadowRoot.append(h("section", { class: "panel", "aria-labelledby": "heading" }, this.heading, this.all, this.none));
  }

  render(store) {
    const wanted = { sleeve: this.getAttribute("sleeve"), market: this.getAttribute("market") };
    const vault = this.getAttribute("vault");
    const books = store
      .entries("books")
      .filter(
        ([, row]) =>
          Object.entries(wanted).every(([name, value]) => value === null || row[name] === value) &&
          (vault === null || store.row("sleeves", row.sleeve)?.vault === vault),
      );
    keyed(
      this.all,
      books,
      ([key]) => key,
      () => this.#made(),
      (node, [key, row]) => this.#patch(node, key, row, store),
    );
    this.none.hidden = books.length > 0;
  }

  #made() {
    const parts = {
      sleeve: h("span"),
      market: h("span", { class: "muted" }),
      facts: h("p", { class: "facts" }),
      inventory: h("b"),
      caption: h("caption", { class: "vh" }),
      body: h("tbody"),
      thin: h("p", { class: "thin small muted" }),
      said: h("p", { class: "vh" }),
    };
    parts.facts.append(h("span", null, "Holds ", parts.inventory));
    const node = h(
      "article",
      { class: "book" },
      h("h3", null, parts.sleeve, parts.market),
      parts.facts,
      parts.said,
      h(
        "table",
        null,
        parts.caption,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", { scope: "col", class: "own" }, "Own"),
            h("th", { scope: "col", class: "price" }, "Price"),
            h("th", { scope: "col", class: "market" }, "Market"),
          ),
        ),
        parts.body,
      ),
      parts.thin,
    );
    node.parts_ = parts;
    return node;
  }

  #patch(node, key, book, store) {
    const parts = node.parts_;
    const market = store.row("markets", book.market);
    const base = market?.base ?? "";
    const levels = ladder(book, Number(this.getAttribute("levels") ?? LEVELS) || LEVELS);
    setText(parts.sleeve, book.sleeve);
    setText(parts.market, book.market);
    setText(parts.caption, `Order book of ${book.market} with the quotes of ${book.sleeve}, from the highest price to the lowest`);

    const held = this.#held(store, key, book, base);
    setText(parts.inventory, held);
    const gap = spread(book);
    setText(parts.thin, book.depth === null ? "The venue tells no depth here: only the best prices and own quotes are shown." : "");
    parts.thin.hidden = book.depth !== null;
    setText(parts.said, told(book, held, gap, base));

    const most = Math.max(...levels.flatMap(({ own, market: size }) => [drawn(own) ?? 0, drawn(size) ?? 0]), 0);
    const places = Math.max(...levels.map(({ price }) => (figure(price).split(".")[1] ?? "").length), 0);
    const asks = levels.filter(({ side }) => side === "ask");
    const bids = levels.filter(({ side }) => side === "bid");
    const rows = [...asks, { key: "spread", side: "spread" }, ...bids];
    keyed(
      parts.body,
      rows,
      (row) => row.key,
      (row) => (row.side === "spread" ? middle() : line(row)),
      (tr, row) => {
        if (row.side === "spread") setText(tr.firstChild, gap === UNKNOWN ? "no price on both sides" : `spread ${gap}`);
        else patch(tr, row, most, base, places);
      },
    );
  }

  // What the sleeve holds in this market: its position, or its coins, or nothing.
  #held(store, key, book, base) {
    const position = store.row("positions", key);
    if (position !== null) return `${position.side} ${rate(position.size)} ${position.base}`;
    const coins = store
      .rows("holdings")
      .filter((row) => row.sleeve === book.sleeve && row.asset === base && row.amount !== null && base !== "");
    const all = coins.length === 0 ? null : sum(...coins.map((row) => row.amount));
    return all === null ? "nothing" : `${rate(all)} ${base}`;
  }
}

// "0.10 (4.2 bp)": how far the best bid and ask are apart, also in hundredths of a percent of the middle.
export function spread(book) {
  const { bid, ask } = best(book);
  if (bid === null || ask === null) return UNKNOWN;
  const gap = minus(ask, bid);
  if (signOf(gap) === 0) return "none";
  const middle = (drawn(bid) + drawn(ask)) / 2;
  return middle > 0 ? `${figure(gap)} (${points((drawn(gap) / middle) * 10_000)} bp)` : figure(gap);
}

function points(value) {
  return figure(value.toFixed(value >= 1 ? 1 : value >= 0.01 ? 2 : 4), { places: value >= 1 ? 1 : value >= 0.01 ? 2 : 4 });
}

// The book in a sentence, for whoever does not see the bars.
function told(book, held, gap, base) {
  const { bid, ask } = best(book);
  const of = (side) => book.own.filter((order) => order.side === side);
  const half = (side, word) => {
    const own = of(side);
    if (own.length === 0) return `no own ${word}`;
    const nearest = own.reduce(
      (found, order) => (compare(order.price, found) === (side === "buy" ? 1 : -1) ? order.price : found),
      own[0].price,
    );
    return `${own.length} own ${word}${own.length === 1 ? "" : "s"} of ${figure(sum(...own.map((order) => order.left)))} ${base} in all, the nearest at ${figure(nearest)}`;
  };
  const prices = `Best bid ${bid === null ? "unknown" : figure(bid)}, best ask ${ask === null ? "unknown" : figure(ask)}, spread ${gap === UNKNOWN ? "unknown" : gap}`;
  return `${prices}; ${half("buy", "bid")}; ${half("sell", "ask")}; holds ${held}.`;
}

function middle() {
  return h("tr", { class: "spread" }, h("td", { colspan: "3" }));
}

function line({ side }) {
  return h(
    "tr",
    { class: side },
    h("td", { class: "own" }, h("span", { class: "bar", "aria-hidden": "true" }), h("span", { class: "figure" })),
    h("th", { scope: "row", class: "price" }),
    h("td", { class: "market" }, h("span", { class: "bar", "aria-hidden": "true" }), h("span", { class: "figure" })),
  );
}

function patch(tr, { side, price, own, market, best: first, orders }, most, base, places) {
  const [mine, head, theirs] = tr.children;
  tr.classList.toggle("best", first);
  setText(head, figure(price, { places }));
  setAttr(head, "title", first ? `the best ${side}` : null);
  for (const [cell, size] of [
    [mine, own],
    [theirs, market],
  ]) {
    setStyle(cell.firstChild, "--part", most > 0 ? ((drawn(size) ?? 0) / most).toFixed(4) : "0");
    setStyle(cell.firstChild, "visibility", size === null ? "hidden" : "visible");
    setText(cell.lastChild, size === null ? "" : rate(size));
    setAttr(cell.lastChild, "title", size === null ? null : `${figure(size)} ${base}`);
  }
  if (orders > 1) setAttr(mine.lastChild, "title", `${figure(own)} ${base} in ${orders} orders`);
}

define("book-view", BookView);
