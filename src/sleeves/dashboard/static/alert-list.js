// <alert-list>: what the desk wants a person to know, newest first, with a count of what has not been looked at. A screen reader is
// told of it politely, of critical ones at once, and of a flood as one sentence. `sleeve` or `vault` shows those of one subject.

import { View, badge, define, h, keyed, setAttr, setBadge, setText } from "./element.js";
import { clock, day, levelOf, vaultName, when } from "./format.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
.panel { display: grid; gap: 10px; align-content: start; height: 100%; grid-template-rows: auto minmax(0, auto); }
.bar { display: flex; gap: 10px; align-items: center; flex-wrap: wrap; }
.bar .count { margin-inline-end: auto; color: var(--sl-muted); }
.bar .count.critical { color: var(--sl-critical); }
ul { display: grid; max-height: var(--sl-list); overflow: auto; }
li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 2px 10px; padding: 8px 2px 8px 0; border-top: 1px solid var(--sl-line); align-items: baseline; }
li:first-child { border-top: 0; }
li .text { grid-column: 1 / -1; overflow-wrap: anywhere; }
li .subject { font-weight: 550; overflow-wrap: anywhere; }
li time { color: var(--sl-muted); white-space: nowrap; font-variant-numeric: tabular-nums; }
li.seen .text, li.seen .subject { color: var(--sl-muted); }
`);

const SPOKEN_MS = 4000;

export class AlertList extends View {
  static tables = ["alerts", "state"];
  static sheets = [SHEET];
  #seen = null;
  #spoken = null;
  #session = null;
  #timer = 0;
  #after = 0;

  build() {
    this.count = h("p", { class: "count" });
    this.all = h("button", { type: "button", onclick: () => this.#look() }, "Mark all as seen");
    this.list = h("ul", { tabindex: "0", role: "list", "aria-label": "Alerts, the newest first" });
    this.none = h(
      "p",
      { class: "empty" },
      "No alerts. What needs a person's eye stands here: a limit reached, a lost feed, a figure that does not agree.",
    );
    this.polite = h("p", { class: "vh", role: "status" });
    this.urgent = h("p", { class: "vh", role: "alert" });
    const bar = h("div", { class: "bar" }, h("h2", { id: "heading" }, "Alerts"), this.count, this.all);
    this.shadowRoot.append(
      h("section", { class: "panel", "aria-labelledby": "heading" }, bar, this.list, this.none),
      this.polite,
      this.urgent,
    );
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  render(store) {
    const subject = this.getAttribute("sleeve") ?? this.getAttribute("vault");
    const items = store.stream("alerts").filter((item) => subject === null || item.subject === subject);
    const last = items.at(-1)?.n ?? 0;
    if (store.session !== this.#session) {
      // What stood there when the page came is not news; a desk that began anew may count from the start.
      if (this.#session === null || last < this.#spoken) this.#spoken = last;
      if (this.#session === null || last < this.#seen) this.#seen = 0;
      this.#session = store.session;
    }
    const unseen = items.filter((item) => item.n > this.#seen);
    const critical = unseen.filter((item) => item.level === "critical").length;
    setText(
      this.count,
      unseen.length === 0 ? "Nothing new." : `${unseen.length} not looked at${critical ? `, ${critical} critical` : ""}.`,
    );
    this.count.classList.toggle("critical", critical > 0);
    this.all.hidden = unseen.length === 0;
    this.none.hidden = items.length > 0;
    this.list.hidden = items.length === 0;
    const today = day(store.now_ms);
    keyed(
      this.list,
      items.slice(-100).reverse(),
      (item) => `${item.n} ${item.code}`,
      (item) => {
        const level = badge();
        setBadge(level, levelOf(item.level));
        return h(
          "li",
          null,
          level,
          h("span", { class: "subject", title: item.subject }, vaultName(item.subject)),
          h("time", { class: "small" }),
          h("p", { class: "text" }, item.text),
        );
      },
      (node, item) => {
        node.classList.toggle("seen", item.n <= this.#seen);
        setText(node.querySelector("time"), day(item.at_ms) === today ? clock(item.at_ms) : when(item.at_ms));
      },
    );
    this.#speak(items);
  }

  #look() {
    this.#seen = this.store.stream("alerts").at(-1)?.n ?? 0;
    this.invalidate();
    this.list.focus();
  }

  // Tell what is new, at most once in a while: what came in between is told as a number.
  #speak(items) {
    const news = items.filter((item) => item.n > this.#spoken);
    if (news.length === 0) return;
    const wait = this.#after - performance.now();
    if (wait > 0) {
      if (this.#timer === 0) {
        this.#timer = setTimeout(() => {
          this.#timer = 0;
          this.invalidate();
        }, wait);
      }
      return;
    }
    this.#after = performance.now() + SPOKEN_MS;
    this.#spoken = news.at(-1).n;
    const worst = news.findLast((item) => item.level === "critical") ?? news.at(-1);
    const more = news.length > 1 ? ` And ${news.length - 1} more.` : "";
    setText(
      worst.level === "critical" ? this.urgent : this.polite,
      `${levelOf(worst.level).word}, ${vaultName(worst.subject)}: ${worst.text}${more}`,
    );
    setAttr(this.list, "aria-label", "Alerts, the newest first");
  }
}

define("alert-list", AlertList);
