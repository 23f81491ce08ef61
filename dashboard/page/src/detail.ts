// SPDX-License-Identifier: Apache-2.0
// One failure or feedback report, in a dialog. All of it is text of strangers: shown as text, addresses of web pages made unusable
// (hxxp), nothing linked or loaded. The text of the message is fetched only when it is asked for.
import * as api from "./api";
import { byId, el } from "./dom";
import { count, local, plural } from "./format";
import { badge, given, outside } from "./rows";

const dialog = byId<HTMLDialogElement>("detail");
const content = byId("detail-content");
let asked = 0; /* the answer to an older question is dropped */

/** "https://a.example" → "hxxps://a[.]example": no program takes it for an address. */
export function defang(text: string): string {
  return text
    .replace(/h(t{1,2})p(s?):/gi, (_, t: string, s: string) => `h${"x".repeat(t.length)}p${s}:`)
    .replace(/\bftp:/gi, "fxp:")
    .replace(/(:\/\/[^/?#\s]*)/g, (host) => host.replace(/\./g, "[.]"));
}

function row(name: string, ...values: (Node | string | null)[]): Node[] {
  const has = values.filter((v): v is Node | string => v !== null && v !== "");
  return has.length === 0 ? [] : [el("dt", {}, name), ...has.map((v) => el("dd", {}, v))];
}

const text = (s: string | null) => (s === null || s === "" ? null : outside(s));
const texts = (list: string[]) => list.filter((s) => s !== "").map((s) => outside(s));
const times = (iso: string | null) => (iso === null ? null : `${local(Date.parse(iso))}`);

function mailboxes(list: api.Mailbox[]): Node[] {
  return list.map((m) => el("span", {}, m.name ? outside(m.name) : null, m.name ? " " : null, m.address ? outside(`<${m.address}>`) : null));
}

function alignment(d: api.FailureDetail): (Node | string)[] {
  if (d.alignment_known) {
    const part = (word: string, list: string[]) => (list.length > 0 ? [`${word}: ${list.join(", ")}`] : []);
    return [...part("aligned", d.aligned_mechanisms), ...part("failed", d.failed_mechanisms)];
  }
  return d.identity_alignment.length === 0 ? [] : [el("span", {}, outside(d.identity_alignment.join(", ")), " (can mean either; the standards disagree)")];
}

function facts(d: api.FailureDetail): HTMLElement {
  return el("dl", { class: "facts" },
    ...row("Reporter", given(d.org_name, "unnamed"), text(d.email === d.org_name ? null : d.email), badge(d.trust)),
    ...row("Type", text(d.feedback_type)),
    ...row("Reported domain", ...texts(d.reported_domains)),
    ...row("Source", text(d.source_ip ?? d.source_ip_raw), d.source_ip_from_sample ? "taken from the message, not said by the report" : null),
    ...row("Arrived", times(d.arrival) ?? text(d.arrival_raw)),
    ...row("Failed", ...texts(d.auth_failure)),
    ...row("Alignment", ...alignment(d)),
    ...row("What was done", text(d.delivery_result)),
    ...row("Authentication results", ...texts(d.authentication_results)),
    ...row("Envelope sender", d.original_mail_from === "" ? "<> (null sender)" : text(d.original_mail_from)),
    ...row("Envelope recipient", ...texts(d.original_rcpt_to)),
    ...row("DKIM domain", text(d.dkim.domain)),
    ...row("DKIM selector", text(d.dkim.selector)),
    ...row("DKIM identity", text(d.dkim.identity)),
    ...row("SPF record", ...d.spf_dns.map((s) => outside(s.raw ?? `${s.domain ?? ""}: ${s.record ?? ""}`))),
    ...row("Reported addresses", ...d.reported_uris.map((u) => el("code", {}, outside(defang(u))))),
    ...row("Reporting server", text(d.reporting_mta)),
    ...row("Software", text(d.user_agent)),
    ...row("Incidents", d.incidents > 1 ? count(d.incidents) : null),
    ...d.extra.flatMap((p) => row(p.name ?? "", text(p.value))));
}

function headers(s: api.Sample): HTMLElement {
  return el("details", {},
    el("summary", {}, plural(s.headers.length, "header field")),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Header fields of the message" },
      el("table", {}, el("caption", { class: "sr-only" }, "Header fields of the message, as they stood"),
        el("tbody", {}, ...s.headers.map((h) =>
          el("tr", {}, el("th", { scope: "row" }, given(h.name, "")), el("td", {}, given(h.value, "empty"))))))));
}

function hops(s: api.Sample): HTMLElement | null {
  if (s.received.length === 0) return null;
  return el("details", {}, el("summary", {}, plural(s.received.length, "hop")),
    el("ol", { class: "hops" }, ...s.received.map((h) =>
      el("li", {}, given(h.from, "unknown"), " → ", given(h.by, "unknown"),
        el("span", { class: "sub" }, [times(h.time), h.delay > 0 ? `${plural(h.delay, "second")} later` : null].filter(Boolean).join(", "))))));
}

function attachments(s: api.Sample): Node[] {
  return row("Attachments", ...s.attachments.map((a) =>
    el("span", {}, given(a.filename, "unnamed"), ` (${a.content_type ?? "no type"}, ${plural(a.size, "byte")})`,
      el("span", { class: "sub" }, `SHA-256 ${a.sha256}`))));
}

/** The message's text, when somebody wants to see it: it is other people's mail. */
function bodyBox(seq: number): HTMLElement {
  const button = el("button", { type: "button" }, "Show the message's text");
  const box = el("div", { class: "more" }, button);
  button.addEventListener("click", () => {
    button.disabled = true;
    api.failure(seq, true).then((d) => {
      const pre = el("pre", { class: "body", tabindex: 0, role: "region", "aria-label": "Text of the message" }, outside(defang(d.sample?.body ?? "")));
      box.replaceChildren(pre);
      pre.focus();
    }, (e: unknown) => {
      button.disabled = false;
      box.append(el("p", { class: "hint warn" }, `It cannot be read: ${e instanceof Error ? e.message : String(e)}`));
    });
  });
  return box;
}

function sample(d: api.FailureDetail): (Node | null)[] {
  const s = d.sample;
  if (s === null) return [el("p", { class: "hint" }, "The report holds no copy of the message.")];
  return [
    el("dl", { class: "facts" },
      ...row("Subject", given(s.subject, "none")),
      ...row("From", ...mailboxes(s.from)),
      ...row("To", ...mailboxes(s.to)),
      ...row("Cc", ...mailboxes(s.cc)),
      ...row("Reply to", ...mailboxes(s.reply_to)),
      ...row("Date", times(s.time) ?? text(s.date)),
      ...row("Message id", text(s.message_id)),
      ...row("DKIM signatures", ...texts(s.dkim_signatures)),
      ...row("Says of itself", ...texts(s.authentication_results)),
      ...attachments(s),
      ...row("Copy", `${plural(s.size, "byte")}${s.headers_only ? ", header only" : ""}${s.damaged ? ", cut off or damaged" : ""}`)),
    headers(s),
    hops(s),
    s.has_body ? bodyBox(d.seq) : null,
  ];
}

function build(d: api.FailureDetail): Node[] {
  const parts: (Node | null)[] = [
    facts(d),
    d.notes.length === 0 ? null : el("details", {}, el("summary", {}, plural(d.notes.length, "warning")),
      el("ul", {}, ...d.notes.map((n) => el("li", {}, outside(n.text), n.place ? el("span", { class: "sub" }, outside(n.place)) : null)))),
    el("h3", {}, "The message it is about"),
    ...sample(d),
    d.human_text ? el("details", {}, el("summary", {}, "Words of the reporter"), el("pre", {}, outside(defang(d.human_text)))) : null,
  ];
  return parts.filter((p): p is Node => p !== null);
}

export async function openDetail(seq: number): Promise<void> {
  const mine = ++asked;
  content.replaceChildren(el("p", { class: "hint" }, "Loading"));
  if (!dialog.open) dialog.showModal();
  try {
    const d = await api.failure(seq, false);
    if (mine !== asked) return;
    byId("detail-title").textContent = d.kind === "failure" ? "Failure report" : "Feedback report";
    content.replaceChildren(...build(d));
  } catch (e) {
    if (mine === asked) content.replaceChildren(el("p", { class: "banner", role: "alert" }, `The report cannot be read: ${e instanceof Error ? e.message : String(e)}`));
  }
}

byId("detail-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { asked++; content.replaceChildren(); });
