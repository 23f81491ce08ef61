# SPDX-License-Identifier: Apache-2.0
"""Forwarding by the doors that forward: a sendmail that is set-group-id keeps its bit behind them, and what is no report goes through a real
Postfix into a mailbox, once."""
import grp
import os
import subprocess

import pytest
from taplib import REPORTS, ROOT, mail, report_mail, wait_for
from test_lmtp import Door

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for set-group-id programs and for Postfix")
GAMES = grp.getgrnam("games").gr_gid # the private Postfix's setgid_group
PEOPLE = "people@dmarctap.test"


def set_group_id(path, program, libraries="/", settings="/"):
    """A program at path that becomes `program` with the group games."""
    subprocess.run(["cc", "-O1", "-o", path, f'-DPROGRAM="{program}"', f'-DLIBRARIES="{libraries}"', f'-DSETTINGS="{settings}"',
                    f"{ROOT}/tests/servers/setgid.c"], check=True)
    os.chown(path, 0, GAMES)
    os.chmod(path, 0o2755)


def script(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)


@pytest.fixture
def door():
    with Door(reports=f'not_report = "forward"; not_report_address = "{PEOPLE}"; sendmail = "SENDMAIL";') as d:
        with open(d.site.config, encoding="utf-8") as f:
            text = f.read().replace("SENDMAIL", f"{d.site.dir}/sendmail")
        with open(d.site.config, "w", encoding="utf-8") as f:
            f.write(text)
        d.site.start("dmarctapd")
        yield d


def pipe(door, data):
    """(exit status, what it says) of dmarctap-pipe, run by nobody"""
    p = subprocess.run([f"{door.site.bin}/dmarctap-pipe", "-c", door.site.config, "-f", "someone@dmarctap.test"], input=data,
                       stdout=subprocess.PIPE, user="nobody", group="nogroup", extra_groups=[], cwd="/", timeout=120, check=False)
    return p.returncode, p.stdout.decode()


def lmtp(door, data):
    """(code, what it says) of dmarctap-lmtp, which runs as nobody"""
    c = door.client()
    for line in ("MAIL FROM:<someone@dmarctap.test>", f"RCPT TO:<{REPORTS}>"):
        assert c.say(line).startswith("250"), line
    assert c.say("DATA").startswith("354")
    c.raw(data + b".\r\n")
    text = c.reply()
    return int(text[:3]), text


def test_set_group_id_bit_works_behind_both_doors(door):
    d = door.site.dir
    os.mkdir(f"{d}/said")
    os.chmod(f"{d}/said", 0o777)
    script(f"{d}/tell", f"cat > /dev/null; (id -g; grep NoNewPrivs: /proc/self/status) > {d}/said/$$")
    set_group_id(f"{d}/sendmail", f"{d}/tell")
    assert pipe(door, mail("pipe"))[0] == 0
    door.start()
    assert lmtp(door, mail("lmtp"))[0] == 250
    said = []
    for name in os.listdir(f"{d}/said"):
        with open(f"{d}/said/{name}", encoding="ascii") as f:
            said.append(f.read().split())
    assert said == [[str(GAMES), "NoNewPrivs:", "0"]] * 2


def test_what_is_no_report_goes_through_postfix_into_a_mailbox(door):
    site, d = door.site, door.site.dir
    site.start_postfix("smtpd_milters =", "export_environment = TZ MAIL_CONFIG LD_LIBRARY_PATH")
    # Postfix as it is installed: sendmail without a privilege hands the mail to postdrop, which has the group of the queue. Here neither lies
    # where its libraries and settings are found, and the doors, rightly, give it no environment that would say so.
    root = f"{d}/postfix/root"
    os.rename(f"{root}/usr/sbin/postdrop", f"{root}/usr/sbin/postdrop.real")
    set_group_id(f"{root}/usr/sbin/postdrop", f"{root}/usr/sbin/postdrop.real", f"{root}/usr/lib/postfix", f"{d}/postfix/etc")
    script(f"{d}/sendmail", f"LD_LIBRARY_PATH={root}/usr/lib/postfix MAIL_CONFIG={d}/postfix/etc exec {root}/usr/sbin/sendmail \"$@\"")
    status, text = pipe(door, mail("through the pipe"))
    assert status == 0 and text.startswith("2.0.0 forwarded, not a report"), text
    door.start()
    code, text = lmtp(door, mail("through LMTP"))
    assert code == 250 and "forwarded, not a report" in text
    # A report stays here, through the same doors.
    assert pipe(door, report_mail("fw-pipe"))[1].startswith("2.0.0 report stored")
    assert "report stored" in lmtp(door, report_mail("fw-lmtp"))[1]
    wait_for(lambda: sorted(site.report_ids()) == ["fw-lmtp", "fw-pipe"])
    wait_for(lambda: len(site.mailbox()) == 2, 30)
    for message, subject in zip(sorted(site.mailbox(), key=lambda m: b"through the pipe" not in m), (b"through the pipe", b"through LMTP")):
        assert b"Subject: " + subject + b"\n" in message and b"Return-Path: <someone@dmarctap.test>" in message
        assert message.count(b"X-Dmarctap: not a report; forwarded") == 1
        assert b"Delivered-To: " + PEOPLE.encode() in message or PEOPLE.encode() in message
    # Postfix refuses (its queue is away): the sender is told to come again, and nothing is half done.
    os.rename(f"{root}/usr/sbin/postdrop", f"{root}/usr/sbin/postdrop.away")
    status, text = pipe(door, mail("later"))
    assert status == 75 and text.startswith("4.3.0 local trouble, try again later: forward: "), text
    assert lmtp(door, mail("later"))[0] == 451
    wait_for(site.drained)
    assert not site.quarantine() and len(site.mailbox()) == 2
