# SPDX-License-Identifier: Apache-2.0
"""The milter behind real mail servers: a Site with Postfix or Sendmail before it and an LMTP door behind it, a filter of ours that stands
before dmarctap, and the matrix of a milter that is stopped, passed by, or too slow."""
import contextlib
import os
import signal
import smtplib
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time

from taplib import PATIENCE, REPORTS, ROOT, SENDER, Site, can_connect, report_mail, wait_for

sys.path.insert(0, f"{ROOT}/tests")
from servers.sendmail import Sendmail  # noqa: E402


class FieldFilter(socketserver.ThreadingUnixStreamServer):
    """A milter that puts one header field on top of each message at its end, as filters that verify do: what comes after it sees it."""
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path, name, value):
        self.field = struct.pack("!I", 0) + name.encode() + b"\0" + value.encode() + b"\0"
        super().__init__(path, FieldHandler)
        os.chmod(path, 0o666)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class FieldHandler(socketserver.StreamRequestHandler):
    def send(self, letter, data=b""):
        self.wfile.write(struct.pack("!I", len(data) + 1) + letter + data)

    def handle(self):
        while True:
            head = self.rfile.read(4)
            if len(head) < 4:
                return
            packet = self.rfile.read(struct.unpack("!I", head)[0])
            letter = packet[:1]
            if letter == b"O":  # version 6; adds headers; wants neither connect, HELO, headers, body nor unknown commands
                self.send(b"O", struct.pack("!III", 6, 0x01, 0x01 | 0x02 | 0x10 | 0x20 | 0x40 | 0x100))
            elif letter == b"E":
                self.send(b"i", self.server.field)
                self.send(b"c")
            elif letter == b"Q":
                return
            elif letter not in (b"D", b"A", b"K"):
                self.send(b"c")


class MtaSite(Site):
    """A Site whose mail server is Postfix or Sendmail. port: where it listens."""

    def __init__(self, **kw):
        # Sendmail takes no socket below a directory that everybody may write to, sticky or not: so not below /tmp.
        tempfile.tempdir, before = "/run", tempfile.tempdir
        try:
            super().__init__(**kw)
        finally:
            tempfile.tempdir = before
        self.lmtp_socket = f"{self.dir}/run/lmtp.sock"
        self.sendmail, self.door = None, None
        with open(self.config, "a", encoding="utf-8") as f:
            f.write(f'lmtp: {{ listen = [ "unix:{self.lmtp_socket}" ]; socket_mode = "0666"; user = "nobody"; }};\n')

    def start_lmtp(self):
        with open(f"{self.dir}/dmarctap-lmtp.log", "ab") as log:
            self.door = subprocess.Popen([f"{self.bin}/dmarctap-lmtp", "-c", self.config], stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL, start_new_session=True)

        def up():
            """the LMTP door answers"""
            assert self.door.poll() is None, self.log("dmarctap-lmtp")[-2000:]
            return can_connect(self.lmtp_socket)
        wait_for(up, 20)

    def start_sendmail(self, flags=", F=T", timeouts="", before="", socket=None, **kw):
        mc = kw.pop("whole_mc", None) or (
            f"{before}INPUT_MAIL_FILTER(`dmarctap', `S={socket or 'unix:' + self.milter_socket}{flags}{timeouts}')dnl\n"
            + kw.pop("mc", ""))
        self.sendmail = Sendmail(f"{self.dir}/sendmail", mc=mc, **kw)
        self.sendmail.start()
        self.postfix_port = 0
        self.port = self.sendmail.port
        return self.sendmail

    def start_postfix(self, *lines):
        super().start_postfix("export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH", *lines)
        # Set-id programs take no LD_LIBRARY_PATH; root needs no set-id.
        for name in ("postdrop", "postqueue"):
            os.chmod(f"{self.dir}/postfix/root/usr/sbin/{name}", 0o755)
        self.port = self.postfix_port

    def postfix(self, *command, data=None):
        return subprocess.run([f"{ROOT}/tools/private-postfix", "run", f"{self.dir}/postfix", *command], input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120 * PATIENCE, check=True).stdout.decode()

    def send(self, data, to=REPORTS, sender=SENDER):
        """Mails over SMTP. Gives (code, text) of the answer that ended it: the first refusal, or that to the message."""
        with smtplib.SMTP(timeout=60 * PATIENCE) as client:
            code, text = client.connect("127.0.0.1", self.port)
            if code < 300:
                client.ehlo("receiver.example")
                code, text = client.mail(sender)
            for r in [to] if isinstance(to, str) else to:
                if code < 300:
                    code, text = client.rcpt(r)
            if code < 300:
                code, text = client.data(data)
            return code, text.decode()

    def mailbox(self):
        return self.sendmail.mailbox() if self.sendmail else super().mailbox()

    def close(self):
        if self.sendmail:
            self.sendmail.stop()
        if self.door:
            self.door.terminate()
            self.door.wait(60)
        super().close()

    def queued(self):
        """Messages in the mail server's queues."""
        if self.sendmail:
            return self.sendmail.queued() + self.sendmail.queued("client-queue")
        return [n for sub in ("maildrop", "incoming", "active", "deferred") for _, _, files in
                os.walk(f"{self.dir}/postfix/spool/{sub}") for n in files]

    def flush(self):
        if self.sendmail:
            self.sendmail.run_queue()
        else:
            self.postfix("postqueue", "-f")


# ---- the matrix ----

SERVERS, STATES, ACTIONS = ("postfix", "sendmail"), ("stopped", "bypassed", "timed-out"), ("accept", "tempfail")


def matrix_site(server, action):
    """A mail server with the milter in front and the report address transported to the LMTP door behind it."""
    s = MtaSite()
    try:
        s.start("dmarctapd")
        s.start("dmarctap-milter")
        s.start_lmtp()
        if server == "postfix":
            with open(f"{s.dir}/transport", "w", encoding="utf-8") as f:
                f.write(f"/^reports(\\+.*)?@dmarctap\\.test$/ lmtp:unix:{s.lmtp_socket}\n")
            s.start_postfix(f"milter_default_action = {action}", f"transport_maps = regexp:{s.dir}/transport",
                            "milter_connect_timeout = 1s", "milter_command_timeout = 1s", "milter_content_timeout = 2s",
                            "minimal_backoff_time = 1s", "queue_run_delay = 1s")
        else:
            s.start_sendmail(flags=", F=T" if action == "tempfail" else "", timeouts=", T=C:1s;S:1s;R:1s;E:2s",
                             lmtp=s.lmtp_socket, routes=["reports"])
    except BaseException:
        s.close()
        raise
    return s


class Down:
    """The milter is away for the first part of the messages; then it is back."""

    def __init__(self, site, state, first):
        self.site, self.state, self.left, self.lock = site, state, first, threading.Lock()
        if state == "stopped":
            site.kill("dmarctap-milter", signal.SIGTERM)
        elif state == "timed-out":
            self.signal(signal.SIGSTOP)

    def signal(self, sig):
        self.site.running["dmarctap-milter"].send_signal(sig)

    def one_more(self):
        with self.lock:
            self.left -= 1
            if self.left == 0 and self.state == "stopped":
                self.site.start("dmarctap-milter")
            elif self.left == 0 and self.state == "timed-out":
                self.signal(signal.SIGCONT)


def one_report(site, state, name, down):
    """Sends until it was taken, as a sender does; how often it was put off."""
    raw, put_off = report_mail(name), 0
    while True:
        if state == "bypassed":
            if site.sendmail:
                site.sendmail.submit_direct(raw, REPORTS, SENDER)
            else:
                site.postfix("sendmail", "-i", "-f", SENDER, "--", REPORTS, data=raw)
            return put_off
        try:
            code, text = site.send(raw)
        except (smtplib.SMTPException, OSError):
            code, text = 421, "connection lost"
        down.one_more()
        if code == 250:
            return put_off
        assert 400 <= code < 500, (name, code, text)
        put_off += 1
        time.sleep(0.05)


def run_matrix(server, state, action, count, senders=8, site=None):
    """Gives the numbers; whoever calls compares. site: one of matrix_site() that several states share, else one of its own."""
    with contextlib.nullcontext(site) if site else matrix_site(server, action) as s:
        doors_before = dict(s.query("SELECT door, count(*) FROM message GROUP BY door")) if site else {}
        began, names = time.monotonic(), [f"{state}-{i}" for i in range(count)]
        down = Down(s, state, max(2 * senders, min(count // 2, 200 if state == "stopped" else 24)))
        put_off, failures, work = [0], [], iter(names)
        lock = threading.Lock()

        def sender():
            while True:
                with lock:
                    name = next(work, None)
                if name is None:
                    return
                try:
                    n = one_report(s, state, name, down)
                    with lock:
                        put_off[0] += n
                except BaseException as e:  # told by the caller, which waits for all senders
                    failures.append(f"{name}: {e!r}")
                    return
        threads = [threading.Thread(target=sender) for _ in range(senders)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if state == "timed-out":
            down.signal(signal.SIGCONT)
        assert not failures, failures[:3]

        def all_there():
            """every report that was taken is in the store"""
            if s.queued():
                s.flush()
            return not s.queued() and s.drained() and set(names) <= set(s.report_ids())
        try:
            wait_for(all_there, 60 + count // 10)
        except AssertionError:
            pass  # the numbers say it
        ids = [i for i in s.report_ids() if i.startswith(f"{state}-")]
        doors = {door: n - doors_before.get(door, 0) for door, n in s.query("SELECT door, count(*) FROM message GROUP BY door")
                 if n > doors_before.get(door, 0)}
        return {"server": server, "state": state, "action": action, "sent": count, "put_off": put_off[0],
                "lost": len(set(names) - set(ids)), "doubled": len(ids) - len(set(ids)), "quarantine": len(s.quarantine()),
                "mailbox": len(s.mailbox()), "doors": doors, "seconds": round(time.monotonic() - began, 1)}
