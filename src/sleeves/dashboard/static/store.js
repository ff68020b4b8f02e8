// What the page knows: the tables, streams and charts of one desk, from a snapshot and the deltas that follow it.
// It opens nothing and draws nothing. A delta is applied once and in turn, or not at all.

const STREAM = 500;
const POINTS = 2000;
const ERRANDS = 20;
const EMPTY = new Map();
// What the points of a series are, by what stands before the colon in its name.
const FIELDS = {
  sleeve: ["at_ms", "balance", "equity", "realized", "unrealized", "fees", "returned"],
  vault: ["at_ms", "total", "tradeable"],
};

// What a word on an instruction says of it: "sent", "open", "done", "refused" or "unknown".
export function errandState(word) {
  if (word.type === "lost" || word.type === "stranger") return "unknown";
  if (word.type === "refused") return "refused";
  if (word.ok) return word.open ? "open" : "done";
  return word.open || word.code === "unknown" ? "unknown" : "refused";
}

// An id for a request that no other page has.
export function requestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `p-${Array.from(bytes, (byte) => byte.toString(36).padStart(2, "0")).join("")}`;
}

// Every second point, the last always among them, until there are few enough: what the server does too.
function halved(points) {
  let kept = points;
  while (kept.length > POINTS) {
    const last = kept.length - 1;
    kept = kept.filter((_point, at) => (last - at) % 2 === 0);
  }
  return kept;
}

export class Store extends EventTarget {
  session = null;
  seq = null;
  title = "";
  version = "";
  commands = false;
  // The server's time at its last message, and the page's own when it came.
  at_ms = null;
  told_ms = null;
  // "connecting", "live", "lost" (it tries again), "refused" (a human must act) or "still" (a picture that does not move).
  state = "connecting";
  reason = "";
  tables = new Map();
  streams = new Map();
  charts = new Map();

  // What sends messages to the desk: { send(message) -> whether it went }. None for a still picture.
  transport = null;
  // What was instructed from here, the latest last: { id, title, state, message, at_ms }, with the state of `confirm`.
  errands = [];
  #calls = new Map();
  #resyncing = false;

  get connected() {
    return this.state === "live";
  }

  // Instructions can be given here and now.
  get commanding() {
    return this.commands && this.connected;
  }

  table(name) {
    return this.tables.get(name) ?? EMPTY;
  }

  row(name, key) {
    return this.table(name).get(key) ?? null;
  }

  rows(name) {
    return [...this.table(name).values()];
  }

  // The keys and rows of a table.
  entries(name) {
    return [...this.table(name)];
  }

  stream(name) {
    return this.streams.get(name) ?? [];
  }

  // The desk's own row; null before the first snapshot.
  get desk() {
    return this.row("desk", "desk:main");
  }

  // The desk's own time, by which marks have an age.
  get now_ms() {
    return this.desk?.time_ms ?? null;
  }

  // -- what the desk tells -------------------------------------------------------------------------------------------------

  // Apply a message. "ok", "old" (a delta that is known: nothing was done) or "gap" (something is missing: ask for a snapshot).
  apply(message) {
    switch (message?.type) {
      case "snapshot":
        return this.#snapshot(message);
      case "delta":
        return this.#delta(message);
      case "preview":
      case "answer":
      case "refused":
        this.#reply(message);
        return "ok";
      default:
        return "ok"; // a pong, or a kind that is newer than this page
    }
  }

  // Apply a message that came in, and where something is missing, ask for all anew.
  receive(message) {
    const found = this.apply(message);
    if (found === "gap" && !this.#resyncing) {
      this.#resyncing = true;
      this.transport?.send({ type: "resync" });
    }
    if (message?.type === "snapshot") this.#resyncing = false;
    return found;
  }

  // The first message on a connection: what this page has, so that it is told what it missed and nothing twice.
  hello() {
    this.#resyncing = false;
    return { type: "hello", session: this.session, seq: this.seq };
  }

  #snapshot(message) {
    const changed = new Set(["state", "charts", ...this.tables.keys(), ...this.streams.keys()]);
    for (const name of ["session", "seq", "at_ms", "title", "version", "commands"]) this[name] = message[name];
    this.tables = new Map(Object.entries(message.tables ?? {}).map(([name, rows]) => [name, new Map(Object.entries(rows))]));
    this.streams = new Map(Object.entries(message.streams ?? {}).map(([name, items]) => [name, items.slice(-STREAM)]));
    this.charts = new Map(
      Object.entries(message.charts ?? {}).map(([name, { fields, points }]) => [name, { fields, points: [...points] }]),
    );
    for (const name of [...this.tables.keys(), ...this.streams.keys()]) changed.add(name);
    this.told_ms = Date.now();
    this.#tell(changed);
    return "ok";
  }

  #delta(message) {
    if (this.session === null || message.session !== this.session) return "gap";
    if (message.seq <= this.seq) return "old";
    if (message.seq !== this.seq + 1) return "gap";
    const changed = new Set();
    for (const [name, rows] of Object.entries(message.set ?? {})) {
      if (!this.tables.has(name)) this.tables.set(name, new Map());
      const table = this.tables.get(name);
      for (const [key, row] of Object.entries(rows)) table.set(key, row);
      changed.add(name);
    }
    for (const [name, keys] of Object.entries(message.drop ?? {})) {
      for (const key of keys) this.tables.get(name)?.delete(key);
      changed.add(name);
    }
    for (const [name, items] of Object.entries(message.add ?? {})) {
      this.streams.set(name, [...this.stream(name), ...items].slice(-STREAM));
      changed.add(name);
    }
    for (const [name, points] of Object.entries(message.points ?? {})) {
      const series = this.charts.get(name) ?? { fields: FIELDS[name.split(":")[0]] ?? [], points: [] };
      series.points.push(...points);
      series.points = halved(series.points);
      this.charts.set(name, series);
      changed.add("charts");
    }
    this.seq = message.seq;
    this.at_ms = message.at_ms;
    this.told_ms = Date.now();
    this.#tell(changed);
    return "ok";
  }

  // All of it as a snapshot message: what a test holds against a fresh one.
  picture() {
    const plain = (map, value) => Object.fromEntries([...map].map(([name, held]) => [name, value(held)]));
    return {
      type: "snapshot",
      session: this.session,
      seq: this.seq,
      at_ms: this.at_ms,
      title: this.title,
      version: this.version,
      commands: this.commands,
      tables: plain(this.tables, (rows) => Object.fromEntries(rows)),
      streams: plain(this.streams, (items) => [...items]),
      charts: plain(this.charts, (series) => series),
    };
  }

  #tell(changed) {
    this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }

  // -- the connection ------------------------------------------------------------------------------------------------------

  // Say how the connection stands; what was asked and not answered is then not known, and is asked for when it is back.
  become(state, reason = "") {
    if (state === this.state && reason === this.reason) return;
    const was = this.state;
    this.state = state;
    this.reason = reason;
    if (was === "live" && state !== "live") this.#lost();
    if (was !== "live" && state === "live") this.#ask();
    this.#tell(new Set(["state"]));
  }

  #send(message) {
    return this.transport !== null && this.connected && this.transport.send(message) !== false;
  }

  // -- what the page asks --------------------------------------------------------------------------------------------------

  // The numbers of an instruction before it is given: the server's `preview` or `refused`, or { type: "lost" } where no
  // answer can come any more. A preview moves nothing, so it is never asked for again by itself.
  preview(instruction) {
    return new Promise((resolve) => {
      const call = { kind: "preview", instruction, resolve };
      if (this.#send({ type: "preview", instruction })) this.#calls.set(instruction.id, call);
      else resolve(this.#offline(instruction.id));
    });
  }

  // Give an instruction. Resolves with its first answer, or with the refusal. `told` hears every word on it: each `answer`
  // and `refused`, and { type: "lost" } when the connection went before it was answered, after which it is asked for again;
  // { type: "stranger" } where the desk then knows nothing of it.
  do(instruction, ticket = null, told = () => {}, title = instruction.what) {
    return new Promise((resolve) => {
      const errand = { id: instruction.id, title, state: "sent", message: "", at_ms: Date.now() };
      this.errands = [...this.errands, errand].slice(-ERRANDS);
      this.#tell(new Set(["errands"]));
      const heard = (word) => {
        Object.assign(errand, { state: errandState(word), message: word.message ?? "" });
        this.#tell(new Set(["errands"]));
        told(word);
      };
      const call = { kind: "do", instruction, resolve, told: heard };
      if (this.#send({ type: "do", instruction, ticket })) this.#calls.set(instruction.id, call);
      else {
        const refusal = this.#offline(instruction.id);
        heard(refusal);
        resolve(refusal);
      }
    });
  }

  // No more is wanted of a request.
  forget(id) {
    this.#calls.delete(id);
  }

  #offline(id) {
    return { type: "refused", id, code: "offline", message: "There is no connection to the desk. Nothing was sent." };
  }

  #reply(message) {
    const call = this.#calls.get(message.id);
    if (call === undefined) {
      this.dispatchEvent(new CustomEvent("stray", { detail: message }));
      return;
    }
    if (message.type !== "answer" || !message.open) this.#calls.delete(message.id);
    // Asked for after the line fell, and the desk does not know it: that is no refusal of what was instructed.
    const word = call.lost && message.type === "refused" && message.code === "bad_instruction" ? { ...message, type: "stranger" } : message;
    call.told?.(word);
    call.resolve(word);
  }

  #lost() {
    for (const [id, call] of this.#calls) {
      if (call.kind === "preview") {
        this.#calls.delete(id);
        call.resolve({ type: "lost", id });
      } else {
        call.lost = true;
        call.told({ type: "lost", id });
      }
    }
  }

  #ask() {
    for (const [id, call] of this.#calls) if (call.kind === "do") this.#send({ type: "ask", id });
  }
}
