# SPDX-License-Identifier: Apache-2.0
"""The output email behind a real worker: the mail read by Python's email and zipfile, everything that a mail server can do wrong, kills."""
import csv
import email
import email.policy
import io
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest
import spoolfile
from taplib import PATIENCE, ROOT, Site, arf, free_port, report_mail, report_xml, tls_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.smtp import Smtp  # noqa: E402

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
ENV = {"MAIL_PASSWORD": 'sesame "pass" ü%41'}
LOGIN = ("user@example.org", ENV["MAIL_PASSWORD"])
FROM, TO = "reports@example.org", "admin@example.org"


def entry(port, name="mail", tls="none", text="", who=f'from = "{FROM}"; to = [ "{TO}" ];', timeout=60):
    return (f'{{ type = "email"; name = "{name}"; host = "127.0.0.1"; port = {port}; tls = "{tls}"; every = "1s"; '
            f'timeout = "{timeout}s"; {who} {text} }}')


def ctl(site, *args, status=0):
    p = subprocess.run([f"{site.bin}/dmarctapctl", "-c", site.config, *args], capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, **ENV), check=False)
    assert p.returncode == status, (args, p.stdout, p.stderr)
    return p.stdout + p.stderr


def fare(site, name="mail"):
    found = next(o for o in json.loads(ctl(site, "outputs", "list", "--json")) if o["name"] == name)
    return dict(found, last_error=found["last_error"] or "")


def deliver(site, *raw):
    for r in raw:
        spoolfile.put(site.spool, r, owner=OWNER)


def read(raw):
    """The mail, its texts, and its archive's members."""
    m = email.message_from_bytes(raw, policy=email.policy.default)
    parts = {p.get_content_type(): p for p in m.walk() if not p.is_multipart()}
    assert not m.defects and not any(p.defects for p in m.walk())
    archive = zipfile.ZipFile(io.BytesIO(parts["application/zip"].get_content()))
    assert archive.testzip() is None
    return m, parts, {n: archive.read(n) for n in archive.namelist()}


def reports(stub, member="aggregate.json"):
    """Every report of every mail, as often as it came."""
    return [r for mail in list(stub.mails) for r in json.loads(read(mail[2])[2].get(member, b"[]"))]


def items(stub):
    """(report, revision, record) of every mail, as often as they came."""
    return [(r["report_uid"], r["revision"], i["source"]["ip_address"]) for r in reports(stub) for i in r["records"]]


@pytest.fixture(scope="module", name="certificate")
def make_certificate():
    # The folders that pytest makes are root's alone; the worker reads these files as nobody.
    d = pathlib.Path(tempfile.mkdtemp(prefix="dmarctap-email-"))
    os.chmod(d, 0o755)
    for name in ("own", "other"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", d / f"{name}.key", "-out", d / f"{name}.pem"], check=True, stderr=subprocess.DEVNULL)
        os.chmod(d / f"{name}.pem", 0o644)
    yield d
    shutil.rmtree(d)


def test_t_ma_2_every_part_of_the_mail_is_right():
    who = ('from = "DMARC-Berichte für Österreich, \\"Wien\\" <reports@example.org>"; to = [ "Ädmin 😀 <admin@example.org>", "b@example.org" ];'
           'cc = [ "Wang 王小明, <c@example.org>" ]; bcc = [ "secret@example.org" ]; subject = "Übersicht vom {date}: 100 % 📬 and many more words, so that it folds";'
           'attachment = "Übersicht \\"{date}\\" \'王\'; x=y"; message = ".\\nFrom here: grüße\\n\\ntrailing = blank ";')
    kinds = 'kinds = [ "aggregate", "smtp_tls", "failure", "feedback" ];'
    with Smtp(mode="none") as stub, Site(outputs=entry(stub.port, text=kinds, who=who)) as site:
        deliver(site, report_mail("agg", records=3, org="=cmd|' /C calc'!A0 &lt;b&gt;näme&lt;/b&gt;"), tls_mail("tls"), arf("auth-failure", "f1"), arf("abuse", "g1"))
        site.start("dmarctapd")
        wait_for(lambda: reports(stub) and reports(stub, "smtp_tls.json") and reports(stub, "forensic.json") and reports(stub, "feedback.json"), 20)
        wait_for(lambda: fare(site)["lag"] == 0)
        members, day = {}, time.strftime("%Y-%m-%d")
        for sender, to, raw, _ in stub.mails:
            m, parts, found = read(raw)
            assert sender == FROM and to == ["admin@example.org", "b@example.org", "c@example.org", "secret@example.org"]
            assert b"secret@" not in raw
            (a,) = m["From"].addresses
            assert (a.display_name, a.addr_spec) == ('DMARC-Berichte für Österreich, "Wien"', FROM)
            assert [(x.display_name, x.addr_spec) for x in m["To"].addresses] == [("Ädmin 😀", "admin@example.org"), ("", "b@example.org")]
            assert [(x.display_name, x.addr_spec) for x in m["Cc"].addresses] == [("Wang 王小明,", "c@example.org")]
            assert m["Subject"] == f"Übersicht vom {day}: 100 % 📬 and many more words, so that it folds"
            assert m["Auto-Submitted"] == "auto-generated" and m["Message-ID"].endswith("@example.org>") and m["Date"].datetime
            assert parts["application/zip"].get_filename() == f"Übersicht \"{day}\" '王'; x=y.zip"
            assert parts["text/plain"].get_content().replace("\r\n", "\n").startswith(".\nFrom here: grüße\n\ntrailing = blank \n")
            html = parts["text/html"].get_content()
            assert "grüße<br>" in html and "src=" not in html and "href" not in html and "<script" not in html
            members.update(found)
        samples = [n for n in members if n.startswith("samples/")]
        assert set(members) - set(samples) == {f"{k}.{e}" for k in ("aggregate", "smtp_tls", "forensic", "feedback") for e in ("json", "csv")}
        assert len(samples) == 2 and all(n.endswith(".eml") and b"Subject: sample " in members[n] for n in samples)
        (r,) = json.loads(members["aggregate.json"])
        assert len(r["records"]) == 3 and r["report_metadata"]["org_name"] == "=cmd|' /C calc'!A0 <b>näme</b>"
        rows = list(csv.DictReader(io.StringIO(members["aggregate.csv"].decode(), newline="")))
        assert [row["count"] for row in rows] == ["1", "2", "3"] and rows[0]["org_name"].startswith("'=cmd")
        (t,) = json.loads(members["smtp_tls.json"])
        assert t["policies"][0]["failed_session_count"] == 10 and len(t["policies"][0]["failure_details"]) == 1
        assert len(list(csv.DictReader(io.StringIO(members["smtp_tls.csv"].decode(), newline="")))) == 2
        assert not stub.wrong


def test_t_ma_1_what_strangers_write_opens_no_header_and_no_tag():
    evil = "a.example\r\nBcc: victim@example.net"
    org = "x&#13;&#10;Bcc: victim@example.net&#10;&#10;--=_m_ &lt;script&gt;alert(1)&lt;/script&gt;"
    xml = report_xml("evil", org=org).replace("<domain>example.com</domain><adkim>", "<domain>a.example&#13;&#10;Bcc: v@example.net</domain><adkim>")
    xml = xml.replace("<spf>fail</spf>", "<spf>fail</spf>").replace("<dkim>pass</dkim>", "<dkim>fail</dkim>")
    with Smtp(mode="none") as stub, Site(outputs=entry(stub.port)) as site:
        deliver(site, report_mail("evil", xml=xml))
        site.start("dmarctapd")
        wait_for(lambda: stub.mails, 20)
        (_, to, raw, _), = stub.mails
        m, parts, members = read(raw)
        assert to == [TO] and m["Bcc"] is None and b"\nBcc:" not in raw and b"victim" not in raw
        assert len(list(m.walk())) == 5 and list(members) == ["aggregate.json", "aggregate.csv"]
        assert "<script" not in parts["text/html"].get_content()
    # What the operator writes may not either: refused before anything runs.
    for text in (f'subject = "x\\r\\nBcc: {evil[:1]}@example.net";', 'cc = [ "x\\n <a@example.org>" ];', 'bcc = [ "a@example.org>\\r\\nDATA" ];',
                 'attachment = "a\\r\\nb.zip";', 'attachment = "../a.zip";', 'to = [ "no address" ];', 'cc = [ "a b@example.org" ];',
                 'at = "6:00";', 'at = "25:00";', 'user = "a";', 'helo = "a b";', 'kinds = [ "nonsense" ];'):
        who = f'from = "{FROM}"; ' + ("" if text.startswith("to =") else f'to = [ "{TO}" ];')
        with Site(outputs=entry(25, text=text, who=who)) as site:
            said = ctl(site, "config", "check", status=1)
            assert text.split(" ")[0] in said or "address" in said, (text, said)


SHORT = 3 * PATIENCE
TROUBLES = {"reset": ["reset"], "cut": ["cut"], "late": ["late"], "timeout": ["hang"], "garbage": ["garbage"], "slow": ["slow"],
            "busy": [("greet", "421 4.3.2 come later")], "no": [("greet", "554 5.3.2 no mail here")], "mail4": [("mail", "451 4.3.0 later")],
            "rcpt4": [("rcpt", "450 4.2.0 greylisted")], "data4": [("data", "451 4.3.0 disk")], "end4": [("end", "452 4.3.1 full")],
            "auth": [("auth", "535 5.7.8 no")], "auth4": [("auth", "454 4.7.0 later")]}


def test_t_ma_3_every_trouble_of_a_server_ends_well():
    stubs = {n: Smtp(plan, mode="none", login=LOGIN) for n, plan in TROUBLES.items()}
    login = f'user = "{LOGIN[0]}"; password = "$MAIL_PASSWORD";'
    late = free_port()
    try:
        with Site(outputs=", ".join([entry(s.port, n, text=login, timeout=SHORT if n in ("timeout", "slow") else 60)
                                      for n, s in stubs.items()] + [entry(late, "refused", text=login)])) as site:
            deliver(site, report_mail("a", records=30))
            site.start("dmarctapd", env=ENV)
            wait_for(lambda: "onnect" in fare(site, "refused")["last_error"], 30)
            stubs["refused"] = Smtp(mode="none", login=LOGIN, port=late)
            for n, stub in stubs.items():
                wait_for(lambda s=stub: len(set(items(s))) == 30, 40)
                wait_for(lambda x=n: fare(site, x)["lag"] == 0, 20)
                assert not stub.wrong, (n, stub.wrong)
                ids = {read(m[2])[0]["Message-ID"] for m in stub.mails}
                assert len(ids) == 1 and len(stub.mails) == (2 if n == "late" else 1) or n in ("timeout", "slow"), (n, ids)
            for n in stubs:
                f = fare(site, n)
                assert f["parked"] == 0 and f["last_success"] and f["last_error"], (n, f)
            for n, said in (("busy", "421 4.3.2 come later"), ("no", "554"), ("rcpt4", "450 4.2.0 greylisted"), ("end4", "452 4.3.1 full"), ("auth", "535")):
                assert said in fare(site, n)["last_error"], fare(site, n)
            assert "sesame" not in site.log("dmarctapd")
    finally:
        for stub in stubs.values():
            stub.close()


@pytest.mark.parametrize("step", ["mail", "data", "end", "rcpt"])
def test_t_ma_3_what_is_refused_for_good_is_parked_and_sent_again_when_asked(step):
    plan = [(step, "550 5.7.1 we do not want this")]
    with Smtp(plan, mode="none") as stub, Site(outputs=entry(stub.port)) as site:
        deliver(site, report_mail("a", records=3))
        site.start("dmarctapd")
        wait_for(lambda: fare(site)["parked"] == 3, 20)
        found = json.loads(ctl(site, "outbox", "list", "mail", "--json"))[0]["items"]
        assert all(i["state"] == "parked" and "550 5.7.1 we do not want this" in i["reason"] for i in found) and not stub.mails
        ctl(site, "outbox", "retry", "mail")
        wait_for(lambda: len(set(items(stub))) == 3, 20)
        wait_for(lambda: fare(site)["parked"] == 0)
        assert not stub.wrong


def test_one_recipient_of_several_is_refused_and_nobody_gets_half():
    who = f'from = "{FROM}"; to = [ "{TO}", "gone@example.org" ];'
    with Smtp(mode="none", refuse=lambda a: "550 5.1.1 no such user" if a.startswith("gone") else None) as stub, \
            Site(outputs=entry(stub.port, who=who)) as site:
        deliver(site, report_mail("a"))
        site.start("dmarctapd")
        wait_for(lambda: fare(site)["parked"] == 1, 20)
        assert not stub.mails and not stub.wrong


@pytest.mark.parametrize("mode,mechanism", [("starttls", "PLAIN"), ("starttls", "LOGIN"), ("tls", "PLAIN")])
def test_tls_and_login(certificate, mode, mechanism):
    text = f'ca = "{certificate}/own.pem"; user = "{LOGIN[0]}"; password = "$MAIL_PASSWORD";'
    with Smtp(tls=(certificate / "own.pem", certificate / "own.key"), mode=mode, login=LOGIN, mechanisms=(mechanism,)) as stub, \
            Site(outputs=entry(stub.port, tls=mode, text=text)) as site:
        deliver(site, report_mail("a"))
        site.start("dmarctapd", env=ENV)
        wait_for(lambda: stub.mails, 20)
        assert all(m[3] for m in stub.mails) and not stub.wrong
        assert "sesame" not in site.log("dmarctapd") + ctl(site, "config", "dump")


def test_a_wrong_certificate_and_a_server_without_starttls_get_nothing(certificate):
    tls = (certificate / "own.pem", certificate / "own.key")
    other = f'ca = "{certificate}/other.pem";'
    with Smtp(tls=tls) as one, Smtp(tls=tls, mode="tls") as two, Smtp(mode="none") as three, Smtp(tls=tls) as four, \
            Site(outputs=", ".join([entry(one.port, "one", "starttls", other), entry(two.port, "two", "tls", other), entry(three.port, "three", "starttls"),
                                    entry(four.port, "four", "starttls", "verify = false;")])) as site:
        deliver(site, report_mail("a"))
        site.start("dmarctapd")
        for name in ("one", "two"):
            wait_for(lambda n=name: "certificate" in fare(site, n)["last_error"], 20)
        wait_for(lambda: fare(site, "three")["last_error"], 20)
        wait_for(lambda: four.mails, 20)
        assert not one.mails and not two.mails and not three.mails and fare(site, "one")["lag"] == 1


@pytest.mark.plain_build("the mail server is Postfix's, and slow to start beside a sanitizer")
def test_postfix_takes_it_from_sender_to_mailbox():
    who = f'from = "Grüße <{FROM}>"; to = [ "Ädmin <report-reader@dmarctap.test>" ];'
    port = free_port()
    with Site(outputs=entry(port, who=who, timeout=60)) as site:
        deliver(site, report_mail("a", records=5))
        subprocess.run([f"{ROOT}/tools/private-postfix", "start", f"{site.dir}/postfix", str(port)], check=True)
        try:
            os.chmod(f"{site.dir}/postfix", 0o755)
            site.start("dmarctapd")
            wait_for(lambda: fare(site)["lag"] == 0 and fare(site)["last_success"], 30)
            queue = wait_for(lambda: [f"{d}/{n}" for d, _, names in os.walk(f"{site.dir}/postfix/mail") for n in names], 20)
            with open(queue[0], "rb") as f:
                raw = f.read()
            m, _, members = read(raw.split(b"\n", 1)[1] if raw.startswith(b"From ") else raw)
            assert m["To"].addresses[0].display_name == "Ädmin" and len(json.loads(members["aggregate.json"])[0]["records"]) == 5
        finally:
            subprocess.run([f"{ROOT}/tools/private-postfix", "stop", f"{site.dir}/postfix"], check=False)


@pytest.mark.parametrize("point", ["sink.send:1:kill", "sink.confirm:1:kill"])
def test_a_kill_of_the_worker_loses_nothing(point):
    with Smtp(mode="none") as stub, Site(outputs=entry(stub.port)) as site:
        deliver(site, report_mail("a", records=50))
        p = site.start("dmarctapd", env={"TAP_FAULT": point}, dies=True)
        assert p.wait(30 * PATIENCE) == -9
        sent = len(stub.mails)
        assert sent == (1 if "confirm" in point else 0)
        site.running.pop("dmarctapd")
        site.start("dmarctapd")
        wait_for(lambda: len(stub.mails) == 1 + sent, 20)
        wait_for(lambda: fare(site)["lag"] == 0)
        assert len(items(stub)) == 50 * (1 + sent) and len(set(items(stub))) == 50 and not stub.wrong
        assert len({read(m[2])[0]["Message-ID"] for m in stub.mails}) == 1


def test_what_is_too_large_for_the_server_comes_in_several_mails():
    with Smtp(mode="none", size=60000) as stub, Site(outputs=entry(stub.port)) as site:
        xml = report_xml("a", records=3000)
        for i in range(3000):  # nothing that compresses well
            xml = xml.replace("<selector>s1<", f"<selector>{os.urandom(12).hex()}<", 1)
        deliver(site, report_mail("a", xml=xml))
        site.start("dmarctapd")
        wait_for(lambda: sum(len(r["records"]) for r in reports(stub)) == 3000, 40)
        wait_for(lambda: fare(site)["lag"] == 0)
        assert len(stub.mails) > 1 and fare(site)["parked"] == 0 and not stub.wrong
        found = [x["auth_results"]["dkim"][0]["selector"] for r in reports(stub) for x in r["records"]]
        assert len(set(found)) == 3000


def test_nothing_is_sent_before_its_hour_and_nothing_when_there_is_nothing():
    with Smtp(mode="none") as soon, Smtp(mode="none") as later, \
            Site(outputs=f'{entry(soon.port, "soon")}, {entry(later.port, "later").replace("1s", "30d")}') as site:
        site.start("dmarctapd")
        deliver(site, report_mail("a"))
        wait_for(lambda: fare(site, "soon")["lag"] == 0 and soon.mails, 20)
        deliver(site, report_mail("b"))
        wait_for(lambda: len(soon.mails) == 2, 20)
        assert soon.connections == 2 and later.connections == 0
        assert fare(site, "later")["lag"] == 2 and not fare(site, "later")["last_error"]
        # A report that an operator asks for comes at once.
        ctl(site, "outputs", "test", "later")
        (r,) = reports(later)
        assert r["report_metadata"]["report_id"].startswith("dmarctap-test-")


def test_the_readable_part_says_what_the_archive_holds():
    fails = report_xml("b", records=4, domain="example.net").replace("<dkim>pass</dkim>", "<dkim>fail</dkim>")
    with Smtp(mode="none") as stub, Site(outputs=entry(stub.port)) as site:
        deliver(site, report_mail("b", xml=fails))
        site.start("dmarctapd")
        wait_for(lambda: stub.mails, 20)
        _, parts, _ = read(stub.mails[0][2])
        for kind in ("text/plain", "text/html"):
            text = parts[kind].get_content()
            assert "1 report about 10 messages" in text and "192.0.2.4 sent 4 messages as example.net" in text, text
            assert text.index("192.0.2.4") < text.index("192.0.2.3 ") and "example.net" in text.split("192.0.2.4")[0]
