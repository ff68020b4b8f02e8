// The page's parts in a notebook: one store for each widget, fed by the kernel's messages in place of a socket.
// What the kernel says in its frames: { text } is a message as on the socket, { ended } is why it will say no more.
// What it is told: { text } likewise, and { front, views }, how many views of the widget this page has.

import { Store } from "./store.js";
import { h, setAttr } from "./element.js";
import "./index.js";

const PING = 15_000;
const SILENT = 45_000;
const PARTS = /^[a-z]+(?:-[a-z]+)+$/;

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
  const [r, g, b] = (getComputedStyle(el).color.match(/[\d.]+/g) ?? ["0", "0", "0"]).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

function initialize({ model }) {
  const front = frontOf(model);
  return () => {
    if (front.views === 0) fronts.delete(model.get("key"));
  };
}

function render({ model, el }) {
  const front = frontOf(model);
  const parts = model.get("show").filter((name) => PARTS.test(name));
  const box = h("div", { class: "sleeves-widget" }, ...parts.map((name) => h(name)));
  for (const [name, value] of [["position", "relative"], ["display", "grid"], ["gap", "12px"], ["max-height", model.get("height")], ["overflow", "auto"]]) {
    box.style.setProperty(name, value);
  }
  for (const part of box.children) part.store = front.store;
  const theme = () => {
    const name = isDark(el) ? "dark" : "light";
    box.style.setProperty("color-scheme", name);
    for (const part of box.children) setAttr(part, "theme", name);
  };
  el.append(box);
  theme();
  const watch = new MutationObserver(() => requestAnimationFrame(theme));
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true });
  front.seen(1);
  return () => {
    watch.disconnect();
    box.remove();
    front.seen(-1);
  };
}

export default { initialize, render };
