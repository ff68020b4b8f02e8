// <engine-vault-card sleeve="flash">: one sleeve with its engine: what it earned, what it has, how it stands, and what may be done.

import { View, badge, define, h, keyed, pair, setAmount, setAttr, setStatus, setStyle, setText, setTone } from "./element.js";
import { confirm } from "./confirm-dialog.js";
import { NEUTRAL, coloursOf, drawn, minus, money, percent, signOf, sum, toneOf, vaultName } from "./format.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
:host { container-type: normal; }
.panel { display: grid; gap: 12px; height: 100%; align-content: start; grid-template-rows: repeat(5, auto) 1fr; }
header { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 10px; align-items: start; }
h3 { display: flex; align-items: center; gap: 8px; font-size: 1.12em; overflow-wrap: anywhere; min-width: 0; }
.key { flex: none; width: 11px; height: 11px; border-radius: 3px; }
.sub { grid-column: 1 / -1; overflow-wrap: anywhere; }
.result { display: grid; gap: 2px; }
.net { font-size: 1.75em; font-weight: 650; letter-spacing: -0.015em; line-height: 1.15; font-variant-numeric: tabular-nums; }
.net .unit { font-size: 0.5em; font-weight: 500; letter-spacing: 0; color: var(--sl-muted); margin-inline-start: 4px; }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; background: var(--sl-line); gap: 1px; }
.bar span { flex: 0 1 auto; min-width: 0; }
.free { background: var(--sl-accent); opacity: 0.45; }
.held { background: var(--sl-fair); }
.deployed { background: var(--sl-accent); }
.other { background: var(--sl-edge); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; margin-top: 6px; }
.legend li { display: inline-flex; align-items: center; gap: 6px; }
.legend i { width: 9px; height: 9px; border-radius: 2px; }
dl { display: grid; grid-template-columns: minmax(max-content, 1fr) minmax(max-content, 1fr); gap: 3px 16px; align-content: start; font-size: 0.94em; }
dl.long { grid-template-columns: minmax(0, 1fr); }
dl div { display: flex; justify-content: space-between; gap: 8px; white-space: nowrap; }
@container (max-width: 290px) { dl { grid-template-columns: minmax(0, 1fr); } }
dt { color: var(--sl-muted); }
.why { display: grid; gap: 3px; border-inline-start: 3px solid var(--sl-line); padding-inline-start: 9px; overflow-wrap: anywhere; }
.why p { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.why:empty { display: none; }
.buttons { display: flex; gap: 4px; flex-wrap: wrap; align-self: end; grid-row: 6; }
.buttons button { padding-inline: 0.5em; font-size: 0.93em; }
.buttons > .danger { margin-inline-start: auto; }
`);

const FIGURES = [
  ["allocation", "Allocated", false],
  ["available", "Available", false],
  ["realized", "Realized", true],
  ["unrealized", "Unrealized", true],
  ["fees", "Fees", false],
  ["funding", "Funding", true],
  ["returned", "Returned", false],
  ["equity", "Equity", false],
];

const PARTS = [
  ["deployed", "deployed", (row) => row.deployed],
  ["held", "held for orders", (row) => row.held],
  ["free", "available", (row) => row.available],
  ["other", "unsettled", (row) => minus(row.balance, sum(row.deployed, row.held, row.available))],
];

export class EngineVaultCard extends View {
  static tables = ["sleeves", "state"];
  static sheets = [SHEET];

  build() {
    this.key = h("span", { class: "key", "aria-hidden": "true" });
    this.name = h("span");
    this.status = badge();
    this.sub = h("p", { class: "sub muted small" });
    this.net = h("span");
    this.unit = h("span", { class: "unit" });
    this.back = h("span", { class: "num" });
    this.fall = h("span", { class: "num muted" });
    this.bar = h("div", { class: "bar", "aria-hidden": "true" });
    this.legend = h("ul", { class: "legend small" });
    this.figures = new Map(FIGURES.map(([name]) => [name, h("span")]));
    this.list = h(
      "dl",
      null,
      FIGURES.map(([name, term]) => pair(term, this.figures.get(name))),
    );
    this.why = h("div", { class: "why small" });
    this.buttons = h("div", { class: "buttons" });
    this.body = h(
      "article",
      { class: "panel", "aria-labelledby": "name" },
      h("header", null, h("h3", { id: "name" }, this.key, this.name), this.status, this.sub),
      h(
        "div",
        { class: "result" },
        h("p", { class: "net" }, h("span", { class: "vh" }, "Net profit "), this.net, this.unit),
        h(
          "p",
          { class: "small", title: "At the prices of the journal's latest marks, whatever was deposited or withdrawn." },
          this.back,
          " ",
          this.fall,
        ),
      ),
      h("div", null, this.bar, this.legend),
      this.list,
      this.why,
      this.buttons,
    );
    this.none = h("p", { class: "panel empty" });
    this.shadowRoot.append(this.body, this.none);
    this.actions = [
      this.#button("Deposit", () => this.#deposit()),
      this.#button("Withdraw", () => this.#withdraw()),
      this.#button("Pause", () => this.#pause()),
      this.#button("Resume", () => this.#resume()),
      this.#button("Revive", () => this.#revive()),
      this.#button("Kill\u2026", () => this.#kill(), "danger"),
    ];
    this.buttons.append(...this.actions);
  }

  render(store) {
    const row = store.row("sleeves", this.getAttribute("sleeve"));
    this.body.hidden = row === null;
    this.none.hidden = row !== null;
    if (row === null) {
      const name = this.getAttribute("sleeve");
      setText(this.none, name ? `There is no sleeve ${name} here.` : "This card needs the name of a sleeve.");
      return;
    }
    const name = this.getAttribute("sleeve");
    setText(this.name, name);
    setStyle(this.key, "background-color", coloursOf(store.table("sleeves").keys()).get(name) ?? NEUTRAL);
    setStatus(this.status, row.status);
    setText(this.sub, [row.engine || "no engine", row.policy, row.backing, vaultName(row.vault)].filter(Boolean).join(" \u00B7 "));
    setAmount(this.net, row.net, { signed: true });
    setText(this.unit, row.asset);
    setText(this.back, row.return_pct === null ? "" : `${percent(row.return_pct, { sign: true })} return`);
    setTone(this.back, toneOf(row.return_pct));
    setText(
      this.fall,
      row.drawdown_pct === null || signOf(row.drawdown_pct) === 0 ? "" : `\u00B7 ${percent(row.drawdown_pct)} deepest fall`,
    );
    for (const [field, , signed] of FIGURES) setAmount(this.figures.get(field), row[field], { signed });
    // Two columns as long as the longest figures fit beside each other.
    const longest = (side) => Math.max(...FIGURES.map(([field], at) => (at % 2 === side ? this.figures.get(field).textContent.length : 0)));
    this.list.classList.toggle("long", longest(0) + longest(1) > 20);
    this.#drawBar(row);
    this.#drawWhy(row);
    this.#drawButtons(store, row);
  }

  #drawBar(row) {
    const parts = PARTS.map(([kind, word, of]) => ({ kind, word, amount: of(row) })).filter(({ amount }) => signOf(amount) === 1);
    const total = parts.reduce((all, { amount }) => all + drawn(amount), 0);
    const each = (part) => part.kind;
    keyed(
      this.bar,
      parts,
      each,
      ({ kind }) => h("span", { class: kind }),
      (node, { amount }) => setStyle(node, "flex-basis", `${(100 * drawn(amount)) / total}%`),
    );
    keyed(
      this.legend,
      parts.length === 0 ? [{ kind: "none", word: "nothing in it yet", amount: null }] : parts,
      each,
      ({ kind }) => h("li", null, h("i", { class: kind, "aria-hidden": "true", hidden: kind === "none" }), h("span")),
      (node, { word, amount }) =>
        setText(node.lastChild, amount === null ? word : `${word} ${money(amount)} (${Math.round((100 * drawn(amount)) / total)}%)`),
    );
  }

  #drawWhy(row) {
    const lines = [
      ...row.latches.map((text) => ({ key: `latch ${text}`, text: `Held by ${text}` })),
      row.idle_reason ? { key: "idle", text: `Engine at rest: ${row.idle_reason}` } : null,
      row.wished ? { key: "wished", text: `Last wish: ${row.wished}` } : null,
      row.refused ? { key: "refused", text: `Last refusal: ${row.refused}` } : null,
    ].filter(Boolean);
    keyed(
      this.why,
      lines,
      (line) => line.key,
      () => h("p", { class: "muted" }),
      (node, line) => setAttr(setText(node, line.text), "title", line.text.length > 90 ? line.text : null),
    );
  }

  // -- what may be done --------------------------------------------------------------------------------------------------------

  #button(word, act, kind = null) {
    return h("button", { type: "button", class: kind, onclick: act }, word);
  }

  #drawButtons(store, row) {
    this.buttons.hidden = !store.commands;
    const [deposit, withdraw, pause, resume, revive, kill] = this.actions;
    const dead = row.status === "halted";
    const gone = row.status === "deactivated";
    for (const button of this.actions) button.disabled = !store.commanding;
    deposit.hidden = withdraw.hidden = gone;
    pause.hidden = dead || gone || row.status === "paused";
    resume.hidden = row.status !== "paused";
    revive.hidden = !dead;
    kill.hidden = dead || gone;
    const name = this.getAttribute("sleeve");
    for (const button of this.actions) setAttr(button, "aria-label", `${button.textContent.replace("\u2026", "")} ${name}`);
  }

  get #row() {
    return this.store.row("sleeves", this.getAttribute("sleeve"));
  }

  #do(what, options, more = {}) {
    const sleeve = this.getAttribute("sleeve");
    return confirm(this, this.store, { what, ...more, [what === "allocate" || what === "reclaim" ? "sleeve" : "target"]: sleeve }, options);
  }

  #deposit() {
    const sleeve = this.getAttribute("sleeve");
    const vault = this.store.row("vaults", this.#row.vault);
    this.#do("allocate", {
      title: `Deposit to ${sleeve}`,
      about: `Gives ${sleeve} more of what is idle in ${vaultName(this.#row.vault)}, for its engine to trade with.`,
      verb: `deposit to ${sleeve}`,
      fields: [{ name: "amount", label: "Amount", kind: "amount", most: vault?.remaining ?? null, unit: this.#row.asset }],
    });
  }

  #withdraw() {
    const sleeve = this.getAttribute("sleeve");
    this.#do("reclaim", {
      title: `Withdraw from ${sleeve}`,
      about: `Takes free coins back from ${sleeve} to ${vaultName(this.#row.vault)}. What is held or deployed stays.`,
      verb: `withdraw from ${sleeve}`,
      fields: [{ name: "amount", label: "Amount", kind: "amount", most: this.#row.available, unit: this.#row.asset }],
    });
  }

  #pause() {
    const sleeve = this.getAttribute("sleeve");
    this.#do("pause", {
      title: `Pause ${sleeve}`,
      about: "No new risk, and its opening orders off. Positions wait for their exits.",
      verb: `pause ${sleeve}`,
    });
  }

  #resume() {
    const sleeve = this.getAttribute("sleeve");
    this.#do("resume", { title: `Resume ${sleeve}`, about: "Its engine is asked again, and may take new risk.", verb: `resume ${sleeve}` });
  }

  #revive() {
    const sleeve = this.getAttribute("sleeve");
    this.#do("revive", {
      title: `Revive ${sleeve}`,
      about: "Takes back what was killed: it is then paused, to be resumed.",
      verb: `revive ${sleeve}`,
      fields: [{ name: "why", label: "Why", kind: "text", hint: "One line; it is written into the journal." }],
    });
  }

  #kill() {
    const sleeve = this.getAttribute("sleeve");
    this.#do("kill", {
      title: `Kill ${sleeve}`,
      verb: `kill ${sleeve}`,
      danger: true,
      fields: [flattenField()],
    });
  }
}

// The two ways to kill.
export function flattenField() {
  return {
    name: "flatten",
    label: "How",
    kind: "choice",
    value: "no",
    options: [
      { value: "no", label: "Halt only", about: "Engines are asked no more and orders are canceled. Positions stay open." },
      { value: "yes", label: "Halt and flatten", about: "The same, and every position is closed at market." },
    ],
  };
}

define("engine-vault-card", EngineVaultCard);
