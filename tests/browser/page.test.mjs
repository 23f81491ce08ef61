// SPDX-License-Identifier: Apache-2.0
// The page of dmarctap-web in Chromium, over stores made by fixture.py. Run by tests/browser/run.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { TAP_BIN, TAP_SOURCE, TAP_FIXTURE, TAP_SHOTS } = process.env;
const tmp = mkdtempSync(join(tmpdir(), "tap-browser-"));
const shots = TAP_SHOTS ?? tmp;
const store = join(tmp, "reports.db");
const SCRIPT = "<script>window.hacked = 1</script>";
const IMG = '"><img src=x onerror="window.hacked = 2">';
const number = (n) => new Intl.NumberFormat("en-GB").format(n);

let browser, server, expected;

const fixture = (...args) => JSON.parse(execFileSync("python3", [TAP_FIXTURE, ...args], { encoding: "utf8" }));

/** Starts dmarctap-web on a free port (or the one given) over a store that may not exist. */
async function startWeb(path, port = 0) {
  const conf = join(tmp, "web.conf");
  writeFileSync(conf, `store: { path = "${path}"; };\nweb: { listen = "127.0.0.1:${port}"; };\n`);
  const child = spawn(join(TAP_BIN, "dmarctap-web"), ["-c", conf], { stdio: ["ignore", "ignore", "pipe"] });
  const url = await new Promise((resolve, reject) => {
    let log = "";
    child.stderr.on("data", (d) => {
      log += d;
      const found = /listening on (http:\/\/[^ ]+)/.exec(log);
      if (found) resolve(found[1]);
    });
    child.on("exit", () => reject(new Error(`dmarctap-web ended: ${log}`)));
  });
  return {
    url,
    stop: () => new Promise((done) => { child.on("exit", done); child.kill("SIGTERM"); }),
  };
}

/** A page that remembers everything that went wrong on it. */
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: "Europe/Berlin", ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) wrong.push(m.text()); });
  page.on("pageerror", (e) => wrong.push(String(e)));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
  });
  await page.goto(url);
  return { page, wrong, close: () => context.close() };
}

const ready = (page) => page.waitForSelector("#content:not([hidden]) #reports tbody tr");
const textOf = (page, selector) => page.textContent(selector).then((t) => t.trim());

/** Runs in the page: texts whose contrast is under 4.5 to 1. */
function lowContrast() {
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (let x = e; x; x = x.parentElement) {
      const c = parse(getComputedStyle(x).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility?.()) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e instanceof SVGElement ? style.fill : style.color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${e.tagName}.${e.getAttribute("class")} "${e.textContent.slice(0, 20)}" ${ratio.toFixed(2)}`);
  }
  return [...new Set(bad)];
}

/** Runs in the page: what reaches over its right edge. */
function tooWide() {
  return [...document.querySelectorAll("main *")]
    .filter((e) => !e.closest(".sr-only, .scroll, thead, details:not([open])") && e.getBoundingClientRect().right > innerWidth + 1)
    .map((e) => e.outerHTML.slice(0, 80));
}

before(async () => {
  mkdirSync(shots, { recursive: true });
  expected = fixture("make", store, "120");
  server = await startWeb(store);
  browser = await chromium.launch({
    executablePath: process.env.TAP_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(tmp, { recursive: true, force: true });
});

test("the page's TypeScript has no type error", () => {
  const tsc = join("node_modules", "typescript", "bin", "tsc");
  const r = spawnSync(process.execPath, [tsc, "-p", join(TAP_SOURCE, "dashboard", "page")], { encoding: "utf8" });
  assert.equal(r.stdout + r.stderr, "");
  assert.equal(r.status, 0);
});

test("key figures and the table of days equal the data", async () => {
  const { page, wrong, close } = await open(server.url);
  await ready(page);
  assert.equal(await textOf(page, "#kpi-messages"), number(expected.messages));
  assert.equal(await textOf(page, "#kpi-reports"), number(expected.reports));
  assert.equal(await textOf(page, "#kpi-domains"), "2");
  const tenths = Math.floor((expected.passed * 1000) / expected.messages) / 10;
  assert.equal(await textOf(page, "#kpi-rate"), `${tenths}%`);
  assert.match(await textOf(page, "#sub-messages"), new RegExp(number(expected.passed)));
  assert.match(await textOf(page, "#sub-reports"), new RegExp(number(expected.records)));

  await page.click("details.data summary");
  const rows = await page.$$eval("#days-table tbody tr", (trs) => trs.map((tr) => Array.from(tr.cells, (c) => c.textContent)));
  const days = Object.entries(expected.days).sort().reverse();
  assert.equal(rows.length, days.length);
  rows.forEach((row, i) => {
    const [messages, passed] = days[i][1];
    assert.deepEqual(row.slice(1, 4), [number(messages), number(passed), number(messages - passed)], days[i][0]);
  });
  assert.deepEqual(wrong, []);
  await close();
});

test("the chart has a bar for each day, and its heights are in proportion", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  const bars = await page.$$eval("#chart rect.pass", (rs) => rs.map((r) => Number(r.getAttribute("height"))));
  const passed = Object.entries(expected.days).sort().map(([, v]) => v[1]).filter((n) => n > 0);
  assert.equal(bars.length, passed.length);
  bars.forEach((h, i) => assert.ok(Math.abs(h / bars[0] - passed[i] / passed[0]) < 0.02, `bar ${i}`));
  await close();
});

test("sources: most messages first, shares and dispositions as in the data", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  const api = await (await fetch(`${server.url}api/v1/sources?days=30&limit=10`)).json();
  const rows = await page.$$eval("#sources tbody tr", (trs) => trs.map((tr) => Array.from(tr.children, (c) => c.textContent)));
  assert.equal(rows.length, api.sources.length);
  api.sources.forEach((s, i) => {
    assert.equal(rows[i][0], s.source_ip);
    assert.equal(rows[i][1], number(s.messages));
    assert.match(rows[i][5], new RegExp(s.dispositions.none ? number(s.dispositions.none) + " no action" : "rejected|quarantined"));
  });
  assert.ok(rows.every((r, i) => i === 0 || api.sources[i - 1].messages >= api.sources[i].messages));
  await close();
});

test("hostile names are text, and nothing of them runs", async () => {
  const { page, wrong, close } = await open(server.url);
  await ready(page);
  const names = await page.$$eval("#reports tbody tr td:nth-child(2) .v > bdi", (bs) => bs.map((b) => b.textContent));
  assert.ok(names.includes(SCRIPT), "script shown as text");
  assert.ok(names.includes(IMG), "img shown as text");
  assert.ok(names.includes("\ufffdmoc.elgoog & 'friends' \\ </style>"), "reordering characters are made visible");
  await page.click("#reports details summary");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.$$eval("main img, main script, main style, main [onerror], main [style]", (e) => e.length), 0);
  assert.deepEqual(wrong, []);
  await close();
});

test("notes: cut, repaired, duplicates and warnings are told", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  const note = (name) => page.evaluate((n) => {
    const row = [...document.querySelectorAll("#reports tbody tr")].find((tr) => tr.children[1].textContent.includes(n));
    return row.lastElementChild.textContent;
  }, name);
  assert.match(await note(SCRIPT), /cut off.*1 warning.*truncated: the document ends inside record 3.*record\[3\]/);
  assert.match(await note(IMG), /2 duplicates/);
  assert.match(await note("moc.elgoog"), /repaired.*1 unusable.*7 warnings.*and 2 more/);
  assert.match(await note("Old Reporter"), /none/);
  await close();
});

test("a report that arrives is shown within seconds, without a reload, and said aloud", async () => {
  const { page, wrong, close } = await open(server.url);
  await ready(page);
  await page.evaluate(() => { window.sameDocument = true; });
  const messages = Number((await textOf(page, "#kpi-messages")).replaceAll(",", ""));
  await page.focus("#reports details summary");
  const began = Date.now();
  fixture("add", store, "Just Arrived Ltd");
  await page.waitForFunction(() => document.querySelector("#reports tbody tr")?.textContent.includes("Just Arrived Ltd"));
  assert.ok(Date.now() - began < 5000);
  assert.equal(await textOf(page, "#kpi-messages"), number(messages + 7));
  assert.match(await textOf(page, "#news"), /A new report from Just Arrived Ltd/);
  assert.equal(await page.evaluate(() => window.sameDocument), true);
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "SUMMARY", "the focus stays where it was");
  assert.deepEqual(wrong, []);
  await close();
});

test("a message that could not be read is told until a good one comes", async () => {
  const { page, wrong, close } = await open(server.url);
  await ready(page);
  assert.equal(await page.isVisible("#unread"), false);
  fixture("broken", store);
  await page.waitForSelector("#unread:not([hidden])");
  assert.match(await textOf(page, "#unread"), /could not be read as a report.*quarantine/);
  fixture("add", store, "Good Again");
  await page.waitForSelector("#unread", { state: "hidden" });
  assert.deepEqual(wrong, []);
  await close();
});

test("period and domain change the numbers and stay in the address", async () => {
  const { page, wrong, close } = await open(server.url);
  await ready(page);
  const total = await textOf(page, "#kpi-messages");
  await page.check("input[value='7']", { force: true });
  await page.waitForFunction((t) => document.querySelector("#kpi-messages").textContent !== t, total);
  await page.selectOption("#domain", "shop.example.org");
  await page.waitForFunction(() => document.querySelector("#kpi-domains").textContent === "1");
  const api = await (await fetch(`${server.url}api/v1/summary?days=7&domain=shop.example.org`)).json();
  await page.waitForFunction((n) => document.querySelector("#kpi-messages").textContent === n, number(api.messages));
  assert.equal(new URL(page.url()).hash, "#days=7&domain=shop.example.org");
  const cells = await page.$$eval("#reports tbody td:nth-child(3) .v > bdi", (b) => [...new Set(b.map((x) => x.textContent))]);
  assert.deepEqual(cells, ["shop.example.org"]);
  await page.goto("about:blank");
  await page.goto(`${server.url}#days=7&domain=shop.example.org`);
  await ready(page);
  assert.equal(await textOf(page, "#kpi-messages"), number(api.messages));
  assert.deepEqual(wrong, []);
  await close();
});

test("days outside the period are mentioned, and All shows them", async () => {
  const { page, wrong, close } = await open(server.url);
  await ready(page);
  assert.match(await textOf(page, "#older-text"), /1 more report covers days outside/);
  const reports = Number(await textOf(page, "#kpi-reports"));
  await page.click("#older-show");
  await page.waitForFunction((n) => document.querySelector("#kpi-reports").textContent === String(n), reports + 1);
  assert.match(await textOf(page, "#chart-title"), /Messages by year/);
  assert.deepEqual(wrong, []);
  await close();
});

test("older reports are fetched by the button until there are none", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  const rows = () => page.$$eval("#reports tbody tr", (r) => r.map((x) => Number(x.dataset.seq)));
  assert.equal((await rows()).length, 25);
  while (await page.isVisible("#more")) {
    const n = (await rows()).length;
    await page.click("#more");
    await page.waitForFunction((k) => document.querySelectorAll("#reports tbody tr").length > k || document.querySelector("#more").hidden, n);
  }
  const seqs = await rows();
  assert.ok(seqs.length > 100);
  assert.deepEqual(seqs, [...seqs].sort((a, b) => b - a));
  assert.equal(new Set(seqs).size, seqs.length);
  await close();
});

test("keyboard: every control is reached in the order of the page, arrows read the chart", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  const order = [];
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => {
      const e = document.activeElement;
      return e.id || e.name || e.className || e.tagName;
    }));
  }
  assert.deepEqual(order, ["skip", "tab-aggregate", "days", "trusted", "domain", "older-show", "chart", "SUMMARY"]);
  await page.focus("#chart");
  await page.keyboard.press("ArrowLeft");
  const today = Object.entries(expected.days).sort().pop()[1];
  const said = await textOf(page, "#readout");
  assert.match(said, /messages, [\d,]+ passed, [\d,]+ failed/);
  assert.ok(Number(/([\d,]+) messages/.exec(said)[1].replaceAll(",", "")) >= today[0]);
  await page.keyboard.press("ArrowLeft");
  assert.notEqual(await textOf(page, "#readout"), said);
  await close();
});

test("names and roles for those who do not see: captions, labels, one h1", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  assert.equal(await page.$$eval("h1", (e) => e.length), 1);
  assert.equal(await page.$$eval("table", (ts) => ts.filter((t) => !t.caption?.textContent.trim()).length), 0);
  assert.match(await page.getAttribute("#chart", "aria-label"), /messages in 30 days/);
  assert.equal(await page.getByRole("combobox", { name: "Domain" }).count(), 1);
  assert.equal(await page.getByRole("radio", { name: "30 days", checked: true }).count(), 1);
  assert.ok(await page.getByRole("row").count() > 30);
  await close();
});

test("contrast of text is at least 4.5 to 1, light and dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const { page, close } = await open(server.url, { colorScheme });
    await ready(page);
    const low = await page.evaluate(lowContrast);
    assert.deepEqual(low, [], colorScheme);
    await close();
  }
});

/* --- the other kinds of reports ----------------------------------------------------------------------------------- */

let otherWeb, others;
const otherStore = join(tmp, "kinds.db");
async function openKinds(hash = "", options = {}) {
  if (!otherWeb) {
    fixture("make", otherStore, "10");
    others = fixture("kinds", otherStore);
    otherWeb = await startWeb(otherStore);
  }
  return open(`${otherWeb.url}${hash}`, options);
}
after(async () => { await otherWeb?.stop(); });
const panel = (page, tab) => page.waitForSelector(`#panel-${tab}:not([hidden]) table.stack:not([hidden]) tbody tr`, { timeout: 10000 });
const chooseTab = async (page, tab) => { await page.click(`#tab-${tab}`); await panel(page, tab); };

test("tabs: counts, one panel at a time, arrow keys, the address keeps the choice", async () => {
  const { page, wrong, close } = await openKinds();
  await panel(page, "aggregate");
  const counts = await page.$$eval("#tabs [role=tab]", (b) => b.map((x) => Number(x.querySelector(".n").textContent)));
  assert.deepEqual(counts.slice(1), [others.failures, others.tls, others.feedback, others.foreign]);
  await page.focus("#tab-aggregate");
  for (const tab of ["failure", "tls", "feedback", "foreign"]) {
    await page.keyboard.press("ArrowRight");
    await panel(page, tab);
    assert.equal(await page.evaluate(() => document.activeElement.id), `tab-${tab}`);
    assert.equal(await page.$$eval("[role=tabpanel]:not([hidden])", (p) => p.map((x) => x.id).join()), `panel-${tab}`);
    assert.equal(await page.getAttribute(`#tab-${tab}`, "aria-selected"), "true");
    assert.equal(new URL(page.url()).hash, `#tab=${tab}`);
  }
  await page.keyboard.press("ArrowRight");
  await panel(page, "aggregate");
  await page.keyboard.press("End");
  await panel(page, "foreign");
  await page.reload();
  await panel(page, "foreign");
  assert.deepEqual(wrong, []);
  await close();
});

test("trusted only: on by itself once a report was judged, can be switched off, is told", async () => {
  const { page, wrong, close } = await openKinds();
  await panel(page, "aggregate");
  assert.equal(await page.isChecked("#trusted"), true);
  assert.equal(await textOf(page, "#kpi-messages"), number(others.trusted_messages));
  assert.match(await textOf(page, "#untrusted"), /14 reports of this period are left out of the numbers/);
  await page.uncheck("#trusted");
  await page.waitForFunction((n) => document.querySelector("#kpi-messages").textContent !== n, number(others.trusted_messages));
  assert.match(await textOf(page, "#untrusted"), /14 reports in the numbers have a sender that nothing confirms/);
  assert.equal(new URL(page.url()).hash, "#trusted=0");
  await page.reload();
  await panel(page, "aggregate");
  assert.equal(await page.isChecked("#trusted"), false);
  assert.deepEqual(wrong, []);
  await close();
});

test("without any judged report the numbers are of all, and the page says what to do", async () => {
  const { page, close } = await open(server.url);
  await ready(page);
  assert.equal(await page.isChecked("#trusted"), false);
  assert.match(await textOf(page, "#trust-none"), /trust\.authserv_ids/);
  assert.equal(await page.isVisible("#untrusted"), false, "one hint is enough");
  await close();
});

test("trust is said in words on each report", async () => {
  const { page, close } = await openKinds("#trusted=0");
  await panel(page, "aggregate");
  const word = (org) => page.evaluate((o) => [...document.querySelectorAll("#reports tbody tr")]
    .find((tr) => tr.textContent.includes(o)).querySelector(".trust").textContent, org);
  assert.equal(await word("Forged Numbers"), "Sender: failed");
  assert.equal(await word("Trusted Reporter"), "Sender: authenticated");
  assert.equal(await word(SCRIPT), "Sender: unknown");
  await chooseTab(page, "failure");
  const words = await page.$$eval("#failures .trust", (b) => [...new Set(b.map((x) => x.textContent))].sort());
  assert.deepEqual(words, ["Sender: authenticated", "Sender: failed", "Sender: not authenticated", "Sender: unknown"]);
  await close();
});

test("failure reports: list, pages, domain; hostile text stays text", async () => {
  const { page, wrong, close } = await openKinds("#tab=failure");
  await panel(page, "failure");
  assert.equal(await page.$$eval("#failures tbody tr", (r) => r.length), 25);
  await page.click("#failures-more");
  await page.waitForFunction((n) => document.querySelectorAll("#failures tbody tr").length === n, others.failures);
  assert.equal(await page.isVisible("#failures-more"), false);
  const subjects = await page.$$eval("#failures tbody td:nth-child(4) .v > :first-child", (b) => [...new Set(b.map((x) => x.textContent))]);
  assert.ok(subjects.includes(SCRIPT));
  assert.ok(subjects.includes("no subject"));
  assert.ok(subjects.includes("\ufffdmoc.elgoog & 'friends' \\ </style>"));
  await page.selectOption("#domain", "shop.example.org");
  await page.waitForFunction(() => document.querySelectorAll("#failures tbody tr").length === 10);
  assert.equal(await page.isVisible("#period"), false, "the list has no period");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(wrong, []);
  await close();
});

test("one failure report: opened and closed by keyboard, all of it text, addresses made harmless, no body unasked", async () => {
  const { page, wrong, close } = await openKinds("#tab=failure");
  await panel(page, "failure");
  const asked = [];
  page.on("request", (r) => asked.push(r.url()));
  const row = `#failures tr[data-seq="${others.last_failure - 3}"] button`; /* subject HOSTILE_SCRIPT is the one of i % 4 == 1 */
  const button = (await page.$(row)) ?? (await page.$("#failures tbody tr button"));
  await button.focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("#detail[open] dl");
  const shown = await textOf(page, "#detail-content");
  assert.match(shown, /hxxps:\/\/evil\[\.\]example\/login\?a=<script>window\.hacked = 3<\/script>/);
  assert.doesNotMatch(shown, /https:\/\/evil/);
  assert.match(shown, /Your Bank <ceo@example\.org>/);
  assert.match(shown, /mx\.receiver\.example; dmarc=fail/);
  assert.match(shown, /\.\.\/\.\.\/evil\.exe/);
  assert.match(shown, /null sender/);
  assert.doesNotMatch(shown, /secret words/);
  assert.ok(!asked.some((u) => u.includes("body=1")));
  assert.equal(await page.$$eval("#detail a, #detail img, #detail script, #detail iframe, #detail [style]", (e) => e.length), 0);
  await page.click("#detail details summary");
  assert.equal(await page.$$eval("#detail details table tr", (r) => r.length), 3);
  await page.screenshot({ path: join(shots, "detail.png") });
  await page.getByRole("button", { name: "Show the message's text" }).click();
  await page.waitForSelector("#detail pre.body");
  assert.match(await textOf(page, "#detail pre.body"), /secret words\. hxxp:\/\/phish\[\.\]example\/x <script>/);
  await page.keyboard.press("Escape");
  await page.waitForSelector("#detail", { state: "hidden" });
  assert.equal(await textOf(page, "#detail-content"), "", "nothing of it stays behind");
  assert.equal(await page.evaluate(() => document.activeElement.textContent.startsWith("Details")), true, "the focus is back");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(wrong, []);
  await close();
});

test("SMTP TLS: figures and chart equal the data, failures by type and server", async () => {
  const { page, wrong, close } = await openKinds("#tab=tls");
  await panel(page, "tls");
  assert.equal(await textOf(page, "#kpi-sessions"), number(others.successful + others.failed));
  assert.equal(await textOf(page, "#sub-sessions"), `${number(others.successful)} successful, ${number(others.failed)} failed`);
  const bars = await page.$$eval("#tls-chart rect.pass", (r) => r.length);
  assert.match(await textOf(page, "#untrusted"), /4 reports of this period are left out/);
  assert.equal(bars, 18, "two days have reports of unknown senders only");
  const failed = await page.$$eval("#tls-failures tbody tr", (r) => r.map((x) => x.children[0].textContent));
  assert.ok(failed.includes("certificate-expired") && failed.includes(SCRIPT));
  assert.equal(await page.$$eval("#tls-reports tbody tr", (r) => r.length), 25);
  await page.focus("#tls-chart");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft"); /* today has none that counts */
  assert.match(await textOf(page, "#tls-readout"), /sessions, [\d,]+ successful, [\d,]+ failed, .*% success rate/);
  await page.screenshot({ path: join(shots, "tls.png"), fullPage: true });
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(wrong, []);
  await close();
});

test("other feedback and foreign reports stand apart", async () => {
  const { page, wrong, close } = await openKinds("#tab=feedback");
  await panel(page, "feedback");
  assert.equal(await page.$$eval("#feedback tbody tr", (r) => r.length), 3);
  assert.match(await textOf(page, "#feedback tbody tr td:nth-child(3)"), /abuse/);
  await page.click("#feedback tbody tr button");
  await page.waitForSelector("#detail[open] dl");
  assert.equal(await textOf(page, "#detail-title"), "Feedback report");
  await page.click("#detail-close");
  await chooseTab(page, "foreign");
  const kinds = await page.$$eval("#foreign tbody td:nth-child(4)", (b) => b.map((x) => x.textContent));
  assert.deepEqual(kinds, ["SMTP TLS", "failure", "aggregate"]);
  for (const tab of ["aggregate", "failure", "tls"]) {
    await chooseTab(page, tab);
    assert.doesNotMatch(await textOf(page, `#panel-${tab}`), /elsewhere\.example/);
  }
  assert.deepEqual(wrong, []);
  await close();
});

test("a failure report that arrives is shown by itself", async () => {
  const path = join(tmp, "soon.db");
  fixture("make", path, "3");
  const web = await startWeb(path);
  const { page, wrong, close } = await open(`${web.url}#tab=failure`);
  await page.waitForSelector("#failures-none:not([hidden])");
  assert.match(await textOf(page, "#failures-none"), /ruf=mailto/);
  await page.click("#tab-tls");
  await page.waitForSelector("#tls-reports-none:not([hidden])");
  assert.match(await textOf(page, "#tls-reports-none"), /_smtp\._tls.*TLSRPTv1/);
  await page.screenshot({ path: join(shots, "tls-empty.png"), fullPage: true });
  await page.click("#tab-failure");
  await page.waitForSelector("#panel-failure:not([hidden])");
  fixture("kinds", path);
  await panel(page, "failure");
  assert.match(await textOf(page, "#news"), /new reports/);
  assert.equal(await textOf(page, "#tab-failure .n"), "30");
  assert.deepEqual(wrong, []);
  await close();
  await web.stop();
});

for (const [name, options] of [
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["phone", { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }],
]) {
  test(`other kinds: nothing is wider than the window, text has contrast: ${name}`, async () => {
    const { page, wrong, close } = await openKinds("", options);
    await panel(page, "aggregate");
    for (const tab of ["failure", "tls", "feedback", "foreign"]) {
      await chooseTab(page, tab);
      assert.deepEqual(await page.evaluate(tooWide), [], tab);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), tab);
      assert.deepEqual(await page.evaluate(lowContrast), [], tab);
      await page.screenshot({ path: join(shots, `${tab}-${name}.png`), fullPage: true });
    }
    await chooseTab(page, "failure");
    await page.click("#failures tbody tr:nth-child(2) button");
    await page.waitForSelector("#detail[open] dl");
    assert.ok(await page.evaluate(() => document.querySelector("#detail").scrollWidth <= document.querySelector("#detail").clientWidth));
    assert.deepEqual(await page.evaluate(lowContrast), [], "detail");
    await page.screenshot({ path: join(shots, `detail-${name}.png`) });
    assert.deepEqual(wrong, []);
    await close();
  });
}

for (const [name, options] of [
  ["light", {}],
  ["dark", { colorScheme: "dark" }],
  ["tablet", { viewport: { width: 800, height: 1000 } }],
  ["phone", { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }],
]) {
  test(`nothing is wider than the window: ${name}`, async () => {
    const { page, wrong, close } = await open(server.url, options);
    await ready(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
    const out = await page.evaluate(tooWide);
    assert.deepEqual(out, []);
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
    assert.deepEqual(wrong, []);
    await close();
  });
}

test("no store, then an empty one, then the first report: the page follows by itself", async () => {
  const path = join(tmp, "later.db");
  const web = await startWeb(path);
  const { page, wrong, close } = await open(web.url);
  await page.waitForSelector("#empty:not([hidden])");
  assert.match(await textOf(page, "#empty"), /No report yet.*store does not exist yet.*swaks/s);
  await page.screenshot({ path: join(shots, "empty.png"), fullPage: true });
  fixture("empty", path);
  await page.waitForFunction(() => document.querySelector("#empty-why").textContent.includes("The store is ready"));
  fixture("add", path, "First Of All");
  await ready(page);
  assert.equal(await page.isVisible("#empty"), false);
  assert.equal(await textOf(page, "#kpi-reports"), "1");
  assert.match(await textOf(page, "#news"), /A new report from First Of All/);
  assert.deepEqual(wrong, []);
  await close();
  await web.stop();
});

test("a server that is gone is told, the numbers stay, and it recovers", async () => {
  const web = await startWeb(store);
  const { page, close } = await open(web.url);
  await ready(page);
  await web.stop();
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await textOf(page, "#alert"), /does not answer.*numbers below are from/);
  assert.ok(await page.isVisible("#kpi-messages"));
  await page.screenshot({ path: join(shots, "gone.png") });
  const back = await startWeb(store, new URL(web.url).port);
  await page.waitForSelector("#alert", { state: "hidden" });
  assert.match(await textOf(page, "#live-text"), /Live/);
  await close();
  await back.stop();
});

test("a store that cannot be read is told with the reason", async () => {
  const path = join(tmp, "broken.db");
  writeFileSync(path, "this is not a database, however long one looks at it ".repeat(40));
  const web = await startWeb(path);
  const { page, close } = await open(web.url);
  await page.waitForSelector("#alert:not([hidden])");
  assert.match(await textOf(page, "#alert"), /store cannot be read.*not a store/);
  await close();
  await web.stop();
});
