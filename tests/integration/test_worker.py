# SPDX-License-Identifier: Apache-2.0
"""dmarctapd over spool files that a test writes as a door does, and dmarctapctl beside it: what is stored, what goes to quarantine,
what happens when the store or the disk refuses [I2 I3 I10]."""
import base64
import contextlib
import gzip
import json
import os
import pwd
import signal
import socket
import sqlite3
import subprocess
import time

import spoolfile
from taplib import PATIENCE, ROOT, Site, mail, report_mail, report_xml, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None


def put(site, raw=b"", **kw):
    return spoolfile.put(site.spool, raw, owner=OWNER, **kw)


def ctl(site, *args, ok=(0,)):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                       check=False)
    assert p.returncode in ok, f"{args}: {p.returncode}\n{p.stdout.decode()}\n{p.stderr.decode()}"
    return p.stdout.decode(), p.stderr.decode()


def status(site):
    return json.loads(ctl(site, "status", "--json")[0])


def settled(site, n):
    """all messages are taken in and their files dealt with"""
    def done():
        return (not spoolfile.waiting(site.spool) and os.path.exists(site.db)
                and site.query("SELECT count(*) FROM message")[0][0] == n)
    wait_for(done, 20)


def test_reports_are_stored_and_files_unlinked():
    with Site() as site:
        put(site, report_mail("before-the-start", records=3))
        site.start("dmarctapd")
        for i in range(20):
            put(site, report_mail(f"r{i}", records=4), door=spoolfile.DOORS[i % 5], sender="", queue_id=f"Q{i}")
        settled(site, 21)
        assert sorted(site.report_ids()) == sorted(["before-the-start"] + [f"r{i}" for i in range(20)])
        assert site.query("SELECT count(*) FROM record") == [(83,)]
        assert not site.quarantine()
        door, sender, recipients, headers, size = site.query(
            "SELECT door, sender, recipients, headers, size FROM message WHERE queue_id = 'Q1'")[0]
        assert (door, sender, recipients) == ("lmtp", "", "reports@dmarctap.test")
        raw = report_mail("r1", records=4)
        assert headers == raw[:raw.index(b"\r\n\r\n") + 2] and size == len(raw)
        payload = site.query("SELECT bytes FROM payload WHERE message_id = (SELECT message_id FROM report WHERE report_id = 'r1')")[0][0]
        assert gzip.decompress(payload).decode() == report_xml("r1", records=4)


def test_the_same_report_again_moves_a_counter():
    with Site() as site:
        site.start("dmarctapd")
        for _ in range(5):
            put(site, report_mail("same", records=2))
        settled(site, 5)
        assert site.query("SELECT duplicates, records FROM report") == [(4, 2)]
        assert site.query("SELECT count(*) FROM record") == [(2,)]
        assert site.query("SELECT count(*) FROM payload") == [(1,)]
        assert not site.quarantine()


def test_what_cannot_be_stored_goes_to_quarantine_with_its_reason():
    with Site() as site:
        site.start("dmarctapd")
        good = put(site, report_mail("good"))
        cases = {
            put(site, mail("\x1b]0;title\x07 hello")): "not a report",
            put(site, report_mail("bad", packed=b"\x1f\x8b garbage" * 9)): "broken",
            put(site, data=b"no spool file at all " * 20): "bad spool file",
        }
        damaged = bytearray(spoolfile.encode(report_mail("damaged")))
        damaged[300] ^= 1
        cases[put(site, data=bytes(damaged))] = "bad spool file"
        settled(site, 5)
        put(site, report_mail("good", records=2))
        settled(site, 6)
        assert len(site.quarantine()) == 5
        kept = {}
        for name in site.quarantine():
            with open(f"{site.spool}/quarantine/{name[:-4]}.json", encoding="utf-8") as f:
                kept[name[:-4]] = json.load(f)
        for ident, verdict in cases.items():
            assert kept[ident]["verdict"] == verdict and kept[ident]["reason"], kept[ident]
        assert [k["verdict"] for i, k in kept.items() if i not in cases] == ["conflict"]
        assert good not in kept and site.report_ids() == ["good"] and site.query("SELECT records FROM report") == [(1,)]
        rows = dict(site.query("SELECT spool_id, quarantine FROM message"))
        assert {i: rows[i] for i in cases} == cases and rows[good] is None
        listing, _ = ctl(site, "quarantine", "list")
        assert all(i in listing for i in kept) and "conflict" in listing
        for ident in kept:
            shown, _ = ctl(site, "quarantine", "show", ident, ok=(0, 1))
            assert kept[ident]["verdict"] in shown and "\x1b" not in shown and "\x07" not in shown
        raw = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "quarantine", "show", list(cases)[1], "--raw"],
                             stdout=subprocess.PIPE, check=True).stdout
        assert raw == report_mail("bad", packed=b"\x1f\x8b garbage" * 9)
        ctl(site, "quarantine", "show", "0" * 32, ok=(1,))
        ctl(site, "quarantine", "show", "../../etc/passwd", ok=(2,))


def test_a_good_and_a_broken_part_are_stored_and_kept():
    good, bad = gzip.compress(report_xml("good-part").encode()), b"\x1f\x8b\x08 nothing"
    parts = "".join(f"--b\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{p}\r\n"
                    for p in (__import__("base64").b64encode(x).decode() for x in (good, bad)))
    raw = f"From: <a@b.example>\r\nSubject: two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n"
    with Site() as site:
        site.start("dmarctapd")
        ident = put(site, raw.encode())
        settled(site, 1)
        assert site.report_ids() == ["good-part"]
        assert site.quarantine() == [ident + ".tap"]
        assert site.query("SELECT reports, broken, quarantine FROM message") == [(1, 1, "broken")]


def test_status_and_lists():
    with Site(outputs='{ type = "json"; path = "/nonexistent/reports.jsonl"; }') as site:
        site.start("dmarctapd")
        for i in range(3):
            put(site, report_mail(f"r{i}", records=2))
        settled(site, 3)
        put(site, mail())
        settled(site, 4)

        def seen():
            """the sink has met its trouble"""
            s = status(site)
            return s["sinks"][0]["last_error"] and s
        s = wait_for(seen)
        assert s["running"] and s["pid"] == site.running["dmarctapd"].pid
        assert (s["reports"], s["records"], s["messages"], s["duplicates"]) == (3, 6, 4, 0)
        assert (s["spool_files"], s["quarantine_files"]) == (0, 1)
        assert s["since_start"]["messages"] == 4 and s["since_start"]["quarantined"] == 1 and s["wal_bytes"] > 0
        assert s["parser"]["messages"] >= 4 and s["parser"]["unreadable"] == 0
        sink = s["sinks"][0]
        assert (sink["name"], sink["type"], sink["lag"], sink["seq"]) == ("json", "json", 6, 1) and "/nonexistent" in sink["last_error"]
        text, _ = ctl(site, "status")
        assert "3 reports" in text and "/nonexistent" in text
        site.kill("dmarctapd", signal.SIGTERM)
        put(site, report_mail("late"), sender="x\u202ey@z.example")
        out, err = ctl(site, "status", "--json", ok=(69,))
        assert "does not answer" in err and json.loads(out)["spool_files"] == 1 and json.loads(out)["reports"] == 3
        listing, _ = ctl(site, "spool", "list")
        assert listing.count("\n") == 1 and "\u202e" not in listing and "milter" in listing


def test_control_socket_refuses_strangers_and_nonsense():
    import socket

    def ask(data):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(site.control)
            s.sendall(data)
            out = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := s.recv(65536):
                    out += piece
            return out
    with Site() as site:
        site.start("dmarctapd")
        assert os.stat(site.control).st_mode & 0o777 == 0o660
        assert ask(b"1 ping\n") == b"1 ok\n"
        assert ask(b"1 stat").startswith(b"1 error") # no line within the deadline
        assert ask(b"2 status json\n").startswith(b"1 error this worker speaks version 1")
        assert ask(b"1 shutdown\n").startswith(b"1 no there is no such command")
        assert ask(b"x" * 5000).startswith(b"1 error")
        assert ask(b"1 ping\n") == b"1 ok\n"
        if os.geteuid() == 0:
            os.chmod(site.control, 0o666)
            code = ("import socket,sys,os; os.setgroups([]); os.setgid(1); os.setuid(1); s=socket.socket(socket.AF_UNIX); "
                    "s.connect(sys.argv[1]); s.sendall(b'1 status json\\n'); print(s.recv(999).decode())")
            out = subprocess.run(["python3", "-c", code, site.control], stdout=subprocess.PIPE, check=True).stdout
            assert out.startswith(b"1 denied you may not ask")


def test_a_second_worker_is_refused():
    with Site() as site:
        site.start("dmarctapd")
        p = subprocess.run([f"{site.bin}/dmarctapd", "-c", site.config], stderr=subprocess.PIPE, timeout=60, check=False)
        assert p.returncode == 75 and b"another dmarctapd works on the spool" in p.stderr, p.stderr
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        os.mkdir(f"{site.dir}/spool2")
        if OWNER:
            os.chown(f"{site.dir}/spool2", *OWNER)
        other = f"{site.dir}/other.conf"
        with open(other, "w", encoding="utf-8") as f:
            f.write(text.replace(site.spool, f"{site.dir}/spool2"))
        p = subprocess.run([f"{site.bin}/dmarctapd", "-c", other], stderr=subprocess.PIPE, timeout=60, check=False)
        assert p.returncode == 75 and b"another dmarctapd works on the store" in p.stderr, p.stderr
        put(site, report_mail("still"))
        settled(site, 1)


def test_a_broken_configuration_stops_the_start_with_line_and_nearest_name():
    with Site() as site:
        for line, words in (('worker: { swep = "30s"; };', ("worker.conf:1", "sweep")),
                            ('outputs: ( { type = "jsn"; path = "/tmp/x"; } );', ("jsn", "json")),
                            ('store: { path = "relative.db"; };', ("worker.conf:1", "path")),
                            ('wroker: { };', ("worker.conf:1", "worker"))):
            path = f"{site.dir}/worker.conf"
            with open(path, "w", encoding="utf-8") as f:
                f.write(line + "\n")
            p = subprocess.run([f"{site.bin}/dmarctapd", "-c", path], stderr=subprocess.PIPE, timeout=60, check=False)
            assert p.returncode == 78 and all(w in p.stderr.decode() for w in words), p.stderr
            p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", path, "config", "check"], stderr=subprocess.PIPE, timeout=60, check=False)
            assert p.returncode == 1 and all(w in p.stderr.decode() for w in words), p.stderr


def test_missing_directories_are_named():
    with Site() as site:
        os.rmdir(site.spool)
        p = subprocess.run([f"{site.bin}/dmarctapd", "-c", site.config], stderr=subprocess.PIPE, timeout=60, check=False)
        assert p.returncode in (75, 78) and site.spool.encode() in p.stderr, p.stderr
        os.mkdir(site.spool)
        if OWNER:
            os.chown(site.spool, *OWNER)
        os.rmdir(f"{site.dir}/store")
        p = subprocess.run([f"{site.bin}/dmarctapd", "-c", site.config], stderr=subprocess.PIPE, timeout=60, check=False)
        assert p.returncode in (75, 78) and b"store.path" in p.stderr, p.stderr


def test_a_read_only_store_is_said_and_nothing_is_lost():
    with Site() as site:
        site.start("dmarctapd")
        put(site, report_mail("first"))
        settled(site, 1)
        site.kill("dmarctapd", signal.SIGTERM)
        for name in os.listdir(f"{site.dir}/store"):
            if name.startswith("reports.db") and not name.endswith(".lock"):
                os.chown(f"{site.dir}/store/{name}", 0, 0) if OWNER else os.chmod(f"{site.dir}/store/{name}", 0o440)
                os.chmod(f"{site.dir}/store/{name}", 0o444)
        put(site, report_mail("second"))
        p = subprocess.run([f"{site.bin}/dmarctapd", "-c", site.config], stderr=subprocess.PIPE, timeout=60, check=False)
        assert p.returncode == 78 and site.db.encode() in p.stderr, p.stderr
        assert len(spoolfile.waiting(site.spool)) == 1
        for name in os.listdir(f"{site.dir}/store"):
            os.chmod(f"{site.dir}/store/{name}", 0o640)
            if OWNER:
                os.chown(f"{site.dir}/store/{name}", *OWNER)
        site.start("dmarctapd")
        settled(site, 2)
        assert sorted(site.report_ids()) == ["first", "second"]


@contextlib.contextmanager
def small_disk(path, size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    if OWNER:
        os.chown(path, *OWNER)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_delays_and_loses_nothing():
    assert os.geteuid() == 0, "needs root for its small file system"
    with Site() as site, small_disk(f"{site.dir}/store", "1500k"):
        site.start("dmarctapd")
        put(site, report_mail("small"))
        settled(site, 1)
        ballast = f"{site.dir}/store/ballast"
        with open(ballast, "wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(b"x" * 4096):
                pass
        for i in range(40):
            put(site, report_mail(f"r{i}", records=40))

        def in_trouble():
            """the worker says that the store refuses"""
            return status(site)["trouble"]
        assert "full" in wait_for(in_trouble), status(site)
        waiting = spoolfile.waiting(site.spool)
        assert waiting and len(site.report_ids()) + len(waiting) >= 41
        subprocess.run(["mount", "-o", "remount,size=40m", f"{site.dir}/store"], check=True)
        settled(site, 41)
        assert sorted(site.report_ids()) == sorted(["small"] + [f"r{i}" for i in range(40)])
        assert not status(site)["trouble"] and not site.quarantine()
        site.kill("dmarctapd", signal.SIGTERM)


def test_a_message_that_kills_the_parser_is_kept_and_the_others_pass():
    """The hook of the development build (confine/hook.c) lets a mail end the process that reads it."""
    with Site() as site:
        site.start("dmarctapd", {"TAP_PARSE_HOOK": "1"})
        for i in range(10):
            put(site, report_mail(f"r{i}"))
        poison = put(site, report_mail("poison", headers="X-Dmarctap-Test: abort\r\n"))
        for i in range(10, 20):
            put(site, report_mail(f"r{i}"))
        settled(site, 21)
        assert len(site.report_ids()) == 20 and site.quarantine() == [poison + ".tap"]
        assert site.query("SELECT quarantine FROM message WHERE spool_id = ?", poison) == [("unreadable",)]
        assert status(site)["parser"]["unreadable"] == 2 # tried twice


def test_sinks_follow_the_store():
    with Site() as site:
        out = f"{site.dir}/store/out.jsonl"
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{out}"; }} )'))
        site.start("dmarctapd")
        for i in range(30):
            put(site, report_mail(f"r{i}", records=i % 4))
        settled(site, 30)

        def written():
            """thirty lines"""
            return os.path.exists(out) and open(out, encoding="utf-8").read().count("\n") == 30
        wait_for(written, 20)
        with open(out, encoding="utf-8") as f:
            assert sorted(json.loads(line)["report_metadata"]["report_id"] for line in f) == sorted(f"r{i}" for i in range(30))

        def no_lag():
            """the cursor stands at the end"""
            return status(site)["sinks"][0]["lag"] == 0
        wait_for(no_lag)


def test_sample_configuration_is_the_one_of_the_tables():
    with Site() as site:
        out, _ = ctl(site, "config", "sample")
        with open(f"{ROOT}/etc/dmarctap.conf.sample", encoding="utf-8") as f:
            assert out == f.read(), "run: dmarctapctl config sample > etc/dmarctap.conf.sample"
        path = f"{site.dir}/sample.conf"
        with open(path, "w", encoding="utf-8") as f:
            f.write(out)
        p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", path, "config", "check"], timeout=60, check=False)
        assert p.returncode == 0
        dump, _ = ctl(site, "config", "dump")
        assert site.spool in dump and "batch_files" not in dump
        with open(path, "w", encoding="utf-8") as f:
            f.write(dump)
        assert subprocess.run([f"{site.bin}/dmarctapctl", "-c", path, "config", "dump"], stdout=subprocess.PIPE, check=True).stdout.decode() == dump
        assert "batch_files = 200" in ctl(site, "config", "dump", "--all")[0]
        sections = out.split("# Settings of an output of type ")[1:]
        assert len(sections) >= 2
        for one in sections:  # what every output knows, beside its own
            assert all(f"#\t#{name} = " in one.replace("# ", "#") for name in ("resend", "start", "retry_for", "timeout")), one
        ctl(site, "nonsense", ok=(2,))


def test_a_stop_leaves_no_half_work():
    with Site() as site:
        site.start("dmarctapd")
        for i in range(300):
            put(site, report_mail(f"r{i}"))
        time.sleep(0.1)
        assert site.kill("dmarctapd", signal.SIGTERM).returncode == 0
        assert not os.path.exists(site.control)
        stored, waiting = site.query("SELECT count(*) FROM message")[0][0], len(spoolfile.waiting(site.spool))
        assert stored + waiting >= 300
        site.start("dmarctapd")
        settled(site, 300)
        assert len(site.report_ids()) == 300
        db = sqlite3.connect(site.db)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert not db.execute("PRAGMA foreign_key_check").fetchall()
        db.close()


def stops_within(site, seconds):
    began = time.monotonic()
    assert site.kill("dmarctapd", signal.SIGTERM).returncode == 0, site.log("dmarctapd")[-2000:]
    took = time.monotonic() - began
    assert took < seconds * PATIENCE, f"the end took {took:.1f} s"


def test_a_damaged_store_condemns_no_message():
    """SQLite finds the file damaged while the worker runs: the mail waits, it is said, the worker neither spins nor refuses to end."""
    with Site() as site:
        site.start("dmarctapd")
        for i in range(30):
            put(site, report_mail(f"r{i}", records=20))
        settled(site, 30)
        site.kill("dmarctapd", signal.SIGTERM)
        db = sqlite3.connect(site.db)
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.close()
        if OWNER:
            for name in os.listdir(f"{site.dir}/store"):
                os.chown(f"{site.dir}/store/{name}", *OWNER)
        with open(site.db, "r+b") as f:
            f.seek((page - 1) * size)
            good = f.read(size)
            f.seek((page - 1) * size)
            f.write(b"\xa5" * size)
        site.start("dmarctapd")
        names = [put(site, report_mail(f"later{i}")) for i in range(3)]

        def said():
            """the status names the damage"""
            return status(site)["trouble"]
        assert "damaged" in wait_for(said)
        time.sleep(0.7)
        assert len(spoolfile.waiting(site.spool)) == len(names) and not site.quarantine()
        with open(f"/proc/{site.running['dmarctapd'].pid}/stat", encoding="ascii") as f:
            ticks = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        assert ticks < 100 * PATIENCE, f"{ticks} ticks of processor time: it spins"
        stops_within(site, 1)
        with open(site.db, "r+b") as f:
            f.seek((page - 1) * size)
            f.write(good)
        site.start("dmarctapd")
        settled(site, 33)
        assert len(site.report_ids()) == 33 and not site.quarantine()
        site.kill("dmarctapd", signal.SIGTERM)


def test_a_message_whose_content_the_store_refuses_is_kept_and_the_others_are_stored():
    with Site() as site:
        names = [put(site, report_mail(f"r{i}")) for i in range(8)]
        # The batch fails at its first report, and then this one alone once more.
        site.start("dmarctapd", {"TAP_FAULT": "store.content:1:EINVAL,store.content:2:EINVAL"})
        settled(site, 8)
        kept = site.quarantine()
        assert len(kept) == 1 and kept[0][:-4] in names
        assert len(site.report_ids()) == 7
        assert site.query("SELECT quarantine, reports FROM message WHERE spool_id = ?", kept[0][:-4]) == [("broken", 0)]
        with open(f"{site.spool}/quarantine/{kept[0][:-4]}.json", encoding="utf-8") as f:
            side = json.load(f)
        assert side["verdict"] == "broken" and "content refused" in side["reason"]
        assert not status(site)["trouble"]
        site.kill("dmarctapd", signal.SIGTERM)


def test_a_store_that_refuses_every_content_condemns_nothing():
    """Not even the bare row of a message is taken: then no message is to blame."""
    with Site() as site:
        site.start("dmarctapd")
        put(site, report_mail("first"))
        settled(site, 1)
        db = sqlite3.connect(site.db)
        db.execute("CREATE TRIGGER no BEFORE INSERT ON message BEGIN SELECT raise(ABORT, 'no'); END")
        db.commit()
        put(site, report_mail("second"))
        wait_for(lambda: status(site)["trouble"])
        time.sleep(0.6)
        assert len(spoolfile.waiting(site.spool)) == 1 and not site.quarantine()
        db.execute("DROP TRIGGER no")
        db.commit()
        db.close()
        settled(site, 2)
        assert sorted(site.report_ids()) == ["first", "second"] and not site.quarantine()
        stops_within(site, 1)


def test_the_worker_ends_within_a_second_whatever_it_waits_for():
    # More messages than it stages, and a store that takes none.
    with Site() as site:
        site.start("dmarctapd", {"TAP_FAULT": "store.begin:0:ENOSPC"})
        for i in range(700):
            put(site, report_mail(f"r{i}"))
        wait_for(lambda: site.log("dmarctapd").count("No space left") >= 2)
        time.sleep(1)
        stops_within(site, 1)
        assert len(spoolfile.waiting(site.spool)) == 700
        assert site.log("dmarctapd").count("No space left") < 20
    # A client of the control socket that says nothing, and others behind it.
    with Site() as site:
        site.start("dmarctapd")
        clients = []
        for _ in range(5):
            c = socket.socket(socket.AF_UNIX)
            c.connect(site.control)
            clients.append(c)
        time.sleep(0.2)
        stops_within(site, 1)
        for c in clients:
            c.close()


def test_a_message_that_stalls_the_parser_does_not_hold_up_the_end():
    with Site() as site:
        site.start("dmarctapd", {"TAP_PARSE_HOOK": "1"})
        stalled = put(site, report_mail("stalled", headers="X-Dmarctap-Test: stall\r\n"))
        put(site, report_mail("good"))
        wait_for(lambda: site.report_ids() == ["good"])
        stops_within(site, 1.5)
        assert [n[:-4] for n in spoolfile.waiting(site.spool)] == [stalled]
        site.start("dmarctapd")
        settled(site, 2)
        assert sorted(site.report_ids()) == ["good", "stalled"]
        site.kill("dmarctapd", signal.SIGTERM)


def test_a_killed_worker_leaves_no_parser_process():
    with Site() as site:
        p = site.start("dmarctapd")

        def parsers():
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as f:
                    if f.read().split(b"\0")[0] == f"{site.bin}/dmarctap-parse".encode():
                        found.append(pid)
            return found
        assert parsers()
        p.kill()
        p.wait()
        wait_for(lambda: not parsers(), 5)


def test_large_reports_share_no_transaction_without_a_bound():
    """What is staged for one transaction stays in memory until its commit: 14 × 5 MB do not fit into one."""
    with Site() as site:
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("worker: {", 'worker: { batch_time = "10s"; batch_quiet = "5s";'))
        for i in range(14):
            put(site, report_mail(f"big{i}", records=20000))
        site.start("dmarctapd")
        wait_for(lambda: os.path.exists(site.db) and not spoolfile.waiting(site.spool), 60)
        s = status(site)
        assert s["since_start"]["stored"] == 14 and s["since_start"]["transactions"] >= 2, s["since_start"]
        site.kill("dmarctapd", signal.SIGTERM)


def test_an_id_that_is_none_opens_nothing():
    with Site() as site:
        site.start("dmarctapd")
        for evil in ("../x", "../../../../etc/passwd", "", "." * 32, "/" * 32, "0" * 31 + "\n", "0" * 33, "%s%n", "A" * 32):
            out, err = ctl(site, "quarantine", "show", evil, ok=(2,))
            assert not out and "32 hexadecimal" in err
        ctl(site, "quarantine", "show", "0" * 32, ok=(1,))


def mail_of(report_ids):
    """One mail with a report in each of its parts."""
    parts = "".join(f"--b\r\nContent-Type: application/gzip; name=\"{i}.xml.gz\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                    + base64.encodebytes(gzip.compress(report_xml(i).encode())).decode().replace("\n", "\r\n") + "\r\n" for i in report_ids)
    return ("From: <dmarc@receiver.example>\r\nTo: <reports@dmarctap.test>\r\nSubject: Report Domain: example.com\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n").encode()


def test_doubles_within_a_mail_and_a_transaction_and_an_output_that_comes_later():
    with Site() as site:
        put(site, mail_of(["a", "b", "a"]))
        put(site, mail_of(["c", "b"]))
        put(site, mail_of(["b", "c"]))
        put(site, report_mail("empty", xml=report_xml("empty", records=0)))
        site.start("dmarctapd")
        settled(site, 4)
        assert site.query("SELECT report_id, duplicates, revision, records FROM report ORDER BY report_id") == [
            ("a", 1, 1, 1), ("b", 2, 1, 1), ("c", 1, 1, 1), ("empty", 0, 1, 0)]
        # A payload for each report, and none for those that were there already.
        assert site.query("SELECT count(*) FROM payload") == [(4,)]
        assert not site.query("PRAGMA foreign_key_check") and not site.quarantine()
        site.kill("dmarctapd", signal.SIGTERM)
        out = f"{site.dir}/store/late.jsonl"
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f'outputs: ( {{ type = "json"; path = "{out}"; }} )'))
        site.start("dmarctapd")

        def all_there():
            """the output has every report from the first on"""
            if not os.path.exists(out):
                return False
            with open(out, encoding="utf-8") as f:
                ids = [json.loads(line)["report_metadata"]["report_id"] for line in f if line.endswith("\n")]
            return sorted(ids) == ["a", "b", "c", "empty"]
        wait_for(all_there)
        site.kill("dmarctapd", signal.SIGTERM)
