# SPDX-License-Identifier: Apache-2.0
"""Reports of every kind through a real Postfix, and what the section "trust" makes of them: who may be believed, what is refused, what
goes to quarantine, and what people get all the same."""
import json
import os
import subprocess

import pytest
from taplib import REPORTS, SENDER, Site, arf, report_mail, tls_mail, wait_for

OTHER = "someone@dmarctap.test"
OURS = "mx.dmarctap.test"
# The filter of the mail server, in two lines: what a client brings with our name is removed; a mail that begins with X-Signed gets the
# field that an authenticating filter would add. header_checks come before the milter, and fields that it prepends are not checked again.
CHECKS = f"""/^Authentication-Results:[[:space:]]*{OURS}/ IGNORE
/^X-Signed: (.*)/ PREPEND Authentication-Results: {OURS}; dmarc=pass header.from=$1; dkim=pass header.d=$1
"""
FORGED = f"Authentication-Results: {OURS}; dmarc=pass header.from=receiver.example; dkim=pass header.d=receiver.example\r\n"


def signed(raw, domain="receiver.example"):
    return f"X-Signed: {domain}\r\n".encode() + raw


class Sharing(Site):
    """A Site before which stands a Postfix that all of them share, one for each kind of header_checks: it finds the milter by a link, which
    is set before each mail."""
    servers = {}

    def __init__(self, checks=CHECKS, **kw):
        super().__init__(**kw)
        self.start("dmarctapd")
        self.start("dmarctap-milter")
        if checks not in self.servers:
            where = self.servers[checks] = Site()
            with open(f"{where.dir}/header_checks", "w", encoding="utf-8") as f:
                f.write(checks)
            where.start_postfix(f"smtpd_milters = unix:{where.dir}/milter", f"header_checks = regexp:{where.dir}/header_checks")
        self.shared = self.servers[checks]
        self.postfix_port = self.shared.postfix_port
        self.before = self.shared.mailbox()

    def send(self, *args, **kw):
        link = f"{self.shared.dir}/milter"
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(self.milter_socket, link)
        return super().send(*args, **kw)

    def mailbox(self):
        """What came since this site is there."""
        return [m for m in self.shared.mailbox() if m not in self.before]

    def close(self):
        self.postfix_port = 0  # it goes on
        super().close()


@pytest.fixture(scope="module", autouse=True)
def end_of_servers():
    yield
    while Sharing.servers:
        Sharing.servers.popitem()[1].close()


def site_of(trust, checks=CHECKS, **kw):
    return Sharing(checks, extra=f'trust: {{ authserv_ids = [ "{OURS}" ]; {trust} }};', **kw)


def delivered(site, marker):
    def there():
        """the mail is in the mailbox"""
        return [m for m in site.mailbox() if marker.encode() in m]
    return wait_for(there)


def stored(site, report_id, columns="auth, trusted, is_foreign"):
    wait_for(lambda: report_id in site.report_ids())
    return site.query(f"SELECT {columns} FROM report WHERE report_id = ?", report_id)[0]


def verdicts(site):
    out = []
    for name in os.listdir(f"{site.spool}/quarantine"):
        if name.endswith(".json"):
            with open(f"{site.spool}/quarantine/{name}", encoding="utf-8") as f:
                out.append(json.load(f)["verdict"])
    return sorted(out)


def status(site):
    return json.loads(subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, "status", "--json"], stdout=subprocess.PIPE, timeout=60,
                                     check=True).stdout)


# ---- every kind ----

@pytest.fixture(scope="module")
def site():
    with site_of("") as s:
        yield s


def test_failure_report_is_consumed_and_stored(site):
    assert site.send(arf("auth-failure", "failure-1"))[0] == 250
    def there():
        """the failure report is stored"""
        return site.query("SELECT seq FROM report WHERE kind = 2 AND domain = 'example.com'")
    wait_for(there)
    seq = there()[0][0]
    assert site.query("SELECT feedback_type, source_ip, delivery_result FROM failure WHERE seq = ?", seq) == [
        ("auth-failure", "192.0.2.77", "reject")]
    subject, sample = site.query("SELECT subject, bytes FROM failure_sample WHERE seq = ?", seq)[0]
    assert subject == "sample failure-1" and b"Subject: sample failure-1" in sample
    assert not any(b"Subject: failure-1" in m for m in site.mailbox())


def test_tls_report_is_consumed_and_stored(site):
    assert site.send(tls_mail("tls-1"))[0] == 250
    kind, records, details, messages, passed = stored(site, "tls-1", "kind, records, details, messages, passed")
    assert (kind, records, details, messages, passed) == (4, 1, 1, 100, 90)


def test_complaint_is_stored_apart_and_reaches_people(site):
    failures = site.query("SELECT count(*) FROM report WHERE kind = 2")
    assert site.send(arf("abuse", "abuse-1"))[0] == 250
    head = delivered(site, "Subject: abuse-1")[0].split(b"\n\n")[0]
    assert b"X-Dmarctap: feedback; id=" in head and b"reports=1" in head
    wait_for(lambda: site.query("SELECT count(*) FROM report WHERE kind = 8")[0][0] == 1)
    assert site.query("SELECT f.feedback_type, f.source_ip FROM failure f JOIN report r USING (seq) WHERE r.kind = 8") == [
        ("abuse", "192.0.2.78")]
    assert site.query("SELECT count(*) FROM report WHERE kind = 2") == failures
    assert site.query("SELECT fate FROM message WHERE id = (SELECT message_id FROM report WHERE kind = 8)") == [("feedback",)]


def test_status_counts_by_kind(site):
    before = status(site)["reports_by_kind"]
    for raw in (report_mail("counted-1"), tls_mail("counted-2"), arf("auth-failure", "counted-3"), arf("abuse", "counted-4")):
        assert site.send(raw)[0] == 250

    def counted():
        """the status shows one more of each kind"""
        return status(site)["reports_by_kind"] == {k: n + (k != "foreign") for k, n in before.items()}
    wait_for(counted)


# ---- whom to believe ----

def test_genuine_results_are_believed(site):
    assert site.send(signed(report_mail("genuine-1")))[0] == 250
    assert stored(site, "genuine-1", "auth, dmarc, reporter, trusted, from_domain") == (3, 3, 1, 1, "receiver.example")


def test_genuine_results_of_somebody_else_make_no_reporter(site):
    # The mail is authenticated, for a domain that is not the reporter's.
    raw = report_mail("else-1").replace(f"From: <{SENDER}>".encode(), b"From: <x@evil.example>", 1)
    assert site.send(signed(raw, "evil.example"), sender="x@evil.example")[0] == 250
    assert stored(site, "else-1", "auth, reporter, trusted") == (3, 2, 0)


@pytest.mark.parametrize("name,headers", [
    ("nothing", ""),
    ("brought-along", FORGED),
    ("below-a-foreign-hop", "Received: from a.example by mx.receiver.example with ESMTP id 1; Tue, 02 Jun 2026 10:00:00 +0000\r\n" + FORGED),
    ("of-another-server", FORGED.replace(OURS, "mx.receiver.example")),
    ("of-a-name-below-ours", FORGED.replace(OURS, "x." + OURS)),
    ("archived", "ARC-" + FORGED),
])
def test_forged_results_do_not_pass(site, name, headers):
    raw = report_mail(f"forged-{name}")
    # At the very top, where a filter of ours would have put it.
    assert site.send(headers.encode() + raw)[0] == 250
    assert stored(site, f"forged-{name}") == (0, 0, 0)


def test_t_in_13_trust_of_tls_reports(site):
    """Without a field, or with one of another server: unknown. With ours, dkim=pass for the reporter: pass."""
    foreign = b"Authentication-Results: mx.receiver.example; dkim=pass header.d=receiver.example\r\n"
    assert site.send(tls_mail("t13-none"))[0] == 250
    assert site.send(foreign + tls_mail("t13-foreign"))[0] == 250
    assert site.send(signed(tls_mail("t13-ours")))[0] == 250
    assert [stored(site, f"t13-{n}") for n in ("none", "foreign", "ours")] == [(0, 0, 0), (0, 0, 0), (3, 1, 0)]


def test_forged_results_below_a_foreign_hop_without_a_filter():
    with site_of("", checks="") as s:
        hop = "Received: from a.example by mx.receiver.example with ESMTP id 1; Tue, 02 Jun 2026 10:00:00 +0000\r\n"
        assert s.send(hop.encode() + FORGED.encode() + report_mail("below"))[0] == 250
        assert stored(s, "below") == (0, 0, 0)


def test_without_an_authserv_id_nothing_is_trusted_and_nothing_changes():
    with Sharing("") as s:
        assert s.send(FORGED.encode() + report_mail("plain-1"))[0] == 250
        assert stored(s, "plain-1") == (0, 0, 0)
        assert not s.quarantine() and not s.mailbox()


# ---- corrections (standards: T-IN-9) ----

def test_t_in_9_only_the_reporter_corrects_himself(site):
    assert site.send(report_mail("corrected-1", records=1))[0] == 250
    wait_for(lambda: "corrected-1" in site.report_ids())
    # Trusted over untrusted.
    assert site.send(signed(report_mail("corrected-1", records=2)))[0] == 250
    wait_for(lambda: stored(site, "corrected-1", "records, revision, trusted") == (2, 2, 1))
    # Untrusted over trusted: the first one stays.
    before = site.quarantine()
    assert site.send(report_mail("corrected-1", records=3))[0] == 250
    wait_for(lambda: len(site.quarantine()) == len(before) + 1)
    assert stored(site, "corrected-1", "records, revision") == (2, 2)
    assert "conflict" in verdicts(site)
    # Trusted over trusted.
    assert site.send(signed(report_mail("corrected-1", records=4)))[0] == 250
    wait_for(lambda: stored(site, "corrected-1", "records, revision, trusted") == (4, 3, 1))


# ---- what is done about it ----

def test_unauthenticated_is_refused_where_that_is_configured():
    with site_of('unauthenticated_aggregate = "reject";') as s:
        code, text = s.send(report_mail("refused-1"))
        assert code == 550 and text.startswith("5.7.1 report not authenticated") and "DKIM" in text
        assert s.send(signed(report_mail("welcome-1")))[0] == 250
        assert stored(s, "welcome-1") == (3, 1, 0)
        # Not of that kind.
        assert s.send(tls_mail("unsigned-tls"))[0] == 250
        assert stored(s, "unsigned-tls", "auth") == (0,)
        # Others are to get it: it goes on, and nothing of it is kept.
        assert s.send(report_mail("refused-2"), to=[REPORTS, OTHER])[0] == 250
        got = wait_for(lambda: [m for m in s.mailbox() if b"refused-2" in m][1:] and [m for m in s.mailbox() if b"refused-2" in m])
        assert len(got) == 2 and all(b"X-Dmarctap: rejected; the mail was not authenticated" in m for m in got)
        wait_for(s.drained)
        assert not any(r.startswith("refused") for r in s.report_ids()) and not s.quarantine()
        assert not any(b"refused-1" in m for m in s.mailbox())
        assert s.query("SELECT count(*) FROM message") == [(2,)]


def test_a_complaint_is_never_refused():
    with site_of('unauthenticated_aggregate = "reject"; unauthenticated_failure = "reject"; unauthenticated_smtp_tls = "reject";') as s:
        assert s.send(arf("auth-failure", "refused-failure"))[0] == 550
        assert s.send(tls_mail("refused-tls"))[0] == 550
        assert s.send(arf("abuse", "kept-abuse"))[0] == 250
        delivered(s, "Subject: kept-abuse")
        wait_for(lambda: s.query("SELECT count(*) FROM report WHERE kind = 8") == [(1,)])
        assert s.query("SELECT count(*) FROM report") == [(1,)]


def test_unauthenticated_into_quarantine():
    with site_of('unauthenticated_aggregate = "quarantine"; unauthenticated_smtp_tls = "quarantine";') as s:
        assert s.send(report_mail("kept-away-1"))[0] == 250
        assert s.send(tls_mail("kept-away-2"))[0] == 250
        assert s.send(signed(tls_mail("welcome-2")))[0] == 250
        assert stored(s, "welcome-2", "auth, trusted") == (3, 1)
        wait_for(lambda: verdicts(s) == ["unauthenticated", "unauthenticated"])
        assert s.report_ids() == ["welcome-2"]
        assert s.query("SELECT count(*) FROM message WHERE quarantine = 'unauthenticated'") == [(2,)]
        assert status(s)["quarantine_verdicts"] == {"unauthenticated": 2}
        assert not s.mailbox()


def test_reports_about_foreign_domains_are_kept_apart():
    with site_of('domains = [ "example.com" ];') as s:
        assert s.send(report_mail("ours-1", domain="example.com"))[0] == 250
        assert s.send(report_mail("below-ours-1", domain="mail.EXAMPLE.com"))[0] == 250
        assert s.send(report_mail("foreign-1", domain="example.org"))[0] == 250
        assert s.send(report_mail("foreign-2", domain="notexample.com"))[0] == 250
        assert [stored(s, i, "is_foreign")[0] for i in ("ours-1", "below-ours-1", "foreign-1", "foreign-2")] == [0, 0, 1, 1]
        kinds = status(s)["reports_by_kind"]
        assert (kinds["aggregate"], kinds["foreign"]) == (2, 2)


def test_reports_about_foreign_domains_into_quarantine():
    with site_of('domains = [ "example.com" ]; foreign = "quarantine";') as s:
        assert s.send(report_mail("foreign-3", domain="example.org"))[0] == 250
        assert s.send(report_mail("ours-2"))[0] == 250
        stored(s, "ours-2")
        wait_for(lambda: verdicts(s) == ["foreign"])
        assert s.report_ids() == ["ours-2"]


def test_quota_of_records_never_defers_and_keeps_what_is_over():
    with site_of("quota_records = 5;") as s:
        for i in range(2):
            assert s.send(signed(report_mail(f"quota-{i}", records=3)))[0] == 250
            wait_for(s.drained)
        wait_for(lambda: verdicts(s) == ["over quota"])
        assert s.report_ids() == ["quota-0"]
        # There is still room for a smaller one, and others have an account of their own: also he who only claims to be the same.
        assert s.send(signed(report_mail("quota-small", records=2)))[0] == 250
        stored(s, "quota-small")
        assert s.send(report_mail("quota-claimed", records=5))[0] == 250
        stored(s, "quota-claimed")
        raw = report_mail("quota-else", records=4).replace(f"From: <{SENDER}>".encode(), b"From: <x@other.example>", 1)
        assert s.send(signed(raw, "other.example"))[0] == 250
        stored(s, "quota-else")
        assert verdicts(s) == ["over quota"]
        # A failure report is one record.
        assert s.send(signed(arf("auth-failure", "quota-failure")))[0] == 250
        wait_for(lambda: verdicts(s) == ["over quota", "over quota"])


def test_quota_of_bytes_holds_after_a_restart():
    raw = signed(report_mail("bytes-0", records=3))
    with site_of(f"quota_bytes = {len(raw) * 3 // 2};") as s:
        assert s.send(raw)[0] == 250
        stored(s, "bytes-0")
        s.kill("dmarctapd")
        s.start("dmarctapd")
        assert s.send(signed(report_mail("bytes-1", records=3)))[0] == 250
        wait_for(lambda: verdicts(s) == ["over quota"])
        assert s.report_ids() == ["bytes-0"]


# ---- the outputs get every kind ----

@pytest.mark.parametrize("where", ["path", "directory"])
def test_json_output_gets_every_kind(where):
    with Site(outputs="") as s:
        path = f"{s.dir}/store/out.jsonl" if where == "path" else f"{s.dir}/store"
        kinds = 'kinds = [ "aggregate", "failure", "smtp_tls", "feedback" ];' if where == "path" else ""
        with open(s.config, encoding="utf-8") as f:
            text = f.read()
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(text.replace("outputs: (  );", f'outputs: ( {{ type = "json"; {where} = "{path}"; {kinds} }} );'))
        s.start("dmarctapd")
        s.start("dmarctap-milter")
        s.start_postfix()
        for raw in (report_mail("json-agg"), tls_mail("json-tls"), arf("auth-failure", "json-failure"), arf("abuse", "json-abuse")):
            assert s.send(raw)[0] == 250
        files = [path] if where == "path" else [f"{path}/{n}.json" for n in ("aggregate", "smtp_tls", "forensic", "feedback")]

        def lines():
            """four reports are written"""
            out = []
            for name in files:
                if os.path.exists(name):
                    with open(name, encoding="utf-8") as f:
                        out += f.read().splitlines()
            return out if len(out) == 4 else None
        got = wait_for(lines)
        assert all(json.loads(line) for line in got)
        # The order of mails that came at the same moment is not theirs.
        for word in ("json-agg", "json-tls", "192.0.2.77", "192.0.2.78"):
            assert sum(word in line for line in got) == 1
