// SPDX-License-Identifier: Apache-2.0
// The API as this page uses it (docs/api.md). Counts above 2^53 lose their last digits here; nothing is computed from them.

export interface Counts {
  messages: number;
  passed: number;
  failed: number;
  pass_rate: number | null;
}
export interface Health {
  version: string;
  time: string;
  store: "ok" | "missing";
  change: string;
  reports: number;
  kinds: { aggregate: number; failure: number; smtp_tls: number; feedback: number; foreign: number };
  authenticated: boolean;
  last_message: { arrived: string; reports: number; broken: number } | null;
}
export interface Summary extends Counts {
  from: string;
  until: string;
  trusted_only: boolean;
  reports: number;
  untrusted: number;
  records: number;
  domains: number;
  last_received: string | null;
  ever: { reports: number; first_begin: string | null; last_begin: string | null };
}
export interface Day extends Counts {
  day: string;
  reports: number;
}
export interface Source {
  source_ip: string | null;
  name: string | null;
  messages: number;
  dkim: number;
  spf: number;
  dmarc: number;
  pass_rate: number | null;
  dispositions: { none: number; quarantine: number; reject: number; other: number };
}
export interface Domain extends Counts {
  domain: string | null;
  reports: number;
}
export interface Trust {
  auth: "unknown" | "none" | "fail" | "pass";
  dmarc: "unknown" | "none" | "fail" | "pass";
  from_domain: string | null;
  reporter: "unknown" | "yes" | "no";
  names: "unknown" | "yes" | "no";
  foreign: boolean;
  trusted: boolean;
}
export interface Note {
  place: string | null;
  text: string;
}
/** What every report of every list has. */
export interface Listed {
  seq: number;
  uid: string;
  received: string;
  org_name: string | null;
  email: string | null;
  domain: string | null;
  warnings: number;
  duplicates: number;
  truncated: boolean;
  recovered: boolean;
  trust: Trust;
  notes?: Note[];
  dropped?: number;
}
export interface Report extends Listed, Counts {
  report_id: string | null;
  policy: string | null;
  begin: string;
  end: string;
  records: number;
}
export interface Failure extends Listed {
  feedback_type: string | null;
  auth_failure: string | null;
  delivery_result: string | null;
  source_ip: string | null;
  arrival: string | null;
  mail_from: string | null;
  from: string | null;
  subject: string | null;
  incidents: number;
}
export interface TlsReport extends Listed {
  report_id: string | null;
  begin: string | null;
  end: string | null;
  policies: number;
  sessions: number;
  successful: number;
  failed: number;
  success_rate: number | null;
}
export interface Foreign extends Listed {
  kind: "aggregate" | "failure" | "smtp_tls" | "feedback" | null;
  begin: string | null;
  end: string | null;
  messages: number;
}
export interface Sessions {
  reports: number;
  successful: number;
  failed: number;
  success_rate: number | null;
}
export interface Tls {
  from: string;
  until: string;
  trusted_only: boolean;
  untrusted: number;
  days: ({ day: string } & Sessions)[];
  domains: ({ domain: string | null } & Sessions)[];
  failures: { result_type: string | null; receiving_mx: string | null; reports: number; failed: number }[];
}
export interface Pair {
  name: string | null;
  value: string | null;
}
export interface Mailbox {
  name: string | null;
  address: string | null;
}
export interface Sample {
  size: number;
  headers_only: boolean;
  damaged: boolean;
  subject: string | null;
  message_id: string | null;
  date: string | null;
  time: string | null;
  from: Mailbox[];
  to: Mailbox[];
  cc: Mailbox[];
  reply_to: Mailbox[];
  authentication_results: string[];
  dkim_signatures: string[];
  received: { hop: number; from: string | null; by: string | null; with: string | null; time: string | null; delay: number }[];
  headers: Pair[];
  attachments: { filename: string | null; content_type: string | null; size: number; sha256: string; damaged: boolean }[];
  has_body: boolean;
  body: string | null;
}
export interface FailureDetail {
  seq: number;
  uid: string;
  kind: "failure" | "feedback";
  org_name: string | null;
  email: string | null;
  domain: string | null;
  trust: Trust;
  notes: Note[];
  format: string;
  feedback_type: string | null;
  user_agent: string | null;
  incidents: number;
  arrival: string | null;
  arrival_raw: string | null;
  source_ip: string | null;
  source_ip_raw: string | null;
  source_ip_from_sample: boolean;
  reporting_mta: string | null;
  delivery_result: string | null;
  auth_failure: string[];
  authentication_results: string[];
  identity_alignment: string[];
  alignment_known: boolean;
  aligned_mechanisms: string[];
  failed_mechanisms: string[];
  original_mail_from: string | null;
  original_rcpt_to: string[];
  message_id: string | null;
  reported_domains: string[];
  reported_uris: string[];
  dkim: { domain: string | null; identity: string | null; selector: string | null };
  spf_dns: { type: string | null; domain: string | null; record: string | null; raw: string | null }[];
  extra: Pair[];
  human_text: string | null;
  sample: Sample | null;
}

/** The server answered, and said why it cannot. Every other failure is a server that does not answer. */
export class Refused extends Error {}

const patience = 15000;

async function get<T>(what: string, params: Record<string, string | number | null> = {}): Promise<T> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null) query.set(name, String(value));
  }
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patience);
  try {
    const tail = query.toString();
    const answer = await fetch(`/api/v1/${what}${tail ? "?" + tail : ""}`, { signal: stop.signal, cache: "no-store" });
    const body = (await answer.json()) as T & { error?: string };
    if (!answer.ok) throw new Refused(body.error ?? `status ${answer.status}`);
    return body;
  } finally {
    clearTimeout(timer);
  }
}

type Domain_ = string | null;
type Trusted = 0 | 1;
type List<K extends string, T> = Record<K, T[]>;
const page = <K extends string, T>(what: string, key: K) => (limit: number, before: number | null, domain: Domain_) =>
  get<List<K, T>>(what, { limit, before, domain }).then((r) => r[key]);

export const health = () => get<Health>("health");
export const summary = (days: number, domain: Domain_, trusted: Trusted) => get<Summary>("summary", { days, domain, trusted });
export const days = (n: number, domain: Domain_, trusted: Trusted) =>
  get<{ days: Day[] }>("days", { days: n, domain, trusted }).then((r) => r.days);
export const sources = (n: number, domain: Domain_, trusted: Trusted) =>
  get<{ sources: Source[] }>("sources", { days: n, limit: 10, domain, trusted }).then((r) => r.sources);
export const domains = () =>
  get<{ domains: Domain[] }>("domains", { days: 36600, limit: 200, trusted: 0 }).then((r) => r.domains);
export const tls = (n: number, domain: Domain_, trusted: Trusted) => get<Tls>("tls", { days: n, limit: 20, domain, trusted });
export const reports = page<"reports", Report>("reports", "reports");
export const failures = page<"failures", Failure>("failures", "failures");
export const feedback = page<"feedback", Failure>("feedback", "feedback");
export const tlsReports = page<"reports", TlsReport>("tls-reports", "reports");
export const foreign = page<"reports", Foreign>("foreign", "reports");
export const failure = (seq: number, body: boolean) => get<FailureDetail>("failure", { seq, body: body ? 1 : 0 });
