// An instruction given with open eyes: what is to be entered, the numbers that would follow, a yes, and what became of it.
//
//   import { confirm } from "./confirm-dialog.js";
//   confirm(view, store, { what: "close", sleeve, market }, { title: "Close BTC-PERP of flash" })
//
// The dialog stands in the view's own shadow root and goes when it is closed; focus returns to where it was. It never says that
// something is done before the desk has said so, and where the desk was not heard it says that. Nothing is sent twice.

import { badge, h, keyed, setAttr, setBadge, setText } from "./element.js";
import { amountFault, clock, figure, isDecimal, signOf, words } from "./format.js";
import { errandState, requestId } from "./store.js";
import { sheet } from "./theme.js";

// What only takes risk away needs no ticket, so it does not wait for its numbers either.
const AT_ONCE = new Set(["pause", "stop", "disarm", "kill", "cancel", "decline"]);

const SHEET = sheet(`
dialog { color: var(--sl-text); background: var(--sl-card); border: 1px solid var(--sl-edge); border-radius: 12px; padding: 0; width: min(31rem, calc(100vw - 24px)); max-height: calc(100dvh - 24px); box-shadow: 0 12px 40px rgb(0 0 0 / 0.3); white-space: normal; text-align: start; }
dialog::backdrop { background: rgb(10 14 18 / 0.5); }
dialog .inner { padding: 18px 20px; display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr); }
dialog h2 { overflow-wrap: anywhere; }
dialog .field { display: grid; gap: 4px; grid-template-columns: minmax(0, 1fr); }
dialog .entry { display: flex; gap: 8px; align-items: center; }
dialog .entry input { flex: 1 1 0; width: 0; text-align: end; font-variant-numeric: tabular-nums; font-size: 1.15em; min-height: 38px; }
dialog .field.text .entry input { text-align: start; font-size: 1em; }
dialog .field.choice { gap: 8px; }
dialog .option { display: grid; grid-template-columns: auto 1fr; gap: 0 10px; align-items: start; padding: 8px 10px; border: 1px solid var(--sl-line); border-radius: 8px; cursor: pointer; }
dialog .option:has(input:checked) { border-color: var(--sl-accent); background: var(--sl-raised); }
dialog .option input { min-height: 0; margin: 4px 0 0; accent-color: var(--sl-accent); }
dialog .option .about { grid-column: 2; }
dialog input[aria-invalid="true"] { border-color: var(--sl-critical); }
dialog .fault { color: var(--sl-critical); min-height: 1.3em; }
dialog .numbers { display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr); }
dialog .numbers:empty { display: none; }
dialog thead td { border-top: 0; }
dialog td.num { white-space: normal; overflow-wrap: anywhere; }
@media (max-width: 480px) { dialog .inner { padding: 14px; } dialog th, dialog td { padding-inline: 4px; } }
dialog .live { display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr); }
dialog .figures { display: grid; gap: 3px; grid-template-columns: minmax(0, 1fr); }
dialog .figures > div { display: flex; justify-content: space-between; gap: 16px; }
dialog .figures dt { color: var(--sl-muted); }
dialog .figures dd { overflow-wrap: anywhere; white-space: normal; }
dialog .warnings { display: grid; gap: 6px; }
dialog .warnings li { border-inline-start: 3px solid var(--sl-poor); padding: 2px 0 2px 10px; }
dialog .said { display: grid; gap: 4px; padding: 10px 12px; border: 1px solid var(--sl-line); border-radius: 8px; background: var(--sl-raised); overflow-wrap: anywhere; }
dialog .said .badge { justify-self: start; }
dialog .buttons { display: flex; gap: 8px; justify-content: flex-end; flex-wrap: wrap; border-top: 1px solid var(--sl-line); padding-top: 14px; }
dialog .buttons button { margin: 0; font-size: 1em; min-height: 36px; padding-inline: 1.1em; }
`);

export const SAID = {
  sent: { tone: "fair", sign: "\u2026", word: "Sent" },
  open: { tone: "fair", sign: "\u2026", word: "Under way" },
  done: { tone: "good", sign: "\u2713", word: "Done" },
  refused: { tone: "critical", sign: "\u2715", word: "Refused" },
  unknown: { tone: "poor", sign: "?", word: "Not known" },
};

// Ask a human. `terms` are the instruction's without id, `fields` what is still to be entered:
//   { name, label, kind: "amount", most, unit, places }    an exact decimal
//   { name, label, kind: "text", hint }                    one line, which must be said
//   { name, label, kind: "choice", options: [{ value, label, about }], value }
// `about` is a sentence on what it does, `verb` what the yes says, `danger` whether it looks it.
// Resolves when the dialog is closed, with the last state: "closed", "sent", "open", "done", "refused" or "unknown".
export function confirm(view, store, terms, options) {
  return new Promise((resolve) => new Confirm(view, store, terms, options, resolve));
}

class Confirm {
  #view;
  #store;
  #terms;
  #options;
  #closed;
  #dialog;
  #fields;
  #stage = "entry"; // entry, asking, numbers, sent
  #preview = null;
  #instruction = null;
  #asked = 0;
  #until = 0;
  #timer = 0;
  #outcome = "closed";

  constructor(view, store, terms, options, closed) {
    this.#view = view;
    this.#store = store;
    this.#terms = terms;
    this.#options = { title: words(terms.what), fields: [], verb: "", about: "", danger: false, ...options };
    this.#closed = closed;
    const root = view.shadowRoot;
    if (!root.adoptedStyleSheets.includes(SHEET)) root.adoptedStyleSheets = [...root.adoptedStyleSheets, SHEET];
    this.#make();
    root.append(this.#dialog);
    this.#dialog.showModal();
    this.#timer = setInterval(() => this.#tick(), 500);
    this.#onChange = () => this.#buttons();
    store.addEventListener("change", this.#onChange);
    if (this.#options.fields.length === 0 || this.#atOnce) this.#ask();
    else this.#show();
    this.#fields[0]?.focus();
  }

  #onChange;

  #make() {
    const { title, about, danger, fields } = this.#options;
    this.#fields = fields.map((field) => new Field(field, () => this.#edited()));
    this.heading = h("h2", { id: "confirm-title", tabindex: "-1" }, title);
    this.numbers = h("div", { class: "numbers" });
    this.said = h("div", { class: "said", hidden: true });
    this.saidBadge = badge();
    this.saidText = h("p");
    this.saidMore = h("dl", { class: "figures small" });
    this.said.append(this.saidBadge, this.saidText, this.saidMore);
    this.back = h("button", { type: "button", onclick: () => this.#back() }, "Change");
    this.cancel = h("button", { type: "button", onclick: () => this.#dialog.close() }, "Cancel");
    // A second click, or Enter held down, is never a yes to what the first one has just brought up.
    const once = (event) => event.detail > 1 && event.preventDefault();
    const held = (event) => event.repeat && event.key === "Enter" && event.preventDefault();
    this.yes = h("button", { type: "submit", class: danger ? "main danger" : "main", onclick: once });
    const form = h(
      "form",
      {
        class: "inner",
        novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          this.#go();
        },
      },
      this.heading,
      about === "" ? null : h("p", { class: "muted" }, about),
      this.#fields.map((field) => field.node),
      h("div", { "aria-live": "polite", class: "live" }, this.numbers, this.said),
      h("div", { class: "buttons" }, this.back, this.cancel, this.yes),
    );
    this.#dialog = h("dialog", { "aria-labelledby": "confirm-title", onclose: () => this.#end(), onkeydown: held }, form);
  }

  #end() {
    clearInterval(this.#timer);
    this.#store.removeEventListener("change", this.#onChange);
    this.#dialog.remove();
    this.#closed(this.#outcome);
  }

  get #atOnce() {
    return AT_ONCE.has(this.#terms.what);
  }

  #entered() {
    return Object.fromEntries(this.#fields.map((field) => [field.name, field.value]));
  }

  #valid() {
    const wrong = this.#fields.filter((field) => !field.check());
    wrong[0]?.focus();
    return wrong.length === 0;
  }

  // What is typed anew makes the numbers that were shown those of something else.
  #edited() {
    if (this.#stage === "sent") return;
    this.#preview = null;
    this.#asked += 1;
    this.#stage = "entry";
    this.#show();
    if (this.#atOnce) this.#ask();
  }

  #back() {
    this.#preview = null;
    this.#stage = "entry";
    this.#outcome = "closed";
    this.#show();
    if (this.#fields.length === 0) this.#ask();
    else this.#fields[0].focus();
  }

  #go() {
    if (this.#stage === "sent" || this.#stage === "asking") {
      if (this.#stage === "asking" && this.#atOnce) this.#do();
      return;
    }
    if (!this.#valid()) return;
    if (this.#atOnce || (this.#sendable && !this.#old())) this.#do();
    else this.#ask();
  }

  // What was shown may be sent: it could be done, or would wait for a human's yes.
  get #sendable() {
    const told = this.#stage === "numbers" ? this.#preview : null;
    return told?.type === "preview" && (told.ok || told.ticket !== null);
  }

  #old() {
    return !this.#atOnce && performance.now() > this.#until;
  }

  async #ask() {
    const turn = ++this.#asked;
    this.#stage = "asking";
    this.#preview = null;
    this.#show();
    // The ticket that comes back is good for these very terms, so it is this instruction that is then sent, id and all.
    const instruction = { ...this.#terms, ...this.#entered(), id: requestId() };
    const told = await this.#store.preview(instruction);
    if (turn !== this.#asked || !this.#dialog.isConnected || this.#stage !== "asking") return;
    this.#preview = told;
    this.#instruction = instruction;
    this.#stage = "numbers";
    const now = this.#store.at_ms === null ? null : this.#store.at_ms + (Date.now() - this.#store.told_ms);
    const left = told.expires_ms && now !== null ? told.expires_ms - now : 30_000;
    this.#until = performance.now() + Math.min(30_000, Math.max(2_000, left)) - 500;
    this.#show();
    if (this.#atOnce) return; // its yes was there before its numbers: the focus stays where it is
    if (this.#sendable) this.yes.focus();
    else this.#fields[0]?.focus();
  }

  #do() {
    if (this.#stage === "sent") return;
    this.#stage = "sent";
    this.#say("sent", `Sent at ${clock(Date.now())} UTC. The desk has not answered yet.`);
    this.#show();
    const { ticket = null } = this.#preview ?? {};
    const instruction = ticket === null ? { ...this.#terms, ...this.#entered(), id: requestId() } : this.#instruction;
    this.#store.do(instruction, ticket, (word) => this.#hear(word), this.#options.title);
    this.cancel.focus();
  }

  #hear(word) {
    if (word.type === "lost") {
      this.#say(
        "unknown",
        "The connection fell before the desk answered. Whether it was done is not known; the desk is asked when it is back.",
      );
    } else if (word.type === "stranger") {
      this.#say("unknown", "The desk knew nothing of it when it was asked, so it had not arrived. Look at the log before you do it again.");
    } else this.#say(errandState(word), word.message, word.evidence);
    this.#buttons();
  }

  #say(state, text, evidence = {}) {
    this.#outcome = state;
    setBadge(this.saidBadge, SAID[state]);
    setText(this.saidText, text);
    figures(this.saidMore, evidence);
    this.said.hidden = false;
  }

  // -- drawing ---------------------------------------------------------------------------------------------------------------

  #show() {
    for (const field of this.#fields) field.lock(this.#stage === "sent");
    if (this.#stage === "entry") {
      this.numbers.replaceChildren();
      this.said.hidden = true;
    } else if (this.#stage === "asking") {
      this.numbers.replaceChildren(h("p", { class: "muted" }, "Asking the desk for the numbers\u2026"));
      this.said.hidden = true;
    } else if (this.#stage === "numbers") this.#drawNumbers();
    this.#buttons();
  }

  #drawNumbers() {
    const told = this.#preview;
    this.said.hidden = true;
    this.numbers.replaceChildren(...(told.type === "preview" ? numbersOf(told) : []));
    if (told.type === "preview" && told.ok) return;
    setBadge(
      this.saidBadge,
      this.#sendable ? { ...SAID.unknown, word: "Would wait" } : this.#atOnce ? { ...SAID.unknown, word: "No numbers" } : SAID.refused,
    );
    const lost = "The connection fell before the numbers came. Nothing was sent.";
    setText(this.saidText, told.type === "lost" ? lost : told.message);
    figures(this.saidMore, {});
    this.said.hidden = false;
  }

  #tick() {
    if (this.#stage === "numbers") this.#buttons();
  }

  #buttons() {
    const { verb, fields } = this.#options;
    const can = this.#store.commanding;
    const sent = this.#stage === "sent";
    const good = this.#sendable;
    const old = good && this.#old();
    const say = verb === "" ? words(this.#terms.what).toLowerCase() : verb;
    const ready = this.#atOnce || (good && !old);
    setText(this.yes, ready ? `Yes, ${say}` : old ? "These numbers are old: look again" : "Show the numbers");
    this.yes.hidden = sent;
    this.yes.disabled = !can || (this.#stage === "asking" && !this.#atOnce);
    setAttr(this.yes, "title", can ? null : "There is no connection to the desk.");
    this.yes.classList.toggle("danger", this.#options.danger && ready);
    const failed = sent && this.#outcome === "refused";
    this.back.hidden = !failed && (fields.length === 0 || this.#atOnce || this.#stage !== "numbers");
    setText(this.back, failed ? "Try again" : "Change");
    setText(this.cancel, sent ? "Close" : "Cancel");
    if (!can && !sent && this.said.hidden) {
      setBadge(this.saidBadge, { tone: "poor", sign: "\u25B2", word: "Disconnected" });
      setText(this.saidText, "There is no connection to the desk. Nothing can be sent until it is back.");
      figures(this.saidMore, {});
      this.said.hidden = false;
      this.offline = true;
    } else if (can && this.offline) {
      this.offline = false;
      this.said.hidden = this.#stage !== "numbers" || good;
    }
  }
}

// The dialog's table of what is, what would be, and what it comes to.
function numbersOf({ numbers, before, after, warnings }) {
  const parts = [];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  if (names.length > 0) {
    const rows = names.map((name) =>
      h(
        "tr",
        null,
        h("th", { scope: "row" }, words(name)),
        h("td", { class: "num" }, readable(before[name])),
        h("td", { class: "num" }, readable(after[name])),
      ),
    );
    parts.push(
      h(
        "table",
        null,
        h("caption", { class: "vh" }, "Before and after"),
        h(
          "thead",
          null,
          h("tr", null, h("td"), h("th", { scope: "col", class: "num" }, "Now"), h("th", { scope: "col", class: "num" }, "After")),
        ),
        h("tbody", null, rows),
      ),
    );
  }
  if (Object.keys(numbers).length > 0) {
    const list = h("dl", { class: "figures" });
    figures(list, numbers);
    parts.push(list);
  }
  if (warnings.length > 0) {
    const items = warnings.map((text) => h("li", null, h("strong", { class: "poor" }, "\u25B2 Note: "), text));
    parts.push(h("ul", { class: "warnings" }, items));
  }
  return parts;
}

// "12345.5 USD" as it is read; other text stays as it is.
function readable(text) {
  if (text === null || text === undefined || text === "") return "unknown";
  const [first, ...rest] = String(text).split(" ");
  return isDecimal(first) ? [figure(first), ...rest].join(" ") : String(text);
}

function figures(list, named) {
  keyed(
    list,
    Object.entries(named ?? {}),
    ([name]) => name,
    () => h("div", null, h("dt"), h("dd", { class: "num" })),
    (row, [name, text]) => {
      setText(row.firstChild, words(name));
      setText(row.lastChild, readable(text));
    },
  );
}

let made = 0;

// What is to be entered.
class Field {
  constructor(field, edited) {
    this.field = field;
    this.name = field.name;
    const id = `field-${++made}`;
    this.fault = h("p", { class: "fault small", id: `${id}-fault`, role: "alert" });
    if (field.kind === "choice") {
      this.inputs = field.options.map(({ value }) =>
        h("input", { type: "radio", name: id, value, id: `${id}-${value}`, checked: value === field.value, onchange: edited }),
      );
      const options = field.options.map(({ value, label, about }, at) =>
        h(
          "label",
          { class: "option", for: `${id}-${value}` },
          this.inputs[at],
          h("span", null, label),
          h("span", { class: "about muted small" }, about),
        ),
      );
      this.node = h("fieldset", { class: "field choice" }, h("legend", { class: "vh" }, field.label), options);
      return;
    }
    this.inputs = [
      h("input", {
        id,
        type: "text",
        inputmode: field.kind === "amount" ? "decimal" : null,
        autocomplete: "off",
        spellcheck: "false",
        maxlength: field.kind === "amount" ? 72 : 500,
        "aria-describedby": `${id}-hint ${id}-fault`,
        oninput: () => {
          this.#say(null);
          edited();
        },
      }),
    ];
    const all = h("button", { type: "button", onclick: () => this.#all(edited) }, "All");
    const most = field.kind === "amount" && field.most !== null && field.most !== undefined;
    const hint = most ? `${figure(field.most)} ${field.unit ?? ""} available` : (field.hint ?? "");
    this.all = most && signOf(field.most) === 1 ? all : null;
    this.node = h(
      "div",
      { class: field.kind === "amount" ? "field" : "field text" },
      h("label", { for: id }, field.label),
      h("div", { class: "entry" }, this.inputs[0], field.unit ? h("span", { class: "muted" }, field.unit) : null, this.all),
      h("p", { class: "muted small", id: `${id}-hint` }, hint),
      this.fault,
    );
  }

  #all(edited) {
    this.inputs[0].value = this.field.most;
    this.#say(null);
    edited();
    this.focus();
  }

  get value() {
    if (this.field.kind === "choice") return this.inputs.find((input) => input.checked)?.value ?? "";
    return this.inputs[0].value.trim();
  }

  check() {
    if (this.field.kind === "choice") return this.value !== "";
    if (this.field.kind === "amount") return this.#say(amountFault(this.inputs[0].value, this.field));
    return this.#say(this.value === "" && !this.field.empty ? "This must be said." : null);
  }

  #say(fault) {
    setText(this.fault, fault ?? "");
    setAttr(this.inputs[0], "aria-invalid", fault === null ? null : "true");
    return fault === null;
  }

  lock(locked) {
    for (const input of this.inputs) input.disabled = locked;
    if (this.all) this.all.disabled = locked;
  }

  focus() {
    (this.inputs.find((input) => input.checked) ?? this.inputs[0]).focus();
  }
}
