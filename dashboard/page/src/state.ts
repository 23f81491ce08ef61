// SPDX-License-Identifier: Apache-2.0
// What the page shows: kind of reports, period, domain, trust; kept in the address's fragment so that a view can be bookmarked.

export type Days = 7 | 30 | 90 | 365 | "all";
export const tabs = ["aggregate", "failure", "tls", "feedback", "foreign"] as const;
export type Tab = (typeof tabs)[number];
export interface View {
  tab: Tab;
  days: Days;
  domain: string | null;
  trusted: boolean | null; /* null: as the server does by itself */
}

const known: Days[] = [7, 30, 90, 365, "all"];

export function readDays(text: string | null): Days {
  return known.find((d) => String(d) === text) ?? 30;
}

export function readView(): View {
  const hash = new URLSearchParams(location.hash.slice(1));
  const trusted = hash.get("trusted");
  return {
    tab: tabs.find((t) => t === hash.get("tab")) ?? "aggregate",
    days: readDays(hash.get("days")),
    domain: hash.get("domain") || null,
    trusted: trusted === "1" ? true : trusted === "0" ? false : null,
  };
}

export function keepView(v: View): void {
  const hash = new URLSearchParams();
  if (v.tab !== "aggregate") hash.set("tab", v.tab);
  if (v.days !== 30) hash.set("days", String(v.days));
  if (v.domain !== null) hash.set("domain", v.domain);
  if (v.trusted !== null) hash.set("trusted", v.trusted ? "1" : "0");
  const text = hash.toString();
  history.replaceState(null, "", text ? "#" + text : location.pathname);
}
