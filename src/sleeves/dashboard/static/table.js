// A table that is patched row by row, with a caption, headings that sort by pointer and keyboard, and a phone's layout.
//
//   const table = new Table({ caption: "Positions", columns: [{ name: "size", head: "Size", num: true, by: (row) => row.size, cell }] });
//   root.append(table.node);  table.update(rows, (row) => row.key);
//
// A column: `name`; `head`, its heading; `make(td)` once for each cell; `cell(td, row)` patches it; `by(row)` what it sorts by
// (decimal text where `num`, else text or a number); `row` true for the heading of the row; `wide` true to have a phone's whole width,
// `lesser` to be left out there.

import { h, keyed, setAttr, setText } from "./element.js";
import { compare } from "./format.js";

export class Table {
  #columns;
  #by;
  #down;
  #rows = [];
  #key = null;
  #stamp = null;
  #body;
  #foot;
  #heads = new Map();
  #empty;
  #table;

  // `sort` is { by: column, down: boolean }; `empty` is said where there is no row.
  constructor({ caption, columns, sort = null, empty = "", hideCaption = false, stacks = true }) {
    this.#columns = columns;
    this.#by = sort?.by ?? null;
    this.#down = sort?.down ?? false;
    this.#body = h("tbody");
    this.#foot = h("tfoot", { hidden: true });
    const heads = columns.map((column) => this.#head(column));
    this.#table = h(
      "table",
      { class: stacks ? "stacks" : null },
      h("caption", { class: hideCaption ? "vh" : null }, caption),
      h("thead", null, h("tr", null, heads)),
      this.#body,
      this.#foot,
    );
    this.#empty = h("p", { class: "empty", hidden: true }, empty);
    // Wide tables scroll within themselves; by keyboard too.
    this.scroller = h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, this.#table);
    this.node = h("div", null, this.scroller, this.#empty);
  }

  #head(column) {
    const th = h("th", { scope: "col", class: column.num ? "num" : null });
    if (column.by === undefined) {
      th.append(column.head === "" ? h("span", { class: "vh" }, column.label ?? column.name) : column.head);
      return th;
    }
    const arrow = h("span", { "aria-hidden": "true", class: "arrow" });
    th.append(h("button", { type: "button", onclick: () => this.#turn(column) }, column.head, arrow));
    this.#heads.set(column.name, { th, arrow });
    return th;
  }

  #turn(column) {
    this.#down = this.#by === column.name ? !this.#down : Boolean(column.num);
    this.#by = column.name;
    this.#draw();
  }

  // Show these rows; `key` names each. With a `stamp`, a row that is the very one that was drawn, under the same stamp, is left
  // as it is: it holds all that the cells depend on beside their row. A row may also be a pair of its key and itself.
  update(rows, key, stamp = null) {
    this.#rows = rows;
    this.#key = key;
    this.#stamp = stamp;
    this.#draw();
  }

  // Rows of sums below: patched by the caller.
  get foot() {
    this.#foot.hidden = false;
    return this.#foot;
  }

  hideFoot() {
    this.#foot.hidden = true;
  }

  // What is said where there is no row.
  sayEmpty(text) {
    setText(this.#empty, text);
  }

  #draw() {
    for (const [name, { th, arrow }] of this.#heads) {
      const on = name === this.#by;
      setAttr(th, "aria-sort", on ? (this.#down ? "descending" : "ascending") : null);
      setText(arrow, on ? (this.#down ? " \u2193" : " \u2191") : "");
    }
    keyed(
      this.#body,
      this.#sorted(),
      this.#key,
      () => this.#made(),
      (tr, row) => this.#patch(tr, row),
    );
    const none = this.#rows.length === 0;
    this.scroller.hidden = none;
    this.#empty.hidden = !none;
  }

  #patch(tr, row) {
    const seen = Array.isArray(row) ? row[1] : row;
    if (this.#stamp !== null && tr.seen === seen && tr.stamp === this.#stamp) return;
    tr.seen = seen;
    tr.stamp = this.#stamp;
    this.#columns.forEach((column, at) => column.cell(tr.cells[at].lastChild, row, tr));
  }

  #made() {
    const cells = this.#columns.map((column) => {
      const value = h("span", { class: "value" });
      column.make?.(value);
      const td = column.row ? h("th", { scope: "row" }) : h("td", { class: column.num ? "num" : null });
      if (column.wide) td.classList.add("wide");
      if (column.lesser) td.classList.add("lesser");
      td.append(value);
      if (!column.row && column.head !== "") td.prepend(h("span", { class: "stack-label", "aria-hidden": "true" }, column.head));
      return td;
    });
    return h("tr", null, cells);
  }

  #sorted() {
    const column = this.#columns.find((one) => one.name === this.#by);
    if (column === undefined) return this.#rows;
    const turn = this.#down ? -1 : 1;
    const order = (a, b) => {
      const [x, y] = [column.by(a), column.by(b)];
      if (column.num && typeof x !== "number" && typeof y !== "number") return compare(x, y);
      if (typeof x === "number" && typeof y === "number") return x - y;
      return String(x ?? "").localeCompare(String(y ?? ""), "en", { numeric: true });
    };
    return this.#rows
      .map((row, at) => [row, at])
      .sort(([a, i], [b, j]) => turn * order(a, b) || i - j)
      .map(([row]) => row);
  }
}
