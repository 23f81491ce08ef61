// SPDX-License-Identifier: Apache-2.0
// Asks /health every two seconds while the page is seen, and for the numbers only when something changed.
import * as api from "./api";
import { makeChart } from "./chart";
import { byId, el, say } from "./dom";
import { ago, count, percent, plural, time } from "./format";
import { showFailures, showFeedback, showForeign, showTls, showTlsReports } from "./lists";
import { makePaged } from "./paged";
import { bar, tickTimes } from "./rows";
import { keepView, readDays, readView, type Tab, tabs } from "./state";
import { showReports, showSources } from "./tables";

const PAUSE = 2000;
const DAY = 86400000;

const view = readView();
let shown = ""; /* what the numbers on the page belong to: change counter, UTC day, view */
let lastGood: Date | null = null;
let firstBegin: string | null = null;
let viewNumber = 0; /* an answer for an older view is dropped */
let trustedOnly: 0 | 1 = 0; /* what the numbers are asked for */
let timer: ReturnType<typeof setTimeout> | undefined;
let running = false;

/* --- what the page says about itself ------------------------------------------------------------------------ */

function live(state: "ok" | "wait" | "bad", text: string): void {
  byId("live").dataset["state"] = state;
  say(byId("live-text"), text);
}

function fail(e: unknown): void {
  const said = e instanceof api.Refused;
  const old = lastGood && !byId("content").hidden ? ` The numbers below are from ${time(lastGood)}.` : "";
  const box = byId("alert");
  box.hidden = false;
  say(box, (said ? `The store cannot be read: ${e.message}.` : "The dashboard's server does not answer. Trying again every two seconds.") + old);
  live("bad", said ? "Error" : "Not connected");
}

function fine(): void {
  lastGood = new Date();
  byId("alert").hidden = true;
  live("ok", `Live, checked ${time(lastGood)}`);
}

/* --- the parts ---------------------------------------------------------------------------------------------- */

function showEmpty(h: api.Health): void {
  const last = h.last_message;
  byId("empty").hidden = false;
  byId("content").hidden = true;
  say(byId("empty-why"), h.store === "missing"
    ? "The store does not exist yet: dmarctapd makes it when it first starts. Until then there is nothing to show."
    : last && last.broken > 0
      ? `The last message came ${ago(Date.parse(last.arrived), Date.now())} and could not be read as a report; it lies in quarantine (dmarctapctl quarantine list).`
      : "The store is ready, and nothing has been taken in so far.");
}

function showUntrusted(n: number, leftOut: boolean): void {
  byId("untrusted").hidden = n === 0;
  say(byId("untrusted"), leftOut
    ? `${plural(n, "report")} of this period ${n === 1 ? "is" : "are"} left out of the numbers: nothing says that ${n === 1 ? "its" : "their"} sender is genuine.`
    : `${plural(n, "report")} in the numbers ${n === 1 ? "has" : "have"} a sender that nothing confirms.`);
}

function showSummary(s: api.Summary): void {
  say(byId("kpi-messages"), count(s.messages));
  say(byId("sub-messages"), s.messages > 0 ? `${count(s.passed)} passed, ${count(s.failed)} failed` : "none in this period");
  say(byId("kpi-rate"), percent(s.pass_rate));
  byId("meter").replaceChildren(bar(s.passed, s.messages, s.messages));
  say(byId("sub-rate"), s.messages > 0 ? "DKIM or SPF passed and aligned" : "no messages to judge");
  say(byId("kpi-reports"), count(s.reports));
  const t = s.last_received;
  byId("sub-reports").replaceChildren(plural(s.records, "record"), ...(t === null ? [] :
    [", newest ", el("time", { class: "ago", datetime: t, title: t }, ago(Date.parse(t), Date.now()))]));
  say(byId("kpi-domains"), count(s.domains));
  say(byId("sub-domains"), view.domain === null ? "with reports in this period" : "one chosen");
  showUntrusted(s.untrusted, s.trusted_only);
  /* What lies in the period and is not trusted is told by itself. */
  const outside = s.ever.reports - s.reports - (s.trusted_only ? s.untrusted : 0);
  byId("older").hidden = view.days === "all" || outside <= 0;
  say(byId("older-text"), s.reports === 0
    ? `No report covers days of this period; ${plural(outside, "report")} ${outside === 1 ? "covers" : "cover"} others.`
    : `${plural(outside, "more report", "more reports")} ${outside === 1 ? "covers" : "cover"} days outside this period.`);
}

function showDomains(domains: api.Domain[]): void {
  const select = byId<HTMLSelectElement>("domain");
  const names = domains.map((d) => d.domain).filter((d): d is string => d !== null);
  if (view.tab === "tls") names.push(...[...tlsNames].filter((n) => !names.includes(n)));
  if (view.domain !== null && !names.includes(view.domain)) names.unshift(view.domain);
  const have = Array.from(select.options, (o) => o.value).join("\n");
  if (have !== ["", ...names].join("\n"))
    select.replaceChildren(el("option", { value: "" }, "All domains"), ...names.map((n) => el("option", { value: n }, n)));
  select.value = view.domain ?? "";
  byId("domain-box").hidden = names.length < 2 && view.domain === null;
}

/* --- loading ------------------------------------------------------------------------------------------------ */

/* "All" begins with the first day any report speaks of. */
function daysAsked(now: number): number {
  if (view.days !== "all") return view.days;
  const first = firstBegin === null ? NaN : Date.parse(firstBegin);
  const days = Number.isFinite(first) ? Math.floor(now / DAY) - Math.floor(first / DAY) + 1 : 30;
  return Math.min(36600, Math.max(7, days));
}

const messageChart = makeChart({ box: "chart", readout: "readout", table: "days-table", title: "Messages", one: "message", good: "passed", rate: "pass rate" });
const sessionChart = makeChart({ box: "tls-chart", readout: "tls-readout", table: "tls-table", title: "Sessions", one: "session", good: "successful", rate: "success rate" });
const lists = {
  aggregate: makePaged("more", api.reports, showReports, fail),
  failure: makePaged("failures-more", api.failures, showFailures, fail),
  tls: makePaged("tls-more", api.tlsReports, showTlsReports, fail),
  feedback: makePaged("feedback-more", api.feedback, showFeedback, fail),
  foreign: makePaged("foreign-more", api.foreign, showForeign, fail),
};

/* Each of these fetches, and returns what shows it: all that belongs together is shown at once. */
async function loadAggregate(h: api.Health): Promise<() => void> {
  const domain = view.domain;
  if (view.days === "all") firstBegin = (await api.summary(1, domain, trustedOnly)).ever.first_begin;
  const n = daysAsked(Date.parse(h.time));
  const [summary, days, sources] = await Promise.all([
    api.summary(n, domain, trustedOnly), api.days(n, domain, trustedOnly), api.sources(n, domain, trustedOnly),
  ]);
  return () => {
    showSummary(summary);
    messageChart.show(days, summary.from, summary.until);
    showSources(sources);
  };
}

function showTlsSummary(t: api.Tls): void {
  const sum = (pick: (d: api.Sessions) => number) => t.days.reduce((n, d) => n + pick(d), 0);
  const good = sum((d) => d.successful);
  const bad = sum((d) => d.failed);
  const all = good + bad;
  say(byId("kpi-sessions"), count(all));
  say(byId("sub-sessions"), all > 0 ? `${count(good)} successful, ${count(bad)} failed` : "none in this period");
  say(byId("kpi-success"), percent(all > 0 ? good / all : null));
  byId("tls-meter").replaceChildren(bar(good, all, all));
  say(byId("sub-success"), all > 0 ? "of all sessions were encrypted as the policy asks" : "no sessions to judge");
  say(byId("kpi-tls-reports"), count(sum((d) => d.reports)));
  say(byId("kpi-tls-domains"), count(t.domains.length));
}

const tlsNames = new Set<string>();
async function loadTls(h: api.Health): Promise<() => void> {
  const n = view.days === "all" ? 3660 : daysAsked(Date.parse(h.time));
  const t = await api.tls(n, view.domain, trustedOnly);
  for (const d of t.domains) if (d.domain !== null) tlsNames.add(d.domain);
  /* "All" begins with the first day that has sessions. */
  const first = view.days === "all" && t.days[0] ? t.days[0].day + "T00:00:00Z" : t.from;
  return () => {
    showTlsSummary(t);
    showUntrusted(t.untrusted, t.trusted_only);
    sessionChart.show(t.days.map((d) => ({ day: d.day, messages: d.successful + d.failed, passed: d.successful, failed: d.failed })), first, t.until);
    showTls(t);
  };
}

const nothing = () => Promise.resolve(() => undefined);
const numbers: Record<Tab, (h: api.Health) => Promise<() => void>> = {
  aggregate: loadAggregate, tls: loadTls, failure: nothing, feedback: nothing, foreign: nothing,
};

async function load(h: api.Health): Promise<void> {
  const tab = view.tab;
  const mine = viewNumber;
  trustedOnly = (view.trusted ?? h.authenticated) ? 1 : 0;
  const [domains, showNumbers, showList] = await Promise.all([
    api.domains(), numbers[tab](h), lists[tab].refresh(tab === "foreign" ? null : view.domain),
  ]);
  if (mine !== viewNumber) return;
  byId("empty").hidden = true;
  byId("content").hidden = false;
  showNumbers();
  showList();
  showDomains(domains);
  showTabs(h);
}

/* --- kinds -------------------------------------------------------------------------------------------------- */

function showTabs(h: api.Health): void {
  const n: Record<Tab, number> = {
    aggregate: h.kinds.aggregate, failure: h.kinds.failure, tls: h.kinds.smtp_tls, feedback: h.kinds.feedback, foreign: h.kinds.foreign,
  };
  for (const t of tabs) {
    const button = byId("tab-" + t);
    const chosen = t === view.tab;
    button.setAttribute("aria-selected", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    say(button.querySelector(".n") as Element, count(n[t]));
    byId("panel-" + t).hidden = !chosen;
  }
  const summed = view.tab === "aggregate" || view.tab === "tls";
  byId("period").hidden = !summed;
  byId("trusted-box").hidden = !summed;
  byId<HTMLInputElement>("trusted").checked = trustedOnly === 1;
  byId("trust-none").hidden = !summed || h.authenticated;
  if (view.tab !== "aggregate") byId("older").hidden = true;
  /* While nothing is judged one hint is enough. */
  if (!summed || (!h.authenticated && trustedOnly === 0)) byId("untrusted").hidden = true;
  if (view.tab === "foreign") byId("domain-box").hidden = true;
}

function chooseTab(tab: Tab, focus: boolean): void {
  if (tab !== view.tab) {
    view.tab = tab;
    viewChanged();
  }
  if (focus) byId("tab-" + tab).focus();
}

function onTabKey(e: KeyboardEvent): void {
  const i = tabs.indexOf(view.tab);
  const to: Record<string, number> = { ArrowLeft: (i + tabs.length - 1) % tabs.length, ArrowRight: (i + 1) % tabs.length, Home: 0, End: tabs.length - 1 };
  const tab = tabs[to[e.key] ?? -1];
  if (tab === undefined) return;
  e.preventDefault();
  chooseTab(tab, true);
}

/* A message that was no readable report is told as long as it is the newest one. */
function showUnread(h: api.Health): void {
  const last = h.last_message;
  const box = byId("unread");
  box.hidden = last === null || last.broken === 0;
  if (last !== null && last.broken > 0)
    box.replaceChildren("The newest message, ", el("time", { class: "ago", datetime: last.arrived, title: last.arrived }),
      ", held something that could not be read as a report; it lies in quarantine (dmarctapctl quarantine list).");
}

async function check(): Promise<void> {
  const h = await api.health();
  say(byId("version"), `dmarctap ${h.version}`);
  if (h.store === "missing" || h.reports === 0) {
    showEmpty(h);
    for (const l of Object.values(lists)) l.empty();
    shown = "";
    return;
  }
  const mine = viewNumber;
  const now = [h.change, h.time.slice(0, 10), view.tab, view.days, view.domain, view.trusted].join(" ");
  if (now === shown) return;
  showUnread(h);
  await load(h);
  if (mine === viewNumber) shown = now;
}

/* One round at a time; a round that was asked for meanwhile follows at once. */
let again = false;
async function round(): Promise<void> {
  clearTimeout(timer);
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    await check();
    fine();
  } catch (e) {
    fail(e);
  }
  running = false;
  tickTimes();
  if (!document.hidden) timer = setTimeout(() => void round(), again ? 0 : PAUSE);
  again = false;
}

/* --- controls ----------------------------------------------------------------------------------------------- */

function viewChanged(): void {
  keepView(view);
  syncControls();
  for (const l of Object.values(lists)) l.forget();
  viewNumber++;
  void round();
}

function syncControls(): void {
  for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=days]")) radio.checked = radio.value === String(view.days);
}

byId("controls").addEventListener("change", (e) => {
  const input = e.target as HTMLInputElement | HTMLSelectElement;
  if (input.name === "days") view.days = readDays(input.value);
  else if (input.name === "trusted") view.trusted = (input as HTMLInputElement).checked;
  else view.domain = input.value || null;
  viewChanged();
});
byId("controls").addEventListener("submit", (e) => e.preventDefault());
byId("older-show").addEventListener("click", () => {
  view.days = "all";
  viewChanged();
  document.querySelector<HTMLInputElement>("input[value=all]")?.focus();
});
for (const t of tabs) byId("tab-" + t).addEventListener("click", () => chooseTab(t, false));
byId("tabs").addEventListener("keydown", onTabKey);
document.addEventListener("visibilitychange", () => { if (!document.hidden) void round(); });
syncControls();
void round();
