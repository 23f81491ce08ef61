#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes and extends a store for the tests of the dashboard, and says what a reader must see in it.

Usage: fixture.py make STORE [REPORTS]   makes STORE from store/schema/*.sql and fills it; prints the expected numbers as JSON
       fixture.py add STORE ORG          adds one report of today
       fixture.py broken STORE          a message arrives that holds no readable report
       fixture.py empty STORE            a migrated store without a report
       fixture.py kinds STORE            adds failure, feedback, SMTP TLS and foreign reports of today, trusted and not; prints what
                                         a reader must see
The writer ends without closing the database: -wal and -shm stay, as they do after dmarctapd.
"""
import glob
import hashlib
import json
import os
import sqlite3
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAY = 86400
HOSTILE_SCRIPT = "<script>window.hacked = 1</script>"
HOSTILE_IMG = '"><img src=x onerror="window.hacked = 2">'
HOSTILE_BIDI = "\u202emoc.elgoog & 'friends' \\ </style>"


def connect(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    return db


def migrate(db):
    names = sorted(glob.glob(os.path.join(ROOT, "store", "schema", "*.sql")))
    for name in names:
        with open(name, encoding="utf-8") as f:
            db.executescript(f.read())
    db.execute("PRAGMA application_id = 1146372432")
    db.execute(f"PRAGMA user_version = {len(names)}")


def insert(db, table, **values):
    names = ", ".join(f'"{n}"' for n in values)
    marks = ", ".join("?" * len(values))
    return db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values())).lastrowid


def add_message(db, n, reports=1, broken=0):
    return insert(db, "message", spool_id=f"spool-{n}", door="milter", sender="", recipients="r@example.org",
                  arrival=int(time.time()), fate="report", size=1, sha256=b"\0" * 32, headers=b"", reports=reports,
                  broken=broken)


def add_report(db, n, org, domain, begin, rows, notes=(), **extra):
    """rows: (ip, count, disposition, dkim, spf)"""
    messages = sum(r[1] for r in rows)
    passed = sum(r[1] for r in rows if r[3] or r[4])
    stored = int(time.time())
    values = {
        "uid": hashlib.sha1(f"{org}{n}".encode()).hexdigest(), "kind": 1, "message_id": add_message(db, n), "part": 0,
        "document": 0, "stored": stored, "schema": 1, "org_name": org, "email": f"noreply{n}@reporter.example",
        "report_id": f"id-{n}", "begin": begin, "end": begin + DAY - 1, "domain": domain, "p": "reject",
        "content_hash": b"\0" * 32, "content_bytes": 100, "records": len(rows), "dropped": 0, "messages": messages,
        "passed": passed, "truncated": 0, "recovered": 0, "warnings": len(notes), "duplicates": 0, **extra,
    }
    seq = insert(db, "report", **values)
    for i, (place, text) in enumerate(notes):
        insert(db, "note", seq=seq, kind=1, n=i, place=place, text=text)
    for i, (ip, count, disposition, dkim, spf) in enumerate(rows):
        insert(db, "record", seq=seq, ordinal=i, idx=i, source_ip=ip, count=count, disposition=disposition, evaluated=1,
               dkim_aligned=dkim, spf_aligned=spf, header_from=domain)
    return messages, passed


TRUSTED = {"auth": 3, "dmarc": 3, "reporter": 1, "names": 1, "trusted": 1, "from_domain": "reporter.example"}
FORGED = {"auth": 2, "dmarc": 2, "reporter": 2, "from_domain": "forger.example"}
UNSIGNED = {"auth": 1}
HOSTILE_URI = "https://evil.example/login?a=<script>window.hacked = 3</script>"


def add_other(db, n, kind, org, domain, **extra):
    """A report of a kind without records."""
    values = {
        "uid": hashlib.sha1(f"{org}{n}".encode()).hexdigest(), "kind": kind, "message_id": add_message(db, n), "part": 0,
        "document": 0, "stored": int(time.time()), "schema": 1, "org_name": org, "email": f"noreply{n}@reporter.example",
        "report_id": f"id-{n}", "begin": today(), "end": today() + DAY - 1, "domain": domain, "content_hash": b"\0" * 32,
        "content_bytes": 100, "records": 0, "dropped": 0, "messages": 1, "passed": 0, "truncated": 0, "recovered": 0,
        "warnings": 0, **extra}
    return insert(db, "report", **values)


def add_failure(db, n, kind, org, domain, subject, **extra):
    """Subject None: a report without a sample."""
    seq = add_other(db, n, kind, org, domain, **extra)
    insert(db, "failure", seq=seq, format=0, feedback_type="auth-failure" if kind == 2 else "abuse", user_agent="Agent/1.0",
           version="1", original_mail_from="", arrival_date="Mon, 23 Nov 2026 10:00:00 +0000", arrival=today() + 3600,
           message_id="<m@example.org>", delivery_result="reject", alignment_known=1, dkim_domain=domain, dkim_header_given=0,
           dkim_header_size=0, dkim_header_sha256="", dkim_body_given=0, dkim_body_size=0, dkim_body_sha256="",
           source_ip="203.0.113.99", source_ip_from_sample=0, source_port=-1, incidents=1 + n % 2, sample_utf8=1,
           sample_headers_only=0, sample_damaged=0, human_text="This is a report of a message that failed. See http://help.example/")
    lists = [(1, None, "mx.receiver.example; dmarc=fail header.from=example.org"), (2, None, "dmarc"), (2, None, "spf"),
             (5, None, "dkim"), (6, None, domain), (7, None, HOSTILE_URI), (8, "X-Extra", HOSTILE_IMG)]
    if subject is not None:
        insert(db, "failure_sample", seq=seq, subject=subject, message_id="<m@example.org>", date="Mon, 23 Nov 2026 10:00:00 +0000",
               time=today() + 3600, has_zone=1, zone=0, has_defects=0, bytes=b"Subject: x\r\n\r\nsecret words",
               body="The secret words. http://phish.example/x " + HOSTILE_SCRIPT)
        insert(db, "failure_address", seq=seq, field=0, n=0, display_name="Your Bank", address="ceo@example.org",
               local_part="ceo", domain="example.org")
        insert(db, "failure_address", seq=seq, field=1, n=0, display_name="", address="victim@receiver.example",
               local_part="victim", domain="receiver.example")
        insert(db, "failure_hop", seq=seq, n=0, **{"from": "spammer.example", "by": "mx.receiver.example"}, date="x",
               time=today(), delay=0, hop=1)
        insert(db, "failure_attachment", seq=seq, n=0, filename="../../evil.exe", content_type="application/octet-stream",
               size=4, sha256="ab" * 32, is_text=0, damaged=0, payload=b"MZ\0\0")
        lists += [(10, "From", "Your Bank <ceo@example.org>"), (10, "Subject", subject), (10, "X-Mean", HOSTILE_IMG),
                  (13, None, "d=example.org s=k1")]
    count = {}
    for kind_, name, value in lists:
        count[kind_] = count.get(kind_, -1) + 1
        insert(db, "failure_list", seq=seq, kind=kind_, n=count[kind_], name=name, value=value)
    return seq


def add_tls(db, n, org, domain, day, good, bad, **extra):
    seq = add_other(db, n, 4, org, domain, records=1, details=2 if bad else 0, messages=good + bad, passed=good,
                    **{"begin": day, "end": day + DAY - 1, **extra})
    insert(db, "tls_policy", seq=seq, ordinal=0, idx=0, policy_type="sts", domain=domain, successful=good, failed=bad,
           details=2 if bad else 0)
    if bad:
        insert(db, "tls_detail", seq=seq, ordinal=1, policy=0, idx=0, result_type="certificate-expired", failed=bad - bad // 3,
               receiving_mx_hostname="mx1.example.org")
        insert(db, "tls_detail", seq=seq, ordinal=2, policy=0, idx=1, result_type=HOSTILE_SCRIPT if n % 7 == 0 else
               "starttls-not-supported", failed=bad // 3)


def kinds(path):
    """30 failure reports, 3 of other feedback, 40 of SMTP TLS, 3 foreign ones, and aggregate ones that are trusted and forged."""
    db = connect(path)
    db.execute("BEGIN")
    expect = {"failures": 30, "feedback": 3, "tls": 40, "foreign": 3, "successful": 0, "failed": 0, "trusted_messages": 0}
    trusts = [TRUSTED, UNSIGNED, FORGED, {}]
    subjects = ["Your invoice", HOSTILE_SCRIPT, HOSTILE_BIDI, None]
    for i in range(30):
        expect["last_failure"] = add_failure(db, 3 * 10**6 + i, 2, f"receiver{i % 5}.example", "example.org" if i % 3 else
                                             "shop.example.org", subjects[i % 4], **trusts[i % 4])
    for i in range(3):
        add_failure(db, 4 * 10**6 + i, 8, HOSTILE_IMG, "example.org", "Buy now", **trusts[i])
    for i in range(40):
        bad = (i * 5) % 13
        add_tls(db, 5 * 10**6 + i, "google.com" if i % 2 else HOSTILE_SCRIPT, "example.org", today() - (i % 20) * DAY, 900 + i, bad,
                **(TRUSTED if i % 10 else UNSIGNED))
        if i % 10:
            expect["successful"] += 900 + i
            expect["failed"] += bad
    rows = [("192.0.2.66", 1000, "none", 1, 1)]
    add_report(db, 6 * 10**6, "Forged Numbers", "example.org", today(), rows, **FORGED)
    add_report(db, 6 * 10**6 + 1, "Trusted Reporter", "example.org", today(), [("192.0.2.10", 11, "none", 1, 1)], **TRUSTED)
    expect["trusted_messages"] = 11
    add_report(db, 7 * 10**6, "Foreign Reporter", "elsewhere.example", today(), rows, is_foreign=1, **TRUSTED)
    add_failure(db, 7 * 10**6 + 1, 2, "Foreign Reporter", "elsewhere.example", "Foreign", is_foreign=1)
    add_tls(db, 7 * 10**6 + 2, "Foreign Reporter", "elsewhere.example", today(), 5, 5, is_foreign=1)
    db.execute("COMMIT")
    return expect


def today():
    now = int(time.time())
    return now - now % DAY


def rows_for(i):
    """A believable mix: own servers, a forwarder, a newsletter service half set up, and a spoofer now and then."""
    rows = [
        ("192.0.2.10", 400 + (i * 37) % 220, "none", 1, 1),
        ("2001:db8::25", 150 + (i * 53) % 90, "none", 1, 1),
        ("198.51.100.7", 20 + i % 17, "none", 1, 0),
        ("203.0.113.99", 12 + (i * 7) % 31, "quarantine" if i % 3 else "none", 0, i % 2),
    ]
    if i % 5 == 0:
        rows.append((f"203.0.113.{i % 200 + 1}", 60 + i * 3 % 140, "reject", 0, 0))
    return rows


def make(path, reports):
    db = connect(path)
    migrate(db)
    db.execute("BEGIN")
    orgs = ["google.com", "Enterprise Outlook", "Yahoo", "mail.example.net"]
    expect = {"messages": 0, "passed": 0, "reports": 0, "records": 0, "days": {}}
    for n in range(reports):
        i = reports - 1 - n
        day = today() - (i % 30) * DAY
        rows = rows_for(i)
        # Weekends are quiet.
        if time.gmtime(day).tm_wday >= 5:
            rows = [(ip, count // 4 + 1, d, dkim, spf) for ip, count, d, dkim, spf in rows]
        messages, passed = add_report(db, n, orgs[i % 4], "example.org" if i % 3 else "shop.example.org", day, rows)
        note_expected(expect, day, messages, passed, len(rows))
    odd = [
        (HOSTILE_SCRIPT, {"truncated": 1}, [("record[3]", "truncated: the document ends inside record 3")]),
        (HOSTILE_IMG, {"duplicates": 2}, []),
        (HOSTILE_BIDI, {"recovered": 1, "dropped": 1}, [(None, HOSTILE_IMG)] * 7),
    ]
    for k, (org, extra, notes) in enumerate(odd):
        rows = [("192.0.2.10", 5, "none", 1, 1)]
        messages, passed = add_report(db, 10**6 + k, org, "example.org", today(), rows, notes, **extra)
        note_expected(expect, today(), messages, passed, 1)
    # Outside every window of a year: it is in the list and nowhere else.
    add_report(db, 2 * 10**6, "Old Reporter", "example.org", 1328054400, [("192.0.2.77", 1, "none", 1, 0)])
    db.execute("COMMIT")
    expect["total"] = expect["reports"] + 1
    return expect


def note_expected(expect, day, messages, passed, records):
    expect["messages"] += messages
    expect["passed"] += passed
    expect["reports"] += 1
    expect["records"] += records
    name = time.strftime("%Y-%m-%d", time.gmtime(day))
    seen = expect["days"].setdefault(name, [0, 0])
    seen[0] += messages
    seen[1] += passed


def add(path, org):
    db = connect(path)
    n = time.time_ns()
    db.execute("BEGIN")
    add_report(db, n, org, "example.org", today(), [("192.0.2.200", 7, "none", 1, 1)])
    db.execute("COMMIT")


def main():
    what, path = sys.argv[1:3]
    result = None
    if what == "make":
        result = make(path, int(sys.argv[3]) if len(sys.argv) > 3 else 120)
    elif what == "empty":
        migrate(connect(path))
    elif what == "broken":
        add_message(connect(path), time.time_ns(), 0, 1)
    elif what == "kinds":
        result = kinds(path)
    elif what == "add":
        add(path, sys.argv[3])
    else:
        sys.exit(__doc__)
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
