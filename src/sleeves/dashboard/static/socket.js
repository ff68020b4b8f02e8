// The line to the desk's server: one WebSocket that is opened again when it falls, and says what the page has so that nothing is
// lost and nothing told twice. What the messages mean is the store's.

const PROTOCOL = "sleeves.v1";
const FIRST_MS = 250;
const LONGEST_MS = 8000;
const PING_MS = 10_000;
// A page that says nothing is taken for dead by the server, however much it is told.
const SPEAK_MS = 20_000;
const SILENT_MS = 25_000;
const GREETED_MS = 15_000;
// Closed by the server with these, there is no use in trying again before a human has done something.
const FINAL = new Map([
  [4401, "The server wants to know who you are: sign in again."],
  [4403, "The server takes no connection from this page."],
  [1008, "The server refused this connection: sign in again, or open the page at its own address."],
]);

export class Socket {
  #store;
  #url;
  #health;
  #token;
  #socket = null;
  #timer = 0;
  #beat = 0;
  #tries = 0;
  #heard = 0;
  #spoke = 0;
  #wanted = false;
  #greeted = false;
  #looking = 0;
  #wake = () => {
    if (document.visibilityState !== "hidden") this.#hurry();
  };

  // `url` is the server's mount, such as "/sleeves/"; the socket is its "socket". A token is only needed where no cookie bears it.
  constructor(store, url, { token = null } = {}) {
    this.#store = store;
    const mount = new URL(url.endsWith("/") ? url : `${url}/`, document.baseURI);
    this.#health = new URL("api/health", mount).href;
    const at = new URL("socket", mount);
    at.protocol = at.protocol === "https:" ? "wss:" : "ws:";
    at.search = "";
    at.hash = "";
    this.#url = at.href;
    this.#token = token;
  }

  open() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#store.transport = this;
    addEventListener("online", this.#wake);
    addEventListener("pageshow", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#connect();
  }

  close() {
    if (!this.#wanted) return;
    this.#wanted = false;
    removeEventListener("online", this.#wake);
    removeEventListener("pageshow", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#drop();
    if (this.#store.transport === this) this.#store.transport = null;
    this.#store.become("lost", "");
  }

  // Send a message; false where it cannot go.
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#spoke = performance.now();
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#drop();
    if (this.#store.state !== "lost") this.#store.become("connecting");
    let socket;
    try {
      socket = new WebSocket(this.#url, this.#token === null ? [PROTOCOL] : [PROTOCOL, `sleeves.token.${this.#token}`]);
    } catch {
      this.#store.become("refused", "This page cannot open a connection to its server.");
      return;
    }
    this.#socket = socket;
    this.#greeted = false;
    this.#heard = performance.now();
    socket.onopen = () => {
      this.#greeted = true;
      this.#heard = performance.now();
      this.send(this.#store.hello());
    };
    socket.onmessage = (event) => this.#hear(socket, event.data);
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#fell(event.code);
    };
    this.#beat = setInterval(() => this.#look(), PING_MS / 4);
  }

  #hear(socket, data) {
    if (socket !== this.#socket) return;
    this.#heard = performance.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      this.#fell(0); // not our protocol: begin again
      return;
    }
    const found = this.#store.receive(message);
    // What was missed has come, or there was nothing to miss: from here on the page is up to date.
    if (found !== "gap" && !this.#store.connected) {
      this.#tries = 0;
      this.#store.become("live");
    }
  }

  // A line that says nothing is asked, and one that does not answer is dropped: a dead peer closes nothing by itself.
  #look() {
    const silent = performance.now() - this.#heard;
    const open = this.#socket?.readyState === WebSocket.OPEN;
    if (silent > (open ? SILENT_MS : GREETED_MS)) this.#fell(0);
    else if (open && (silent > PING_MS || performance.now() - this.#spoke > SPEAK_MS)) this.send({ type: "ping" });
  }

  #fell(code) {
    this.#drop();
    if (!this.#wanted) return;
    if (FINAL.has(code)) {
      this.#refused(code);
      return;
    }
    this.#store.become("lost");
    if (!this.#greeted) this.#why();
    const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#tries);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#connect(), most * (0.5 + Math.random() / 2));
  }

  // A browser does not say why a socket was not opened, so the server is asked over HTTP whether it would have this page at all.
  async #why() {
    const turn = ++this.#looking;
    try {
      const headers = this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` };
      const { status } = await fetch(this.#health, { headers, cache: "no-store", credentials: "same-origin" });
      if (turn !== this.#looking || !this.#wanted || this.#store.connected) return;
      if (status === 401) this.#refused(4401);
      else if (status === 403) this.#refused(4403);
    } catch {
      // it is not there: the next try is under way
    }
  }

  #refused(code) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#drop();
    this.#store.become("refused", FINAL.get(code));
  }

  #drop() {
    clearInterval(this.#beat);
    this.#beat = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  // The network is back, or somebody looks: try at once.
  #hurry() {
    if (!this.#wanted) return;
    if (this.#timer !== 0) {
      this.#tries = 0;
      this.#connect();
    } else if (this.#socket?.readyState === WebSocket.OPEN && performance.now() - this.#heard > PING_MS) this.send({ type: "ping" });
  }
}
