# SPDX-License-Identifier: Apache-2.0
"""The lines of etc/ that people copy into their mail servers' configuration, as they stand there but for names and paths: each takes a
report, refuses nothing and leaves other mail alone."""
import os
import re
import sys

import pytest
from mtalib import MtaSite
from taplib import REPORTS, ROOT, SENDER, mail, report_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.exim import Exim  # noqa: E402

OTHER = "someone@dmarctap.test"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mail servers need root")


@pytest.fixture
def site():
    with MtaSite() as s:
        for name in ("dmarctapd", "dmarctap-milter"):
            s.start(name)
        s.start_lmtp()
        with open(f"{s.dir}/wrapper", "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nexec {s.bin}/dmarctap-pipe -c {s.config} "$@"\n')
        os.chmod(f"{s.dir}/wrapper", 0o755)
        yield s


def snippet(s, name):
    with open(f"{ROOT}/etc/{name}", encoding="utf-8") as f:
        text = f.read()
    for there, here in (("example.com", "dmarctap.test"), ("/run/dmarctap/milter.sock", s.milter_socket),
                        ("/run/dmarctap/lmtp.sock", s.lmtp_socket), ("/usr/local/libexec/dmarctap/dmarctap-pipe", f"{s.dir}/wrapper")):
        text = text.replace(there, here)
    assert "dmarctap/" not in text.replace(s.dir, ""), "a path of the installed program that the test did not replace"
    return text


def stored(s, report_id, door):
    wait_for(lambda: report_id in s.report_ids(), 20)
    got = s.query("SELECT m.door, m.recipients FROM message m JOIN report r ON r.message_id = m.id WHERE r.report_id = ?", report_id)
    assert [g[0] for g in got] == [door]
    return got[0][1]


def kept(server, marker):
    wait_for(lambda: any(marker.encode() in m for m in server.mailbox()), 20)


def unix_lines(raw):
    return raw.replace(b"\r\n", b"\n")


def test_postfix_milter_and_lmtp_transport(site):
    site.start_postfix(*(snippet(site, f"postfix/{n}") for n in ("main.cf.snippet", "lmtp.snippet")), "recipient_delimiter = +")
    assert site.send(report_mail("pf-milter"))[0] == 250
    stored(site, "pf-milter", "milter")
    for to in (REPORTS, "reports+x@dmarctap.test"):
        site.postfix("sendmail", "-i", "-f", SENDER, "--", to, data=unix_lines(report_mail(f"pf-{to}")))
        assert stored(site, f"pf-{to}", "lmtp").strip() == to
    assert site.send(mail("pf-other", to=OTHER), to=OTHER)[0] == 250
    kept(site, "pf-other")
    # The milter gone: the snippet's default action.
    site.kill("dmarctap-milter", 15)
    assert 400 <= site.send(report_mail("pf-down"))[0] < 500


def test_postfix_pipe(site):
    def section(name):
        """The lines below "# NAME…:" without their comment signs."""
        found = re.search(rf"^# {re.escape(name)}[^\n]*:\n((?:#   [^\n]*\n)+)", snippet(site, "postfix/pipe.cf"), re.M)
        return re.sub(r"^#   ", "", found.group(1), flags=re.M)
    site.start_postfix("smtpd_milters =", section("main.cf"))
    with open(f"{site.dir}/postfix/etc/master.cf", "a", encoding="utf-8") as f:
        f.write(section("master.cf"))
    site.postfix("postfix", "reload")
    assert site.send(report_mail("pf-pipe"))[0] == 250
    assert stored(site, "pf-pipe", "pipe").strip() == REPORTS
    assert site.send(mail("pf-pipe-other", to=OTHER), to=OTHER)[0] == 250
    kept(site, "pf-pipe-other")


def test_sendmail_milter_and_lmtp_mailer(site):
    sm = site.start_sendmail(whole_mc=snippet(site, "sendmail/dmarctap.mc.snippet"),
                             local=snippet(site, "sendmail/dmarctap-lmtp.mc.snippet"))
    assert site.send(report_mail("sm-milter"))[0] == 250
    stored(site, "sm-milter", "milter")
    for to in (REPORTS, "reports+x@dmarctap.test"):
        sm.submit_direct(unix_lines(report_mail(f"sm-{to}")), to, SENDER)
        assert stored(site, f"sm-{to}", "lmtp").strip() == to
    assert site.send(mail("sm-other", to=OTHER), to=OTHER)[0] == 250
    kept(sm, "sm-other")
    site.kill("dmarctap-milter", 15)
    assert site.send(report_mail("sm-down"))[0] == 451


@pytest.mark.parametrize("door", ["lmtp", "pipe"])
def test_exim(site, door):
    """One file holds a router and a transport, which Exim wants in sections of their own."""
    router, transport = re.split(r"^# transports:.*\n", snippet(site, f"exim/dmarctap-{door}.snippet"), flags=re.M)
    assert not re.search(r"^\s*return_output", transport, re.M)
    with Exim(f"{site.dir}/exim.d", routers=router, transports=transport) as ex:
        site.port = ex.port
        assert site.send(report_mail("ex-report"))[0] == 250
        assert stored(site, "ex-report", door).strip() == REPORTS
        assert site.send(mail("ex-other", to=OTHER), to=OTHER)[0] == 250
        kept(ex, "ex-other")
        # Trouble on our side: it waits in the queue, and nobody hears of it.
        if door == "pipe":
            os.rename(site.config, site.config + ".away")
            assert site.send(report_mail("ex-later"))[0] == 250
            wait_for(lambda: "==" in ex.read("log/mainlog"), 20)
            os.rename(site.config + ".away", site.config)

            def again():
                """the queued mail is delivered"""
                ex.run_queue()
                return not ex.queued()
            wait_for(again, 30)
            stored(site, "ex-later", door)
        assert "**" not in ex.read("log/mainlog")
