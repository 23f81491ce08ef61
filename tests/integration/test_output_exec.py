# SPDX-License-Identifier: Apache-2.0
"""The output exec behind a real worker: a program of the user's own in every mood that it can be in."""
import json
import os
import pwd
import signal
import subprocess
import sys
import time

import pytest
import spoolfile
from taplib import PATIENCE, Site, arf, report_mail, tls_mail, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
TAKE = "import os, sys\ndata = sys.stdin.buffer.read()\n"
KEEP = "fd = os.open(DIR + '/got', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)\nos.write(fd, data)\n"


class Exec:
    def __init__(self, site):
        self.site = site
        self.program, self.store = f"{site.dir}/program", f"{site.dir}/store"

    def write(self, body):
        """Replaces the program in one step, as an operator would."""
        with open(f"{self.program}.new", "w", encoding="utf-8") as f:
            f.write(f"#!{sys.executable} -IS\nDIR = {self.store!r}\n{body}")
        os.chmod(f"{self.program}.new", 0o755)
        os.rename(f"{self.program}.new", self.program)

    def items(self):
        if not os.path.exists(f"{self.store}/got"):
            return []
        with open(f"{self.store}/got", encoding="utf-8") as f:
            return [json.loads(line) for line in f.read().split("\n")[:-1]]

    def ids(self):
        return [(d["report_id"], d["record_index"], d["revision"]) for d in self.items()]

    def outbox(self):
        p = subprocess.run([f"{self.site.bin}/dmarctapctl", "-c", self.site.config, "outbox", "list", "prog", "--json"],
                           stdout=subprocess.PIPE, check=True)
        return json.loads(p.stdout)[0]

    def deliver(self, raw):
        spoolfile.put(self.site.spool, raw, owner=OWNER)


@pytest.fixture
def make():
    made = []

    def build(settings="", body=TAKE + KEEP):
        site = Site(outputs="{ type = \"exec\"; name = \"prog\"; program = \"PROGRAM\"; " + settings + " }")
        made.append(site)
        x = Exec(site)
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("PROGRAM", x.program))
        x.write(body)
        return x
    yield build
    for site in made:
        site.close()


def want(name, n):
    return [(name, i, 1) for i in range(n)]


def test_every_kind_with_all_that_belongs_to_it(make):
    x = make('kinds = [ "aggregate", "smtp_tls", "failure" ]; arguments = [ "a b", "$HOME;" ];',
             TAKE + KEEP + "open(DIR + '/args', 'w').write(repr((sys.argv[1:], sorted(os.environ))))\n")
    x.site.start("dmarctapd")
    for raw in (report_mail("agg", records=2), tls_mail("tls"), arf("auth-failure", "f1")):
        x.deliver(raw)
    wait_for(lambda: len(x.items()) == 5)
    by_kind = {}
    for d in x.items():
        by_kind.setdefault(d["kind"], []).append(d)
    agg = by_kind["aggregate"]
    assert [d["record_index"] for d in agg] == [0, 1] and [d["count"] for d in agg] == [1, 2]
    assert {"source", "alignment", "policy_evaluated", "identifiers", "auth_results", "extension"} <= set(agg[0])
    assert agg[0]["date_range"] == ["2026-06-02T00:00:00Z", "2026-06-02T23:59:59Z"]
    assert (agg[0]["org_name"], agg[0]["org_email"], agg[0]["report_id"]) == ("Example Receiver", "dmarc-noreply@receiver.example", "agg")
    assert agg[0]["policy_published"]["p"] == "none" and agg[0]["trusted"] in (True, False)
    policy, detail = sorted(by_kind["smtp_tls"], key=lambda d: d["record_index"])
    assert policy["failure_details"] == [] and policy["policy_domain"] == "example.com" and policy["successful_session_count"] == 90
    assert detail["failure_details"][0]["result_type"] == "certificate-expired" and detail["report_id"] == "tls"
    assert by_kind["failure"][0]["feedback_type"] == "auth-failure"
    assert len({(d["report_uid"], d.get("record_index")) for d in x.items()}) == 5
    with open(f"{x.store}/args", encoding="utf-8") as f:
        assert f.read() == repr((["a b", "$HOME;"], ["LANG", "PATH"]))


FAILURES = {
    "status-1": "sys.exit(1)\n",
    "killed": "os.kill(os.getpid(), 9)\n",
    "config": "sys.exit(78)\n",
    "too-late": "import time\ntime.sleep(600)\n",
    "too-late-with-children": "import time\nif os.fork() >= 0: time.sleep(600)\n",
    "ends-before-it-has-read": "PARTIAL",
    "garbage": "import random\nos.write(1, random.Random(5).randbytes(300000) + bytes(20) + b'\\x1b[31m bad'); sys.exit(3)\n",
}


@pytest.mark.parametrize("mood", FAILURES)
def test_it_comes_again_after_trouble(make, mood):
    body = "import os, sys\nsys.exit(0)\n" if FAILURES[mood] == "PARTIAL" else TAKE + FAILURES[mood]
    x = make(f'timeout = "{PATIENCE}s";', body)
    x.site.start("dmarctapd")
    x.deliver(report_mail("r", records=400))
    wait_for(lambda: "prog" in x.site.log("dmarctapd") and "program" in x.site.log("dmarctapd").split("works on the spool")[1], 20)
    assert x.items() == [] and x.outbox()["exceptions"] == 0 and x.outbox()["lag"] == 400
    assert "\x1b" not in x.site.log("dmarctapd")
    x.write(TAKE + KEEP)
    wait_for(lambda: x.outbox()["lag"] == 0, 30)
    assert x.ids() == want("r", 400)
    if mood.startswith("too-late"):
        p = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, check=True, text=True)
        assert x.program not in p.stdout, "what took too long is still there"


def test_one_bad_item_of_500_is_parked_alone(make):
    x = make("", TAKE + "if b'\"record_index\":123,' in data:\n    print('no number 123 here'); sys.exit(65)\n" + KEEP)
    x.site.start("dmarctapd")
    x.deliver(report_mail("r", records=500))
    wait_for(lambda: x.outbox()["lag"] == 0 and x.outbox()["exceptions"] == 1, 30)
    item = x.outbox()["items"][0]
    assert item["state"] == "parked" and item["reason"] == "the program refused it: no number 123 here"
    assert sorted(x.ids()) == [i for i in want("r", 500) if i[1] != 123]


def test_a_program_that_is_not_there_and_comes(make):
    x = make()
    os.unlink(x.program)
    x.site.start("dmarctapd")
    x.deliver(report_mail("r", records=3))
    wait_for(lambda: "cannot start" in x.site.log("dmarctapd"))
    x.write(TAKE + KEEP)
    wait_for(lambda: x.ids() == want("r", 3), 20)


@pytest.mark.parametrize("point", ["sink.send", "sink.confirm", "store.settle"])
def test_the_worker_is_killed(make, point):
    x = make("batch = 10;")
    x.deliver(report_mail("r", records=600))
    p = x.site.start("dmarctapd", {"TAP_FAULT": f"{point}:1:kill"}, dies=True)
    assert p.wait(30 * PATIENCE) == -signal.SIGKILL
    x.site.running.pop("dmarctapd")
    x.site.start("dmarctapd")
    wait_for(lambda: set(x.ids()) == set(want("r", 600)), 30)
    assert x.outbox()["exceptions"] == 0


def test_what_was_started_ends_with_the_worker(make):
    x = make('timeout = "10m";', TAKE + "open(DIR + '/pid', 'w').write(str(os.getpid()))\nimport time\ntime.sleep(600)\n")
    x.deliver(report_mail("r"))
    x.site.start("dmarctapd")
    wait_for(lambda: os.path.exists(f"{x.store}/pid") and os.path.getsize(f"{x.store}/pid") > 0)
    with open(f"{x.store}/pid", encoding="utf-8") as f:
        pid = int(f.read())
    x.site.kill("dmarctapd")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat", encoding="utf-8").read().split(")")[1][:3])


def test_a_reload_keeps_it_and_says_that_a_new_one_needs_a_restart(make):
    x = make()
    p = x.site.start("dmarctapd")
    with open(x.site.config, encoding="utf-8") as f:
        text = f.read()
    with open(x.site.config, "w", encoding="utf-8") as f:
        f.write(text.replace('outputs: ( {', 'outputs: ( { type = "exec"; name = "late"; program = "/bin/true"; }, {'))
    p.send_signal(signal.SIGHUP)
    wait_for(lambda: "after a restart only" in x.site.log("dmarctapd"))
    x.deliver(report_mail("r", records=2))
    wait_for(lambda: x.ids() == want("r", 2))
    time.sleep(0.2)
    assert p.poll() is None and x.ids() == want("r", 2)


def test_no_secret_and_no_descriptor_reaches_it(make):
    x = make("", TAKE + KEEP + "open(DIR + '/fds', 'w').write(' '.join(sorted(os.listdir('/proc/self/fd'))))\n")
    x.site.start("dmarctapd", {"SECRET": "not for programs"})
    x.deliver(report_mail("r"))
    wait_for(lambda: os.path.exists(f"{x.store}/fds") and os.path.getsize(f"{x.store}/fds") > 0)
    with open(f"{x.store}/fds", encoding="utf-8") as f:
        # 3: got, 4: this file, 5: the listing itself
        assert f.read() == "0 1 2 3 4 5"
