// SPDX-License-Identifier: Apache-2.0
// The tables of aggregate reports: sources, and reports received.
import type { Report, Source } from "./api";
import { byId, el } from "./dom";
import { count, percent, period } from "./format";
import { bar, cell, given, headCell, type Kept, notes, outside, reporter, sync, when } from "./rows";

/* --- sources ------------------------------------------------------------------------------------------------ */

const sourceRows = new Map<string, Kept>();

function share(part: number, whole: number): string {
  return percent(whole > 0 ? part / whole : null);
}

function dispositions(s: Source): HTMLElement {
  const words: [number, string, string][] = [
    [s.dispositions.none, "no action", "chip"],
    [s.dispositions.quarantine, "quarantined", "chip warn"],
    [s.dispositions.reject, "rejected", "chip bad"],
    [s.dispositions.other, "not said", "chip"],
  ];
  return el("span", { class: "chips" },
    ...words.filter(([n]) => n > 0).map(([n, word, cls]) => el("span", { class: cls }, `${count(n)} ${word}`)));
}

export function showSources(sources: Source[]): void {
  const most = Math.max(0, ...sources.map((s) => s.messages));
  const make = ({ s }: { s: Source }) =>
    el("tr", { role: "row" },
      headCell(el("span", { class: "ip" }, given(s.source_ip, "no address")), s.name ? el("span", { class: "sub" }, outside(s.name)) : null),
      cell("Messages", "num", count(s.messages), bar(s.dmarc, s.messages, most)),
      cell("DMARC", "num third", el("span", { class: s.dmarc < s.messages ? (s.dmarc === 0 ? "rate bad" : "rate warn") : "rate good" }, percent(s.pass_rate))),
      cell("DKIM", "num third", share(s.dkim, s.messages)),
      cell("SPF", "num third", share(s.spf, s.messages)),
      cell("Action", "", dispositions(s)));
  /* The widest bar is part of a row's data: the others shrink when it grows. */
  sync(byId("sources").querySelector("tbody") as Element, sourceRows, sources.map((s) => ({ s, most })),
    ({ s }) => s.source_ip ?? "", make, false);
  byId("sources-none").hidden = sources.length > 0;
  byId("sources").hidden = sources.length === 0;
}

/* --- reports ------------------------------------------------------------------------------------------------ */

const reportRows = new Map<string, Kept>();

function reportRow(r: Report): HTMLTableRowElement {
  return el("tr", { role: "row", "data-seq": r.seq },
    headCell(when(r.received)),
    reporter(r),
    cell("Domain", "", given(r.domain, "none named"), r.policy ? el("span", { class: "sub" }, "p=", outside(r.policy)) : null),
    cell("Period (UTC)", "", period(Date.parse(r.begin), Date.parse(r.end))),
    cell("Records", "num third", count(r.records)),
    cell("Messages", "num third", count(r.messages)),
    cell("Pass rate", "num third", percent(r.pass_rate)),
    cell("Notes", "", notes(r)));
}

/** fresh: rows that were not there are pointed out for a moment. */
export function showReports(reports: Report[], fresh: boolean): void {
  sync(byId("reports").querySelector("tbody") as Element, reportRows, reports, (r) => String(r.seq), reportRow, fresh);
  byId("reports-none").hidden = reports.length > 0;
  byId("reports").hidden = reports.length === 0;
}
