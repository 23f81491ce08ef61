// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. The page is in English, so are its formats.

const locale = "en-GB";
const whole = new Intl.NumberFormat(locale);
const short = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = new Intl.DateTimeFormat(locale, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
});
const utc = { timeZone: "UTC" } as const;
const formats = {
  axis: new Intl.DateTimeFormat(locale, { ...utc, day: "numeric", month: "short" }),
  day: new Intl.DateTimeFormat(locale, { ...utc, weekday: "short", day: "numeric", month: "short", year: "numeric" }),
  date: new Intl.DateTimeFormat(locale, { ...utc, day: "numeric", month: "short", year: "numeric" }),
  month: new Intl.DateTimeFormat(locale, { ...utc, month: "short", year: "numeric" }),
  year: new Intl.DateTimeFormat(locale, { ...utc, year: "numeric" }),
};

export const count = (n: number) => whole.format(n);
export const compact = (n: number) => short.format(n);
export const plural = (n: number, one: string, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
export const time = (d: Date) => clock.format(d);

/** Rounded down: 100 % is said only of all. */
export function percent(rate: number | null): string {
  if (rate === null) return "–";
  const tenths = Math.floor(rate * 1000 + 1e-6);
  return `${(tenths / 10).toFixed(tenths % 10 === 0 ? 0 : 1)}%`;
}

export function date(t: number, form: keyof typeof formats): string {
  return Number.isFinite(t) ? formats[form].format(t) : "unknown";
}

export function local(t: number): string {
  return Number.isFinite(t) ? moment.format(t) : "unknown";
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60],
];

export function ago(t: number, now: number): string {
  const seconds = Math.round((t - now) / 1000);
  if (!Number.isFinite(seconds)) return "unknown";
  if (Math.abs(seconds) < 5) return "just now";
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(seconds, "second");
}

/** One day, or the first and last day; a period that ends at midnight, or a second before, ends on the day before. */
export function period(begin: number, end: number): string {
  if (!Number.isFinite(begin)) return "unknown";
  const last = Math.max(begin, end - 1000);
  const a = date(begin, "date");
  const b = date(last, "date");
  if (!Number.isFinite(last) || a === b) return a;
  return `${date(begin, "axis")} – ${b}`;
}
