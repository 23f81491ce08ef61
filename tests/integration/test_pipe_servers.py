# SPDX-License-Identifier: Apache-2.0
"""dmarctap-pipe as mail servers run it: Postfix pipe(8), Sendmail's prog mailer, Exim's pipe transport, Dovecot's Sieve. 0 is delivered,
75 stays in the queue and comes again, 65 goes back to the sender; a program that is killed loses nothing."""
import glob
import os
import signal
import sys

import pytest
from taplib import REPORTS, ROOT, Site, mail, report_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.dovecot import Dovecot  # noqa: E402
from servers.exim import Exim  # noqa: E402
from servers.sendmail import Sendmail  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mail servers need root")


@pytest.fixture
def site():
    with Site() as s:
        s.start("dmarctapd")
        # A wrapper, so that a test can make the program fail, and knows its arguments.
        with open(f"{s.dir}/wrapper", "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\n[ ! -e {s.dir}/fail ] || . {s.dir}/fail\nexec {s.bin}/dmarctap-pipe -c "${{TAP_CONF:-{s.config}}}" "$@"\n')
        os.chmod(f"{s.dir}/wrapper", 0o755)
        yield s


def fail(site, text):
    with open(f"{site.dir}/fail", "w", encoding="utf-8") as f:
        f.write(text + "\n")


def well(site):
    os.unlink(f"{site.dir}/fail")


def stored(site, report_id):
    wait_for(lambda: report_id in site.report_ids(), 30)
    wait_for(site.drained)
    assert site.query("SELECT count(*) FROM report WHERE report_id = ?", report_id) == [(1,)]


def rejecting(site):
    """A second configuration: mail that is no report is rejected."""
    with open(site.config, encoding="utf-8") as f:
        text = f.read().replace("reports: {", 'reports: { not_report = "reject";')
    with open(f"{site.dir}/reject.conf", "w", encoding="utf-8") as f:
        f.write(text)
    return f"TAP_CONF={site.dir}/reject.conf"


def postfix(site):
    site.start_postfix("smtpd_milters =", f"transport_maps = inline:{{{{{REPORTS}=dmarctap:}}}}", "dmarctap_destination_recipient_limit = 1",
                       "minimal_backoff_time = 1s", "maximal_backoff_time = 2s", "queue_run_delay = 1s", "notify_classes = bounce",
                       "virtual_alias_maps =")
    with open(f"{site.dir}/postfix/etc/master.cf", "a", encoding="utf-8") as f:
        f.write(f"dmarctap unix - n n - 10 pipe\n  flags=DORhu user=nobody null_sender=\n"
                f"  argv={site.dir}/wrapper -f ${{sender}} -q ${{queue_id}} -a ${{client_address}} -- ${{recipient}}\n")
    wait_for(lambda: "daemon started" in postfix_log(site))
    (pid,) = glob.glob(f"{site.dir}/postfix/**/pid/master.pid", recursive=True)
    with open(pid, encoding="ascii") as f:
        os.kill(int(f.read()), signal.SIGHUP)
    wait_for(lambda: "reload -- version" in postfix_log(site))


def postfix_log(site):
    if not os.path.exists(f"{site.dir}/postfix/log/maillog"):
        return ""
    with open(f"{site.dir}/postfix/log/maillog", encoding="utf-8", errors="replace") as f:
        return f.read()


def test_postfix_pipe(site):
    postfix(site)
    assert site.send(report_mail("px-1"))[0] == 250
    stored(site, "px-1")
    wait_for(lambda: "status=sent (delivered via dmarctap service (2.0.0 kept, to be judged; id=" in postfix_log(site))
    assert site.query("SELECT sender, recipients, client FROM message")[0] == ("dmarc-noreply@receiver.example", REPORTS, "127.0.0.1")
    headers = site.query("SELECT headers FROM message")[0][0]
    assert b"Delivered-To: " in headers and b"X-Original-To: " in headers and b"Return-Path: " in headers
    assert site.send(report_mail("px-null"), sender="")[0] == 250
    stored(site, "px-null")
    assert ("",) in site.query("SELECT sender FROM message")
    # Deferred while it cannot keep anything, however it says so; delivered afterwards.
    for i, trouble in enumerate((f"export TAP_CONF={site.dir}/none", "kill -9 $$", "kill -TERM $$", "head -c 100 >/dev/null; kill -9 $$")):
        fail(site, trouble)
        assert site.send(report_mail(f"px-defer-{i}"))[0] == 250
        wait_for(lambda i=i: postfix_log(site).count("status=deferred") > i, 20)
        well(site)
        stored(site, f"px-defer-{i}")
    assert "dsn=4.3.0, status=deferred (local trouble, try again later: cannot read the configuration" in postfix_log(site)
    assert "status=bounced" not in postfix_log(site)
    # Rejected: back to its sender, with the reason.
    fail(site, f"export {rejecting(site)}")
    assert site.send(mail("px-no-report"), sender="someone@dmarctap.test")[0] == 250
    wait_for(lambda: "status=bounced" in postfix_log(site))
    assert "dsn=5.6.0, status=bounced" in postfix_log(site) and "not a report" in postfix_log(site)
    wait_for(lambda: any(b"px-no-report" in m and b"not a report" in m for m in site.mailbox()))


def test_sendmail_prog_mailer(site):
    with Sendmail(f"{site.dir}/sendmail.d", aliases={"reports": f'"|{site.dir}/wrapper -f a@b.example"'}) as sm:
        # The program runs as Sendmail's default user there; the spool of this site is nobody's, and this test runs it as it comes.
        os.chmod(site.spool, 0o777)
        for sub in ("incoming", "incoming/pipe"):
            os.chmod(f"{site.spool}/{sub}", 0o2777)
        sm.submit(report_mail("sm-1").replace(b"\r\n", b"\n"), REPORTS)
        wait_for(lambda: site.incoming() or "sm-1" in site.report_ids(), 30)
        fail(site, f"export TAP_CONF={site.dir}/none")
        sm.submit(report_mail("sm-2").replace(b"\r\n", b"\n"), REPORTS)
        wait_for(sm.queued, 30)
        assert "sm-2" not in site.report_ids()
        well(site)

        def again():
            """the queued mail is delivered"""
            sm.run_queue()
            return not sm.queued()
        wait_for(again, 30)
        fail(site, f"export {rejecting(site)}")
        sm.submit(mail("sm-no-report").replace(b"\r\n", b"\n"), REPORTS)
        wait_for(lambda: any(b"sm-no-report" in m and b"not a report" in m for m in sm.mailbox()), 30)


def test_exim_pipe_transport(site):
    # Exim takes no word of the sender's (a tainted one) as an argument: the sender comes in the "From " line, where it writes one.
    ex = Exim(f"{site.dir}/exim.d", pipe=f"{site.dir}/wrapper -- {REPORTS}")
    # With return_output every word of a program is a failure for good, whatever its exit status; docs/pipe.md says so.
    text = ex.read("exim.conf").replace("  return_output\n", "  return_fail_output\n")
    ex.write("exim.conf", text)
    with ex:
        ex.submit(report_mail("ex-1").replace(b"\r\n", b"\n"), REPORTS, "s@x.example")
        stored(site, "ex-1")
        assert site.query("SELECT door, recipients FROM message") == [("pipe", REPORTS)]
        fail(site, f"export TAP_CONF={site.dir}/none")
        ex.submit(report_mail("ex-2").replace(b"\r\n", b"\n"), REPORTS)
        wait_for(lambda: "defer" in ex.read("log/mainlog") or "==" in ex.read("log/mainlog"), 20)
        assert ex.queued()
        well(site)

        def again():
            """the queued mail is delivered"""
            ex.run_queue()
            return not ex.queued()
        wait_for(again, 30)
        stored(site, "ex-2")
        fail(site, f"export {rejecting(site)}")
        ex.submit(mail("ex-no-report").replace(b"\r\n", b"\n"), REPORTS)
        wait_for(lambda: any(b"ex-no-report" in m and b"not a report" in m for m in ex.mailbox()), 30)


@pytest.mark.plain_build("Dovecot bounds the address space of its programs")
def test_dovecot_sieve_pipe(site):
    script = f'require ["vnd.dovecot.pipe", "envelope"]; if envelope "to" "{REPORTS}" {{ pipe "dmarctap"; stop; }}'
    with Dovecot(f"{site.dir}/dovecot.d", sieve=script, programs={"dmarctap": f"{site.dir}/wrapper"}) as dv:
        assert dv.deliver(report_mail("dv-1"), REPORTS)[0] == 250
        stored(site, "dv-1")
        assert not dv.mailbox()
        status, text = dv.lda(report_mail("dv-2").replace(b"\r\n", b"\n"), REPORTS)
        assert status == 0, text
        stored(site, "dv-2")
        # Trouble: Sieve keeps the mail in the mailbox or the mail server keeps it; it is not gone.
        fail(site, f"export TAP_CONF={site.dir}/none")
        code, _ = dv.deliver(report_mail("dv-3"), REPORTS)
        assert 400 <= code < 500 or any(b"dv-3" in m for m in dv.mailbox())
        assert "dv-3" not in site.report_ids()
