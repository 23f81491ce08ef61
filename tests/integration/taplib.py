# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: a private installation in a temporary directory (configuration, milter, worker, page), a private
Postfix, reports to mail, and readers of what came out."""
import base64
import gzip
import json
import os
import random
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests")
from servers.base import free_port  # noqa: E402, F401  what is taken from here everywhere
BIN = os.environ.get("TAP_BIN", f"{ROOT}/build/dev/bin")
# Real reports beside the checkout, which are not ours to commit. Tests that need them are left out, for this reason alone, where they are not.
SHARED = os.path.join(os.path.dirname(ROOT), "shared")
HAVE_SAMPLES = os.path.isdir(f"{SHARED}/samples")
NO_SAMPLES = "the folder of samples beside the checkout is not there"
# Sanitizers make everything slower; a deadline that is generous for them is still a deadline.
PATIENCE = 6 if os.environ.get("TAP_PRESET") in ("asan", "tsan") else 1
SENDER = "dmarc-noreply@receiver.example"
REPORTS = "reports@dmarctap.test"


def wait_for(what, seconds=10):
    """Calls what() until it is true; gives its value, or fails naming the function."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds * PATIENCE} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(0.02)


def report_xml(report_id, records=1, domain="example.com", begin=1780358400, org="Example Receiver"):
    rows = "".join(f"""
  <record><row><source_ip>192.0.2.{i % 250 + 1}</source_ip><count>{i + 1}</count>
    <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>{domain}</header_from></identifiers>
    <auth_results><dkim><domain>{domain}</domain><selector>s1</selector><result>pass</result></dkim>
      <spf><domain>bounce.{domain}</domain><scope>mfrom</scope><result>softfail</result></spf></auth_results></record>"""
                   for i in range(records))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feedback><version>1.0</version><report_metadata><org_name>{org}</org_name><email>{SENDER}</email>
  <report_id>{report_id}</report_id><date_range><begin>{begin}</begin><end>{begin + 86399}</end></date_range></report_metadata>
  <policy_published><domain>{domain}</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct></policy_published>{rows}
</feedback>
"""


def mail(subject="hello", body="a line\r\n", headers="", to=REPORTS):
    return (f"From: <{SENDER}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Tue, 02 Jun 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{random.randrange(10**18)}@receiver.example>\r\n{headers}MIME-Version: 1.0\r\n"
            f"Content-Type: text/plain\r\n\r\n{body}").encode()


def report_mail(report_id, xml=None, packed=None, headers="", **kw):
    packed = packed if packed is not None else gzip.compress((xml or report_xml(report_id, **kw)).encode())
    lines = base64.encodebytes(packed).decode().replace("\n", "\r\n")
    return (f"From: <{SENDER}>\r\nTo: <{REPORTS}>\r\n"
            f"Subject: Report Domain: example.com Submitter: receiver.example Report-ID: <{report_id}>\r\n"
            f"Message-ID: <{report_id}@receiver.example>\r\nDate: Tue, 02 Jun 2026 10:00:00 +0000\r\n{headers}MIME-Version: 1.0\r\n"
            f"Content-Type: application/gzip; name=\"receiver.example!example.com!1780358400!1780444799.xml.gz\"\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n{lines}").encode()


def arf(kind, marker, sample=True):
    fields = {
        "auth-failure": ("Feedback-Type: auth-failure\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <bounce@example.com>\r\n"
                         "Arrival-Date: Tue, 02 Jun 2026 09:00:00 +0000\r\nSource-IP: 192.0.2.77\r\nReported-Domain: example.com\r\n"
                         "Auth-Failure: dmarc\r\nDelivery-Result: reject\r\nIdentity-Alignment: none\r\n"),
        "abuse": ("Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <news@example.com>\r\n"
                  "Arrival-Date: Tue, 02 Jun 2026 09:00:00 +0000\r\nSource-IP: 192.0.2.78\r\nReported-Domain: example.com\r\n"),
    }[kind]
    third = (f"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: <news@example.com>\r\nTo: <u@receiver.example>\r\nSubject: sample {marker}\r\n"
             f"Message-ID: <{marker}-sample@example.com>\r\nDate: Tue, 02 Jun 2026 08:59:00 +0000\r\n\r\nhello\r\n") if sample else ""
    return (f"From: <{SENDER}>\r\nTo: <{REPORTS}>\r\nSubject: {marker}\r\nMessage-ID: <{marker}@receiver.example>\r\n"
            f"Date: Tue, 02 Jun 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: text/plain\r\n\r\nA report about {marker}.\r\n"
            f"--b\r\nContent-Type: message/feedback-report\r\n\r\n{fields}\r\n{third}--b--\r\n").encode()


def tls_mail(report_id, domain="example.com"):
    doc = {"organization-name": "Example Receiver", "contact-info": SENDER, "report-id": report_id,
           "date-range": {"start-datetime": "2026-06-01T00:00:00Z", "end-datetime": "2026-06-01T23:59:59Z"},
           "policies": [{"policy": {"policy-type": "sts", "policy-domain": domain, "policy-string": ["version: STSv1", "mode: testing"],
                                    "mx-host": ["mx.example.com"]},
                         "summary": {"total-successful-session-count": 90, "total-failure-session-count": 10},
                         "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.9",
                                              "receiving-mx-hostname": "mx.example.com", "failed-session-count": 10}]}]}
    lines = base64.encodebytes(gzip.compress(json.dumps(doc).encode())).decode().replace("\n", "\r\n")
    return (f"From: <{SENDER}>\r\nTo: <{REPORTS}>\r\nSubject: Report Domain: {domain} Submitter: receiver.example Report-ID: <{report_id}>\r\n"
            f"Message-ID: <{report_id}@receiver.example>\r\nTLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: receiver.example\r\n"
            f"Date: Tue, 02 Jun 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: multipart/report; report-type=tlsrpt; boundary=t\r\n\r\n--t\r\nContent-Type: text/plain\r\n\r\nA report.\r\n"
            f"--t\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{lines}\r\n--t--\r\n").encode()


class Site:
    """A private installation. Programs run as nobody when the tests run as root, as they do in earnest."""

    def __init__(self, reports="", extra="", outputs="", spool="", web=False):
        self.dir = tempfile.mkdtemp(prefix="dmarctap-test-")
        os.chmod(self.dir, 0o755)
        self.bin = f"{self.dir}/bin"
        shutil.copytree(BIN, self.bin)
        for sub, mode in (("spool", 0o750), ("store", 0o755), ("run", 0o755)):
            os.mkdir(f"{self.dir}/{sub}")
            shutil.chown(f"{self.dir}/{sub}", "nobody")
            os.chmod(f"{self.dir}/{sub}", mode)
        self.config, self.db = f"{self.dir}/dmarctap.conf", f"{self.dir}/store/reports.db"
        self.milter_socket = f"{self.dir}/run/milter.sock"
        self.control, self.spool = f"{self.dir}/run/control.sock", f"{self.dir}/spool"
        self.web_port = free_port() if web else 0
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""reports: {{ addresses = [ "{REPORTS}" ]; {reports} }};
spool: {{ directory = "{self.spool}"; {spool} }};
store: {{ path = "{self.db}"; }};
milter: {{ socket = "unix:{self.milter_socket}"; socket_mode = "0666"; user = "nobody"; }};
worker: {{ control_socket = "{self.control}"; user = "nobody"; }};
web: {{ listen = "127.0.0.1:{self.web_port}"; user = "nobody"; }};
{extra}
outputs: ( {outputs} );
""")
        self.running = {}
        self.postfix_port = 0

    def start(self, name, env=None, dies=False):
        """dies: it is to end by itself, perhaps before it answers."""
        log = open(f"{self.dir}/{name}.log", "ab")
        p = subprocess.Popen([f"{self.bin}/{name}", "-c", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                             env=dict(os.environ, **(env or {})), start_new_session=True)
        log.close()
        self.running[name] = p
        if dies:
            return p
        ready = {"dmarctap-milter": lambda: can_connect(self.milter_socket), "dmarctapd": lambda: can_connect(self.control),
                 "dmarctap-web": lambda: can_connect(("127.0.0.1", self.web_port))}[name]

        def up():
            """the program answers"""
            assert p.poll() is None, f"{name} ended with {p.returncode}: {self.log(name)[-2000:]}"
            return ready()
        wait_for(up, 20)
        return p

    def kill(self, name, sig=signal.SIGKILL):
        p = self.running.pop(name, None)
        if p:
            if p.poll() is None:
                p.send_signal(sig)
            try:
                p.wait(30 * PATIENCE)
            except subprocess.TimeoutExpired:
                p.kill()
                raise AssertionError(f"{name} did not end within {30 * PATIENCE} s after signal {sig}") from None
        return p

    def log(self, name):
        with open(f"{self.dir}/{name}.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def start_postfix(self, *lines):
        self.postfix_port = free_port()
        subprocess.run([f"{ROOT}/tools/private-postfix", "start", f"{self.dir}/postfix", str(self.postfix_port),
                        f"smtpd_milters = unix:{self.milter_socket}", "milter_default_action = tempfail", *lines], check=True)

    def close(self):
        if self.postfix_port:
            subprocess.run([f"{ROOT}/tools/private-postfix", "stop", f"{self.dir}/postfix"], check=False)
        ended = {}
        for name in list(self.running):
            p = self.kill(name, signal.SIGTERM)
            ended[name] = p.returncode
        logs = {n: self.log(n) for n in ("dmarctap-milter", "dmarctapd", "dmarctap-web") if os.path.exists(f"{self.dir}/{n}.log")}
        shutil.rmtree(self.dir, ignore_errors=True)
        for name, text in logs.items():
            for word in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:"):
                assert word not in text, f"{name}: {text[-6000:]}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            for name in ("dmarctap-milter", "dmarctapd", "dmarctap-web", "postfix/log/maillog", "postfix/log/master"):
                path = f"{self.dir}/{name}" if "/" in name else f"{self.dir}/{name}.log"
                if os.path.exists(path):
                    with open(path, encoding="utf-8", errors="replace") as f:
                        print(f"--- {name}\n{f.read()[-3000:]}")
        self.close()

    def send(self, data, to=REPORTS, sender=SENDER):
        """Mails through Postfix. Gives (code, text) of the final answer; recipients that were refused raise as smtplib does."""
        to = [to] if isinstance(to, str) else list(to)
        with smtplib.SMTP("127.0.0.1", self.postfix_port, timeout=60 * PATIENCE) as s:
            s.ehlo("receiver.example")
            s.mail(sender)
            refused = {}
            for r in to:
                code, text = s.rcpt(r)
                if code >= 300:
                    refused[r] = (code, text.decode())
            if len(refused) == len(to):
                return list(refused.values())[-1]
            code, text = s.data(data)
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)
            return code, text.decode()

    def query(self, sql, *args):
        db = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=20)
        try:
            return db.execute(sql, args).fetchall()
        finally:
            db.close()

    def report_ids(self):
        return [r[0] for r in self.query("SELECT report_id FROM report ORDER BY seq")] if os.path.exists(self.db) else []

    def incoming(self):
        return [f for _, _, files in os.walk(f"{self.spool}/incoming") for f in files]

    def quarantine(self):
        path = f"{self.spool}/quarantine"
        return sorted(f for f in os.listdir(path) if f.endswith(".tap")) if os.path.isdir(path) else []

    def mailbox(self):
        """The messages that Postfix delivered, as bytes."""
        path, out = f"{self.dir}/postfix/mail/all/new", []
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            with open(f"{path}/{name}", "rb") as f:
                out.append(f.read())
        return out

    def drained(self):
        """the spool is empty"""
        return not self.incoming()


def can_connect(address):
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        s.connect(address)
        return True
    except OSError:
        return False
    finally:
        s.close()
