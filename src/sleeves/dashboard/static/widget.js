// The page's parts in a notebook: one store for each widget, fed by the kernel's messages in place of a socket.
// What the kernel says in its frames: { text } is a message as on the socket, { ended } is why it will say no more.
// What it is told: { text } likewise, and { front, views }, how many views of the widget this page has.

import { Store } from "./store.js";
import { h, keyed, setAttr } from "./element.js";
import "./index.js";

const PING = 15_000;
const SILENT = 45_000;
const PARTS = /^[a-z]+(?:-[a-z]+)+$/;

// Cards are of one sleeve, or one vault: a widget shows one for each.
const EACH = new Map([["engine-vault-card", ["sleeves", "sleeve"]], ["core-vault-card", ["vaults", "vault"]]]);

// By the key of a widget: its store is one, however many views it has here, and whoever loads this module.
const fronts = new Map();

class Front {
  store = new Store();
  views = 0;
  name = crypto.randomUUID?.() ?? String(Math.random());
  heard = Date.now();
  ended = "";
  #model;
  #timer = 0;

  constructor(model) {
    this.#model = model;
    this.#read(model.get("first"));
    this.store.transport = { send: (message) => this.send({ text: JSON.stringify(message) }) };
    model.on("msg:custom", (frame) => this.#told(frame));
  }

  send(frame) {
    try {
      this.#model.send(frame);
      return true;
    } catch {
      this.store.become("lost", "The kernel of this notebook cannot be reached.");
      return false;
    }
  }

  // One view more, or less.
  seen(change) {
    const before = this.views;
    this.views += change;
    if (this.ended !== "") return;
    this.send({ front: this.name, views: this.views });
    if (before === 0) {
      this.store.become("live");
      this.send({ text: JSON.stringify(this.store.hello()) });
      this.heard = Date.now();
      this.#timer = setInterval(() => this.#ping(), PING);
    } else if (this.views === 0) clearInterval(this.#timer);
  }

  #told(frame) {
    this.heard = Date.now();
    if (typeof frame?.ended === "string") {
      this.ended = frame.ended;
      clearInterval(this.#timer);
      this.store.become("still", frame.ended);
      return;
    }
    if (this.views > 0 && this.ended === "") this.store.become("live");
    this.#read(frame?.text);
  }

  #read(text) {
    if (typeof text !== "string" || text === "") return;
    this.store.receive(JSON.parse(text));
  }

  #ping() {
    if (Date.now() - this.heard > SILENT) this.store.become("lost", "The kernel of this notebook does not answer: it is busy, or gone.");
    this.send({ text: '{"type":"ping"}' });
  }
}

function frontOf(model) {
  const key = model.get("key");
  let front = fronts.get(key);
  if (front === undefined) {
    front = new Front(model);
    fronts.set(key, front);
  }
  return front;
}

// Whether the page around is dark, by the colour of its text: notebooks say it in many ways, and all of them colour their text.
function isDark(el) {
  const [r, g, b] = (getComputedStyle(el.isConnected ? el : document.body).color.match(/[\d.]+/g) ?? ["0", "0", "0"]).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

function initialize({ model }) {
  const front = frontOf(model);
  return () => {
    if (front.views === 0) fronts.delete(model.get("key"));
  };
}

// A part, or a grid of cards that are as many as there are sleeves or vaults; and what ends it.
function placed(name, store, themed) {
  const each = EACH.get(name);
  const make = (attributes) => {
    const part = h(name, attributes);
    part.store = store;
    themed(part);
    return part;
  };
  if (each === undefined) return [make(null), () => {}];
  const [table, attribute] = each;
  const grid = h("div");
  styled(grid, { display: "grid", gap: "12px", "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 320px), 1fr))" });
  const fill = () => keyed(grid, [...store.table(table).keys()], (key) => key, (key) => make({ [attribute]: key }));
  const changed = (event) => {
    if (event.detail.has(table)) fill();
  };
  store.addEventListener("change", changed);
  fill();
  return [grid, () => store.removeEventListener("change", changed)];
}

function styled(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value);
}

function render({ model, el }) {
  const front = frontOf(model);
  // What is typed here is no shortcut of the notebook: "d" twice would delete the cell, "0" twice restart the kernel.
  const box = h("div", { class: "sleeves-widget", "data-lm-suppress-shortcuts": "true" });
  for (const kind of ["keydown", "keypress", "keyup"]) {
    box.addEventListener(kind, (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
    });
  }
  let scheme = isDark(el) ? "dark" : "light";
  const themed = (part) => setAttr(part, "theme", scheme);
  const ends = [];
  for (const name of model.get("show").filter((one) => PARTS.test(one))) {
    const [node, end] = placed(name, front.store, themed);
    box.append(node);
    ends.push(end);
  }
  styled(box, { position: "relative", display: "grid", gap: "12px", "max-height": model.get("height"), overflow: "auto", "color-scheme": scheme });
  el.append(box);
  const theme = () => {
    scheme = isDark(el) ? "dark" : "light";
    styled(box, { "color-scheme": scheme });
    box.querySelectorAll("[theme]").forEach(themed);
  };
  // A notebook may put the output into its page only after this.
  let tries = 600;
  const settle = () => {
    theme();
    if (!box.isConnected && tries-- > 0) requestAnimationFrame(settle);
  };
  settle();
  const watch = new MutationObserver(() => requestAnimationFrame(theme));
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true });
  front.seen(1);
  return () => {
    tries = 0;
    watch.disconnect();
    ends.forEach((end) => end());
    box.remove();
    front.seen(-1);
  };
}

export default { initialize, render };
