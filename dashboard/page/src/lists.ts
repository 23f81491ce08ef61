// SPDX-License-Identifier: Apache-2.0
// The tables of the other kinds: failure and feedback reports, SMTP TLS, reports about foreign domains.
import type { Failure, Foreign, Tls, TlsReport } from "./api";
import { openDetail } from "./detail";
import { byId, el } from "./dom";
import { count, percent, period } from "./format";
import { bar, cell, given, headCell, type Kept, notes, outside, reporter, sync, when } from "./rows";

const bodyOf = (id: string) => byId(id).querySelector("tbody") as Element;

/** Fills the table id from items, and says so when there are none. */
function fill<T>(id: string, kept: Map<string, Kept>, items: T[], key: (t: T) => string, make: (t: T) => HTMLTableRowElement,
  fresh: boolean): void {
  sync(bodyOf(id), kept, items, key, make, fresh);
  byId(id + "-none").hidden = items.length > 0;
  byId(id).hidden = items.length === 0;
}

const sub = (text: string | null) => (text === null || text === "" ? null : el("span", { class: "sub" }, outside(text)));
const span = (begin: string | null, end: string | null) =>
  begin === null ? el("span", { class: "absent" }, "not said") : period(Date.parse(begin), Date.parse(end ?? begin));

/* --- failure and feedback ----------------------------------------------------------------------------------- */

function detailButton(f: Failure): HTMLButtonElement {
  const button = el("button", { type: "button", class: "small" }, "Details",
    el("span", { class: "sr-only" }, ` of the report from ${f.org_name ?? "an unnamed reporter"}`));
  button.addEventListener("click", () => void openDetail(f.seq));
  return button;
}

const words = (text: string | null) => el("span", { class: "chips" },
  ...(text ?? "").split(", ").filter(Boolean).map((w) => el("span", { class: "chip bad" }, outside(w))));

function failureRow(f: Failure): HTMLTableRowElement {
  return el("tr", { role: "row", "data-seq": f.seq },
    headCell(when(f.received)),
    reporter(f),
    cell("Source", "", el("span", { class: "ip" }, given(f.source_ip, "not said")), sub(f.domain)),
    cell("Message", "", given(f.subject, "no subject"), sub(f.from ?? f.mail_from)),
    cell("Failed", "", words(f.auth_failure), sub(f.delivery_result)),
    cell("Notes", "", notes(f, f.incidents > 1 ? el("span", { class: "chip" }, `${count(f.incidents)} incidents`) : null)),
    cell("", "", detailButton(f)));
}

function feedbackRow(f: Failure): HTMLTableRowElement {
  return el("tr", { role: "row", "data-seq": f.seq },
    headCell(when(f.received)),
    reporter(f),
    cell("Type", "", el("span", { class: "chip" }, given(f.feedback_type, "not said"))),
    cell("Source", "", el("span", { class: "ip" }, given(f.source_ip, "not said")), sub(f.domain)),
    cell("Message", "", given(f.subject, "no subject"), sub(f.from ?? f.mail_from)),
    cell("Notes", "", notes(f)),
    cell("", "", detailButton(f)));
}

const failureRows = new Map<string, Kept>();
const feedbackRows = new Map<string, Kept>();
export const showFailures = (items: Failure[], fresh: boolean) =>
  fill("failures", failureRows, items, (f) => String(f.seq), failureRow, fresh);
export const showFeedback = (items: Failure[], fresh: boolean) =>
  fill("feedback", feedbackRows, items, (f) => String(f.seq), feedbackRow, fresh);

/* --- SMTP TLS ----------------------------------------------------------------------------------------------- */

const tlsFailureRows = new Map<string, Kept>();
const tlsDomainRows = new Map<string, Kept>();
const tlsReportRows = new Map<string, Kept>();

export function showTls(tls: Tls): void {
  const most = Math.max(0, ...tls.failures.map((f) => f.failed));
  fill("tls-failures", tlsFailureRows, tls.failures.map((f) => ({ f, most })), ({ f }) => JSON.stringify([f.result_type, f.receiving_mx]),
    ({ f }) => el("tr", { role: "row" },
      headCell(given(f.result_type, "not said")),
      cell("Receiving MX", "", given(f.receiving_mx, "not said")),
      cell("Failed sessions", "num", count(f.failed), bar(0, f.failed, most)),
      cell("Reports", "num", count(f.reports))), false);
  fill("tls-domains", tlsDomainRows, tls.domains, (d) => d.domain ?? "",
    (d) => el("tr", { role: "row" },
      headCell(given(d.domain, "none named")),
      cell("Sessions", "num third", count(d.successful + d.failed)),
      cell("Failed", "num third", count(d.failed)),
      cell("Success", "num third", percent(d.success_rate))), false);
}

export const showTlsReports = (items: TlsReport[], fresh: boolean) =>
  fill("tls-reports", tlsReportRows, items, (r) => String(r.seq), (r) => el("tr", { role: "row", "data-seq": r.seq },
    headCell(when(r.received)),
    reporter(r),
    cell("Domain", "", given(r.domain, "none named")),
    cell("Period (UTC)", "", span(r.begin, r.end)),
    cell("Sessions", "num third", count(r.sessions)),
    cell("Failed", "num third", count(r.failed)),
    cell("Success", "num third", percent(r.success_rate)),
    cell("Notes", "", notes(r))), fresh);

/* --- foreign ------------------------------------------------------------------------------------------------ */

const kinds = { aggregate: "aggregate", failure: "failure", smtp_tls: "SMTP TLS", feedback: "other feedback" };
const foreignRows = new Map<string, Kept>();
export const showForeign = (items: Foreign[], fresh: boolean) =>
  fill("foreign", foreignRows, items, (r) => String(r.seq), (r) => el("tr", { role: "row", "data-seq": r.seq },
    headCell(when(r.received)),
    reporter(r),
    cell("Domain", "", given(r.domain, "none named")),
    cell("Kind", "", r.kind === null ? "unknown" : kinds[r.kind]),
    cell("Period (UTC)", "", span(r.begin, r.end)),
    cell("Messages", "num", count(r.messages)),
    cell("Notes", "", notes(r))), fresh);
