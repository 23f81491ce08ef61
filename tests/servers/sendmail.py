# SPDX-License-Identifier: Apache-2.0
"""A private Sendmail 8.17 (needs root, as Sendmail does): unpacked, with a configuration, queue and log of its own, on loopback.

    with Sendmail(directory, mc="INPUT_MAIL_FILTER(`dmarctap', `S=unix:/…/milter.sock, F=T')dnl") as sm:
        sm.port                     SMTP on 127.0.0.1
        sm.submit(raw, to)          sendmail(1) as it is installed: through the submission queue and SMTP, hence past the milters
        sm.submit_direct(raw, to)   sendmail -Am: straight into the queue, no SMTP, so no milter
        sm.run_queue()              one queue run in the foreground, whatever the messages wait for
        sm.queued()                 names of the messages in its queue
        sm.mailbox()                what was delivered to users of dmarctap.test, as bytes

Every user of dmarctap.test exists (mailer `keep`), unless `rules` or `aliases` say otherwise:
    lmtp="/…/lmtp.sock"   defines the mailer `tap`, an LMTP client of that socket; routes=["reports"] sends these users there
    aliases={"reports": '"|/…/dmarctap-pipe"'}   the prog mailer, as in /etc/aliases
    mc=, rules=, mailers=, local=  further lines for sendmail.mc (the last behind MAILER); filters are listed in the order of INPUT_MAIL_FILTER
"""
import os
import re
import subprocess

from . import debs
from .base import Server, answers, free_port, messages


class Sendmail(Server):
    def __init__(self, directory, mc="", rules="", mailers="", aliases=None, lmtp=None, routes=(), delivery="background", local=""):
        super().__init__(directory)
        self.port = free_port()
        self.root = debs.unpacked("sendmail")
        self.binary = f"{self.root}/usr/libexec/sendmail/sendmail"
        # Root's "safe file" rules look at every folder above: /tmp is world-writable, though sticky.
        self.folder("queue", 0o700)
        self.folder("client-queue", 0o770, "mail")
        self.folder("mail", 0o755, "nobody")
        self.routes = "".join(f"R{user} < @ dmarctap.test . > $*\t$#tap $: {user}@dmarctap.test\n"
                              f"R{user} + $* < @ dmarctap.test . > $*\t$#tap $: {user}+$1@dmarctap.test\n" for user in routes)
        tap = (f"Mtap,\tP=[IPC], F=lsDFMmnqSXz, S=EnvFromSMTP/HdrFromL, R=EnvToL/HdrToL, E=\\r\\n, r=100,\n"
               f"\t\tT=DNS/RFC822/SMTP,\n\t\tA=FILE {lmtp}\n") if lmtp else ""
        self.aliases = aliases or {}
        self.write("aliases", "".join(f"{k}: {v}\n" for k, v in self.aliases.items()))
        self.write("sendmail.mc", self.macros(mc, rules, tap + mailers, delivery, local))
        self.write("submit.mc", self.submission())
        for name in ("sendmail", "submit"):
            text = subprocess.run(["m4", f"-D_CF_DIR_={self.root}/usr/share/sendmail/cf/",
                                   f"{self.root}/usr/share/sendmail/cf/m4/cf.m4", self.path(f"{name}.mc")],
                                  stdout=subprocess.PIPE, check=True).stdout.decode()
            self.write(f"{name}.cf", text)
        self.write("service.switch", "hosts files\naliases files\n")
        # A host whose own name has no dot and no longer form makes Sendmail wait for a minute at each start: so it is told another.
        self.write("hosts", "127.0.0.1 mail.dmarctap.test localhost\n")
        self.env.update(LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_HOSTNAME="mail.dmarctap.test",
                        NSS_WRAPPER_HOSTS=self.path("hosts"))

    def common(self):
        return f"""divert(0)dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.dmarctap.test')dnl
define(`confDONT_BLAME_SENDMAIL', `MapInUnsafeDirPath,RunProgramInUnsafeDirPath,RunWritableProgram,NonRootSafeAddr')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confSERVICE_SWITCH_FILE', `{self.dir}/service.switch')dnl
define(`confHOSTS_FILE', `{self.dir}/hosts')dnl
define(`STATUS_FILE', `{self.dir}/statistics')dnl
define(`HELP_FILE', `{self.root}/etc/mail/helpfile')dnl
define(`confTRUSTED_USER', `root')dnl
define(`confDEF_USER_ID', `nobody:nogroup')dnl
define(`confTO_IDENT', `0')dnl
define(`confREFUSE_LA', `10000')dnl
define(`confQUEUE_LA', `10000')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
FEATURE(`nocanonify')dnl
FEATURE(`no_default_msa')dnl
undefine(`UUCP_RELAY')dnl
"""

    def macros(self, mc, rules, mailers, delivery, local):
        return f"""{self.common()}define(`QUEUE_DIR', `{self.dir}/queue')dnl
define(`confPID_FILE', `{self.dir}/sendmail.pid')dnl
define(`ALIAS_FILE', `{self.dir}/aliases')dnl
define(`confDELIVERY_MODE', `{delivery}')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`LOCAL_SHELL_DIR', `/')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
DAEMON_OPTIONS(`Port={self.port}, Addr=127.0.0.1, Name=MTA')dnl
LOCAL_DOMAIN(`dmarctap.test')dnl
{mc}
MAILER(`local')dnl
MAILER(`smtp')dnl
{local}
LOCAL_RULE_0
{rules}{self.routes}R$+ < @ dmarctap.test . > $*\t$#keep $: $1
R$+ < @ $=w . > $*\t$#keep $: $1
MAILER_DEFINITIONS
Mkeep,\tP={self.keeper()}, F=lsDFMAoqShn:/|@9m, S=EnvFromL/HdrFromL, R=EnvToL/HdrToL, U=nobody:nogroup, T=DNS/RFC822/X-Unix,
\t\tA=keep.sh {self.dir}/mail $u
{mailers}"""

    def submission(self):
        return f"""{self.common()}define(`MSP_QUEUE_DIR', `{self.dir}/client-queue')dnl
define(`confPID_FILE', `{self.dir}/submit.pid')dnl
define(`confRUN_AS_USER', `mail:mail')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {self.port}')dnl
define(`SMTP_MAILER_ARGS', `TCP $h {self.port}')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {self.port}')dnl
FEATURE(`msp', `[127.0.0.1]')dnl
"""

    def start(self):
        self.sendmail("-bi")
        self.run_foreground([self.binary, "-C", self.path("sendmail.cf"), "-bD", "-q5s"],
                            lambda: answers(("127.0.0.1", self.port)))

    def sendmail(self, *args, config="sendmail.cf", data=b"", check=True):
        out = subprocess.run([self.binary, "-C", self.path(config), *args], env=self.env, input=data, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=120, check=False)
        text = out.stdout.decode("utf-8", "replace")
        assert not check or out.returncode == 0, f"sendmail {args}: {out.returncode} {text}"
        return text

    def submit(self, raw, to, sender="someone@dmarctap.test", check=True):
        return self.sendmail("-Ac", "-i", "-f", sender, "--", to, config="submit.cf", data=raw, check=check)

    def submit_direct(self, raw, to, sender="someone@dmarctap.test", check=True):
        return self.sendmail("-Am", "-i", "-f", sender, "--", to, data=raw, check=check)

    def run_queue(self):
        self.sendmail("-Am", "-q", "-v", check=False)

    def queued(self, folder="queue"):
        return sorted(n for n in os.listdir(self.path(folder)) if re.match(r"[qQ]f", n))

    def mailbox(self):
        return messages(self.path("mail"))
