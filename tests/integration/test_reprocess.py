# SPDX-License-Identifier: Apache-2.0
"""`dmarctapctl reprocess`: what the store keeps is parsed again. Nothing changes where nothing differs; what differs gets its next revision,
reaches the outputs, and is neither lost nor doubled, over kills and trouble of the store too [I3]."""
import json
import os
import random
import signal
import sqlite3
import subprocess
import time

import pytest
import spoolfile
from taplib import PATIENCE, Site, arf, report_mail, tls_mail, wait_for
from test_outbox import OWNER, Box

TABLES = ("note", "record", "auth_result", "reason", "failure", "failure_sample", "failure_list", "failure_address", "failure_hop",
          "failure_attachment", "tls_policy", "tls_text", "tls_detail")
AUTHENTICATED = "Authentication-Results: mx.dmarctap.test; dkim=pass header.d=receiver.example; dmarc=pass header.from=receiver.example\r\n"


@pytest.fixture
def site():
    with Site() as s:
        yield s


def put(site, *mails):
    for raw in mails:
        spoolfile.put(site.spool, raw, owner=OWNER)


def kinds():
    return [report_mail("a", records=3, headers=AUTHENTICATED), report_mail("b", records=2), arf("auth-failure", "f"), arf("abuse", "c"),
            tls_mail("t")]


def rows(site, query, *args):
    with sqlite3.connect(f"file:{site.db}?mode=ro", uri=True) as db:
        return db.execute(query, args).fetchall()


def content(site):
    """All that is stored of each report, by its uid; no seq and no revision"""
    found = {}
    with sqlite3.connect(f"file:{site.db}?mode=ro", uri=True) as db:
        cursor = db.execute("SELECT * FROM report")
        names = [d[0] for d in cursor.description]
        for row in cursor.fetchall():
            head = {n: v for n, v in zip(names, row) if n not in ("seq", "revision")}
            seq = row[names.index("seq")]
            found[head["uid"]] = [head] + [[tuple(r[1:]) for r in db.execute(f"SELECT * FROM {t} WHERE seq = ? ORDER BY 2, 3, 4", (seq,))]
                                           for t in TABLES]
    return found


def stored(site, n):
    wait_for(lambda: os.path.exists(site.db) and rows(site, "SELECT 1 FROM sqlite_master WHERE name = 'reprocess'")
             and rows(site, "SELECT count(*) FROM report")[0][0] == n and not spoolfile.waiting(site.spool), 30)


def progress(box):
    return json.loads(box.ctl("reprocess", "--status", "--json"))


def refused(box, *args):
    p = subprocess.run([f"{box.site.bin}/dmarctapctl", "-c", box.site.config, "reprocess", *args], capture_output=True, text=True,
                       timeout=60, check=False)
    assert p.returncode != 0, (args, p.stdout)
    return p.stderr


def children(pid):
    found = []
    for name in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{name}/children", encoding="ascii") as f:
            found += [int(child) for child in f.read().split()]
    assert found
    return found


def again(box, *args):
    box.ctl("reprocess", *(args or ("--since", "2001-01-01")))
    wait_for(lambda: progress(box)["state"] == "ended", 30)
    return progress(box)


def spoil(site, *statements):
    site.kill("dmarctapd", signal.SIGTERM)
    with sqlite3.connect(site.db) as db:
        for s in statements:
            assert db.execute(s).rowcount > 0, s
    db.close()
    for end in ("", "-wal", "-shm"):
        if OWNER and os.path.exists(site.db + end):
            os.chown(site.db + end, *OWNER)


def damage(site):
    """Something in every kind of report"""
    spoil(site, "UPDATE record SET count = count + 1000, source_ip = '203.0.113.9'", "UPDATE report SET messages = 0 WHERE kind = 1",
          "UPDATE failure SET source_ip = NULL", "UPDATE failure_sample SET subject = 'other'", "DELETE FROM tls_detail",
          "UPDATE tls_policy SET successful = 1")


def test_where_nothing_differs_nothing_changes(site):
    box = Box(site, out="resend = true;")
    mbox = b"From bounce@example.net Tue Jun  2 10:00:00 2026\r\n" + arf("auth-failure", "m")  # as pipe(8) with the flag F
    returned = (b"From: MAILER-DAEMON@receiver.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
                b"Content-Type: multipart/report; report-type=delivery-status; boundary=d\r\n\r\n--d\r\n"
                b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; receiver.example\r\n\r\n"
                b"--d\r\nContent-Type: message/rfc822\r\n\r\n" + report_mail("r") + b"\r\n--d--\r\n")
    put(site, *kinds(), mbox, b"\r\n" + report_mail("blank", headers=AUTHENTICATED), returned)
    site.start("dmarctapd")
    stored(site, 8)
    assert rows(site, "SELECT count(*) FROM note WHERE text LIKE 'bounced:%'") == [(1,)]
    wait_for(lambda: box.idle("out"), 30)
    before, got = content(site), box.got("out")
    p = again(box)
    assert (p["messages"], p["done"], p["changed"], p["added"], p["failed"]) == (8, 8, 0, 0, 0), p
    assert content(site) == before and {r for (r,) in rows(site, "SELECT revision FROM report")} == {1}
    assert box.idle("out") and box.got("out") == got
    assert "ended, 8 of 8 messages done" in box.ctl("reprocess", "--status") and "reprocess    ended" in box.ctl("status")


def test_what_differs_is_put_right_and_sent_again(site):
    box = Box(site, out="resend = true;", old="")
    put(site, *kinds())
    site.start("dmarctapd")
    stored(site, 5)
    wait_for(lambda: box.idle("out") and box.idle("old"), 30)
    before, got = content(site), box.got("out")
    damage(site)
    assert content(site) != before
    site.start("dmarctapd")
    p = again(box)
    assert (p["done"], p["changed"], p["added"], p["failed"]) == (5, 5, 0, 0), p
    assert content(site) == before and {r for (r,) in rows(site, "SELECT revision FROM report")} == {2}
    wait_for(lambda: len(box.got("out")) == 2 * len(got), 30)
    assert sorted(box.got("out")[len(got):]) == sorted((u, i, 2) for u, i, _ in got)
    wait_for(lambda: box.idle("old"), 30)
    assert sorted(box.got("old")) == sorted(got)  # it cannot replace, and has the former
    assert again(box)["changed"] == 0


def test_one_report_and_one_time(site):
    box = Box(site, out="")
    put(site, *kinds())
    site.start("dmarctapd")
    stored(site, 5)
    before = content(site)
    spoil(site, "UPDATE record SET count = 7", "UPDATE report SET stored = stored - 86400 * 30")
    site.start("dmarctapd")
    now = int(time.time())
    assert "no report was stored in that time" in refused(box, "--since", str(now - 86400))
    assert "there is no report" in refused(box, "--report", "0" * 40)
    assert "--since" in refused(box) and "is no time" in refused(box, "--since", "yesterday")
    (uid,) = rows(site, "SELECT uid FROM report WHERE report_id = 'a'")[0]
    p = again(box, "--report", uid)
    assert (p["messages"], p["done"], p["changed"]) == (1, 1, 1)
    assert dict(rows(site, "SELECT report_id, revision FROM report WHERE kind = 1")) == {"a": 2, "b": 1}
    p = again(box, "--since", str(now - 86400 * 40), "--until", str(now - 86400))
    assert (p["done"], p["changed"]) == (5, 1)
    for one in before.values():
        one[0]["stored"] -= 86400 * 30  # when it came stays
    assert content(site) == before


def test_trust_is_derived_again(site):
    box = Box(site, out="resend = true;")
    put(site, *kinds(), report_mail("n", headers="Authentication-Results: other.example; dmarc=pass header.from=receiver.example\r\n"))
    site.start("dmarctapd")
    stored(site, 6)
    wait_for(lambda: box.idle("out"), 30)
    assert not rows(site, "SELECT 1 FROM report WHERE trusted")
    site.kill("dmarctapd", signal.SIGTERM)
    with open(site.config, "a", encoding="utf-8") as f:
        f.write('trust: { authserv_ids = [ "mx.dmarctap.test" ]; };\n')
    site.start("dmarctapd")
    p = again(box)
    assert p["failed"] == 0 and p["done"] == 6
    assert rows(site, "SELECT report_id, revision FROM report WHERE trusted") == [("a", 2)]
    assert rows(site, "SELECT from_domain FROM report WHERE report_id = 'a'") == [("receiver.example",)]


def test_what_cannot_be_read_again_stays(site):
    box = Box(site, out="")
    put(site, *kinds())
    site.start("dmarctapd")
    stored(site, 5)
    spoil(site, "UPDATE payload SET bytes = x'1f8b0800' WHERE message_id = (SELECT message_id FROM report WHERE report_id = 'a')",
          "UPDATE record SET count = 7")
    before = content(site)
    site.start("dmarctapd")
    p = again(box)
    assert (p["done"], p["changed"], p["failed"]) == (5, 1, 1) and p["last_failure"], p
    (uid,) = rows(site, "SELECT uid FROM report WHERE report_id = 'a'")[0]
    assert content(site)[uid] == before[uid] and "stays as it was" in site.log("dmarctapd")


def test_what_can_be_read_now_is_added_once(site):
    box = Box(site, out="")
    put(site, report_mail("a", records=2), report_mail("b", records=2))
    site.start("dmarctapd")
    stored(site, 2)
    before = content(site)
    # As if the second document of a container could not be read then: its payload is kept for the first's sake.
    spoil(site, "INSERT INTO payload (message_id, part, bytes) SELECT (SELECT message_id FROM report WHERE report_id = 'b'), 1, bytes "
          "FROM payload WHERE message_id = (SELECT message_id FROM report WHERE report_id = 'a')",
          "UPDATE report SET message_id = (SELECT message_id FROM report WHERE report_id = 'b') WHERE report_id = 'a'",
          "DELETE FROM record WHERE seq = (SELECT seq FROM report WHERE report_id = 'b')",
          "DELETE FROM auth_result WHERE seq = (SELECT seq FROM report WHERE report_id = 'b')",
          "DELETE FROM report WHERE report_id = 'b'")
    site.start("dmarctapd")
    p = again(box)
    # What stands now in another mail is no longer named by its subject: that one is another revision, under its own uid.
    assert (p["done"], p["changed"], p["added"], p["failed"]) == (1, 1, 1, 0), p
    assert rows(site, "SELECT report_id, revision FROM report ORDER BY 1") == [("a", 2), ("b", 1)]
    assert set(content(site)) == set(before) and rows(site, "SELECT count(*) FROM record") == [(4,)]
    p = again(box)
    assert (p["changed"], p["added"], p["failed"]) == (0, 0, 0), p


def many(n):
    return [report_mail(f"m{i}", records=2) for i in range(n)] + [arf("auth-failure", f"f{i}") for i in range(n // 4)]


@pytest.mark.parametrize("fault", [None, "store.reprocess:9:kill", "store.commit:4:kill", "store.committed:5:kill", "store.reprocess:12:ENOSPC", "reprocess.stage:5:ENOSPC",
                                   "store.commit:4:EIO"])
def test_goes_on_after_a_kill_and_after_trouble(site, fault):
    box = Box(site, out="resend = true;")
    mails = many(24)
    put(site, *mails)
    site.start("dmarctapd")
    stored(site, len(mails))
    wait_for(lambda: box.idle("out"), 30)
    before, got = content(site), set(box.got("out"))
    spoil(site, "UPDATE record SET count = count + 1", "UPDATE failure SET source_ip = '203.0.113.1'")
    p = site.start("dmarctapd", env={"TAP_FAULT": fault} if fault else None)
    try:
        box.ctl("reprocess", "--since", "2001-01-01")
    except AssertionError:
        assert fault and p.poll() is not None  # killed while it was asked
    if fault is None:
        time.sleep(random.uniform(0, 0.1))
        site.kill("dmarctapd")
        site.start("dmarctapd")
    elif fault.endswith("kill"):
        p.wait(30 * PATIENCE)
        site.kill("dmarctapd")
        site.start("dmarctapd")
        if not rows(site, "SELECT 1 FROM reprocess"):
            box.ctl("reprocess", "--since", "2001-01-01")
    elif not rows(site, "SELECT 1 FROM reprocess"):
        box.ctl("reprocess", "--since", "2001-01-01")
    wait_for(lambda: progress(box)["state"] == "ended", 40)
    p = progress(box)
    assert (p["messages"], p["done"], p["changed"], p["failed"]) == (len(mails), len(mails), len(mails), 0), p
    assert content(site) == before and {r for (r,) in rows(site, "SELECT revision FROM report")} == {2}
    wait_for(lambda: box.idle("out"), 30)
    assert set(box.got("out")) == got | {(u, i, 2) for u, i, _ in got}


def test_one_at_a_time_and_behind_new_mail(site):
    box = Box(site, out="")
    put(site, *many(40))
    worker = site.start("dmarctapd")
    stored(site, 50)
    parsers = children(worker.pid)
    for pid in parsers:  # none answers, so that the first is still under way when the second comes
        os.kill(pid, signal.SIGSTOP)
    box.ctl("reprocess", "--since", "2001-01-01")
    assert "under way" in refused(box, "--since", "2001-01-01")
    for pid in parsers:
        os.kill(pid, signal.SIGCONT)
    put(site, report_mail("new"))
    stored(site, 51)
    begin = time.monotonic()
    site.kill("dmarctapd", signal.SIGTERM)
    assert time.monotonic() - begin < 10 * PATIENCE
    site.start("dmarctapd")
    wait_for(lambda: progress(box)["state"] == "ended", 30)
    p = progress(box)
    assert (p["done"], p["changed"], p["failed"]) == (50, 0, 0), p
