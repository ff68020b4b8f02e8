// <sleeves-page>: the whole of a desk on one page, of the same parts that stand alone: how all is, who earned what, what is at risk,
// what happened. It lies within a <sleeves-desk>, or is given a store.

import { View, badge, define, h, keyed, setAmount, setAttr, setBadge, setStatus, setStyle, setText, setTone } from "./element.js";
import { SAID, confirm } from "./confirm-dialog.js";
import { flattenField } from "./engine-vault-card.js";
import { clock, healthOf, healthText, money, span, sum, vaultName, when } from "./format.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
:host { background: var(--sl-bg); min-height: 100%; }
.page { max-width: 1680px; margin: 0 auto; padding: 0 20px 40px; display: grid; gap: 18px; grid-template-columns: minmax(0, 1fr); container-type: inline-size; }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; padding: 14px 0 10px; border-bottom: 1px solid var(--sl-line); }
h1 { font-size: 1.3em; font-weight: 680; letter-spacing: -0.01em; overflow-wrap: anywhere; }
.head .facts { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: center; }
.head .acts { display: flex; flex-wrap: wrap; gap: 6px; margin-inline-start: auto; align-items: center; }
.banner { display: grid; gap: 2px; padding: 10px 14px; border: 1px solid currentColor; border-radius: var(--sl-radius); background: var(--sl-card); }
.banner p + p { color: var(--sl-text); }
.banner a { color: inherit; }
.sum { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.sum > div { background: var(--sl-card); border: 1px solid var(--sl-line); border-radius: var(--sl-radius); padding: 10px 14px; min-width: 0; }
.sum dt { color: var(--sl-muted); font-size: 0.86em; }
.sum dd { font-size: 1.35em; font-weight: 650; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; line-height: 1.25; }
.sum dd + dd { font-size: 0.86em; font-weight: 400; letter-spacing: 0; color: var(--sl-muted); }
section > h2 { margin-bottom: 8px; }
section { min-width: 0; }
.cards { display: grid; grid-template-columns: repeat(var(--columns, 1), minmax(0, 1fr)); gap: 14px; }
@container (min-width: 600px) { .cards { --columns: var(--of-2, 1); } }
@container (min-width: 900px) { .cards { --columns: var(--of-3, 1); } }
@container (min-width: 1160px) { .cards { --columns: var(--of-4, 1); } }
@container (min-width: 1540px) { .cards { --columns: var(--of-5, 1); } }
.even .cards { --columns: 1; }
.cards > engine-vault-card { max-width: 560px; }


.data, .side { display: grid; gap: 18px; grid-template-columns: minmax(0, 1fr); align-content: start; }
.data:focus { outline: none; }
.two { display: grid; grid-template-columns: minmax(0, 2.1fr) minmax(0, 1fr); gap: 18px; align-items: start; }
.two.even { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); align-items: start; }
.two:not(.even) { align-items: stretch; }
@container (min-width: 981px) { .side { grid-template-rows: auto minmax(176px, 1fr); } .side > alert-list { contain: size; --sl-list: none; } .side > health-gauge[hidden] + alert-list { grid-row: 1 / -1; } }
@container (max-width: 980px) { .two, .two.even { grid-template-columns: minmax(0, 1fr); } }
.list li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 2px 10px; padding: 7px 0; border-top: 1px solid var(--sl-line); align-items: baseline; }
.list li:first-child { border-top: 0; }
.list .text { grid-column: 1 / -1; color: var(--sl-muted); overflow-wrap: anywhere; }
.list .text:empty { display: none; }
@container (min-width: 700px) {
  .errands li { grid-template-columns: 8.2em auto minmax(0, 1fr) auto; }
  .errands .text { grid-column: 3; grid-row: 1; }
  .errands time { grid-column: 4; }
}
.list .badge { justify-self: start; }
.list .what { overflow-wrap: anywhere; }
.list .acts { display: flex; gap: 6px; }
/* What is below is laid out and painted when it is looked at. */
inventory-view, order-log, book-view { content-visibility: auto; contain-intrinsic-size: auto 460px; overflow-clip-margin: 6px; }
@media print { inventory-view, order-log, book-view { content-visibility: visible; } }
.stale .data { filter: saturate(0.12); }
footer { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; justify-content: space-between; }
.foot { color: var(--sl-muted); }
.page { position: relative; }
.skip { position: absolute; inset-inline-start: 12px; top: 0; background: var(--sl-card); color: var(--sl-accent); padding: 8px 14px; border-radius: 0 0 8px 8px; z-index: 2; }
.skip:not(:focus-visible) { clip-path: inset(50%); width: 1px; height: 1px; padding: 0; overflow: hidden; }
@media (max-width: 480px) { .page { padding: 0 12px 30px; gap: 14px; } .head .acts { margin-inline-start: 0; width: 100%; } }
`);

const CONNECTION = {
  connecting: { tone: "muted", sign: "\u2026", word: "connecting" },
  live: { tone: "good", sign: "\u25CF", word: "live" },
  lost: { tone: "critical", sign: "\u25B2", word: "disconnected" },
  refused: { tone: "critical", sign: "\u2715", word: "refused" },
  still: { tone: "muted", sign: "\u25A3", word: "a saved picture" },
};

export class SleevesPage extends View {
  static tables = ["*"];
  static sheets = [SHEET];

  build() {
    this.title_ = h("h1");
    this.connection = badge();
    this.status = badge();
    this.laws = badge();
    this.money = badge();
    this.time = h("span", { class: "muted small num" });
    this.pause = h("button", { type: "button", onclick: () => this.#pause() }, "Pause all");
    this.resume = h("button", { type: "button", onclick: () => this.#resume() }, "Resume all");
    this.revive = h("button", { type: "button", onclick: () => this.#revive() }, "Revive all");
    this.kill = h("button", { type: "button", class: "danger", onclick: () => this.#kill() }, "Kill all\u2026");
    this.commands = [this.pause, this.resume, this.revive, this.kill];
    this.theme = h("select", { "aria-label": "Colours", onchange: () => this.#theme(this.theme.value) });
    for (const [value, word] of [
      ["", "Colours: system"],
      ["light", "Colours: light"],
      ["dark", "Colours: dark"],
    ])
      this.theme.append(h("option", { value }, word));
    this.theme.hidden = this.hasAttribute("theme"); // its host decides
    // Only its first words are told to a screen reader: how long ago it was counts on.
    this.bannerHead = h("p", { role: "status" });
    this.bannerText = h("p");
    this.banner = h("div", { class: "banner critical" }, this.bannerHead, this.bannerText);
    this.why = h("ul", { class: "banner poor", role: "list", "aria-label": "What is not well" });
    this.sums = h("dl", { class: "sum" });
    this.vaults = h("div", { class: "cards" });
    this.sleeves = h("div", { class: "cards" });
    this.noSleeves = h(
      "p",
      { class: "panel empty" },
      "No sleeve yet. Each strategy stands here with its own money: what it was given, what it earned, what it has at risk.",
    );
    this.waiting = h("ul", { class: "list panel", role: "list" });
    this.errands = h("ul", { class: "list panel errands", role: "list" });
    // Parts that show all there is of their kind; each has its own heading.
    const tags = [
      "sleeve-chart",
      "health-gauge",
      "alert-list",
      "position-table",
      "funding-table",
      "inventory-view",
      "order-log",
      "book-view",
    ];
    const [chart, gauge, alerts, positions, funding, inventory, log, books] = tags.map((tag) => document.createElement(tag));
    this.optional = { accounts: gauge, books, funding };
    this.foot = h("p", { class: "foot small" });
    this.out = h("button", { type: "button", class: "plain small", onclick: () => this.#signOut() }, "Sign out");
    this.waitingSection = this.#section("Waiting for your yes", this.waiting);
    this.errandsSection = this.#section("Instructions given here", this.errands);
    this.data = h(
      "main",
      { class: "data", id: "main", tabindex: "-1" },
      this.sums,
      this.waitingSection,
      this.errandsSection,
      this.#section("Sleeves", this.sleeves, this.noSleeves),
      h("div", { class: "two" }, chart, h("div", { class: "side" }, gauge, alerts)),
      positions,
      h("div", { class: "two even" }, this.#section("Core vaults", this.vaults), funding),
      inventory,
      log,
      books,
    );
    this.skip = h("a", { class: "skip", href: "#main", onclick: (event) => this.#skip(event) }, "To the figures");
    this.frame = h(
      "div",
      { class: "page" },
      this.skip,
      h(
        "header",
        { class: "head" },
        this.title_,
        h("div", { class: "facts" }, this.connection, this.status, this.laws, this.money, this.time),
        h("div", { class: "acts" }, this.commands, this.theme),
      ),
      this.banner,
      this.why,
      this.data,
      h("footer", null, this.foot, this.out),
    );
    this.shadowRoot.append(this.frame);
  }

  connectedCallback() {
    super.connectedCallback();
    this.clock = setInterval(() => this.invalidate(), 1000); // how long ago something was told, and what lapses when
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.clock);
  }

  #section(title, ...nodes) {
    const id = `s-${title.toLowerCase().replaceAll(" ", "-")}`;
    return h("section", { "aria-labelledby": id }, h("h2", { id }, title), nodes);
  }

  render(store) {
    const { desk } = store;
    setText(this.title_, store.title || "sleeves");
    if (this.ownerDocument.title !== (store.title || "sleeves") && this.hasAttribute("titled"))
      this.ownerDocument.title = store.title || "sleeves";
    this.#drawState(store);
    const told = desk !== null;
    this.data.hidden = !told;
    for (const node of [this.status, this.laws, this.money, this.time]) node.hidden = !told;
    this.why.hidden = !told;
    this.foot.hidden = !told;
    for (const button of this.commands) {
      button.hidden = !store.commands || !told;
      button.disabled = !store.commanding;
    }
    if (!told) return;
    this.pause.hidden ||= desk.status === "paused" || desk.status === "halted";
    this.resume.hidden ||= desk.status !== "paused";
    this.revive.hidden ||= desk.status !== "halted";
    this.kill.hidden ||= desk.status === "halted";
    this.#drawDesk(store, desk);
    // What was true when it was last told is not known to be so now.
    if (this.frame.classList.contains("stale")) for (const node of [this.status, this.laws]) node.hidden = true;
    this.#drawSums(store);
    this.#drawCards(store);
    this.#drawWaiting(store);
    this.#drawErrands(store);
    this.out.hidden = !this.hasAttribute("titled") || store.state === "still";
    setText(
      this.foot,
      `sleeves ${store.version} \u00B7 ${desk.records} records in the journal \u00B7 times are UTC${store.commands ? "" : " \u00B7 read only"}`,
    );
  }

  #drawState(store) {
    setBadge(this.connection, CONNECTION[store.state] ?? CONNECTION.connecting);
    const stale = store.state === "lost" || store.state === "refused" || (store.state === "connecting" && store.desk !== null);
    this.frame.classList.toggle("stale", stale);
    const wait = store.state === "connecting" && store.desk === null;
    const ended = store.state === "still" && store.reason !== "";
    this.banner.hidden = !stale && !wait && !ended;
    setTone(this.banner, stale ? "critical" : "muted");
    const heads = { still: "It has ended.", lost: "Disconnected.", refused: "Not connected.", connecting: "Connecting to the desk\u2026" };
    const last =
      store.told_ms === null
        ? "Nothing has been told yet."
        : `What stands here was last told at ${clock(store.told_ms)} UTC, ${span(Date.now() - store.told_ms)} ago.`;
    setText(this.bannerHead, heads[store.state] ?? "");
    if (stale) {
      const tries = store.state === "refused" ? store.reason : "It is tried again by itself.";
      setText(this.bannerText, `${store.desk === null ? "" : `${last} `}${tries}`);
    } else if (ended) setText(this.bannerText, store.reason);
    else setText(this.bannerText, "The figures stand here as soon as the desk has told them.");
  }

  #drawDesk(store, desk) {
    setStatus(this.status, desk.status);
    setText(this.status.querySelector(".word"), `desk ${this.status.querySelector(".word").textContent}`);
    const hold = desk.laws === "hold";
    const looked = desk.laws !== "" && desk.laws !== null;
    setBadge(
      this.laws,
      hold
        ? { tone: "good", sign: "\u2713", word: "books hold", says: "The laws of the books were checked, and hold." }
        : looked
          ? { tone: "critical", sign: "\u25A0", word: "books broken", says: desk.laws }
          : { tone: "muted", sign: "?", word: "books not checked yet" },
    );
    setBadge(
      this.money,
      desk.real_money === true
        ? { tone: "poor", sign: "\u25B2", word: "real money" }
        : desk.real_money === false
          ? { tone: "muted", sign: "\u25CB", word: "no real money" }
          : { tone: "muted", sign: "?", word: "venues not named", says: "Nobody has said whether the venues of this run move real money." },
    );
    setText(this.time, `Desk time ${when(desk.time_ms)}`);
    const lines = [
      ...desk.why,
      ...(hold || !looked ? [] : [`The books: ${desk.laws}`]),
      ...desk.latches.map((text) => `Held by ${text}`),
      ...desk.in_doubt.map((id) => `Order ${id}: its fate is not known`),
      ...desk.residuals.map((text) => `Not explained: ${text}`),
      ...desk.not_armed.map((venue) => `${venue} is not armed: no new risk with real money there`),
      ...(desk.running === false ? ["No run is on: nothing is heard of any venue, and nothing is traded."] : []),
      ...(desk.recovering ? ["The desk is recovering: it asks its venues what happened, and trades when it knows."] : []),
    ];
    this.why.hidden = lines.length === 0;
    keyed(
      this.why,
      [...new Set(lines)],
      (line) => line,
      () => h("li"),
      (node, line) => setText(node, line),
    );
  }

  // The first line of the page, one figure for each asset: sums are never over different assets.
  #drawSums(store) {
    const sleeves = store.rows("sleeves");
    const assets = [...new Set(store.rows("vaults").map((row) => row.asset))];
    const items = [];
    for (const asset of assets) {
      const here = store.rows("vaults").filter((row) => row.asset === asset);
      const mine = sleeves.filter((row) => row.asset === asset);
      const of = (field) => (mine.length === 0 ? "0" : sum(...mine.map((row) => row[field])));
      const known = mine.filter((row) => row.net !== null).length;
      const net = of("net");
      items.push({
        key: `net ${asset}`,
        term: `Net profit of all sleeves, ${asset}`,
        amount: net,
        signed: true,
        note:
          net === null
            ? `${known} of ${mine.length} sleeves have a known figure`
            : `realized ${money(of("realized"))}, unrealized ${money(of("unrealized"))}`,
      });
      items.push({
        key: `total ${asset}`,
        term: `Total coins, ${asset}`,
        amount: sum(...here.map((row) => row.total)),
        note: `${money(sum(...here.map((row) => row.tradeable)))} tradeable`,
      });
      items.push({
        key: `risk ${asset}`,
        term: `Deployed, ${asset}`,
        amount: of("deployed"),
        note: `of ${money(of("balance"))} in sleeves`,
      });
    }
    const accounts = store.entries("accounts").filter(([, row]) => row.health !== null);
    const unknown = store.table("accounts").size - accounts.length;
    if (store.table("accounts").size > 0) {
      const worst = accounts.toSorted(([, a], [, b]) => Number(a.health) - Number(b.health))[0];
      const health = healthOf(worst?.[1].health);
      const word = worst === undefined ? "unknown" : `${health.sign} ${healthText(worst[1].health)} ${health.word}`;
      items.push({
        key: "health",
        term: "Lowest health",
        word,
        tone: health.tone,
        note: worst === undefined ? "no account has a known figure" : `${vaultName(worst[0])}${unknown > 0 ? `, ${unknown} unknown` : ""}`,
      });
    }
    const positions = store.rows("positions").length;
    const open = store.rows("orders").filter((row) => ["submitted", "unknown", "open"].includes(row.status)).length;
    const count = store.stream("alerts").filter((item) => item.level === "critical").length;
    items.push({
      key: "open",
      term: "Open",
      word: `${positions} position${positions === 1 ? "" : "s"}`,
      note: `${open} order${open === 1 ? "" : "s"} open, ${count} critical alert${count === 1 ? "" : "s"}`,
    });
    keyed(
      this.sums,
      items,
      (item) => item.key,
      () => h("div", null, h("dt"), h("dd"), h("dd")),
      (node, item) => {
        const [term, value, note] = node.children;
        setText(term, item.term);
        if (item.word === undefined) setAmount(value, item.amount, { signed: item.signed ?? false });
        else setTone(setText(value, item.word), item.tone ?? "");
        setText(note, item.note);
      },
    );
  }

  #drawCards(store) {
    this.noSleeves.hidden = store.table("sleeves").size > 0;
    this.#parts(this.sleeves, "engine-vault-card", "sleeve", [...store.table("sleeves").keys()]);
    this.#parts(this.vaults, "core-vault-card", "vault", [...store.table("vaults").keys()]);
    for (const [table, part] of Object.entries(this.optional)) part.hidden = store.table(table).size === 0;
  }

  // One card for each name, in rows that are about as long as each other: as many columns of 2 to 5 as leave the least empty.
  #parts(parent, tag, attribute, names) {
    for (const most of [2, 3, 4, 5]) {
      const rows = Math.max(1, Math.ceil(names.length / most));
      setStyle(parent, `--of-${most}`, String(Math.max(1, Math.ceil(names.length / rows))));
    }
    keyed(
      parent,
      names,
      (name) => name,
      (name) => setAttr(document.createElement(tag), attribute, name),
    );
  }

  // Orders that wait for a human, with the two answers.
  #drawWaiting(store) {
    const waiting = store.entries("confirmations");
    this.waitingSection.hidden = waiting.length === 0;
    keyed(
      this.waiting,
      waiting,
      ([id]) => id,
      ([id]) =>
        h(
          "li",
          null,
          h("strong"),
          h("span", { class: "what" }),
          h(
            "span",
            { class: "acts" },
            h("button", { type: "button", onclick: () => this.#answer(id, "confirm") }, "Confirm"),
            h("button", { type: "button", onclick: () => this.#answer(id, "decline") }, "Decline"),
          ),
          h("p", { class: "text small" }),
        ),
      (node, [, row]) => {
        const [sleeve, what, acts, text] = node.children;
        setText(sleeve, row.sleeve);
        setText(what, `${row.wish}, worth ${row.notional}`);
        setText(
          text,
          `By ${row.by}. It lapses ${row.expires_ms > (store.now_ms ?? 0) ? `in ${span(row.expires_ms - store.now_ms)}` : "now"}.`,
        );
        acts.hidden = !store.commands;
        for (const button of acts.children) button.disabled = !store.commanding;
      },
    );
  }

  #drawErrands(store) {
    this.errandsSection.hidden = store.errands.length === 0;
    keyed(
      this.errands,
      store.errands.toReversed().slice(0, 3),
      (errand) => errand.id,
      () => h("li", null, badge(), h("span", { class: "what" }), h("time", { class: "muted small" }), h("p", { class: "text small" })),
      (node, errand) => {
        const [state, what, at, text] = node.children;
        setBadge(state, SAID[errand.state]);
        setText(what, errand.title);
        setText(at, clock(errand.at_ms));
        setText(text, errand.message);
      },
    );
  }

  // -- what may be done --------------------------------------------------------------------------------------------------------

  #pause() {
    confirm(
      this,
      this.store,
      { what: "pause", target: "desk:main" },
      {
        title: "Pause all",
        about: "No sleeve takes new risk, and opening orders go off. Positions wait for their exits.",
        verb: "pause all",
      },
    );
  }

  #resume() {
    confirm(
      this,
      this.store,
      { what: "resume", target: "desk:main" },
      { title: "Resume all", about: "The desk takes new risk again, as far as its vaults and sleeves may.", verb: "resume all" },
    );
  }

  #revive() {
    confirm(
      this,
      this.store,
      { what: "revive", target: "desk:main" },
      {
        title: "Revive all",
        about: "Takes back that the desk was killed: it is then paused, to be resumed. What was killed by its own name stays so.",
        verb: "revive all",
        fields: [{ name: "why", label: "Why", kind: "text", hint: "One line; it is written into the journal." }],
      },
    );
  }

  #kill() {
    confirm(
      this,
      this.store,
      { what: "kill", target: "desk:main" },
      { title: "Kill all", verb: "kill all", danger: true, fields: [flattenField()] },
    );
  }

  #answer(id, what) {
    const row = this.store.row("confirmations", id);
    const wish = row === null ? id : `${row.wish} of ${row.sleeve}, worth ${row.notional}`;
    const about = what === "confirm" ? "It goes through all gates again, at the price that is there then." : "It is not sent.";
    confirm(
      this,
      this.store,
      { what, confirmation: id },
      { title: `${what === "confirm" ? "Confirm" : "Decline"}: ${wish}`, about, verb: what },
    );
  }

  #theme(value) {
    setAttr(this, "theme", value === "" ? null : value);
    // Where this is the page and not a part of another one, the page around it follows.
    if (this.hasAttribute("titled")) setAttr(this.ownerDocument.documentElement, "data-theme", value === "" ? null : value);
    for (const view of this.shadowRoot.querySelectorAll("*")) view.invalidate?.();
  }

  // Where this is the server's own page: its cookie goes, and the page that asks for the token comes.
  async #signOut() {
    try {
      await fetch("logout", { method: "POST", credentials: "same-origin", redirect: "manual" });
    } finally {
      this.ownerDocument.location.assign("login");
    }
  }

  #skip(event) {
    event.preventDefault();
    this.data.focus();
  }
}

define("sleeves-page", SleevesPage);
