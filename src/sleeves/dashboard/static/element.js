// What every part of the page stands on: a shadow root, a store to read, redraws in one animation frame, DOM that is patched in
// place so that focus and scroll survive. Whatever was named by a human becomes text, never markup: there is no innerHTML here.

import { BASE } from "./theme.js";
import { UNKNOWN, figure, money, rate, signOf, statusOf, toneOf } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

// -- making nodes ------------------------------------------------------------------------------------------------------------

function dressed(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

// h("button", { class: "main", onclick: f }, "Yes"): an element. Attributes by name, listeners as on..., children as nodes or text.
export function h(tag, properties, ...children) {
  return dressed(document.createElement(tag), properties, children.flat());
}

// The same for SVG.
export function s(tag, properties, ...children) {
  return dressed(document.createElementNS(SVG, tag), properties, children.flat());
}

// -- patching nodes ----------------------------------------------------------------------------------------------------------

export function setText(node, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
  return node;
}

// Set, or with null remove, an attribute, only where it changes.
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const wanted = value === true ? "" : String(value);
    if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
  }
  return node;
}

export function setStyle(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
  return node;
}

const TONES = ["gain", "loss", "good", "fair", "poor", "critical", "muted"];

// One of the tones as a class, the others off; "" for none.
export function setTone(node, tone) {
  for (const one of TONES) node.classList.toggle(one, one === tone);
  return node;
}

// An amount into a node, its exact text into the title; `signed` writes plus and minus and colours gain and loss.
// `shape` is money, rate or figure; unknown is a dash that is read as "unknown".
export function setAmount(node, text, { signed = false, unit = "", shape = money } = {}) {
  const known = text !== null && text !== undefined;
  const shown = known ? `${shape(text, { sign: signed })}${unit === "" ? "" : ` ${unit}`}` : UNKNOWN;
  setText(node, shown);
  setAttr(node, "title", known ? `${figure(text)}${unit === "" ? "" : ` ${unit}`}` : "unknown");
  setTone(node, !known || signOf(text) === 0 ? "muted" : signed ? toneOf(text) : "");
  return node;
}

// A badge of a status, or anything else with a tone, a sign and a word.
export function badge() {
  return h("span", { class: "badge" }, h("span", { class: "sign", "aria-hidden": "true" }), h("span", { class: "word" }));
}

export function setBadge(node, { tone, sign, word, says = "" }) {
  setTone(node, tone);
  setText(node.querySelector(".sign"), sign);
  setText(node.querySelector(".word"), word);
  setAttr(node, "title", says === "" ? null : says);
  return node;
}

export function setStatus(node, status) {
  return setBadge(node, statusOf(status));
}

// Make the children of `parent` those of `items`, in their order, one for each key: made once, updated, moved, removed.
// Children that are not ours (without a key) stay where they are, before ours.
export function keyed(parent, items, key, make, update) {
  const had = parent.keyed ?? new Map();
  const has = new Map();
  let last = null;
  for (const item of items) {
    const name = key(item);
    const node = had.get(name) ?? make(item);
    update?.(node, item);
    has.set(name, node);
    const place = last === null ? firstOf(parent, had) : last.nextSibling;
    if (node !== place) parent.insertBefore(node, place);
    last = node;
  }
  for (const [name, node] of had) if (!has.has(name)) node.remove();
  parent.keyed = has;
  return has;
}

function firstOf(parent, had) {
  for (const child of parent.childNodes) for (const node of had.values()) if (node === child) return child;
  return null;
}

// -- the base class ------------------------------------------------------------------------------------------------------------

// The host of a store above this node, through shadow roots: an element that has one, or will have one when it is defined.
function hostAbove(node) {
  for (let at = node.parentNode ?? node.host; at; at = at.parentNode ?? at.host) {
    if (at.store?.apply !== undefined || at.localName === "sleeves-desk") return at;
  }
  return null;
}

export class View extends HTMLElement {
  // On which tables, streams and other words of the store's `change` it redraws: names of tables, "alerts", "log", "charts",
  // "state" (connected or not, commands, title), or "*" for all.
  static tables = [];
  // Its own style sheets, after BASE.
  static sheets = [];
  static observedAttributes = ["sleeve", "vault", "account", "market", "theme"];

  #store = null;
  #given = false;
  #frame = 0;
  #built = false;
  #internals = this.attachInternals?.();
  #changed = (event) => {
    const wanted = this.constructor.tables;
    if (wanted.includes("*") || wanted.some((name) => event.detail.has(name))) this.invalidate();
  };

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this.shadowRoot.adoptedStyleSheets = [BASE, ...this.constructor.sheets];
  }

  // Built once, before the first render: make the fixed nodes in this.shadowRoot and keep them as fields.
  build() {}

  // Patch what is there to what the store tells. Called in an animation frame, at most once each, only while connected.
  render(_store) {}

  get store() {
    return this.#store;
  }

  set store(store) {
    this.#given = store !== null && store !== undefined;
    this.#listen(store ?? null);
  }

  connectedCallback() {
    if (Object.hasOwn(this, "store")) {
      const early = this.store; // set before this element was defined
      delete this.store;
      this.store = early;
    }
    this.#scheme();
    if (!this.#given) this.#find();
    else this.#listen(this.#store);
    this.invalidate();
  }

  disconnectedCallback() {
    this.#store?.removeEventListener("change", this.#changed);
    if (!this.#given) this.#store = null;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  attributeChangedCallback() {
    this.invalidate();
  }

  // Redraw in the next animation frame. A hidden tab has no frames: it redraws when it is looked at again.
  invalidate() {
    if (this.#frame !== 0 || !this.isConnected) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  // Redraw now.
  draw() {
    if (this.#store === null) return;
    if (!this.#built) {
      this.#built = true;
      this.build();
    }
    this.render(this.#store);
  }

  #listen(store) {
    this.#store?.removeEventListener("change", this.#changed);
    this.#store = store;
    if (this.isConnected) {
      store?.addEventListener("change", this.#changed);
      this.invalidate();
    }
  }

  #find() {
    const host = hostAbove(this);
    if (host === null) return;
    if (host.store?.apply !== undefined) this.#listen(host.store);
    else if (customElements.get(host.localName) === undefined) {
      customElements.whenDefined(host.localName).then(() => {
        if (this.isConnected && !this.#given) this.#find();
      });
    }
  }

  // Where no one above has said light or dark, it follows the reader's system.
  #scheme() {
    const above = this.parentElement ?? this.getRootNode().host ?? document.documentElement;
    try {
      this.#internals?.states[getComputedStyle(above).colorScheme === "normal" ? "add" : "delete"]("auto");
    } catch {
      // a browser without custom states: light, unless the page or an attribute says otherwise
    }
  }
}

// The colour that a custom property comes to inside a part, as the browser computes it: for a canvas.
export function inkOf(view, property) {
  let probe = view.shadowRoot.querySelector("i[data-probe]");
  if (probe === null) {
    probe = h("i", { "data-probe": true, hidden: true });
    view.shadowRoot.append(probe);
  }
  probe.style.setProperty("color", `var(${property})`);
  return getComputedStyle(probe).color;
}

// Define a custom element once, whichever copy of the modules comes first.
export function define(name, kind) {
  if (customElements.get(name) === undefined) customElements.define(name, kind);
}

// -- small shared pieces -------------------------------------------------------------------------------------------------------

// Terms and figures: dl("Allocated", node) pairs, each in a div.
export function pair(term, node) {
  return h("div", null, h("dt", null, term), dressed(h("dd", { class: "num" }), null, [node]));
}

export const shapes = { figure, money, rate };
