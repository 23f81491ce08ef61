# SPDX-License-Identifier: Apache-2.0
"""The life of dmarctapd: what it tells the service manager, reload, the end, and a message that kills it."""
import os
import pwd
import signal
import socket
import subprocess
import time

import spoolfile
from taplib import ROOT, Site, mail, report_mail, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None


def put(site, raw=b"", **kw):
    return spoolfile.put(site.spool, raw, owner=OWNER, **kw)


class Manager:
    """the service manager's end of NOTIFY_SOCKET"""

    def __init__(self, site):
        self.path = f"{site.dir}/notify"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o777)
        self.sock.settimeout(0.1)
        self.heard = []

    def hear(self):
        try:
            while True:
                self.heard.append(self.sock.recv(4096).decode())
        except TimeoutError:
            pass
        return self.heard

    def wait(self, text, n=1):
        wait_for(lambda: sum(text in h for h in self.hear()) >= n, 20)


def test_the_service_manager_hears_each_step_and_the_watchdog_is_fed():
    with Site() as site:
        m = Manager(site)
        worker = site.start("dmarctapd", env={"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "800000"})
        m.wait("READY=1")
        m.wait("WATCHDOG=1", 3)
        worker.send_signal(signal.SIGHUP)
        m.wait("RELOADING=1")
        m.wait("READY=1", 2)
        m.wait("WATCHDOG=1", len([h for h in m.heard if "WATCHDOG" in h]) + 2)
        worker.send_signal(signal.SIGTERM)
        m.wait("STOPPING=1")
        assert worker.wait(20) == 0


def test_a_stopped_worker_feeds_no_watchdog():
    with Site() as site:
        m = Manager(site)
        worker = site.start("dmarctapd", env={"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "800000"})
        m.wait("WATCHDOG=1")
        worker.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        m.hear()
        n = len(m.heard)
        time.sleep(1.5)
        assert len(m.hear()) == n
        worker.send_signal(signal.SIGCONT)


def test_reload_keeps_the_old_configuration_when_the_new_is_bad():
    with Site() as site:
        m = Manager(site)
        worker = site.start("dmarctapd", env={"NOTIFY_SOCKET": m.path})
        m.wait("READY=1")
        with open(site.config, encoding="utf-8") as f:
            good = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(good + "\nworker2 = { sweep = \"1s\"; };\n")
        worker.send_signal(signal.SIGHUP)
        m.wait("the old configuration stays")
        text = [h for h in m.heard if "the old configuration stays" in h][0]
        assert site.config in text and "worker2" in text
        put(site, report_mail("after a bad reload"))
        wait_for(lambda: site.report_ids() == ["after a bad reload"], 20)
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(good)
        worker.send_signal(signal.SIGHUP)
        m.wait("READY=1", 3)
        put(site, report_mail("after a good one"))
        wait_for(lambda: sorted(site.report_ids()) == ["after a bad reload", "after a good one"], 20)
        assert worker.poll() is None


def test_many_reloads_under_load_lose_and_double_nothing():
    with Site() as site:
        m = Manager(site)
        worker = site.start("dmarctapd", env={"NOTIFY_SOCKET": m.path})
        m.wait("READY=1")
        for i in range(60):
            put(site, report_mail(f"r{i}"))
            if i % 12 == 0:
                worker.send_signal(signal.SIGHUP)
                time.sleep(0.1)
        wait_for(lambda: len(site.report_ids()) == 60 and not spoolfile.waiting(site.spool), 30)
        assert site.query("SELECT sum(duplicates) FROM report") == [(0,)]
        assert worker.poll() is None
        fds = os.listdir(f"/proc/{worker.pid}/fd") if os.path.exists(f"/proc/{worker.pid}/fd") else []
        assert len(fds) < 100


def test_a_message_that_kills_the_worker_goes_to_quarantine_and_others_do_not():
    with Site() as site:
        poison = put(site, report_mail("poison"))
        deaths = 0
        for _ in range(8):
            worker = subprocess.Popen([f"{site.bin}/dmarctapd", "-c", site.config], stderr=subprocess.DEVNULL,
                                      env=dict(os.environ, TAP_FAULT="spool.claim:1:kill"))
            site.running["dmarctapd"] = worker
            wait_for(lambda: worker.poll() is not None or site.quarantine(), 20)
            if worker.poll() is None:
                break
            assert worker.returncode == -9
            deaths += 1
        assert deaths == 4, "one death makes a suspect, three more a culprit"
        wait_for(lambda: site.quarantine() == [f"{poison}.tap"], 20)
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
        put(site, report_mail("well"))
        site.start("dmarctapd")
        wait_for(lambda: site.report_ids() == ["well"], 20)
        assert site.query("SELECT quarantine FROM message WHERE spool_id = ?", poison) == [("unreadable",)]


def test_units_are_valid_and_name_what_there_is():
    units = [f for f in os.listdir(f"{ROOT}/etc/systemd") if f.endswith(".service")]
    assert "dmarctapd.service" in units and "dmarctap-milter.service" in units
    users = set()
    with open(f"{ROOT}/etc/sysusers.d/dmarctap.conf", encoding="utf-8") as f:
        users = {line.split()[1] for line in f if line.startswith("u ")}
    for name in units:
        with open(f"{ROOT}/etc/systemd/{name}", encoding="utf-8") as f:
            text = f.read()
        user = [line[5:] for line in text.split("\n") if line.startswith("User=")]
        assert user and user[0] in users, f"{name}: {user}"
        assert "NoNewPrivileges=" in text and "ProtectSystem=strict" in text
    if subprocess.run(["sh", "-c", "command -v systemd-analyze"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        p = subprocess.run(["systemd-analyze", "verify", *[f"{ROOT}/etc/systemd/{u}" for u in units]], stderr=subprocess.PIPE, check=False)
        bad = [line for line in p.stderr.decode().split("\n") if "Unknown" in line or "Invalid" in line or "Failed to parse" in line]
        assert not bad, bad
