# SPDX-License-Identifier: Apache-2.0
"""What an operator does with messages in quarantine: retry, release, expire, drop; through the worker and with --offline; every step
killed at every point leaves the message somewhere [I2 I10]."""
import json
import os
import pwd
import signal
import subprocess
import sys
import time

import spoolfile
from taplib import ROOT, Site, mail, report_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests/long")
import doors  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None


def put(site, raw=b"", **kw):
    return spoolfile.put(site.spool, raw, owner=OWNER, **kw)


def ctl(site, *args, ok=(0,), env=None):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                       check=False, env=dict(os.environ, **(env or {})))
    assert p.returncode in ok, f"{args}: {p.returncode}\n{p.stdout.decode()}\n{p.stderr.decode()}"
    return p.stdout.decode() + p.stderr.decode()


def kept(site):
    return sorted(n[:-4] for n in site.quarantine())


def sidecars(site):
    return sorted(n[:-5] for n in os.listdir(f"{site.spool}/quarantine") if n.endswith(".json"))


def raw_of(site, where):
    with open(where, "rb") as f:
        data = f.read()
    at, size = int.from_bytes(data[16:24], "little"), int.from_bytes(data[24:32], "little")
    return data[at:at + size]


def places(site, raw):
    """every name under which the spool holds this message"""
    found = []
    for folder, _, names in os.walk(site.spool):
        found += [f"{folder}/{n}" for n in names if n.endswith(".tap") and raw_of(site, f"{folder}/{n}") == raw]
    return found


BROKEN = report_mail("bad", packed=b"\x1f\x8b garbage" * 9)


def test_retry_is_parsed_anew_and_known_reports_do_not_stop_it():
    with Site() as site:
        site.start("dmarctapd")
        put(site, BROKEN, door="lmtp")
        put(site, mail("hello"))
        wait_for(lambda: len(kept(site)) == 2 and len(sidecars(site)) == 2, 20)
        first = kept(site)
        out = ctl(site, "quarantine", "retry", "all", "--verdict", "broken")
        assert "1 tried again" in out
        wait_for(lambda: len(kept(site)) == 2 and kept(site) != first and sidecars(site) == kept(site), 20)
        again = [i for i in kept(site) if i not in first]
        assert len(again) == 1 and again[0][:10] in [i[:10] for i in first], "the second of arrival stays in the id"
        with open(f"{site.spool}/quarantine/{again[0]}.json", encoding="utf-8") as f:
            side = json.load(f)
        assert side["verdict"] == "broken" and side["door"] == "lmtp" and places(site, BROKEN)
        assert "there is no message" in ctl(site, "quarantine", "retry", "0" * 32, ok=(1,))


def test_what_was_foreign_is_stored_after_the_configuration_changed():
    with Site() as site:
        with open(site.config, encoding="utf-8") as f:
            before = f.read()
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(before + '\ntrust = { domains = [ "other.test" ]; foreign = "quarantine"; };\n')
        worker = site.start("dmarctapd")
        put(site, report_mail("ours", records=2))
        wait_for(lambda: len(kept(site)) == 1, 20)
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(before)
        worker.send_signal(signal.SIGHUP)
        time.sleep(1)
        ctl(site, "quarantine", "retry", "all")
        wait_for(lambda: site.report_ids() == ["ours"] and not kept(site) and not sidecars(site), 20)


def test_drop_and_expire_with_and_without_the_worker():
    with Site() as site:
        worker = site.start("dmarctapd")
        for i in range(6):
            put(site, mail(f"text {i}"))
        wait_for(lambda: len(kept(site)) == 6 and len(sidecars(site)) == 6, 20)
        ids = kept(site)
        assert "1 removed" in ctl(site, "quarantine", "drop", ids[0])
        assert "dmarctapd runs" in ctl(site, "quarantine", "drop", ids[1], "--offline", ok=(75,))
        assert "0 removed" in ctl(site, "quarantine", "expire", "--older", "1")
        assert kept(site) == ids[1:]
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
        ctl(site, "quarantine", "drop", ids[1], ok=(69,))
        if OWNER:
            os.chown(site.spool, *OWNER)
        assert "1 removed" in ctl(site, "quarantine", "drop", ids[1], "--offline")
        assert "4 removed" in ctl(site, "quarantine", "expire", "--before", "2099-01-01", "--offline")
        assert not kept(site) and not sidecars(site)
        for bad in (["--before", "2026-02-30"], ["--older", "x"], []):
            ctl(site, "quarantine", "expire", *bad, ok=(2,))


def test_release_sends_the_message_as_it_came_and_then_removes_it():
    with Site() as site:
        box = f"{site.dir}/box"
        program = f"{site.dir}/sendmail"
        with open(program, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nprintf "%s\\n" "$@" > {box}.args\ncat > {box}\nexit $(cat {site.dir}/status)\n')
        os.chmod(program, 0o755)
        with open(f"{site.dir}/status", "w", encoding="utf-8") as f:
            f.write("75")
        with open(site.config, encoding="utf-8") as f:
            text = f.read()
        assert "reports" in text
        text = text.replace("reports: {", f'reports: {{ sendmail = "{program}";', 1)
        with open(site.config, "w", encoding="utf-8") as f:
            f.write(text)
        site.start("dmarctapd")
        put(site, BROKEN, sender="")
        wait_for(lambda: len(kept(site)) == 1 and sidecars(site) == kept(site), 20)
        ident = kept(site)[0]
        ctl(site, "quarantine", "release", ident, ok=(2,))
        ctl(site, "quarantine", "release", ident, "--to", "-oQ/tmp", ok=(2,))
        assert "did not take" in ctl(site, "quarantine", "release", ident, "--to", "post@dmarctap.test", ok=(75,))
        assert kept(site) == [ident]
        with open(f"{site.dir}/status", "w", encoding="utf-8") as f:
            f.write("0")
        ctl(site, "quarantine", "release", ident, "--to", "post@dmarctap.test", "--keep")
        assert kept(site) == [ident]
        ctl(site, "quarantine", "release", ident, "--to", "post@dmarctap.test", ok=(-9,), env={"TAP_FAULT": "release.sent:1:kill"})
        assert kept(site) == [ident], "killed in between: in both places"
        ctl(site, "quarantine", "release", ident, "--to", "post@dmarctap.test")
        assert not kept(site) and not sidecars(site)
        with open(box, "rb") as f:
            assert f.read() == BROKEN
        with open(f"{box}.args", encoding="utf-8") as f:
            assert f.read().split("\n")[:-1] == ["-i", "-f", "<>", "--", "post@dmarctap.test"]


def test_a_kill_at_each_point_of_each_verb_leaves_the_message_somewhere():
    for verb in (["retry"], ["drop"]):
        for point in ("quarantine.retry", "quarantine.drop", "quarantine.sync", "quarantine.forget"):
            if point in ("quarantine.retry", "quarantine.drop") and point != f"quarantine.{verb[0]}":
                continue
            with Site() as site:
                worker = site.start("dmarctapd")
                put(site, BROKEN)
                wait_for(lambda: len(kept(site)) == 1 and sidecars(site) == kept(site), 20)
                ident = kept(site)[0]
                worker.send_signal(signal.SIGTERM)
                worker.wait(20)
                if OWNER:
                    os.chown(site.spool, *OWNER)
                ctl(site, "quarantine", verb[0], ident, "--offline", ok=(-9,), env={"TAP_FAULT": f"{point}:1:kill"})
                found = places(site, BROKEN)
                if verb == ["retry"] or point == "quarantine.drop":
                    assert len(found) == 1, f"{verb} {point}: {found}"
                site.start("dmarctapd")
                if verb == ["retry"]:
                    wait_for(lambda: len(places(site, BROKEN)) == 1 and "quarantine" in places(site, BROKEN)[0]
                             and kept(site)[0] in sidecars(site), 20)


def test_retry_of_the_worker_killed_at_each_point():
    for point in ("quarantine.retry", "quarantine.sync", "quarantine.forget"):
        with Site() as site:
            worker = site.start("dmarctapd", env={"TAP_FAULT": f"{point}:1:kill"})
            put(site, BROKEN)
            wait_for(lambda: len(kept(site)) == 1 and sidecars(site) == kept(site), 20)
            ctl(site, "quarantine", "retry", "all", ok=(75,))
            assert worker.wait(20) == -9
            assert len(places(site, BROKEN)) == 1
            site.start("dmarctapd")
            wait_for(lambda: len(places(site, BROKEN)) == 1 and "quarantine" in places(site, BROKEN)[0]
                     and kept(site)[0] in sidecars(site), 20)


def test_over_its_bytes_only_what_a_mailbox_has_is_removed_and_then_doors_wait():
    with Site() as site:
        with open(site.config, "a", encoding="utf-8") as f:
            f.write("\nquarantine = { max_bytes = \"64K\"; };\n")
        big = b"\r\n".join([b"x" * 70] * 500)
        for _ in range(3):
            put(site, mail("gone on") + big, passed_on=True)
        only = put(site, mail("the only copy") + big)
        worker = site.start("dmarctapd")
        wait_for(lambda: len(kept(site)) == 4 and len(sidecars(site)) == 4, 20)
        worker.send_signal(signal.SIGHUP)  # a round now
        wait_for(lambda: len(kept(site)) == 1, 20)
        assert kept(site) == [only] and not os.path.exists(f"{site.spool}/quarantine-full")
        second, third = put(site, mail("another") + big), put(site, mail("one more") + big)
        wait_for(lambda: len(kept(site)) == 3 and len(sidecars(site)) == 3, 20)
        worker.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(f"{site.spool}/quarantine-full"), 20)
        assert kept(site) == sorted([only, second, third]), "what only we have is never thrown away"
        ctl(site, "quarantine", "drop", second)
        ctl(site, "quarantine", "drop", third)
        worker.send_signal(signal.SIGHUP)
        wait_for(lambda: not os.path.exists(f"{site.spool}/quarantine-full"), 20)


def test_no_door_takes_a_report_while_quarantine_is_full():
    with Site() as site:
        kinds = doors.chosen("all")
        assert {k.name for k in kinds} == {"milter", "lmtp", "pipe"}
        doors.configure(site, kinds)
        crew = [k(site) for k in kinds]
        site.start("dmarctapd")  # makes the directories
        site.kill("dmarctapd", signal.SIGTERM)
        stop = f"{site.spool}/quarantine-full"
        try:
            for i, door in enumerate(crew):
                door.start()
                assert door.deliver(report_mail(f"before-{i}")) == doors.ACCEPTED, door.name
                with open(stop, "w", encoding="ascii"):
                    pass
                assert door.deliver(report_mail(f"full-{i}")) == doors.DEFERRED, door.name
                if door.name == "milter":
                    assert door.other_mail_passes()
                os.unlink(stop)
                assert door.deliver(report_mail(f"after-{i}")) == doors.ACCEPTED, door.name
        finally:
            for door in crew:
                door.kill(signal.SIGTERM)
        site.start("dmarctapd")
        wait_for(lambda: len(site.report_ids()) == 6, 20)
        assert sorted(site.report_ids()) == sorted(f"{w}-{i}" for w in ("before", "after") for i in range(3))
