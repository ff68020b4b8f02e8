// From what the desk tells to what a person reads. Money is exact decimal text and stays it: nothing here rounds a figure
// that is worked with; only what is shown may be shortened, and then its exact text is in the title.

export const UNKNOWN = "\u2014";
const MINUS = "\u2212";
const DECIMAL = /^([+-]?)(\d+)(?:\.(\d+))?$/;
const ENTRY = /^\d{1,40}(?:\.\d{1,30})?$/;

// -- exact decimals ----------------------------------------------------------------------------------------------------

function parse(text) {
  const found = typeof text === "string" ? DECIMAL.exec(text.trim()) : null;
  if (found === null) return null;
  const part = found[3] ?? "";
  const units = BigInt(found[2] + part);
  return { units: found[1] === "-" ? -units : units, places: part.length };
}

function atScale(value, places) {
  return value.units * 10n ** BigInt(places - value.places);
}

function written(units, places) {
  const digits = (units < 0n ? -units : units).toString().padStart(places + 1, "0");
  const whole = places === 0 ? digits : digits.slice(0, -places);
  const part = places === 0 ? "" : `.${digits.slice(-places)}`;
  return `${units < 0n ? "-" : ""}${whole}${part}`;
}

// Whether this is decimal text at all.
export function isDecimal(text) {
  return parse(text) !== null;
}

// The exact sum of decimal texts; null where one of them is unknown.
export function sum(...texts) {
  const values = texts.map(parse);
  if (values.some((value) => value === null)) return null;
  const places = Math.max(0, ...values.map((value) => value.places));
  return written(
    values.reduce((total, value) => total + atScale(value, places), 0n),
    places,
  );
}

export function negated(text) {
  const value = parse(text);
  return value === null ? null : written(-value.units, value.places);
}

export function minus(a, b) {
  return sum(a, negated(b));
}

// -1, 0 or 1, exactly; an unknown comes before all that is known.
export function compare(a, b) {
  const left = parse(a);
  const right = parse(b);
  if (left === null || right === null) return (left === null ? 0 : 1) - (right === null ? 0 : 1);
  const places = Math.max(left.places, right.places);
  const [x, y] = [atScale(left, places), atScale(right, places)];
  return x < y ? -1 : x > y ? 1 : 0;
}

// -1, 0 or 1; null where unknown.
export function signOf(text) {
  const value = parse(text);
  return value === null ? null : value.units < 0n ? -1 : value.units > 0n ? 1 : 0;
}

// A number for drawing and for nothing else; null where unknown.
export function drawn(text) {
  return isDecimal(text) ? Number(text) : null;
}

// The share of a in b, 0 to 1, for drawing; null where it is unknown or b is nothing.
export function share(a, b) {
  const [x, y] = [drawn(a), drawn(b)];
  return x === null || y === null || y === 0 ? null : x / y;
}

// What is wrong with an amount that somebody typed, in words; null where nothing is. `most` is what is available.
export function amountFault(text, { most = null, places = null, zero = false } = {}) {
  const typed = text.trim();
  if (typed === "") return "An amount is needed.";
  if (!ENTRY.test(typed)) return "This must be a plain decimal number, such as 12.5.";
  if (!zero && signOf(typed) === 0) return "This must be more than nothing.";
  if (places !== null && (typed.split(".")[1] ?? "").replace(/0+$/, "").length > places) return `At most ${places} decimal places.`;
  if (most !== null && compare(typed, most) > 0) return `At most ${figure(most)} is available.`;
  return null;
}

// -- figures -------------------------------------------------------------------------------------------------------------

function grouped(whole) {
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

// Decimal text for reading: grouped, with a true minus; `sign` writes plus too. `places` shortens (half away from zero);
// without it all digits are shown, but no zeros beyond two decimal places.
export function figure(text, { sign = false, places = null } = {}) {
  const value = parse(text);
  if (value === null) return UNKNOWN;
  let { units, places: has } = value;
  if (places !== null && has > places) {
    const step = 10n ** BigInt(has - places);
    const half = step / 2n;
    units = (units < 0n ? units - half : units + half) / step;
    has = places;
  }
  const [whole, part = ""] = written(units < 0n ? -units : units, has).split(".");
  const kept = places === null ? part.slice(0, 2) + part.slice(2).replace(/0+$/, "") : part.padEnd(places, "0");
  const lead = units < 0n ? MINUS : sign && units > 0n ? "+" : "";
  return `${lead}${grouped(whole)}${kept === "" ? "" : `.${kept}`}`;
}

// Money for a card or a table: two decimal places, and more where it is small; the exact text belongs in a title.
export function money(text, { sign = false } = {}) {
  const value = parse(text);
  if (value === null) return UNKNOWN;
  return figure(text, { sign, places: placesFor(text) });
}

function placesFor(text) {
  const size = Math.abs(Number(text));
  if (size === 0 || size >= 0.1) return 2;
  return Math.min(12, 1 - Math.floor(Math.log10(size)));
}

// A price or a quantity: about `digits` significant digits, never fewer than the whole part.
export function rate(text, { digits = 7, sign = false } = {}) {
  const value = parse(text);
  if (value === null) return UNKNOWN;
  const size = Math.abs(Number(text));
  const whole = size >= 1 ? Math.floor(Math.log10(size)) + 1 : size === 0 ? 1 : Math.floor(Math.log10(size)) + 1;
  return figure(text, { sign, places: Math.max(0, Math.min(value.places, digits - whole)) });
}

// "+1.25%" of decimal text that is already percent.
export function percent(text, { sign = false, places = 2 } = {}) {
  const value = parse(text);
  return value === null ? UNKNOWN : `${figure(text, { sign, places: Math.min(value.places, places) })}%`;
}

// -- time, UTC -------------------------------------------------------------------------------------------------------------

const pad = (number, width = 2) => String(number).padStart(width, "0");

// "12:03:04"
export function clock(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  const at = new Date(ms);
  return `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
}

// "2026-11-22"
export function day(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  const at = new Date(ms);
  return `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())}`;
}

// "2026-11-22 12:03:04"
export function when(ms) {
  return ms === null || ms === undefined ? UNKNOWN : `${day(ms)} ${clock(ms)}`;
}

// "3 s", "5 min", "2 h", "4 d": how long, in milliseconds.
export function span(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  const s = Math.max(0, ms) / 1000;
  if (s < 90) return `${Math.floor(s)} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

// "5 min ago", "just now"
export function ago(ms) {
  return ms === null || ms === undefined ? UNKNOWN : ms < 1000 ? "just now" : `${span(ms)} ago`;
}

// How old a mark is at the desk's time: "5 min old"; unknown where either is.
export function age(mark_ms, now_ms) {
  return mark_ms === null || mark_ms === undefined || now_ms === null || now_ms === undefined ? null : Math.max(0, now_ms - mark_ms);
}

// -- words -----------------------------------------------------------------------------------------------------------------

// "unrealized_pnl" -> "Unrealized pnl"
export function words(name) {
  const text = String(name).replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const HEALTH = [
  { from: "80", tone: "good", word: "good", sign: "\u25CF" },
  { from: "50", tone: "fair", word: "fair", sign: "\u25D0" },
  { from: "20", tone: "poor", word: "poor", sign: "\u25B2" },
];
const CRITICAL = { from: "0", tone: "critical", word: "critical", sign: "\u25A0" };
const NO_HEALTH = { from: null, tone: "muted", word: "unknown", sign: "?" };

// The one scale of an account's health, 0 to 100: 80 is what a withdrawal must leave, 50 warns, 20 is critical.
export function healthOf(text) {
  if (!isDecimal(String(text))) return NO_HEALTH;
  return HEALTH.find((step) => compare(String(text), step.from) >= 0) ?? CRITICAL;
}

// Health as it is read, "98.1": rounded down, so that it is never shown as better than it is.
export function healthText(text) {
  const value = parse(text);
  if (value === null) return UNKNOWN;
  const cut = value.places > 1 ? value.units / 10n ** BigInt(value.places - 1) : value.units;
  return figure(written(cut, Math.min(value.places, 1))).replace(/\.0$/, "");
}

const STATUS = {
  stand_by: { word: "stand by", tone: "muted", sign: "\u25CB", says: "Opened, with no engine at work yet." },
  active: { word: "active", tone: "good", sign: "\u25CF", says: "Trading." },
  paused: { word: "paused", tone: "fair", sign: "\u2016", says: "No new risk; positions wait for their exit." },
  impaired: { word: "impaired", tone: "poor", sign: "\u25B2", says: "What is there cannot be seen, or does not agree." },
  close_only: { word: "close only", tone: "poor", sign: "\u25B2", says: "Exits only: the books or a limit said so." },
  halted: { word: "halted", tone: "critical", sign: "\u25A0", says: "Killed: nothing runs but the desk's own flattening." },
  deactivated: { word: "closed", tone: "muted", sign: "\u2715", says: "Closed, with nothing in it." },
};

// A status' word, sign and tone; a status that is not known here is shown as it is.
export function statusOf(status) {
  return Object.hasOwn(STATUS, status ?? "") ? STATUS[status] : { word: String(status ?? "unknown"), tone: "muted", sign: "?", says: "" };
}

const LEVELS = {
  info: { word: "info", tone: "muted", sign: "i" },
  warning: { word: "warning", tone: "poor", sign: "\u25B2" },
  critical: { word: "critical", tone: "critical", sign: "\u25A0" },
};

export function levelOf(level) {
  return Object.hasOwn(LEVELS, level ?? "") ? LEVELS[level] : { word: String(level ?? "info"), tone: "muted", sign: "i" };
}

// The tone of a gain or a loss: a class name, or none.
export function toneOf(text) {
  return { "-1": "loss", 1: "gain" }[signOf(text)] ?? "";
}

// "core:main:USD" -> "main USD"; what is no vault's name stays as it is.
export function vaultName(owner) {
  const found = /^core:([^:]+):(.+)$/.exec(owner ?? "");
  return found === null ? String(owner ?? "") : `${found[1]} ${found[2]}`;
}

// Okabe and Ito's palette for all kinds of colour vision, those first that stand out on light and dark alike; then six more.
export const COLOURS = [
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#7F5FC0",
  "#8C6D31",
  "#6B8E23",
  "#C0399F",
  "#3B8686",
  "#E0607E",
];
export const NEUTRAL = "#808790";

// One colour for each name, the same wherever the same names are drawn in the same order.
export function coloursOf(names) {
  return new Map([...names].map((name, index) => [name, COLOURS[index % COLOURS.length]]));
}
