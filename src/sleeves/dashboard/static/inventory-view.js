// <inventory-view vault="core:main:USD">: where all money is: idle against deployed, by sleeve as a pie with its list, and every holding
// with the age of the price that it is valued at. Without `vault`, all vaults; `sleeve` shows what one sleeve holds.

import { View, define, h, keyed, s, setAmount, setAttr, setStyle, setText } from "./element.js";
import { NEUTRAL, age, ago, coloursOf, compare, drawn, figure, money, rate, share, signOf, sum, vaultName, when } from "./format.js";
import { Table } from "./table.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
.panel { display: grid; gap: 12px; }
.cols { display: grid; gap: 18px 34px; grid-template-columns: minmax(0, 1fr); align-items: start; }
@container (min-width: 1000px) { .cols { grid-template-columns: minmax(340px, 0.62fr) minmax(0, 1fr); } }
.vaults { display: grid; gap: 22px; }
.vault { display: grid; gap: 12px; }
.split { display: grid; gap: 6px; }
.bar { display: flex; height: 10px; border-radius: 5px; overflow: hidden; background: var(--sl-line); gap: 1px; }
.bar span { flex: 0 1 auto; min-width: 0; background: var(--sl-accent); }
.bar span.idle { opacity: 0.45; }
.words { display: flex; justify-content: space-between; gap: 4px 16px; flex-wrap: wrap; }
.shares { display: grid; grid-template-columns: 132px minmax(0, 1fr); gap: 20px; align-items: center; }
svg { width: 132px; height: 132px; display: block; }
svg path, svg circle { stroke: var(--sl-card); stroke-width: 0.02; }
.legend { display: grid; gap: 2px; }
.legend li { display: grid; grid-template-columns: 11px minmax(0, 1fr) auto 4.2em; gap: 9px; align-items: baseline; }
.legend i { width: 10px; height: 10px; border-radius: 2px; align-self: center; }
.legend .name { overflow-wrap: anywhere; }
@container (max-width: 430px) { .shares { grid-template-columns: 1fr; justify-items: center; } .legend { width: 100%; } }
`);

export class InventoryView extends View {
  static tables = ["vaults", "sleeves", "holdings", "desk"];
  static sheets = [SHEET];

  build() {
    this.vaults = h("div", { class: "vaults" });
    this.table = new Table({
      caption: "Holdings",
      empty: "Nothing is held yet. Coins of every vault and sleeve stand here, each with the age of its price.",
      sort: { by: "value", down: true },
      columns: [
        { name: "asset", head: "Asset", row: true, by: ([, row]) => row.asset, cell: (td, [, row]) => setText(td, row.asset) },
        {
          name: "owner",
          head: "Held by",
          by: ([, row]) => row.sleeve || row.vault,
          cell: (td, [, row]) => setText(td, row.sleeve || `${vaultName(row.vault)} vault`),
        },
        {
          name: "engine",
          head: "Engine",
          lesser: true,
          by: ([, row]) => row.engine,
          cell: (td, [, row]) => setText(td, row.engine || "\u2014"),
        },
        { name: "place", head: "Place", by: ([, row]) => row.place, cell: (td, [, row]) => setText(td, row.place) },
        {
          name: "amount",
          head: "Amount",
          num: true,
          by: ([, row]) => row.amount,
          cell: (td, [, row]) => setAmount(td, row.amount, { shape: row.asset === row.valued_in ? money : rate }),
        },
        {
          name: "value",
          head: "Value",
          num: true,
          by: ([, row]) => row.value,
          cell: (td, [, row]) => setAmount(td, row.value, { unit: row.value === null ? "" : row.valued_in }),
        },
        { name: "age", head: "Price seen", num: true, by: ([, row]) => row.mark_ms ?? 0, cell: (td, [, row]) => this.#age(td, row) },
      ],
    });
    const heading = h("h2", { id: "heading" }, "Inventory");
    this.body = h(
      "section",
      { class: "panel", "aria-labelledby": "heading" },
      heading,
      h("div", { class: "cols" }, this.vaults, this.table.node),
    );
    this.shadowRoot.append(this.body);
  }

  render(store) {
    this.now = store.now_ms;
    const [vault, sleeve] = [this.getAttribute("vault"), this.getAttribute("sleeve")];
    const vaults = sleeve === null ? store.entries("vaults").filter(([owner]) => vault === null || owner === vault) : [];
    const colours = coloursOf(store.table("sleeves").keys());
    keyed(
      this.vaults,
      vaults,
      ([owner]) => owner,
      () => new Shares().node,
      (node, [owner, row]) => node.shares.update(owner, row, sharesOf(store, owner, row, colours)),
    );
    const holdings = store
      .entries("holdings")
      .filter(([, row]) => (vault === null || row.vault === vault) && (sleeve === null || row.sleeve === sleeve));
    this.table.update(holdings, ([key]) => key, `${this.now}`);
  }

  #age(td, row) {
    const old = age(row.mark_ms, this.now);
    setText(td, row.value === null && row.mark_ms === null ? "no price" : row.mark_ms === null ? "needs none" : ago(old));
    td.classList.toggle("muted", row.mark_ms === null);
    setAttr(td, "title", row.mark_ms === null ? null : `${when(row.mark_ms)} UTC`);
  }
}

// The parts of a vault's money: each sleeve's balance, with open positions at cost, what is idle, and the rest of it.
function sharesOf(store, owner, vault, colours) {
  const sleeves = store.entries("sleeves").filter(([, row]) => row.vault === owner);
  const parts = sleeves.map(([name, row]) => ({
    key: `sleeve ${name}`,
    name,
    note: row.engine,
    amount: row.balance,
    colour: colours.get(name) ?? NEUTRAL,
  }));
  parts.sort((a, b) => compare(b.amount, a.amount));
  const rest = [
    ["idle", "Idle in the vault", vault.idle, "#9aa4af"],
    ["reserve", "Reserve", vault.reserve, "#6d7782"],
    ["in_transit", "In transit", vault.in_transit, "#b9c0c8"],
    ["suspense", "Suspense", vault.suspense, "#4d565f"],
  ];
  for (const [key, name, amount, colour] of rest) if (signOf(amount) !== 0) parts.push({ key, name, note: "", amount, colour });
  return parts.filter(({ amount }) => signOf(amount) !== 0);
}

class Shares {
  constructor() {
    this.heading = h("h3");
    this.deployed = h("span");
    this.idle = h("span", { class: "idle" });
    this.deployedText = h("span");
    this.idleText = h("span");
    this.pie = s("svg", { viewBox: "-1.05 -1.05 2.1 2.1", "aria-hidden": "true" });
    this.list = h("ul", { class: "legend" });
    this.node = h(
      "section",
      { class: "vault" },
      this.heading,
      h(
        "div",
        { class: "split" },
        h("div", { class: "bar", "aria-hidden": "true" }, this.deployed, this.idle),
        h("p", { class: "words" }, this.deployedText, this.idleText),
      ),
      h("div", { class: "shares" }, this.pie, this.list),
    );
    this.node.shares = this;
  }

  update(owner, vault, parts) {
    setText(this.heading, `${vaultName(owner)}: idle against deployed`);
    const rest = sum(vault.idle, vault.reserve, vault.in_transit);
    const part = share(vault.in_sleeves, sum(vault.in_sleeves, rest));
    const percentage = part === null ? 0 : 100 * part;
    setStyle(this.deployed, "flex-basis", `${percentage}%`);
    setStyle(this.idle, "flex-basis", `${100 - percentage}%`);
    setText(this.deployedText, `In sleeves ${money(vault.in_sleeves)} ${vault.asset} (${percentage.toFixed(1)}%)`);
    setText(this.idleText, `Idle and reserve ${money(rest)} ${vault.asset} (${(part === null ? 0 : 100 - percentage).toFixed(1)}%)`);
    setAttr(this.idleText, "title", `idle ${figure(vault.idle)}, reserve ${figure(vault.reserve)}, in transit ${figure(vault.in_transit)}`);
    this.#pie(parts);
  }

  #pie(parts) {
    const sizes = parts.map(({ amount }) => Math.max(0, drawn(amount)));
    const total = sizes.reduce((all, size) => all + size, 0);
    let from = 0;
    const slices = parts.map((part, at) => {
      const size = total === 0 ? 0 : sizes[at] / total;
      const slice = { ...part, size, from };
      from += size;
      return slice;
    });
    keyed(
      this.pie,
      slices.filter(({ size }) => size > 0),
      ({ key }) => key,
      () => s("path"),
      (node, slice) => {
        setAttr(node, "d", arc(slice.from, slice.size));
        setAttr(node, "fill", slice.colour);
      },
    );
    keyed(
      this.list,
      slices,
      ({ key }) => key,
      () =>
        h(
          "li",
          null,
          h("i", { "aria-hidden": "true" }),
          h("span", { class: "name" }),
          h("span", { class: "num" }),
          h("span", { class: "num muted" }),
        ),
      (node, slice) => {
        const [key, name, amount, portion] = node.children;
        setStyle(key, "background-color", slice.colour);
        setText(name, slice.name);
        setAttr(name, "title", slice.note === "" ? null : slice.note);
        setAmount(amount, slice.amount);
        setText(portion, `${(100 * slice.size).toFixed(1)}%`);
      },
    );
  }
}

// A slice of the ring, clockwise from the top; `from` and `size` are shares of the whole.
function arc(from, size) {
  const [outer, inner] = [1, 0.58];
  const end = from + Math.min(size, 0.99999);
  const at = (part, radius) => {
    const turn = 2 * Math.PI * part - Math.PI / 2;
    return `${(radius * Math.cos(turn)).toFixed(5)} ${(radius * Math.sin(turn)).toFixed(5)}`;
  };
  const large = size > 0.5 ? 1 : 0;
  return `M ${at(from, outer)} A ${outer} ${outer} 0 ${large} 1 ${at(end, outer)} L ${at(end, inner)} A ${inner} ${inner} 0 ${large} 0 ${at(from, inner)} Z`;
}

define("inventory-view", InventoryView);
