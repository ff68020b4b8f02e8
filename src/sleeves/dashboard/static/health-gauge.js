// <health-gauge>: how far an account at a venue is from its liquidation, 0 to 100, with what stands behind it. Of one account
// (account="core:main:USD", a sub-account's with ":1" behind it), of a vault's, or of all. What is not known is said to be so.

import { View, define, h, keyed, s, setAmount, setAttr, setBadge, setStyle, setText, setTone } from "./element.js";
import { drawn, figure, healthOf, healthText, rate, vaultName } from "./format.js";
import { sheet } from "./theme.js";

const STEPS = [20, 50, 80];
const ZONES = [
  [0, 20, "critical"],
  [20, 50, "poor"],
  [50, 80, "fair"],
  [80, 100, "good"],
];
const CENTRE = { x: 110, y: 104 };

const LOOK = sheet(`
:host { container-type: inline-size; }
h2 { margin-bottom: 8px; }
.all { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 236px), 1fr)); gap: 18px 32px; }
.account { min-width: 0; container-type: inline-size; }
.account h3 { overflow-wrap: anywhere; margin-bottom: 6px; }
.dial { display: grid; gap: 2px 18px; }
.gauge { max-width: 210px; width: 100%; margin-inline: auto; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
path { fill: none; }
.track { stroke: var(--sl-line); stroke-width: 14; }
.value { stroke: currentColor; stroke-width: 14; transition: stroke-dasharray 240ms ease-out; }
.zone { stroke: currentColor; stroke-width: 3.5; }
.step { stroke: var(--sl-card); stroke-width: 2; }
.needle { fill: var(--sl-text); transition: transform 240ms ease-out; transform: rotate(var(--turn)); transform-origin: ${CENTRE.x}px ${CENTRE.y}px; }
svg text { fill: var(--sl-muted); font: 11px var(--sl-font); font-variant-numeric: tabular-nums; text-anchor: middle; }
.reading { text-align: center; margin-top: 2px; line-height: 1.25; }
.reading strong { font-size: 1.7em; font-weight: 650; font-variant-numeric: tabular-nums lining-nums; letter-spacing: -0.01em; margin-inline-end: 6px; }
dl { display: grid; gap: 3px; align-content: center; margin-top: 8px; }
dl div { display: flex; justify-content: space-between; gap: 14px; }
dt { color: var(--sl-muted); }
@container (min-width: 430px) { .dial { grid-template-columns: minmax(150px, 210px) minmax(0, 1fr); } dl { margin-top: 0; max-width: 340px; } }
@media (forced-colors: active) { .value { stroke: Highlight; } .zone { stroke: CanvasText; } }
`);

// A point on the half circle: 0 at its left end, 100 at its right.
function at(value, radius) {
  const angle = Math.PI * (1 - value / 100);
  return `${(CENTRE.x + radius * Math.cos(angle)).toFixed(2)} ${(CENTRE.y - radius * Math.sin(angle)).toFixed(2)}`;
}

function arc(from, to, radius) {
  return `M ${at(from, radius)} A ${radius} ${radius} 0 0 1 ${at(to, radius)}`;
}

const FIGURES = [
  ["total_collateral", "Total collateral"],
  ["free_collateral", "Free collateral"],
  ["initial", "Initial margin"],
  ["maintenance", "Maintenance margin"],
];

export class HealthGauge extends View {
  static tables = ["accounts", "state"];
  static sheets = [LOOK];

  build() {
    this.heading = h("h2", { id: "heading" }, "Health");
    this.all = h("div", { class: "all" });
    this.none = h("p", { class: "empty", hidden: true });
    this.shadowRoot.append(h("section", { class: "panel", "aria-labelledby": "heading" }, this.heading, this.all, this.none));
  }

  render(store) {
    const account = this.getAttribute("account");
    const vault = this.getAttribute("vault");
    const rows = store
      .entries("accounts")
      .filter(([key, row]) => (account === null || key === account) && (vault === null || row.vault === vault));
    keyed(
      this.all,
      rows,
      ([key]) => key,
      () => this.#made(),
      (node, [, row]) => this.#patch(node, row),
    );
    this.none.hidden = rows.length > 0;
    setText(
      this.none,
      account === null
        ? "No margin account. Where sleeves hold contracts, the health of the account behind them stands here."
        : "This account holds no contracts, so there is no health to speak of.",
    );
  }

  #made() {
    const parts = new Map([
      ["name", h("h3")],
      ["value", s("path", { class: "value", d: arc(0, 100, 80), pathLength: "100" })],
      [
        "needle",
        s("path", {
          class: "needle",
          d: `M ${CENTRE.x - 66} ${CENTRE.y} L ${CENTRE.x} ${CENTRE.y - 4} L ${CENTRE.x + 4} ${CENTRE.y} L ${CENTRE.x} ${CENTRE.y + 4} Z`,
        }),
      ],
      ["number", h("strong")],
      ["word", h("span", { class: "badge" }, h("span", { class: "sign", "aria-hidden": "true" }), h("span", { class: "word" }))],
      ["leverage", h("dd", { class: "num" })],
      ...FIGURES.map(([name]) => [name, h("dd", { class: "num" })]),
    ]);
    const steps = STEPS.map((step) => [
      s("path", { class: "step", d: `M ${at(step, 71)} L ${at(step, 95)}` }),
      s("text", { x: at(step, 103).split(" ")[0], y: Number(at(step, 103).split(" ")[1]) + 4 }, String(step)),
    ]);
    const svg = s(
      "svg",
      { viewBox: "0 0 220 112", "aria-hidden": "true", focusable: "false" },
      s("path", { class: "track", d: arc(0, 100, 80) }),
      parts.get("value"),
      ...ZONES.map(([from, to, tone]) => s("path", { class: `zone ${tone}`, d: arc(from + 0.4, to - 0.4, 92.5) })),
      ...steps.flat(),
      parts.get("needle"),
    );
    parts.set("meter", h("div", { class: "gauge" }, svg));
    const node = h(
      "article",
      { class: "account" },
      parts.get("name"),
      h(
        "div",
        { class: "dial" },
        h("div", null, parts.get("meter"), h("p", { class: "reading" }, parts.get("number"), parts.get("word"))),
        h(
          "dl",
          null,
          ...[["leverage", "Leverage"], ...FIGURES].map(([name, word]) => h("div", null, h("dt", null, word), parts.get(name))),
        ),
      ),
    );
    node.parts_ = parts;
    return node;
  }

  #patch(node, row) {
    const parts = node.parts_;
    const name = row.account === 0 ? vaultName(row.vault) : `${vaultName(row.vault)}, sub-account ${row.account}`;
    const found = healthOf(row.health);
    const value = drawn(row.health);
    const within = value === null ? 0 : Math.max(0, Math.min(100, value));
    setText(parts.get("name"), name);

    setText(parts.get("number"), value === null ? "" : healthText(row.health));
    setAttr(parts.get("number"), "title", value === null ? null : figure(row.health));
    parts.get("number").hidden = value === null;
    setBadge(parts.get("word"), {
      ...found,
      says: value === null ? "A contract or collateral has no fresh price, so the health is not known." : "",
    });

    setTone(parts.get("value"), found.tone);
    setStyle(parts.get("value"), "visibility", value === null ? "hidden" : "visible");
    setStyle(parts.get("value"), "stroke-dasharray", `${within.toFixed(2)} 200`);
    setStyle(parts.get("needle"), "visibility", value === null ? "hidden" : "visible");
    setStyle(parts.get("needle"), "--turn", `${(within * 1.8).toFixed(2)}deg`);

    const meter = parts.get("meter");
    setAttr(meter, "role", value === null ? "img" : "meter");
    setAttr(meter, "aria-label", value === null ? `Health of ${name}: unknown` : `Health of ${name}`);
    for (const [attribute, said] of [
      ["aria-valuemin", 0],
      ["aria-valuemax", 100],
      ["aria-valuenow", within],
      ["aria-valuetext", `${figure(row.health ?? "")} of 100, ${found.word}`],
    ])
      setAttr(meter, attribute, value === null ? null : said);

    setAmount(parts.get("leverage"), row.leverage, { shape: (text, options) => `${rate(text, { ...options, digits: 3 })}\u00D7` });
    for (const [name_] of FIGURES) setAmount(parts.get(name_), row[name_], { unit: row.asset });
  }
}

define("health-gauge", HealthGauge);
