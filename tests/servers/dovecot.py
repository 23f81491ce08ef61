# SPDX-License-Identifier: Apache-2.0
"""A private Dovecot 2.3 that delivers mail: its LMTP server and dovecot-lda, with Sieve and the extprograms plugin (vnd.dovecot.pipe).
Unpacked, needs root to start (as Dovecot does), everything in its own directory.

    script = 'require ["vnd.dovecot.pipe", "envelope"]; if envelope "to" "reports@dmarctap.test" { pipe "dmarctap"; stop; }'
    with Dovecot(directory, sieve=script, programs={"dmarctap": "/…/wrapper"}) as dv:
        dv.lmtp          path of its LMTP socket;  dv.deliver(raw, to) speaks LMTP to it and gives (code, text)
        dv.lda(raw, to)  runs dovecot-lda as Postfix or an alias would, and gives (exit status, output)
        dv.mailbox()     what came to INBOX of anybody, as bytes

programs: names that the script may pipe to, and the files that they are links to; they run as nobody.
"""
import os
import smtplib
import subprocess

from . import debs
from .base import Server, answers


class Dovecot(Server):
    def __init__(self, directory, sieve="", programs=None, options=""):
        super().__init__(directory)
        self.root = debs.unpacked("dovecot")
        lib = f"{self.root}/usr/lib/dovecot"
        self.env["LD_LIBRARY_PATH"] = f"{lib}:{lib}/modules:{lib}/modules/old-stats"
        self.lmtp = self.path("run/lmtp")
        self.folder("run", 0o755)
        self.folder("bin", 0o755)
        self.folder("sieve", 0o755, "nobody")
        self.folder("mail", 0o755, "nobody")
        for name, target in (programs or {}).items():
            if not os.path.islink(self.path(f"bin/{name}")):
                os.symlink(target, self.path(f"bin/{name}"))
        self.write("sieve/default.sieve", sieve + "\n")
        os.chown(self.path("sieve/default.sieve"), os.stat(self.path("sieve")).st_uid, -1)
        self.config = self.write("dovecot.conf", f"""base_dir = {self.dir}/run
state_dir = {self.dir}/run
instance_name = dmarctap-test
libexec_dir = {lib}
mail_plugin_dir = {lib}/modules
log_path = {self.dir}/log
protocols = lmtp
ssl = no
listen = 127.0.0.1
postmaster_address = postmaster@dmarctap.test
hostname = mail.dmarctap.test
mail_location = maildir:{self.dir}/mail/%n
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = uucp
default_internal_group = uucp
default_login_user = games
recipient_delimiter = +
import_environment = TZ LD_LIBRARY_PATH
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={self.dir}/mail/%n allow_all_users=yes
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol lmtp {{
  mail_plugins = sieve
}}
protocol lda {{
  mail_plugins = sieve
}}
plugin {{
  sieve = file:{self.dir}/mail/%n/.sieve
  sieve_default = {self.dir}/sieve/default.sieve
  sieve_plugins = sieve_extprograms
  sieve_plugin_dir = {lib}/modules/sieve
  sieve_extensions = +vnd.dovecot.pipe +vnd.dovecot.environment
  sieve_pipe_bin_dir = {self.dir}/bin
  sieve_pipe_exec_timeout = 60s
}}
{options}
""")

    def configured(self, module, *command):
        """A command with its settings in the environment, as Dovecot starts its programs, and the unpacked tree laid over /usr for it and
        its children alone (a mount namespace): the place of some modules is compiled in."""
        doveconf = [f"{self.root}/usr/bin/doveconf", "-c", self.config, "-m", module, "-f", f"service={module}", "-e"]
        return ["unshare", "-m", "sh", "-c", 'mount -t overlay overlay -o "lowerdir=$1/usr:/usr" /usr && shift && exec "$@"', "sh",
                self.root, *doveconf, *command]

    def start(self):
        self.run_foreground(self.configured("master", f"{self.root}/usr/sbin/dovecot", "-F", "-c", self.config),
                            lambda: answers(self.lmtp))

    def logs(self):
        return super().logs() + self.read("log")

    def deliver(self, raw, to, sender="dmarc@receiver.example"):
        with smtplib.LMTP(self.lmtp, timeout=120) as s:
            s.ehlo("mail.dmarctap.test")
            s.mail(sender)
            code, text = s.rcpt(to)
            if code < 300:
                code, text = s.data(raw)
            return code, text.decode()

    def lda(self, raw, to, sender="dmarc@receiver.example"):
        out = subprocess.run(self.configured("lda", f"{self.root}/usr/lib/dovecot/dovecot-lda", "-f", sender, "-a", to, "-d", to),
                             env=self.env, input=raw, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
        return out.returncode, out.stdout.decode("utf-8", "replace")

    def mailbox(self):
        out = []
        for where, _, names in sorted(os.walk(self.path("mail"))):
            if os.path.basename(where) in ("new", "cur"):
                for name in sorted(names):
                    with open(f"{where}/{name}", "rb") as f:
                        out.append(f.read())
        return out
