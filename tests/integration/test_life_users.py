# SPDX-License-Identifier: Apache-2.0
"""Doors, worker and operator as users of their own (by number, so that the system stays as it is), and the milter's reload."""
import glob
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest
import spoolfile
from miltermta import Mta
from taplib import ROOT, REPORTS, Site, can_connect, report_mail, wait_for

WORKER, MILTER, LMTP, MEMBER, STRANGER, DROP = 61000, 61001, 61002, 61003, 61004, 61010


def run_as(uid, gid, groups, *command, **kw):
    return subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={gid}", f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups",
                             *command], stdout=kw.get("stdout", subprocess.DEVNULL), stderr=kw.get("stderr", subprocess.DEVNULL), text=True)


def result_as(uid, gid, groups, *command):
    p = run_as(uid, gid, groups, *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return p.communicate(timeout=60)[0], p.returncode


def own(path, uid, gid, mode):
    os.makedirs(path, exist_ok=True)
    os.chown(path, uid, gid)
    os.chmod(path, mode)


def lay_out(site):
    """as etc/tmpfiles.d/dmarctap.conf does"""
    own(site.spool, WORKER, WORKER, 0o755)
    own(f"{site.spool}/incoming", WORKER, WORKER, 0o755)
    for door, user in (("milter", MILTER), ("lmtp", LMTP), ("pipe", WORKER), ("imap", WORKER), ("import", WORKER)):
        own(f"{site.spool}/incoming/{door}", user, DROP, 0o2770)
    own(f"{site.spool}/quarantine", WORKER, WORKER, 0o750)
    own(f"{site.dir}/store", WORKER, WORKER, 0o750)
    own(f"{site.dir}/run", WORKER, WORKER, 0o1777)


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_reader_that_is_root_makes_the_log_a_moment_before_the_worker(mode):
    """It belongs to root until that reader has given it away."""
    with Site() as site:
        site.start("dmarctapd")
        site.kill("dmarctapd", signal.SIGTERM)
        for name in ("-wal", "-shm"):
            if os.path.exists(site.db + name):
                os.unlink(site.db + name)
        with open(site.db + "-wal", "wb"):
            os.chmod(site.db + "-wal", mode)
        owner = os.stat(site.db)
        threading.Timer(0.4, lambda: os.chown(site.db + "-wal", owner.st_uid, owner.st_gid)).start()
        site.start("dmarctapd")
        spoolfile.put(site.spool, report_mail("after"), owner=(owner.st_uid, owner.st_gid))
        wait_for(lambda: site.report_ids() == ["after"], 20)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be others")
def test_doors_worker_and_operator_are_different_users():
    with Site() as site:
        lay_out(site)
        milter = run_as(MILTER, MILTER, [], f"{site.bin}/dmarctap-milter", "-c", site.config)
        site.running["dmarctap-milter"] = milter
        wait_for(lambda: can_connect(site.milter_socket), 20)
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver(f"<{REPORTS}>", report_mail("from-a-door")) == "d"
        [left] = glob.glob(f"{site.spool}/incoming/milter/*.tap")
        st = os.stat(left)
        assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (MILTER, DROP, 0o640)
        assert result_as(LMTP, LMTP, [], "cat", left)[1] != 0, "a door reads what another left"
        assert result_as(STRANGER, STRANGER, [], "ls", os.path.dirname(left))[1] != 0

        worker = run_as(WORKER, WORKER, [DROP], f"{site.bin}/dmarctapd", "-c", site.config)
        site.running["dmarctapd"] = worker
        wait_for(lambda: os.path.exists(site.db) and not os.path.exists(left) and site.report_ids() == ["from-a-door"], 20)
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver(f"<{REPORTS}>", report_mail("bad", packed=b"\x1f\x8b garbage" * 9)) == "c"
        wait_for(lambda: len(site.quarantine()) == 1, 20)
        status = [f"{site.bin}/dmarctapctl", "-c", site.config, "status"]
        for uid, gid, groups in ((0, 0, []), (WORKER, WORKER, [DROP]), (MEMBER, WORKER, [])):
            text, code = result_as(uid, gid, groups, *status)
            assert code == 0 and "running" in text and "1 reports" in text, (uid, text)
            listing, code = result_as(uid, gid, groups, f"{site.bin}/dmarctapctl", "-c", site.config, "quarantine", "list")
            assert code == 0 and "broken" in listing, (uid, listing)
        text, code = result_as(STRANGER, STRANGER, [], *status)
        assert code != 0 and "pid" not in text
        ident = site.quarantine()[0][:-4]
        drop = [f"{site.bin}/dmarctapctl", "-c", site.config, "quarantine", "drop", ident]
        assert result_as(STRANGER, STRANGER, [], *drop)[1] != 0 and site.quarantine()
        assert result_as(STRANGER, STRANGER, [], *drop, "--offline")[1] != 0 and site.quarantine()

        for end in (signal.SIGTERM, signal.SIGKILL):
            worker.send_signal(end)
            worker.wait(20)
            for uid, gid, groups in ((0, 0, []), (WORKER, WORKER, [DROP]), (MEMBER, WORKER, [])):
                text, code = result_as(uid, gid, groups, *status)
                assert code == 69 and "not running" in text and "1 reports" in text, (end, uid, text)
            assert result_as(STRANGER, STRANGER, [], *drop, "--offline")[1] != 0 and site.quarantine()
            if end == signal.SIGTERM:
                worker = run_as(WORKER, WORKER, [DROP], f"{site.bin}/dmarctapd", "-c", site.config)
                site.running["dmarctapd"] = worker
                wait_for(lambda: can_connect(site.control), 20)
        text, code = result_as(WORKER, WORKER, [DROP], *drop, "--offline")
        assert code == 0 and not site.quarantine(), text


def test_the_milter_reads_its_configuration_anew_at_sigusr1():
    with Site() as site:
        milter = site.start("dmarctap-milter")
        with open(site.config, encoding="utf-8") as f:
            before = f.read()
        with Mta(site.milter_socket) as old:
            old.connect()
            with open(site.config, "w", encoding="utf-8") as f:
                f.write(before.replace(f'"{REPORTS}"', '"new@dmarctap.test"'))
            milter.send_signal(signal.SIGUSR1)
            wait_for(lambda: "read anew" in site.log("dmarctap-milter"), 20)
            assert old.deliver(f"<{REPORTS}>", report_mail("old-connection")) == "d"
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver("<new@dmarctap.test>", report_mail("new")) == "d"
        with open(site.config, "w", encoding="utf-8") as f:
            f.write("reports: { addresses = [ \"x@dmarctap.test\" ]; };\nnonsense: {};\n")
        milter.send_signal(signal.SIGUSR1)
        wait_for(lambda: "the old configuration stays" in site.log("dmarctap-milter"), 20)
        assert "nonsense" in site.log("dmarctap-milter")
        with Mta(site.milter_socket) as m:
            m.connect()
            assert m.deliver("<new@dmarctap.test>", report_mail("still-new")) == "d"
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(before + "parser: { processes = 3; };\n")
        milter.send_signal(signal.SIGUSR1)
        wait_for(lambda: "the section parser has changed: that needs a restart" in site.log("dmarctap-milter"), 20)
        assert milter.poll() is None
        milter.send_signal(signal.SIGTERM)
        assert milter.wait(20) == 0


def test_many_milter_reloads_leave_the_program_well():
    with Site() as site:
        milter = site.start("dmarctap-milter")
        for i in range(20):
            milter.send_signal(signal.SIGUSR1)
            with Mta(site.milter_socket) as m:
                m.connect()
                assert m.deliver(f"<{REPORTS}>", report_mail(f"r{i}")) == "d"
            time.sleep(0.01)
        assert len(glob.glob(f"{site.spool}/incoming/milter/*.tap")) == 20
        milter.send_signal(signal.SIGTERM)
        assert milter.wait(20) == 0


def test_installation_puts_everything_in_its_place(tmp_path):
    build = os.path.dirname(os.environ.get("TAP_BIN", f"{ROOT}/build/dev/bin"))
    if not os.path.exists(f"{build}/cmake_install.cmake"):
        pytest.skip("the programs do not lie in a build directory")
    p = subprocess.run(["cmake", "--install", build], env=dict(os.environ, DESTDIR=str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, check=False)
    assert p.returncode == 0, p.stdout
    root = f"{tmp_path}/usr/local"
    for name in ("bin/dmarctapctl", "bin/dmarctap", "libexec/dmarctap/dmarctapd", "libexec/dmarctap/dmarctap-parse",
                 "lib/systemd/system/dmarctapd.service", "lib/sysusers.d/dmarctap.conf", "lib/tmpfiles.d/dmarctap.conf",
                 "share/doc/dmarctap/dmarctap.conf.sample"):
        assert os.path.exists(f"{root}/{name}"), name
    with open(f"{root}/lib/systemd/system/dmarctapd.service", encoding="utf-8") as f:
        [start] = [line for line in f if line.startswith("ExecStart=")]
    assert os.path.exists(f"{tmp_path}{start[10:].split()[0]}")
