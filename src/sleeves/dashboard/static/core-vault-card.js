// <core-vault-card vault="core:main:USD">: the vault over one asset of one wallet: how much there is, how much is at risk, where it is.

import { View, badge, define, h, keyed, pair, setAmount, setAttr, setStatus, setStyle, setText } from "./element.js";
import { confirm } from "./confirm-dialog.js";
import { drawn, figure, money, signOf, vaultName } from "./format.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
.panel { display: grid; gap: 12px; height: 100%; align-content: start; }
header { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 10px; align-items: start; }
h3 { font-size: 1.12em; overflow-wrap: anywhere; }
.sub { grid-column: 1 / -1; overflow-wrap: anywhere; }
.top { display: flex; gap: 8px 34px; flex-wrap: wrap; }
.top dt { color: var(--sl-muted); font-size: 0.86em; }
.top dd { text-align: start; font-size: 1.5em; font-weight: 650; letter-spacing: -0.015em; line-height: 1.2; }
.bar { display: flex; height: 10px; border-radius: 5px; overflow: hidden; background: var(--sl-line); gap: 1px; }
.bar span { flex: 0 1 auto; min-width: 0; }
.in_sleeves { background: var(--sl-accent); }
.idle { background: var(--sl-accent); opacity: 0.45; }
.reserve { background: var(--sl-edge); }
.in_transit { background: var(--sl-fair); }
.suspense { background: var(--sl-poor); }
.legend { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 3px 22px; margin-top: 8px; }
.legend li { display: flex; align-items: baseline; gap: 7px; min-width: 0; }
.legend i { flex: none; width: 9px; height: 9px; border-radius: 2px; }
.legend .num { margin-inline-start: auto; }
.legend .term { color: var(--sl-muted); }
.why { border-inline-start: 3px solid var(--sl-poor); padding-inline-start: 9px; }
.why:empty { display: none; }
.buttons { display: flex; gap: 6px; flex-wrap: wrap; }
`);

const PARTS = [
  ["in_sleeves", "In sleeves"],
  ["idle", "Idle"],
  ["reserve", "Reserve"],
  ["in_transit", "In transit"],
  ["suspense", "Suspense"],
];

export class CoreVaultCard extends View {
  static tables = ["vaults", "state"];
  static sheets = [SHEET];

  build() {
    this.name = h("h3", { id: "name" });
    this.status = badge();
    this.sub = h("p", { class: "sub muted small" });
    this.total = h("span");
    this.tradeable = h("span");
    this.allocated = h("span");
    this.returned = h("span");
    this.bar = h("div", { class: "bar", "aria-hidden": "true" });
    this.legend = h("ul", { class: "legend" });
    this.why = h("div", { class: "why small" });
    this.deposit = h("button", { type: "button", onclick: () => this.#deposit() }, "Deposit coins");
    this.withdraw = h("button", { type: "button", onclick: () => this.#withdraw() }, "Withdraw coins");
    this.risk = h("button", { type: "button", onclick: () => this.#tradeable() }, "Set tradeable");
    this.buttons = h("div", { class: "buttons" }, this.deposit, this.withdraw, this.risk);
    this.body = h(
      "article",
      { class: "panel", "aria-labelledby": "name" },
      h("header", null, this.name, this.status, this.sub),
      h(
        "dl",
        { class: "top" },
        pair("Total coins", this.total),
        pair("Tradeable coins", this.tradeable),
        pair("Allocated to sleeves", this.allocated),
        pair("Returned by sleeves", this.returned),
      ),
      h("div", null, this.bar, this.legend),
      this.why,
      this.buttons,
    );
    this.none = h("p", { class: "panel empty" });
    this.shadowRoot.append(this.body, this.none);
  }

  get #owner() {
    return this.getAttribute("vault");
  }

  get #row() {
    return this.store.row("vaults", this.#owner);
  }

  render(store) {
    const row = this.#row;
    this.body.hidden = row === null;
    this.none.hidden = row !== null;
    if (row === null) {
      setText(this.none, this.#owner ? `There is no vault ${this.#owner} here.` : "This card needs the name of a core vault.");
      return;
    }
    const name = vaultName(this.#owner);
    setText(this.name, `Core vault ${name}`);
    setStatus(this.status, row.status);
    setText(this.sub, `All ${row.asset} of the wallet ${row.wallet}`);
    for (const field of ["total", "tradeable", "allocated", "returned"]) setAmount(this[field], row[field]);
    this.#drawParts(row);
    keyed(
      this.why,
      row.latches,
      (text) => text,
      () => h("p"),
      (node, text) => setText(node, `Held by ${text}`),
    );
    this.buttons.hidden = !store.commands;
    for (const button of [this.deposit, this.withdraw, this.risk]) {
      button.disabled = !store.commanding;
      setAttr(button, "aria-label", `${button.textContent}: ${name}`);
    }
  }

  #drawParts(row) {
    const shown = PARTS.map(([kind, word]) => ({ kind, word, amount: row[kind] }));
    const there = shown.filter(({ amount }) => signOf(amount) === 1);
    const total = there.reduce((all, { amount }) => all + drawn(amount), 0);
    keyed(
      this.bar,
      there,
      (part) => part.kind,
      ({ kind }) => h("span", { class: kind }),
      (node, { amount }) => setStyle(node, "flex-basis", `${(100 * drawn(amount)) / total}%`),
    );
    keyed(
      this.legend,
      shown,
      (part) => part.kind,
      ({ kind, word }) =>
        h("li", null, h("i", { class: kind, "aria-hidden": "true" }), h("span", { class: "term" }, word), h("span", { class: "num" })),
      (node, { amount }) => setAmount(node.lastChild, amount),
    );
  }

  // -- what may be done --------------------------------------------------------------------------------------------------------

  #do(what, options) {
    return confirm(this, this.store, { what, vault: this.#owner }, options);
  }

  #deposit() {
    const name = vaultName(this.#owner);
    this.#do("deposit", {
      title: `Deposit coins to ${name}`,
      about: "Brings coins from outside into the account of this vault's wallet.",
      verb: `deposit coins to ${name}`,
      fields: [{ name: "amount", label: "Amount", kind: "amount", unit: this.#row.asset, hint: "From outside the account." }],
    });
  }

  #withdraw() {
    const name = vaultName(this.#owner);
    this.#do("withdraw", {
      title: `Withdraw coins from ${name}`,
      about: "Takes idle coins out of the account. What is in sleeves or in the reserve stays.",
      verb: `withdraw coins from ${name}`,
      fields: [{ name: "amount", label: "Amount", kind: "amount", most: this.#row.idle, unit: this.#row.asset }],
    });
  }

  #tradeable() {
    const row = this.#row;
    const name = vaultName(this.#owner);
    this.#do("set_tradeable", {
      title: `Set tradeable coins of ${name}`,
      about: `How much of the ${money(row.total)} ${row.asset} may be put at risk. It is ${figure(row.tradeable)} now, with ${figure(row.allocated)} allocated.`,
      verb: `set tradeable of ${name}`,
      fields: [{ name: "amount", label: "Tradeable coins", kind: "amount", most: row.total, unit: row.asset, zero: true }],
    });
  }
}

define("core-vault-card", CoreVaultCard);
