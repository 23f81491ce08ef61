// SPDX-License-Identifier: Apache-2.0
// Counts by day: stacked bars of what passed and what failed, and below them the rate on a scale of its own. Pointer or arrow keys choose
// a bar, whose numbers stand in the line underneath; the same numbers are in a table for those who read it otherwise.
import { byId, el, say, svg } from "./dom";
import { compact, count, date, percent, plural } from "./format";

type Unit = "day" | "week" | "month" | "year";
interface Bar {
  start: number;
  messages: number;
  passed: number;
  failed: number;
}
interface Place {
  left: number;
  step: number;
  width: number;
}

export interface Day {
  day: string;
  messages: number;
  passed: number;
  failed: number;
}
/** What stands where and what it is called. */
export interface Words {
  box: string;
  readout: string;
  table: string;
  title: string;
  one: string; /* "message" */
  good: string; /* "passed" */
  rate: string; /* "pass rate" */
}
export interface Chart {
  show(days: Day[], from: string, until: string): void;
}

const DAY = 86400000;
const hint = "Point at a bar, or use the arrow keys here, for its numbers.";
const size = { top: 12, bars: 190, gap: 22, rate: 52, axis: 24, left: 48, right: 10 };

/* --- data --------------------------------------------------------------------------------------------------- */

function unitFor(days: number): Unit {
  if (days <= 92) return "day";
  if (days <= 700) return "week";
  return days <= 3650 ? "month" : "year";
}

function startOf(t: number, u: Unit): number {
  const d = new Date(t);
  if (u === "week") return t - ((d.getUTCDay() + 6) % 7) * DAY;
  if (u === "month") return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), 1);
  if (u === "year") return new Date(0).setUTCFullYear(d.getUTCFullYear());
  return t;
}

function after(t: number, u: Unit): number {
  const d = new Date(t);
  if (u === "month") return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 1);
  if (u === "year") return new Date(0).setUTCFullYear(d.getUTCFullYear() + 1);
  return t + (u === "week" ? 7 : 1) * DAY;
}

/** Every bar of [from, until), also those without a message. */
function collect(days: Day[], from: number, until: number, unit: Unit): Bar[] {
  const made: Bar[] = [];
  const at = new Map<number, Bar>();
  for (let t = startOf(from, unit); t < until; t = after(t, unit)) {
    const bar = { start: t, messages: 0, passed: 0, failed: 0 };
    made.push(bar);
    at.set(t, bar);
  }
  for (const d of days) {
    const bar = at.get(startOf(Date.parse(d.day + "T00:00:00Z"), unit));
    if (!bar) continue;
    bar.messages += d.messages;
    bar.passed += d.passed;
    bar.failed += d.failed;
  }
  return made;
}

function title(bar: Bar, unit: Unit): string {
  if (unit === "month") return date(bar.start, "month");
  if (unit === "year") return date(bar.start, "year");
  return (unit === "week" ? "Week of " : "") + date(bar.start, unit === "week" ? "date" : "day");
}

const rateOf = (b: Bar) => (b.messages > 0 ? b.passed / b.messages : null);

/* --- drawing ------------------------------------------------------------------------------------------------ */

/** A round number at or above n: 1, 2, 5 times a power of ten, in at most four steps. */
function scale(n: number): { top: number; step: number } {
  const raw = Math.max(n, 4) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw && Number.isInteger(s)) ?? 10 * power;
  return { top: step * Math.max(1, Math.ceil(n / step)), step };
}

function drawGrid(width: number, top: number, step: number): SVGGElement {
  const g = svg("g", { class: "grid" });
  for (let v = 0; v <= top; v += step) {
    const y = size.top + size.bars * (1 - v / top);
    g.append(svg("line", { x1: size.left, x2: width - size.right, y1: y, y2: y, class: v === 0 ? "base" : null }));
    g.append(svg("text", { x: size.left - 8, y: y + 4, "text-anchor": "end" }, compact(v)));
  }
  return g;
}

export function makeChart(words: Words): Chart {
  const box = byId(words.box);
  const readout = byId(words.readout);
  let bars: Bar[] = [];
  let unit: Unit = "day";
  let chosen = -1;
  let place: Place = { left: 0, step: 1, width: 1 };

  function drawBars(top: number): SVGGElement {
    const g = svg("g");
    const x0 = place.left + (place.step - place.width) / 2;
    const bottom = size.top + size.bars;
    bars.forEach((bar, i) => {
      const x = x0 + i * place.step;
      /* A bar that stands for something is at least one pixel high. */
      const height = (n: number) => (n > 0 ? Math.max(1, (size.bars * n) / top) : 0);
      const pass = height(bar.passed);
      const fail = height(bar.failed);
      if (pass) g.append(svg("rect", { x, y: bottom - pass, width: place.width, height: pass, class: "pass" }));
      if (fail) g.append(svg("rect", { x, y: bottom - pass - fail, width: place.width, height: fail, class: "fail" }));
    });
    return g;
  }

  function drawRate(width: number): SVGGElement {
    const top = size.top + size.bars + size.gap;
    const y = (rate: number) => top + size.rate * (1 - rate);
    const g = svg("g", { class: "grid" });
    for (const mark of [0, 1]) {
      g.append(svg("line", { x1: size.left, x2: width - size.right, y1: y(mark), y2: y(mark), class: mark ? null : "base" }));
      g.append(svg("text", { x: size.left - 8, y: y(mark) + 4, "text-anchor": "end" }, `${mark * 100}%`));
    }
    let run: string[] = [];
    const flush = () => {
      if (run.length > 1) g.append(svg("polyline", { points: run.join(" "), class: "rate" }));
      run = [];
    };
    bars.forEach((bar, i) => {
      const rate = rateOf(bar);
      if (rate === null) return flush();
      const x = place.left + (i + 0.5) * place.step;
      run.push(`${x.toFixed(1)},${y(rate).toFixed(1)}`);
      g.append(svg("circle", { cx: x, cy: y(rate), r: bars.length > 60 ? 1.5 : 2.5, class: "rate-dot" }));
      return undefined;
    });
    flush();
    return g;
  }

  function drawAxis(): SVGGElement {
    const g = svg("g", { class: "axis" });
    const y = size.top + size.bars + size.gap + size.rate + size.axis - 6;
    const every = Math.max(1, Math.ceil(72 / place.step));
    const form = unit === "year" ? "year" : unit === "month" ? "month" : "axis";
    /* Counted from the right, so that the newest bar is always named. */
    for (let i = bars.length - 1; i >= 0; i -= every) {
      const x = place.left + (i + 0.5) * place.step;
      if (x < place.left + 16 && bars.length > 8) break;
      const anchor = i === bars.length - 1 && place.step < 60 ? "end" : "middle";
      g.append(svg("text", { x: anchor === "end" ? place.left + bars.length * place.step : x, y, "text-anchor": anchor },
        date((bars[i] as Bar).start, form)));
    }
    return g;
  }

  function draw(): void {
    const width = Math.max(240, Math.floor(box.clientWidth));
    const height = size.top + size.bars + size.gap + size.rate + size.axis;
    const step = (width - size.left - size.right) / Math.max(1, bars.length);
    place = { left: size.left, step, width: Math.min(36, Math.max(1, step * (step > 6 ? 0.72 : 0.9))) };
    const { top, step: tick } = scale(Math.max(0, ...bars.map((b) => b.messages)));
    const cursor = svg("rect", { class: "cursor", y: size.top, height: height - size.top - size.axis, width: step, x: 0, visibility: "hidden" });
    box.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": true },
      cursor, drawGrid(width, top, tick), drawBars(top), drawRate(width), drawAxis()));
    mark();
  }

  function mark(): void {
    const cursor = box.querySelector(".cursor");
    const bar = bars[chosen];
    if (!bar) {
      cursor?.setAttribute("visibility", "hidden");
      say(readout, hint);
      return;
    }
    cursor?.setAttribute("visibility", "visible");
    cursor?.setAttribute("x", String(place.left + chosen * place.step));
    say(readout, bar.messages === 0
      ? `${title(bar, unit)}: no ${words.one}s`
      : `${title(bar, unit)}: ${plural(bar.messages, words.one)}, ${count(bar.passed)} ${words.good}, ${count(bar.failed)} failed, ${percent(rateOf(bar))} ${words.rate}`);
  }

  function choose(i: number): void {
    if (i === chosen) return;
    chosen = i;
    mark();
  }

  function onKey(e: KeyboardEvent): void {
    const last = bars.length - 1;
    const from = chosen < 0 ? last + 1 : chosen;
    const to: Record<string, number> = {
      ArrowLeft: Math.max(0, from - 1),
      ArrowRight: Math.min(last, chosen < 0 ? last : from + 1),
      Home: 0,
      End: last,
      Escape: -1,
    };
    const i = to[e.key];
    if (i === undefined) return;
    e.preventDefault();
    choose(i);
  }

  function drawTable(): void {
    const head = ["Period", words.one + "s", words.good, "failed", words.rate].map((t) => t.charAt(0).toUpperCase() + t.slice(1));
    const body = bars.filter((b) => b.messages > 0).reverse().map((b) =>
      el("tr", {},
        el("th", { scope: "row" }, title(b, unit)),
        ...[count(b.messages), count(b.passed), count(b.failed), percent(rateOf(b))].map((t) => el("td", { class: "num" }, t))));
    byId(words.table).replaceChildren(el("table", {},
      el("caption", { class: "sr-only" }, `${words.title} by day, newest first`),
      el("thead", {}, el("tr", {}, ...head.map((t, i) => el("th", { scope: "col", class: i ? "num" : null }, t)))),
      el("tbody", {}, ...body)));
  }

  function show(days: Day[], from: string, until: string): void {
    const a = Date.parse(from);
    const b = Date.parse(until);
    const before = bars[chosen]?.start;
    unit = unitFor((b - a) / DAY);
    bars = collect(days, a, b, unit);
    chosen = before === undefined ? -1 : bars.findIndex((x) => x.start === before);
    say(byId(words.box + "-title"), `${words.title} by ${unit}`);
    const total = bars.reduce((n, x) => n + x.messages, 0);
    box.setAttribute("aria-label", `${plural(total, words.one)} in ${plural(bars.length, unit)}, ${date(a, "date")} to ${date(b - DAY, "date")}. Left and right arrow keys read them out.`);
    draw();
    drawTable();
  }

  new ResizeObserver(() => { if (bars.length) draw(); }).observe(box);
  box.addEventListener("keydown", onKey);
  box.addEventListener("blur", () => choose(-1));
  box.addEventListener("pointermove", (e) => {
    const i = Math.floor((e.clientX - box.getBoundingClientRect().left - place.left) / place.step);
    choose(i >= 0 && i < bars.length ? i : -1);
  });
  box.addEventListener("pointerleave", () => { if (document.activeElement !== box) choose(-1); });
  return { show };
}
