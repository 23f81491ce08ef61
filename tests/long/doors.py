# SPDX-License-Identifier: Apache-2.0
"""The doors as the long tests see them: start, kill, and deliver(message), which gives what a sender learns.
  accepted    the sender may forget the message
  passed      it went on to a mailbox (a milter only); whether it was kept, the spool says
  deferred    the sender keeps it and comes again
  refused     for good
  unanswered  the door died or fell silent: the sender keeps it
A door more is a class more, and a name in DOORS."""
import os
import signal
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
from miltermta import Mta  # noqa: E402
from taplib import BIN, PATIENCE, REPORTS, SENDER, can_connect, wait_for  # noqa: E402

ACCEPTED, PASSED, DEFERRED, REFUSED, UNANSWERED = "accepted", "passed", "deferred", "refused", "unanswered"
KEEPS = (DEFERRED, REFUSED, UNANSWERED) # the sender has it still
OTHERS = "someone@dmarctap.test"


def say(env):
    return dict(os.environ, **(env or {}))


def waiting(site):
    """Messages in incoming/. What somebody died over, or could not unlink, is none: it is swept at a start."""
    return [f for f in site.incoming() if not f.startswith(".")]


class Door:
    name, program, section = "", "", ""
    serves = True # a program that runs all the time
    sweeps = True # whose start clears away what an earlier run died over

    def __init__(self, site):
        self.site, self.process = site, None

    @classmethod
    def exists(cls):
        return os.path.exists(f"{BIN}/{cls.program}")

    @classmethod
    def settings(cls, folder):
        """The section of the configuration file."""
        return ""

    def ready(self):
        return True

    def start(self, env=None, must=True):
        """must = False: it may die of a fault while it starts."""
        with open(f"{self.site.dir}/{self.program}.log", "ab") as log:
            self.process = subprocess.Popen([f"{self.site.bin}/{self.program}", "-c", self.site.config], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=say(env), start_new_session=True)

        def up():
            """the door answers"""
            if self.process.poll() is not None:
                assert not must, f"{self.program} ended with {self.process.returncode}: {self.site.log(self.program)[-2000:]}"
                return True
            return self.ready()
        wait_for(up, 20)
        return self.process

    def kill(self, sig=signal.SIGKILL):
        """Its exit status, None when it did not run."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait(30 * PATIENCE)
        self.process = None
        return status


class Milter(Door):
    """The mail server's side of the protocol, over the door's own socket; all recipients are report addresses, so that a report is consumed."""
    name, program = "milter", "dmarctap-milter"
    ANSWERS = {"d": ACCEPTED, "c": PASSED, "a": PASSED, "t": DEFERRED, "r": REFUSED}

    def ready(self):
        return can_connect(self.site.milter_socket)

    def deliver(self, message, to=REPORTS):
        try:
            with Mta(self.site.milter_socket, timeout=60 * PATIENCE) as mta:
                mta.connect()
                answer = mta.deliver(f"<{to}>", message)
        except (OSError, EOFError, AssertionError):
            return UNANSWERED
        if answer == "y" or mta.text: # of the message, or of its only recipient
            return DEFERRED if mta.text.startswith("4") else REFUSED
        return self.ANSWERS.get(answer, UNANSWERED)

    def other_mail_passes(self):
        return self.deliver(b"From: <a@b.test>\r\nTo: <someone@dmarctap.test>\r\nSubject: hello\r\n\r\nhello\r\n", OTHERS) == PASSED


class Postfix(Milter):
    """SMTP through a real Postfix, whose milter the door is."""
    name = "postfix"

    def deliver(self, message, to=REPORTS):
        try:
            with smtplib.SMTP("127.0.0.1", self.site.postfix_port, timeout=60 * PATIENCE) as s:
                s.sendmail(SENDER, [to], message)
                return ACCEPTED
        except smtplib.SMTPResponseException as e:
            return DEFERRED if e.smtp_code < 500 else REFUSED
        except smtplib.SMTPRecipientsRefused as e:
            return DEFERRED if all(code < 500 for code, _ in e.recipients.values()) else REFUSED
        except (OSError, smtplib.SMTPException):
            return UNANSWERED

    def other_mail_passes(self):
        return self.deliver(b"From: <a@b.test>\r\nTo: <someone@dmarctap.test>\r\nSubject: hello\r\n\r\nhello\r\n", OTHERS) == ACCEPTED


class Pipe(Door):
    """One process a message, as a mail server starts it."""
    name, program, serves = "pipe", "dmarctap-pipe", False
    sweeps = False # only now and then: it is started for every message
    ANSWERS = {0: ACCEPTED, 65: REFUSED, 75: DEFERRED}

    def __init__(self, site):
        super().__init__(site)
        self.env = None

    def start(self, env=None, must=True):
        self.env = env

    def kill(self, sig=signal.SIGKILL):
        status, self.env, self.status = getattr(self, "status", None), None, None
        return status

    def deliver(self, message, to=REPORTS):
        # Nobody's, as the worker of these tests is; in earnest it is set-group-id, and the worker in its group.
        who = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        with open(f"{self.site.dir}/{self.program}.log", "ab") as log:
            p = subprocess.Popen([f"{self.site.bin}/{self.program}", "-c", self.site.config, "-f", SENDER, "--", to], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=log, env=say(self.env), start_new_session=True, cwd="/", **who)
        try:
            p.stdin.write(message)
            p.stdin.close()
        except OSError:
            pass
        self.status = p.wait(120 * PATIENCE)
        # A signal is a reason to come again for all who start it; any other status would be a bounce.
        return UNANSWERED if self.status < 0 else self.ANSWERS.get(self.status, REFUSED)


class Lmtp(Door):
    """A connection of its own for each message, as a mail server without a cache makes it."""
    name, program = "lmtp", "dmarctap-lmtp"

    @classmethod
    def settings(cls, folder):
        return f'lmtp: {{ listen = [ "unix:{folder}/run/lmtp.sock" ]; socket_mode = "0666"; user = "nobody"; }};\n'

    def ready(self):
        return can_connect(f"{self.site.dir}/run/lmtp.sock")

    def deliver(self, message, to=REPORTS):
        try:
            with smtplib.LMTP(f"{self.site.dir}/run/lmtp.sock", timeout=60 * PATIENCE) as s:
                s.sendmail(SENDER, [to], message)
                return ACCEPTED
        except smtplib.SMTPResponseException as e:
            return (DEFERRED if e.smtp_code < 500 else REFUSED) if e.smtp_code > 0 else UNANSWERED
        except smtplib.SMTPRecipientsRefused as e:
            return DEFERRED if all(code < 500 for code, _ in e.recipients.values()) else REFUSED
        except (OSError, smtplib.SMTPException):
            return UNANSWERED


DOORS = {d.name: d for d in (Milter, Lmtp, Pipe)}


def configure(site, kinds):
    """Adds the sections of the doors, which name the folder of the site."""
    with open(site.config, "a", encoding="utf-8") as f:
        f.write("".join(k.settings(site.dir) for k in kinds))


def chosen(names):
    """The classes for "all" or "milter,lmtp"; those whose program was not built are left out of "all"."""
    if names == "all":
        return [d for d in DOORS.values() if d.exists()]
    return [DOORS[n] for n in names.split(",")]
