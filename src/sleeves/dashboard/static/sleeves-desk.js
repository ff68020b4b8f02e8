// <sleeves-desk src="/sleeves/">: the desk of all parts within it. It opens the line and holds the store; it draws nothing.
//
//   src="/sleeves/"      where the desk's server is mounted; "./" where the page itself is served by it
//   snapshot="#id"       a picture that stands in the page as JSON instead, which never moves
//   token="..."          where no cookie bears it; the property `token` keeps it out of the page's markup
//   store (property)     a store that somebody else feeds, such as a notebook's widget

import { define } from "./element.js";
import { Socket } from "./socket.js";
import { Store } from "./store.js";
import { sheet } from "./theme.js";

const SHEET = sheet(`
:host { display: block; }
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
`);

export class SleevesDesk extends HTMLElement {
  static observedAttributes = ["src", "snapshot"];

  #store = new Store();
  #given = false;
  #socket = null;
  #token = null;
  #begun = false;

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this.shadowRoot.adoptedStyleSheets = [SHEET];
    this.shadowRoot.append(document.createElement("slot"));
  }

  get store() {
    return this.#store;
  }

  set store(store) {
    this.#given = true;
    this.#store = store;
    this.#end();
  }

  set token(token) {
    this.#token = token;
    if (this.#begun) this.#begin();
  }

  connectedCallback() {
    for (const name of ["store", "token"]) {
      if (!Object.hasOwn(this, name)) continue;
      const early = this[name]; // set before this element was defined
      delete this[name];
      this[name] = early;
    }
    this.#begun = true;
    this.#begin();
  }

  disconnectedCallback() {
    this.#begun = false;
    this.#end();
  }

  attributeChangedCallback(_name, was, is) {
    if (this.#begun && was !== is) this.#begin();
  }

  #begin() {
    this.#end();
    if (this.#given) return;
    if (this.hasAttribute("snapshot")) this.#still(this.getAttribute("snapshot"));
    else if (this.hasAttribute("src")) {
      this.#socket = new Socket(this.#store, this.getAttribute("src"), { token: this.#token ?? this.getAttribute("token") });
      this.#socket.open();
    } else this.#store.become("refused", "This page does not say where its desk is: <sleeves-desk> needs src or snapshot.");
  }

  #end() {
    this.#socket?.close();
    this.#socket = null;
  }

  #still(selector) {
    try {
      this.#store.apply(JSON.parse(document.querySelector(selector).textContent));
      this.#store.become("still");
    } catch {
      this.#store.become("refused", "The picture that this page should hold is not there or cannot be read.");
    }
  }
}

define("sleeves-desk", SleevesDesk);
