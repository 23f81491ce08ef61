# SPDX-License-Identifier: Apache-2.0
"""Outputs behind a real worker and the operator's verbs: items that wait or are parked, backfill, revisions, expiry, and kills at fault
points and at random moments. Each item is delivered, and the cursors agree [I4]."""
import json
import os
import pwd
import random
import signal
import sqlite3
import subprocess
import time

import pytest
import spoolfile
from taplib import PATIENCE, Site, report_mail, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
RECORDS = 3


class Box:
    def __init__(self, site, **sinks):
        """sinks: name = settings of the driver fail, or a whole entry"""
        self.site, self.names = site, list(sinks)
        entries = [f'{{ type = "fail"; name = "{name}"; log = "{self.log(name)}"; '
                   f'{text if "mode" in text else "fail_first = 0; " + text} }}' for name, text in sinks.items()]
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  )", f"outputs: ( {', '.join(entries)} )"))

    def log(self, name):
        return f"{self.site.dir}/store/{name}.log"

    def got(self, name):
        """(uid, record, revision) of each item, as often as it was confirmed"""
        if not os.path.exists(self.log(name)):
            return []
        with open(self.log(name), encoding="ascii") as f:
            return [(u, int(i), int(r)) for u, i, r in (line.split() for line in f.read().split("\n")[:-1])]

    def deliver(self, *names, records=RECORDS):
        for name in names:
            spoolfile.put(self.site.spool, report_mail(name, records=records), owner=OWNER)

    def run(self, fault=None):
        env = dict(os.environ, **({"TAP_FAULT": fault} if fault else {}))
        with open(f"{self.site.dir}/dmarctapd.log", "ab") as log:
            return subprocess.Popen([f"{self.site.bin}/dmarctapd", "-c", self.site.config], stdout=log, stderr=log,
                                    start_new_session=True, env=env)

    def ctl(self, *args, status=0):
        p = subprocess.run([f"{self.site.bin}/dmarctapctl", "-c", self.site.config, *args], capture_output=True, text=True,
                           timeout=60, check=False)
        assert p.returncode == status, (args, p.stdout, p.stderr)
        return p.stdout + p.stderr

    def list(self, name):
        (one,) = json.loads(self.ctl("outbox", "list", name, "--json"))
        return one

    def idle(self, name):
        return self.list(name)["lag"] == 0


@pytest.fixture
def site():
    with Site() as s:
        yield s


def test_one_item_of_a_batch_waits_and_blocks_nothing(site):
    box = Box(site, some='mode = "pattern"; pattern = "cccrcc"; fail_first = 12;', all="")
    box.deliver("a", "b", "c", "d")
    site.start("dmarctapd")
    wait_for(lambda: len(set(box.got("some"))) == 12 and len(box.got("all")) == 12, 30)
    wait_for(lambda: box.list("some")["exceptions"] == 0 and box.idle("some"), 30)
    assert len(box.got("some")) == 12  # each of them once


def test_parked_items_are_listed_tried_again_and_dropped(site):
    box = Box(site, no='mode = "never"; fail_first = 6;')
    box.deliver("a", "b")
    site.start("dmarctapd")
    wait_for(lambda: os.path.exists(site.db) and box.list("no")["exceptions"] == 6, 30)
    items = box.list("no")["items"]
    assert [i["state"] for i in items] == ["parked"] * 6 and all(i["reason"] == "made to fail" and i["attempts"] == 1 for i in items)
    assert "parked, 1 attempts" in box.ctl("outbox", "list")
    assert "1 items of no are tried again" in box.ctl("outbox", "retry", "no", items[1]["id"])
    wait_for(lambda: len(box.got("no")) == 1, 30)
    assert box.got("no")[0][1] == 1
    box.ctl("outbox", "drop", "no", items[0]["id"])
    assert box.list("no")["exceptions"] == 4
    box.ctl("outbox", "drop", "no", items[0]["id"], status=1)
    box.ctl("outbox", "drop", "none", "all", status=1)
    box.ctl("outbox", "retry", "no", "1.x", status=1)
    box.ctl("outbox", "retry", "no")
    wait_for(lambda: len(box.got("no")) == 5 and box.list("no")["exceptions"] == 0, 30)


def test_backfill_owes_again_to_one_output_only(site):
    box = Box(site, one="", two="", new='start = "now";')
    box.deliver("a", "b", "c")
    # The sink that begins now is new, and so is the store: it gets all of what comes while it runs.
    site.start("dmarctapd")
    wait_for(lambda: len(box.got("one")) == 9 and len(box.got("two")) == 9, 30)
    db = sqlite3.connect(f"file:{site.db}?mode=ro", uri=True)
    (last,) = db.execute("SELECT max(stored) FROM report").fetchone()
    box.ctl("backfill", "one", "--since", "2001-01-01", "--until", str(last + 1))
    wait_for(lambda: len(box.got("one")) == 18, 30)
    box.ctl("backfill", "one", "--since", str(last + 1000))
    box.ctl("backfill", "one", status=1)
    box.deliver("d")
    wait_for(lambda: len(box.got("one")) == 21 and len(box.got("two")) == 12, 30)
    assert all(n == (2 if u != box.got("one")[-1][0] else 1) for u in {x[0] for x in box.got("one")}
               for n in [sum(x[0] == u for x in box.got("one")) // RECORDS])


def test_start_now_skips_what_is_in_the_store(site):
    box = Box(site, old="")
    box.deliver("a")
    site.start("dmarctapd")
    wait_for(lambda: len(box.got("old")) == 3, 30)
    site.kill("dmarctapd", signal.SIGTERM)
    with open(site.config, encoding="utf-8") as f:
        text = f.read()
    with open(site.config, "w", encoding="utf-8") as f:
        f.write(text.replace("outputs: (", f'outputs: ( {{ type = "fail"; name = "new"; fail_first = 0; log = "{box.log("new")}"; start = "now"; }},'))
    site.start("dmarctapd")
    box.deliver("b")
    wait_for(lambda: len(box.got("new")) == 3 and len(box.got("old")) == 6, 30)
    assert box.got("new") == box.got("old")[3:]


def test_a_hanging_output_holds_nobody_up(site):
    box = Box(site, hangs='mode = "hang"; timeout = "20s";', works="")
    box.deliver("a", "b")
    site.start("dmarctapd")
    wait_for(lambda: len(box.got("works")) == 6, 30)
    begin = time.monotonic()
    site.kill("dmarctapd", signal.SIGTERM)
    assert time.monotonic() - begin < 10 * PATIENCE
    assert "hangs: its driver hangs" in site.log("dmarctapd") and "works: its driver hangs" not in site.log("dmarctapd")


def test_the_bound_pauses_the_output_and_never_the_intake(site):
    box = Box(site, full='mode = "never"; fail_first = 9;')
    with open(site.config, encoding="utf-8") as f:
        text = f.read()
    with open(site.config, "w", encoding="utf-8") as f:
        f.write(text.replace("worker: {", "worker: { max_exceptions = 4;", 1))
    box.deliver("a", "b", "c", "d")
    site.start("dmarctapd")
    wait_for(lambda: os.path.exists(site.db) and box.list("full")["exceptions"] == 4, 30)
    db = sqlite3.connect(f"file:{site.db}?mode=ro", uri=True)
    wait_for(lambda: db.execute("SELECT count(*) FROM report").fetchone() == (4,), 30)
    wait_for(lambda: "paused: 4 items" in box.ctl("status"), 10)
    for left in (5, 1):
        assert box.list("full")["exceptions"] == 4
        box.ctl("outbox", "drop", "full", "all")
        wait_for(lambda: box.list("full")["lag"] <= 12 - (12 - left) + 2 and box.list("full")["exceptions"] in (4, 1), 30)
    wait_for(lambda: box.idle("full"), 30)
    assert len(box.got("full")) == 3


def test_expire(site):
    box = Box(site, one="", down='mode = "peer";')
    box.deliver("a", "b", "c")
    site.start("dmarctapd")
    wait_for(lambda: len(box.got("one")) == 9, 30)
    assert "0 reports removed" in box.ctl("expire", "--before", "2099-01-01")  # one output has not got them
    box.ctl("expire", status=1)
    assert "3 reports removed" in box.ctl("expire", "--before", "2099-01-01", "--even-owed")
    db = sqlite3.connect(f"file:{site.db}?mode=ro", uri=True)
    for table in ("report", "record", "message", "payload", "note", "auth_result"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    box.deliver("a", "d")  # the first came late once more
    wait_for(lambda: len(box.got("one")) == 12, 30)
    assert db.execute("SELECT count(*) FROM report").fetchone() == (1,)


POINTS = [(p, n) for p in ("sink.send", "sink.confirm", "store.settle", "store.commit") for n in (1, 2, 5)]


@pytest.mark.parametrize("point,nth", POINTS)
def test_killed_at(site, point, nth):
    box = Box(site, some='mode = "pattern"; pattern = "crc"; fail_first = 8;', all="")
    box.deliver("a", "b", "c")
    p = box.run(f"{point}:{nth}:kill")
    try:
        try:
            assert p.wait(4 * PATIENCE) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            assert nth == 5  # there may be fewer
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    site.start("dmarctapd")
    wait_for(lambda: all(len(set(box.got(n))) == 9 for n in box.names), 30)
    wait_for(lambda: all(box.list(n)["exceptions"] == 0 and box.idle(n) for n in box.names), 30)


def test_verbs_killed_half_way(site):
    box = Box(site, no='mode = "never"; fail_first = 3;')
    box.deliver("a")
    for fault, words in (("store.outbox", ("outbox", "drop", "no", "all")), ("store.expire", ("expire", "--before", "2099-01-01"))):
        p = box.run(f"{fault}:1:kill")
        wait_for(lambda: os.path.exists(site.db) and os.path.exists(site.control) or p.poll() is None, 10)
        wait_for(lambda: "no (fail)" in subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "outbox", "list"],
                                                       capture_output=True, text=True, check=False).stdout, 20)
        wait_for(lambda: box.list("no")["exceptions"] == 3, 20)
        subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, *words], capture_output=True, check=False, timeout=60)
        assert p.wait(20 * PATIENCE) == -signal.SIGKILL
    site.start("dmarctapd")
    assert box.list("no")["exceptions"] == 3  # nothing was done, and nothing half
    box.ctl("outbox", "drop", "no", "all")
    assert box.list("no")["exceptions"] == 0


def test_killed_at_random_moments(site):
    box = Box(site, some='mode = "pattern"; pattern = "ccrcn";', all='delay = "5ms";')
    dice, names = random.Random(11), [f"r{i}" for i in range(12)]
    for i in range(10):
        if i < 6:
            box.deliver(*names[i * 2:i * 2 + 2])
        p = box.run()
        time.sleep(dice.uniform(0.02, 0.5) * PATIENCE)
        p.kill()
        p.wait()
    site.start("dmarctapd")
    wait_for(lambda: len(set(box.got("all"))) == 36, 30)
    wait_for(lambda: box.idle("some"), 30)

    def accounted():
        parked = {(i["report_uid"], int(i["id"].split(".")[1])) for i in box.list("some")["items"]}
        return len({x[:2] for x in box.got("some")} | parked) == 36
    wait_for(accounted, 20)
    box.ctl("outbox", "retry", "some")
    wait_for(accounted, 20)


def test_a_removed_report_is_known_for_its_days_only(site):
    box = Box(site, one="")
    box.deliver("a")
    site.start("dmarctapd")
    wait_for(lambda: len(box.got("one")) == 3 and box.idle("one"), 30)
    assert "1 reports removed" in box.ctl("expire", "--before", "2099-01-01")

    def known(days):
        """of the removed report, when it was removed so many days ago"""
        with sqlite3.connect(site.db, timeout=20) as db:
            db.execute("UPDATE expired SET at = unixepoch() - ? * 86400", (days,))
        db.close()
        box.ctl("expire", "--before", "2001-01-01")
        return site.query("SELECT count(*) FROM expired") == [(1,)]
    assert known(399) and not known(401)
    box.deliver("a")
    wait_for(lambda: len(box.got("one")) == 6, 30)


OURS = "mx.dmarctap.test"
BELIEVED = f"Authentication-Results: {OURS}; dmarc=pass header.from=receiver.example; dkim=pass header.d=receiver.example\r\n"


def test_a_corrected_report_in_json_and_csv():
    """Once more where the output is to get it, stepped over where not, and the last one alone where nothing was sent before."""
    with Site(extra=f'trust: {{ authserv_ids = [ "{OURS}" ]; }};') as site:
        def entry(kind, name, more=""):
            return f'{{ type = "{kind}"; name = "{name.split(".")[0]}_{kind}"; path = "{site.dir}/store/{name}"; {more} }}'

        def configure(*entries):
            with open(site.config, encoding="utf-8") as f:
                head = f.read().split("outputs: (")[0]
            with open(site.config, "w", encoding="utf-8") as f:
                f.write(f"{head}outputs: ( {', '.join(entries)} );\n")

        def lines(name):
            if not os.path.exists(f"{site.dir}/store/{name}"):
                return []
            with open(f"{site.dir}/store/{name}", encoding="utf-8", newline="") as f:
                return f.read().splitlines()

        def reports(name):
            """(id, revision, records) of each document"""
            return [(d["report_metadata"]["report_id"], d["revision"], len(d["records"])) for d in map(json.loads, lines(name))]

        def rows(name):
            """how many of each report"""
            return [sum(f",{i}," in line or f'"{i}"' in line for line in lines(name)) for i in ("corrected", "other")]
        both = [entry("json", "skip.json"), entry("json", "again.json", "resend = true;"),
                entry("csv", "skip.csv"), entry("csv", "again.csv", "resend = true;")]
        configure(*both)

        def deliver(name, records):
            spoolfile.put(site.spool, report_mail(name, headers=BELIEVED, records=records), owner=OWNER)
        site.start("dmarctapd")
        deliver("corrected", 2)
        wait_for(lambda: reports("again.json") == reports("skip.json") == [("corrected", 1, 2)], 20)
        wait_for(lambda: rows("again.csv") == rows("skip.csv") == [2, 0], 20)
        deliver("corrected", 4)
        wait_for(lambda: site.query("SELECT revision, records FROM report") == [(2, 4)], 20)
        deliver("other", 3)
        wait_for(lambda: reports("again.json") == [("corrected", 1, 2), ("corrected", 2, 4), ("other", 1, 3)], 20)
        wait_for(lambda: reports("skip.json") == [("corrected", 1, 2), ("other", 1, 3)], 20)
        wait_for(lambda: rows("again.csv") == [6, 3] and rows("skip.csv") == [2, 3], 20)
        site.kill("dmarctapd", signal.SIGTERM)
        configure(*both, entry("json", "late.json"))
        site.start("dmarctapd")
        wait_for(lambda: reports("late.json") == [("corrected", 2, 4), ("other", 1, 3)], 20)
        assert len(lines("again.json")) == 3 and rows("again.csv") == [6, 3] and rows("skip.csv") == [2, 3]
