// SPDX-License-Identifier: Apache-2.0
// What all tables are made of. Rows are kept by key while their data stays the same, so that focus, an open list of notes and a
// selection survive a refresh. The roles are spelled out because narrow screens show the rows as cards (style.css).
import type { Listed, Trust } from "./api";
import { el, svg } from "./dom";
import { ago, count, local, plural } from "./format";

export interface Kept {
  data: string;
  row: HTMLTableRowElement;
}

/** Puts one row for each item into body and drops the others. fresh: rows that were not there before are pointed out. */
export function sync<T>(body: Element, kept: Map<string, Kept>, items: T[], key: (t: T) => string,
  make: (t: T) => HTMLTableRowElement, fresh: boolean): void {
  const seen = new Set<string>();
  let next = body.firstElementChild;
  for (const item of items) {
    const k = key(item);
    const data = JSON.stringify(item);
    let old = kept.get(k);
    seen.add(k);
    if (!old || old.data !== data) {
      const row = make(item);
      if (fresh && !old) row.classList.add("fresh");
      if (old) {
        if (old.row === next) next = next.nextElementSibling;
        old.row.remove();
      }
      old = { data, row };
      kept.set(k, old);
    }
    if (old.row === next) next = next.nextElementSibling;
    else body.insertBefore(old.row, next);
  }
  for (const [k, old] of kept) {
    if (seen.has(k)) continue;
    old.row.remove();
    kept.delete(k);
  }
}

/** kind: "" text, "num" a number, "num third" a number that shares a line with two others on narrow screens. */
export function cell(label: string, kind: "" | "num" | "num third", ...children: (Node | string | null)[]): HTMLTableCellElement {
  return el("td", { role: "cell", "data-label": label, class: kind || null }, el("div", { class: "v" }, ...children));
}

export const headCell = (...children: (Node | string | null)[]) =>
  el("th", { role: "rowheader", scope: "row" }, ...children);

/** Text from outside: kept apart so that its writing direction cannot reorder what stands around it, and with the characters
    that would reorder its own letters made visible ("moc.elgoog" must not read as another name). */
export const outside = (text: string) => el("bdi", {}, text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd"));
export const given = (text: string | null, absent: string) =>
  text === null || text === "" ? el("span", { class: "absent" }, absent) : outside(text);

export function bar(passed: number, total: number, of: number): SVGSVGElement {
  const width = of > 0 ? (100 * total) / of : 0;
  const pass = total > 0 ? (width * passed) / total : 0;
  return svg("svg", { class: "bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": true },
    svg("rect", { class: "track", width: 100, height: 6 }),
    svg("rect", { class: "pass", width: pass, height: 6 }),
    svg("rect", { class: "fail", x: pass, width: Math.max(0, width - pass), height: 6 }));
}

export function when(iso: string): HTMLElement {
  const t = Date.parse(iso);
  return el("span", { class: "when" },
    el("time", { class: "ago", datetime: iso, title: iso }, ago(t, Date.now())),
    el("span", { class: "sub" }, local(t)));
}

export function notes(r: Listed, first: Node | null = null): HTMLElement {
  const box = el("div", { class: "notes" }, first);
  if (r.truncated) box.append(el("span", { class: "chip warn", title: "The document was cut off; whole records before the cut were read" }, "cut off"));
  if (r.recovered) box.append(el("span", { class: "chip warn", title: "The document was not well-formed and was read in recovery mode" }, "repaired"));
  if (r.dropped) box.append(el("span", { class: "chip warn", title: "Records that could not be used; the others were" }, `${count(r.dropped)} unusable`));
  if (r.duplicates > 0) box.append(el("span", { class: "chip", title: "The same report arrived again; it counts once" }, `${plural(r.duplicates, "duplicate")}`));
  if (r.warnings > 0) {
    const list = r.notes ?? [];
    const rest = r.warnings - list.length;
    if (list.length === 0) box.append(el("span", { class: "chip warn" }, plural(r.warnings, "warning")));
    else box.append(el("details", {},
      el("summary", {}, plural(r.warnings, "warning")),
      el("ul", {},
        ...list.map((n) => el("li", {}, outside(n.text), n.place ? el("span", { class: "sub" }, outside(n.place)) : null)),
        rest > 0 ? el("li", { class: "sub" }, `and ${count(rest)} more`) : null)));
  }
  if (!box.firstChild) box.append(el("span", { class: "absent" }, "none"));
  return box;
}

/** How far the mail that brought a report is to be believed, in words; the colour only underlines them. */
export function badge(t: Trust): HTMLElement {
  const from = t.from_domain ? ` The mail says it is from ${t.from_domain}.` : "";
  const [word, cls, why] = t.trusted
    ? ["authenticated", "good", "The mail server authenticated the mail, and it came from the reporter."]
    : t.auth === "pass" && t.reporter === "no"
      ? ["other sender", "warn", "The mail is authenticated, but for another domain than the reporter's."]
      : t.auth === "pass"
        ? ["sender not compared", "warn", "The mail is authenticated, but the report does not say by which domain its reporter sends."]
        : t.auth === "fail"
          ? ["failed", "bad", "The mail server says that authentication failed: the report may be forged."]
          : t.auth === "none"
            ? ["not authenticated", "warn", "The mail server found nothing to authenticate: anyone can have sent the report."]
            : ["unknown", "", "Nothing trusted says whether the mail was authenticated. Naming your mail server in trust.authserv_ids changes that for reports to come."];
  return el("span", { class: ("chip trust " + cls).trim(), title: why + from }, el("span", { class: "sr-only" }, "Sender: "), word as string);
}

/** Reporter, its address and its trust: the same cell in every list. */
export const reporter = (r: Listed) =>
  cell("Reporter", "", given(r.org_name, "unnamed"), r.email && r.email !== r.org_name ? el("span", { class: "sub" }, outside(r.email)) : null, badge(r.trust));

export function tickTimes(): void {
  const now = Date.now();
  for (const t of document.querySelectorAll("time.ago")) {
    const text = ago(Date.parse(t.getAttribute("datetime") ?? ""), now);
    if (t.textContent !== text) t.textContent = text;
  }
}
