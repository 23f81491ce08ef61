# SPDX-License-Identifier: Apache-2.0
"""dmarctap-web over HTTP: methods, hosts, paths and parameters, headers on every answer, hostile text, and the store in every state:
missing, empty, under another user, with a writer at work, after the writer's end, unreadable, too slow."""
import contextlib
import http.client
import importlib.util
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("TAP_BIN", f"{ROOT}/build/dev/bin")
FIXTURE = f"{ROOT}/tests/browser/fixture.py"
spec = importlib.util.spec_from_file_location("fixture", FIXTURE)
fixture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixture)

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ENDPOINTS = ["health", "summary", "days", "sources", "domains", "reports", "failures", "feedback", "tls", "tls-reports", "foreign"]


class Web:
    def __init__(self, store, settings="", listen="127.0.0.1:0", user=None, args=()):
        self.dir = tempfile.mkdtemp(prefix="tap-web-")
        os.chmod(self.dir, 0o755)
        conf = f"{self.dir}/dmarctap.conf"
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f'store: {{ path = "{store}"; }};\nweb: {{ listen = "{listen}"; {settings} }};\n')
        command = [f"{BIN}/dmarctap-web", "-c", conf, *args]
        if user:
            shutil.copy(command[0], self.dir)
            command[0] = f"{self.dir}/dmarctap-web"
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, user=user,
                                        group=pwd.getpwnam(user).pw_gid if user else None, extra_groups=[] if user else None)
        self.log, self.port = b"", 0
        end = time.monotonic() + 30
        while time.monotonic() < end and not self.port:
            if select.select([self.process.stderr], [], [], 0.2)[0]:
                piece = os.read(self.process.stderr.fileno(), 65536)
                if not piece:
                    break
                self.log += piece
            found = re.search(rb"listening on http://[^ ]*:(\d+)/", self.log)
            self.port = int(found.group(1)) if found else 0

    def raw(self, request):
        """Sends bytes and reads until the other side closes or resets, whenever that is."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), 20) as s:
            with contextlib.suppress(OSError):
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while piece := s.recv(65536):
                    got += piece
        return got

    def ask(self, path, method="GET", headers=None, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, r.headers, data

    def api(self, path, status=200):
        got, headers, data = self.ask(f"/api/v1/{path}")
        assert got == status, data
        assert headers["Content-Type"] == "application/json; charset=utf-8"
        assert headers["Cache-Control"] == "no-store"
        return json.loads(data)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.log += self.process.communicate(timeout=30)[1]
        shutil.rmtree(self.dir, ignore_errors=True)
        return self.process.returncode


def make(path, what="make", *more):
    out = subprocess.run([sys.executable, FIXTURE, what, path, *more], check=True, stdout=subprocess.PIPE)
    return json.loads(out.stdout)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("web") / "reports.db")
    return path, make(path, "make", "60")


@pytest.fixture(scope="module")
def web(filled):
    w = Web(filled[0])
    assert w.port, w.log
    yield w
    assert w.stop() == 0


def check_headers(headers):
    for name, value in SECURITY.items():
        assert headers[name] == value, name
    assert headers["Cache-Control"] in ("no-store", "no-cache")


def test_numbers_equal_the_data(web, filled):
    expect = filled[1]
    s = web.api("summary?days=30")
    assert (s["reports"], s["records"], s["messages"], s["passed"], s["domains"]) == (
        expect["reports"], expect["records"], expect["messages"], expect["passed"], 2)
    assert s["failed"] == s["messages"] - s["passed"]
    assert s["pass_rate"] == expect["passed"] * 10000 // expect["messages"] / 10000
    assert s["ever"] == {"reports": expect["total"], "first_begin": "2012-02-01T00:00:00Z", "last_begin": s["ever"]["last_begin"]}
    days = web.api("days?days=30")["days"]
    assert {d["day"]: [d["messages"], d["passed"]] for d in days} == expect["days"]
    assert [d["day"] for d in days] == sorted(expect["days"])
    sources = web.api("sources?days=30&limit=200")["sources"]
    assert sum(s["messages"] for s in sources) == expect["messages"]
    assert sum(s["dmarc"] for s in sources) == expect["passed"]
    assert all(sum(s["dispositions"].values()) == s["messages"] for s in sources)
    assert [s["messages"] for s in sources] == sorted((s["messages"] for s in sources), reverse=True)


def test_domain_filter_parts_add_up(web, filled):
    whole = web.api("summary")
    parts = [web.api(f"summary?domain={d['domain']}") for d in web.api("domains")["domains"]]
    assert sum(p["messages"] for p in parts) == whole["messages"] == filled[1]["messages"]
    assert web.api("summary?domain=nobody.example")["messages"] == 0
    assert web.api("summary?domain=nobody.example")["pass_rate"] is None


def test_reports_page_through_everything_once(web, filled):
    seen, before = [], ""
    while True:
        page = web.api(f"reports?limit=17{before}")["reports"]
        seen += [r["seq"] for r in page]
        if len(page) < 17:
            break
        before = f"&before={page[-1]['seq']}"
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == len(seen) == filled[1]["total"]


def test_hostile_text_is_json_and_nothing_else(web):
    status, _, data = web.ask("/api/v1/reports?limit=200")
    assert status == 200
    assert b"<" not in data and b">" not in data and b"&" not in data
    names = [r["org_name"] for r in json.loads(data)["reports"]]
    for name in (fixture.HOSTILE_SCRIPT, fixture.HOSTILE_IMG, fixture.HOSTILE_BIDI):
        assert name in names


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """A store with every kind of report, and what a reader must see in it."""
    path = str(tmp_path_factory.mktemp("kinds") / "reports.db")
    plain = make(path, "make", "10")
    expect = make(path, "kinds")
    w = Web(path)
    assert w.port, w.log
    yield w, expect, plain
    assert w.stop() == 0


def test_health_counts_each_kind(kinds, web):
    w, expect, plain = kinds
    h = w.api("health")
    assert h["kinds"] == {"aggregate": plain["total"] + 2, "failure": 30, "smtp_tls": 40, "feedback": 3, "foreign": 3}
    assert h["reports"] == sum(h["kinds"].values())
    assert h["authenticated"] is True
    assert web.api("health")["authenticated"] is False


def test_totals_are_of_trusted_reports_once_reports_are_judged(kinds, web, filled):
    w, expect, plain = kinds
    s = w.api("summary")
    assert (s["trusted_only"], s["messages"], s["untrusted"]) == (True, expect["trusted_messages"], plain["reports"] + 1)
    assert s == w.api("summary?trusted=1")
    everything = w.api("summary?trusted=0")
    assert everything["trusted_only"] is False
    assert s["ever"] == everything["ever"], "what lies before the first trusted report is not hidden"
    assert s["ever"]["reports"] == plain["total"] + 2 and s["ever"]["first_begin"] == "2012-02-01T00:00:00Z"
    assert everything["messages"] == plain["messages"] + 11 + 1000, "the forged one counts, the foreign one never does"
    for what, key in (("days", "messages"), ("sources?limit=200", "messages"), ("domains", "messages")):
        sign = "&" if "?" in what else "?"
        rows = w.api(what)[what.split("?")[0]]
        assert sum(r[key] for r in rows) == 11, what
        rows = w.api(f"{what}{sign}trusted=0")[what.split("?")[0]]
        assert sum(r[key] for r in rows) == everything["messages"], what
    # Nothing judged yet: all reports count, unless only trusted ones are asked for.
    assert web.api("summary")["trusted_only"] is False
    assert web.api("summary")["messages"] == filled[1]["messages"]
    assert web.api("summary?trusted=1")["messages"] == 0


def test_trust_of_each_report(kinds):
    w = kinds[0]
    by_org = {r["org_name"]: r["trust"] for r in w.api("reports?limit=200")["reports"]}
    assert by_org["Trusted Reporter"] == {"auth": "pass", "dmarc": "pass", "from_domain": "reporter.example", "reporter": "yes",
                                          "names": "yes", "foreign": False, "trusted": True}
    assert by_org["Forged Numbers"] == {"auth": "fail", "dmarc": "fail", "from_domain": "forger.example", "reporter": "no",
                                        "names": "unknown", "foreign": False, "trusted": False}
    assert by_org["Old Reporter"]["auth"] == "unknown"
    assert "Foreign Reporter" not in by_org


def every(w, what, key, more=""):
    seen, before = [], ""
    while True:
        rows = w.api(f"{what}?limit=7{before}{more}")[key]
        seen += rows
        if len(rows) < 7:
            return seen
        before = f"&before={rows[-1]['seq']}"


def test_failure_reports_page_through_everything_once(kinds):
    w, expect, _ = kinds
    rows = every(w, "failures", "failures")
    assert len(rows) == expect["failures"] == len({r["seq"] for r in rows})
    assert [r["seq"] for r in rows] == sorted((r["seq"] for r in rows), reverse=True)
    assert {r["subject"] for r in rows} == {"Your invoice", fixture.HOSTILE_SCRIPT, fixture.HOSTILE_BIDI, None}
    r = rows[0]
    assert (r["auth_failure"], r["delivery_result"], r["source_ip"], r["mail_from"]) == ("dmarc, spf", "reject", "203.0.113.99", "")
    assert len(every(w, "failures", "failures", "&domain=shop.example.org")) == 10
    assert w.api("failures?domain=nobody.example")["failures"] == []


def test_one_failure_report(kinds):
    w, expect, _ = kinds
    listed = next(r for r in w.api("failures")["failures"] if r["subject"] == fixture.HOSTILE_SCRIPT)
    status, _, raw = w.ask(f"/api/v1/failure?seq={listed['seq']}")
    assert status == 200
    assert b"secret words" not in raw, "the text of the message is not sent unasked"
    assert b"<" not in raw and b">" not in raw and b"&" not in raw
    d = json.loads(raw)
    assert (d["seq"], d["uid"], d["kind"], d["format"]) == (listed["seq"], listed["uid"], "failure", "arf")
    assert d["reported_uris"] == [fixture.HOSTILE_URI]
    assert d["auth_failure"] == ["dmarc", "spf"] and d["failed_mechanisms"] == ["dkim"] and d["alignment_known"] is True
    assert d["extra"] == [{"name": "X-Extra", "value": fixture.HOSTILE_IMG}]
    assert d["source_port"] is None and d["dkim"]["canonicalized_body"] is None
    s = d["sample"]
    assert s["from"] == [{"name": "Your Bank", "address": "ceo@example.org"}]
    assert [h["name"] for h in s["headers"]] == ["From", "Subject", "X-Mean"]
    assert s["attachments"] == [{"filename": "../../evil.exe", "content_type": "application/octet-stream", "size": 4,
                                 "sha256": "ab" * 32, "damaged": False}]
    assert s["has_body"] is True and s["body"] is None
    assert s["received"][0]["from"] == "spammer.example"
    whole = w.api(f"failure?seq={listed['seq']}&body=1")
    assert whole["sample"]["body"].startswith("The secret words.")
    whole["sample"]["body"] = None
    assert whole == d
    bare = next(r for r in w.api("failures")["failures"] if r["subject"] is None)
    assert w.api(f"failure?seq={bare['seq']}")["sample"] is None


def test_failure_that_is_not_there(kinds, tmp_path):
    w = kinds[0]
    aggregate = w.api("reports?limit=1")["reports"][0]["seq"]
    for seq in (aggregate, 10**9, 2**63 - 1):
        assert "no failure or feedback report" in w.api(f"failure?seq={seq}", 404)["error"]
    empty = Web(str(tmp_path / "none.db"))
    assert "no failure" in empty.api("failure?seq=1", 404)["error"]
    assert empty.api("failures")["failures"] == empty.api("foreign")["reports"] == empty.api("tls")["days"] == []
    assert empty.stop() == 0


def test_other_feedback_and_foreign_reports_stand_apart(kinds):
    w = kinds[0]
    rows = w.api("feedback")["feedback"]
    assert [r["feedback_type"] for r in rows] == ["abuse"] * 3
    assert w.api(f"failure?seq={rows[0]['seq']}")["kind"] == "feedback"
    foreign = w.api("foreign")["reports"]
    assert [r["kind"] for r in foreign] == ["smtp_tls", "failure", "aggregate"]
    assert all(r["trust"]["foreign"] and r["domain"] == "elsewhere.example" for r in foreign)
    for what in ("reports", "failures", "feedback", "tls-reports", "tls", "domains?trusted=0", "sources?trusted=0"):
        assert b"elsewhere.example" not in w.ask(f"/api/v1/{what}")[2], what


def test_smtp_tls(kinds):
    w, expect, _ = kinds
    t = w.api("tls")
    assert t["trusted_only"] is True and t["untrusted"] == 4
    for part in ("days", "domains"):
        assert sum(r["successful"] for r in t[part]) == expect["successful"], part
        assert sum(r["failed"] for r in t[part]) == expect["failed"], part
    assert sum(r["failed"] for r in t["failures"]) == expect["failed"]
    assert [r["failed"] for r in t["failures"]] == sorted((r["failed"] for r in t["failures"]), reverse=True)
    first = t["failures"][0]
    assert (first["result_type"], first["receiving_mx"]) == ("certificate-expired", "mx1.example.org")
    assert t["days"] == sorted(t["days"], key=lambda r: r["day"])
    everything = w.api("tls?trusted=0")
    assert everything["trusted_only"] is False and sum(r["reports"] for r in everything["days"]) == expect["tls"]
    assert len(w.api("tls?limit=1")["failures"]) == 1 and w.api("tls?limit=1")["days"] == t["days"]
    assert w.api("tls?domain=nobody.example")["days"] == []
    rows = every(w, "tls-reports", "reports")
    assert len(rows) == expect["tls"] and all(r["kind"] == "smtp_tls" for r in rows)
    assert all(r["sessions"] == r["successful"] + r["failed"] for r in rows)
    assert len(every(w, "tls-reports", "reports", "&domain=example.org")) == expect["tls"]


def test_a_store_of_an_older_version(tmp_path):
    path = str(tmp_path / "reports.db")
    make(path, "empty")
    db = sqlite3.connect(path, isolation_level=None)
    (now,) = db.execute("PRAGMA user_version").fetchone()
    db.execute(f"PRAGMA user_version = {now - 1}")
    w = Web(path)
    for what in ("health", "summary", "failures", "tls"):
        assert "start dmarctapd once" in w.api(what, 503)["error"]
    db.execute(f"PRAGMA user_version = {now}")
    assert w.api("health")["store"] == "ok"
    assert w.stop() == 0


def test_every_answer_carries_the_security_headers(web):
    for path in ["/", "/assets/app.js", "/assets/style.css", "/assets/favicon.svg", "/nothing", "/api/v1/summary?days=x",
                 *(f"/api/v1/{e}" for e in ENDPOINTS)]:
        check_headers(web.ask(path)[1])
    check_headers(web.ask("/", "POST", body="x")[1])
    check_headers(web.ask("/", headers={"Host": "evil.example"})[1])


def test_page_has_no_inline_code(web):
    status, headers, data = web.ask("/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    text = data.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)
    for src in re.findall(r'(?:src|href)="(/assets/[^"]+)"', text):
        assert web.ask(src)[0] == 200, src
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_assets_are_not_sent_twice(web):
    for path in ("/", "/assets/app.js", "/assets/style.css"):
        _, headers, data = web.ask(path)
        assert data and headers["Cache-Control"] == "no-cache"
        status, again, nothing = web.ask(path, headers={"If-None-Match": headers["ETag"]})
        assert (status, nothing) == (304, b"")
        check_headers(again)
        assert web.ask(path, headers={"If-None-Match": '"other"'})[0] == 200


def test_only_get_and_head(web):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        status, headers, data = web.ask("/api/v1/summary", method, body="days=3" * 1000)
        assert status == 405, method
        assert headers["Allow"] == "GET, HEAD"
        assert "error" in json.loads(data)
    status, headers, data = web.ask("/api/v1/summary", "HEAD")
    assert (status, data) == (200, b"") and int(headers["Content-Length"]) > 100
    assert web.ask("/", "HEAD")[0] == 200


def test_foreign_hosts_are_refused(web):
    for host in ("evil.example", f"evil.example:{web.port}", "localhost.evil.example", "127.0.0.2", "", "[::2]", "a" * 5000):
        status, _, data = web.ask("/api/v1/reports", headers={"Host": host})
        assert status == 403, host
        assert b"org_name" not in data
    for host in ("localhost", f"localhost:{web.port}", "127.0.0.1:1", "[::1]:80", "LOCALHOST"):
        assert web.ask("/api/v1/health", headers={"Host": host})[0] == 200, host


def test_exactly_one_host_header(web):
    for lines in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        got = web.raw(b"GET /api/v1/reports HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 40[03] ", got), got[:80]
        assert b"org_name" not in got
    assert b" 403 " in web.raw(b"GET / HTTP/1.0\r\n\r\n").split(b"\r\n")[0]


@pytest.mark.parametrize("query, reason", [
    ("summary?days=0", "days must be a whole number from 1 to 36600"), ("summary?days=36601", "days must"),
    ("summary?days=", "days must"), ("summary?days", "no value"), ("summary?days=1&days=2", "twice"),
    ("summary?days=%31%00", "days must"), ("summary?days=+7", "days must"), ("summary?days=7;drop", "days must"),
    ("summary?nonsense=1", "unknown parameter"), ("summary?limit=1", "unknown parameter"), ("health?x", "unknown parameter"),
    ("sources?limit=0", "limit must"), ("sources?limit=201", "limit must"), ("sources?limit=99999999999999999999", "limit must"),
    ("reports?before=0", "before must"), ("reports?before=-5", "before must"), ("reports?days=3", "unknown parameter"),
    ("summary?domain=", "domain must"), ("summary?domain=a%20b", "domain must"), ("summary?domain=" + "a" * 256, "domain must"),
    ("summary?trusted=2", "trusted must"), ("summary?trusted=yes", "trusted must"), ("reports?trusted=1", "unknown parameter"),
    ("failures?days=3", "unknown parameter"), ("failure", "seq is needed"), ("failure?seq=0", "seq must"),
    ("failure?seq=1&body=2", "body must"), ("failures?body=1", "unknown parameter"), ("tls?before=3", "unknown parameter"),
    ("summary?domain=a%00b", "domain must"), ("summary?%00=1", "unknown parameter"),
])
def test_bad_parameters(web, query, reason):
    assert reason in web.api(query, 400)["error"]


def test_sql_in_a_parameter_is_a_value(web):
    assert web.api("summary?domain='or(1=1)--")["messages"] == 0
    assert web.api("reports?domain=%27%3BDELETE%2F**%2FFROM%2F**%2Freport")["reports"] == []
    assert web.api("summary")["messages"] > 0


@pytest.mark.parametrize("path", [
    "/../../../../etc/passwd", "/assets/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/%2e%2e%2fapp.js", "//etc/passwd",
    "/assets/", "/assets", "/index.html", "/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/summary", "/api/v1/summary/",
    "/API/v1/summary", "/%00", "/assets/app.js%00.css", "/api/v1/summary%00", "/assets/app.js.map", "/.", "/./",
])
def test_no_other_path(web, path):
    got = web.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 404 "), got[:100]
    assert b"root:" not in got


def test_long_addresses_and_headers(web):
    status, headers, data = web.ask("/api/v1/summary?domain=" + "a" * 3000)
    assert status == 414 and "too long" in json.loads(data)["error"]
    check_headers(headers)
    assert web.ask("/" + "a" * 2040)[0] == 404
    for request in (b"GET /" + b"a" * 10**6 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 10**5 + b"\r\n"):
        got = web.raw(request)
        assert not got.startswith(b"HTTP/1.1 200"), got[:80]
    assert web.ask("/")[0] == 200


@pytest.mark.parametrize("request_", [
    b"\r\n\r\n", b"\x00" * 100, b"GET\r\n\r\n", b"GET http://evil.example/api/v1/reports HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"GET /api/v1/reports HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
])
def test_broken_requests_get_nothing(web, request_):
    assert b"org_name" not in web.raw(request_)
    assert web.ask("/api/v1/health")[0] == 200


def test_many_at_once(web):
    failures = []

    def one(i):
        try:
            for _ in range(5):
                assert web.ask(f"/api/v1/{ENDPOINTS[i % len(ENDPOINTS)]}")[0] == 200
        except Exception as e:  # pylint: disable=broad-except
            failures.append(e)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


def test_idle_connections_do_not_keep_others_out(filled):
    w = Web(filled[0], 'connections = 8; threads = 2; idle_timeout = "1s";')
    idle = [socket.create_connection(("127.0.0.1", w.port)) for _ in range(20)]
    try:
        assert w.ask("/api/v1/health")[0] == 200
    finally:
        for s in idle:
            s.close()
        assert w.stop() == 0


def test_no_store_yet_then_one(tmp_path):
    path = str(tmp_path / "reports.db")
    w = Web(path)
    h = w.api("health")
    assert (h["store"], h["reports"], h["last_message"]) == ("missing", 0, None)
    assert w.api("days")["days"] == w.api("sources")["sources"] == w.api("reports")["reports"] == w.api("domains")["domains"] == []
    s = w.api("summary")
    assert (s["reports"], s["messages"], s["pass_rate"], s["last_received"]) == (0, 0, None, None)
    open(path, "wb").close()
    assert w.api("health")["store"] == "missing"
    os.unlink(path)
    make(path, "empty")
    assert w.api("health")["store"] == "ok"
    assert w.api("summary")["reports"] == 0
    make(path, "add", "First")
    h = w.api("health")
    assert h["reports"] == 1
    assert w.api("reports")["reports"][0]["org_name"] == "First"
    make(path, "add", "Second")
    assert w.api("health")["change"] != h["change"]
    assert w.stop() == 0


def test_as_another_user_beside_a_writer_and_after_it():
    """The store belongs to root here, its directory too; nobody may read and not write."""
    folder = tempfile.mkdtemp(prefix="tap-web-store-")
    os.chmod(folder, 0o755)
    path = f"{folder}/reports.db"
    try:
        make(path, "make", "30")
        before = sorted((e.name, e.stat().st_mtime_ns) for e in os.scandir(folder) if not e.name.endswith("-shm"))
        w = Web(path, user="nobody")
        assert w.port, w.log
        # Only -wal and -shm of a writer that is gone.
        assert w.api("summary")["reports"] > 0
        assert sorted((e.name, e.stat().st_mtime_ns) for e in os.scandir(folder) if not e.name.endswith("-shm")) == before
        # A writer at work, a transaction open.
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        fixture.add_report(db, 777, "Not Yet", "example.org", fixture.today(), [("192.0.2.1", 1, "none", 1, 1)])
        assert w.api("reports?limit=1")["reports"][0]["org_name"] != "Not Yet"
        db.execute("COMMIT")
        assert w.api("reports?limit=1")["reports"][0]["org_name"] == "Not Yet"
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert w.api("reports?limit=1")["reports"][0]["org_name"] == "Not Yet"
        # No permission: said with the reason, and over when it is given again.
        os.chmod(path, 0o600)
        assert "ermission denied" in w.api("summary", 503)["error"]
        os.chmod(path, 0o644)
        assert w.api("health")["store"] == "ok"
        db.close()
        assert w.stop() == 0
    finally:
        shutil.rmtree(folder)


def test_gives_root_up():
    folder = tempfile.mkdtemp(prefix="tap-web-store-")
    os.chmod(folder, 0o755)
    path = f"{folder}/reports.db"
    make(path, "make", "3")
    w = Web(path, 'user = "nobody";')
    assert w.port, w.log
    with open(f"/proc/{w.process.pid}/status", encoding="ascii") as f:
        status = f.read()
    assert f"Uid:\t{pwd.getpwnam('nobody').pw_uid}\t" in status
    assert "NoNewPrivs:\t1" in status
    assert w.api("summary")["reports"] > 0
    assert w.stop() == 0
    shutil.rmtree(folder)


def test_a_writer_that_never_rests(tmp_path):
    path = str(tmp_path / "reports.db")
    make(path, "make", "10")
    stop = threading.Event()

    def write():
        db = sqlite3.connect(path, isolation_level=None, timeout=30)
        n = 10**7
        while not stop.is_set():
            n += 1
            db.execute("BEGIN IMMEDIATE")
            fixture.add_report(db, n, "Busy", "example.org", fixture.today(), [("192.0.2.1", 1, "none", 1, 1)] * 1)
            db.execute("COMMIT")
            if n % 50 == 0:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    writer = threading.Thread(target=write)
    w = Web(path)
    writer.start()
    try:
        last = 0
        for _ in range(60):
            s = w.api("summary")
            assert s["reports"] >= last
            last = s["reports"]
            w.api("sources")
    finally:
        stop.set()
        writer.join()
    assert w.stop() == 0


def test_not_a_store(tmp_path):
    path = tmp_path / "reports.db"
    path.write_bytes(b"nothing that SQLite would know, repeated. " * 30)
    w = Web(str(path))
    assert "not a store" in w.api("summary", 503)["error"]
    assert w.ask("/")[0] == 200
    assert w.stop() == 0
    assert b"not a store" in w.log


def test_a_question_that_takes_too_long(tmp_path):
    path = str(tmp_path / "reports.db")
    make(path, "empty")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    fixture.add_report(db, 1, "Large", "example.org", fixture.today(), [])
    db.execute("""INSERT INTO record (seq, ordinal, idx, source_ip, count, disposition, evaluated, dkim_aligned, spf_aligned)
        WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 600000)
        SELECT 1, i, i, '192.0.2.' || (i % 250), 1, 'none', 1, 1, 1 FROM n""")
    db.execute("COMMIT")
    w = Web(path, 'query_deadline = "100ms";')
    began = time.monotonic()
    assert "took too long" in w.api("sources", 503)["error"]
    assert time.monotonic() - began < 3
    assert w.api("summary")["reports"] == 1
    assert w.stop() == 0


def refused(*args, **kw):
    w = Web("/nonexistent/reports.db", *args, **kw)
    assert not w.port, w.log
    assert w.process.wait(30) == 1
    log = (w.log + w.process.stderr.read()).decode()
    w.process.stderr.close()
    shutil.rmtree(w.dir)
    return log


def test_remote_addresses_need_a_word():
    for listen in ("0.0.0.0:0", "[::]:0", "*:0", ":0", "192.0.2.1:0", "dash.example:0"):
        log = refused(listen=listen)
        assert "no login" in log and "allow_remote" in log, listen
    assert "no login" in refused(args=("-l", "0.0.0.0:0"))
    w = Web("/nonexistent/reports.db", 'allow_remote = true; hosts = [ "dash.example" ];', listen="0.0.0.0:0")
    assert w.port and b"no login" in w.log
    assert w.ask("/api/v1/health", headers={"Host": "dash.example"})[0] == 200
    assert w.ask("/api/v1/health", headers={"Host": "other.example"})[0] == 403
    assert w.stop() == 0


def test_broken_settings_stop_the_start():
    assert "web.listen" in refused(listen="8321")
    assert "web.hosts" in refused('hosts = [ "http://dash.example/" ];')
    assert "allow_remote" in refused("allow_remot = true;")
    assert "dmarctap.conf:2" in refused("threads = 0;")
    assert "web.connections" in refused("threads = 32; connections = 8;")
    assert "no-such-user" in refused('user = "no-such-user-here";') or os.geteuid() != 0


def test_port_taken_is_said(web):
    assert str(web.port) in refused(listen=f"127.0.0.1:{web.port}")


def test_usage():
    def run(*args):
        return subprocess.run([f"{BIN}/dmarctap-web", *args], capture_output=True, text=True, timeout=30, check=False)
    assert run("-h").returncode == 0 and "-c CONFIG" in run("-h").stdout
    assert re.fullmatch(r"dmarctap-web \d+\.\d+\.\d+\n", run("-v").stdout)
    for args in (("-x",), ("-c",), ("stray",)):
        assert run(*args).returncode == 2
    r = run("-c", "/nonexistent.conf")
    assert r.returncode == 1 and "/nonexistent.conf" in r.stderr
