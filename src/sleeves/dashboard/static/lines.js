// The points of a chart as columns, and how they become a path on a canvas. No element is known here, and no store.
//
// A series of points may grow at its end, be cut at its front, or be another one altogether; `Columns.take` finds out which,
// and copies no more than what is new.

const KEY = 0;

// One series as columns of numbers: `x` in milliseconds, rising, and one column for each field; what is unknown is null.
export class Columns {
  constructor() {
    this.fields = [];
    this.points = null;
    this.x = [];
    this.columns = new Map();
    this.last = null;
  }

  // Bring these columns to what `series` says now. Answers "same", "longer" or "new".
  take(series) {
    const fields = series?.fields ?? [];
    const points = series?.points ?? [];
    const count = this.x.length;
    const grown =
      count > 0 &&
      points.length >= count &&
      fields.length === this.fields.length &&
      fields.every((field, index) => field === this.fields[index]) &&
      points[0][KEY] === this.x[0] &&
      points[count - 1] === this.last;
    if (!grown) this.#empty(fields);
    const before = this.x.length;
    for (let index = before; index < points.length; index += 1) this.#add(points[index]);
    this.points = points;
    return !grown ? "new" : this.x.length > before ? "longer" : "same";
  }

  // One field's column; of unknowns where the series has no such field.
  of(field) {
    return this.columns.get(field) ?? this.x.map(() => null);
  }

  #empty(fields) {
    this.fields = [...fields];
    this.x = [];
    this.columns = new Map(fields.slice(1).map((field) => [field, []]));
    this.last = null;
  }

  #add(point) {
    this.x.push(point[KEY]);
    for (let index = 1; index < this.fields.length; index += 1) this.columns.get(this.fields[index]).push(known(point[index]));
    this.last = point;
  }
}

function known(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

// The index of the last point at or before a time; -1 where there is none.
export function indexAt(x, time) {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// The least and the greatest known value of what is seen between two times, with what already stood at the first; null
// where nothing is known.
export function reach(x, y, from, to) {
  let least = Infinity;
  let greatest = -Infinity;
  for (let index = Math.max(0, indexAt(x, from)); index < x.length && x[index] <= to; index += 1) {
    const value = y[index];
    if (value === null) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return least > greatest ? null : [least, greatest];
}

// A column in four figures, for whoever cannot see it: its first, last, least and greatest known value; null where all
// is unknown.
export function figures(y) {
  let found = null;
  for (const value of y) {
    if (value === null) continue;
    if (found === null) found = { first: value, last: value, least: value, greatest: value };
    found.last = value;
    if (value < found.least) found.least = value;
    if (value > found.greatest) found.greatest = value;
  }
  return found;
}

// Draw a column into `pen` (moveTo, lineTo), between two times. A step holds its value until the next, and the last one
// until `until`. An unknown value ends the line. Points that fall on one pixel, or on
// `grain` of them, are drawn as its first, least, greatest and last, so no extreme is lost.
export function draw(pen, x, y, { from, to, until, step, toX, toY, grain = 1 }) {
  const start = Math.max(0, indexAt(x, from));
  let end = start;
  let down = false; // whether the pen is on a line
  let lastY = 0;
  let pixel = null; // the pixel column that is gathered: { at, least, greatest, last, drawn, lone }

  const flush = (ends = false) => {
    if (pixel === null) return;
    for (const value of [pixel.least, pixel.greatest, pixel.last]) if (value !== pixel.drawn) pen.lineTo(pixel.at, (pixel.drawn = value));
    if (ends && pixel.lone) pen.lineTo(pixel.at + 1.5, pixel.drawn); // one known point between unknowns is a dot, not nothing
    pixel = null;
  };

  for (let index = start; index < x.length; index += 1) {
    const value = y[index];
    if (value === null) {
      if (step && down) {
        flush();
        pen.lineTo(toX(x[index]), lastY);
      }
      flush(true);
      down = false;
    } else {
      const atX = toX(x[index]);
      const atY = toY(value);
      if (!down) {
        flush();
        pen.moveTo(atX, atY);
        pixel = { at: atX, least: atY, greatest: atY, last: atY, drawn: atY, lone: true };
        down = true;
      } else if (pixel !== null && Math.abs(atX - pixel.at) < grain) {
        if (atY < pixel.least) pixel.least = atY;
        if (atY > pixel.greatest) pixel.greatest = atY;
        pixel.last = atY;
      } else {
        flush();
        if (step) pen.lineTo(atX, lastY);
        pen.lineTo(atX, atY);
        pixel = { at: atX, least: atY, greatest: atY, last: atY, drawn: atY, lone: false };
      }
      lastY = atY;
    }
    end = index;
    if (x[index] > to) break; // one beyond the edge, so that the line leaves it
  }
  flush(true);
  if (step && down && end === x.length - 1 && until > x[end]) pen.lineTo(toX(until), lastY);
}

// A colour mixed with another, both as "#rrggbb" or "rgb(r, g, b)"; `part` of the second, 0 to 1.
export function mixed(colour, other, part) {
  const [a, b] = [channels(colour), channels(other)];
  return `rgb(${a.map((value, index) => Math.round(value + (b[index] - value) * part)).join(", ")})`;
}

function channels(colour) {
  if (colour.startsWith("#")) return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return colour
    .match(/[\d.]+/g)
    .slice(0, 3)
    .map(Number);
}
