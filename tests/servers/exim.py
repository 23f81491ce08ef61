# SPDX-License-Identifier: Apache-2.0
"""A private Exim 4.96: unpacked, run as nobody throughout (so it needs root only to become nobody), on loopback.

    with Exim(directory, pipe="/…/dmarctap-pipe -- reports@dmarctap.test") as ex:
        ex.port          SMTP on 127.0.0.1
        ex.mailbox()     what was delivered to others of dmarctap.test, as bytes
        ex.queued()      ids of the messages in its queue;  ex.run_queue() tries them all now;  ex.submit(raw, to) is sendmail(1)

pipe=COMMAND sends routes (default: reports, with any +extension) through a pipe transport, lmtp=SOCKET through an LMTP transport;
routers=, transports= are further lines of these sections, the first to be asked.
"""
import os
import subprocess

from . import debs
from .base import NOBODY, Server, answers, free_port, messages


class Exim(Server):
    def __init__(self, directory, pipe=None, lmtp=None, routes=("reports",), options="", routers="",
                 transports=""):
        super().__init__(directory)
        self.port = free_port()
        self.root = debs.unpacked("exim")
        self.binary = f"{self.root}/usr/sbin/exim4"
        for name in ("spool", "log", "mail"):
            self.folder(name, 0o755, "nobody")
        # The users that Debian built into it, which are on no machine without it; preloaded programs start as they are.
        self.write("passwd", f"root:x:0:0:root:/root:/bin/sh\nnobody:x:{NOBODY.pw_uid}:{NOBODY.pw_gid}:nobody:/nonexistent:/bin/sh\n"
                             f"Debian-exim:x:{NOBODY.pw_uid}:{NOBODY.pw_gid}:exim:/nonexistent:/bin/sh\n")
        self.write("group", f"root:x:0:\nnogroup:x:{NOBODY.pw_gid}:\nDebian-exim:x:{NOBODY.pw_gid}:\nmail:x:8:\n")
        self.env.update(LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_PASSWD=self.path("passwd"), NSS_WRAPPER_GROUP=self.path("group"))
        way = "tap_pipe" if pipe else "tap_lmtp" if lmtp else None
        router = (f"tap:\n  driver = accept\n  local_parts = {' : '.join(routes)}\n  local_part_suffix = +*\n"
                  f"  local_part_suffix_optional\n  transport = {way}\n") if way else ""
        transport = (f"tap_pipe:\n  driver = pipe\n  command = {pipe}\n  return_fail_output\n"
                     f"  message_prefix =\n  message_suffix =\n"
                     f"  temp_errors = 73 : 75\n  timeout = 5m\n  timeout_defer\n" if pipe else
                     f"tap_lmtp:\n  driver = lmtp\n  socket = {lmtp}\n  timeout = 5m\n  batch_max = 100\n" if lmtp else "")
        self.config = self.write("exim.conf", f"""exim_path = {self.binary}
keep_environment = LD_PRELOAD : ^NSS_WRAPPER
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
deliver_drop_privilege
spool_directory = {self.dir}/spool
log_file_path = {self.dir}/log/%slog
pid_file_path = {self.dir}/spool/exim.pid
primary_hostname = mail.dmarctap.test
qualify_domain = dmarctap.test
daemon_smtp_ports = {self.port}
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
hosts_treat_as_local = *
acl_smtp_rcpt = accept
acl_smtp_data = accept
trusted_users = nobody
bounce_return_size_limit = 1K
message_size_limit = 100M
{options}
begin routers
{routers}{router}keep:
  driver = accept
  domains = dmarctap.test
  transport = keep
begin transports
{transports}{transport}keep:
  driver = pipe
  command = {self.keeper()} {self.dir}/mail
  message_prefix =
  message_suffix =
begin retry
* * F,1h,2s
""")

    def args(self, *more):
        return [self.binary, "-C", self.config, *more]

    def start(self):
        self.run_foreground(self.args("-bdf", "-q1m"), lambda: answers(("127.0.0.1", self.port)), user="nobody",
                            group=NOBODY.pw_gid, extra_groups=[])

    def logs(self):
        return super().logs() + self.read("log/mainlog") + self.read("log/paniclog")

    def exim(self, *args, data=b"", check=True):
        out = subprocess.run(self.args(*args), env=self.env, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, user="nobody",
                             group=NOBODY.pw_gid, extra_groups=[], timeout=120, check=False)
        text = out.stdout.decode("utf-8", "replace")
        assert not check or out.returncode == 0, f"exim {args}: {out.returncode} {text}"
        return text

    def submit(self, raw, to, sender="someone@dmarctap.test"):
        return self.exim("-i", "-f", sender, "--", to, data=raw)

    def run_queue(self):
        self.exim("-qff")

    def queued(self):
        path = self.path("spool/input")
        return sorted(n[:-2] for n in os.listdir(path) if n.endswith("-H")) if os.path.isdir(path) else []

    def mailbox(self):
        return messages(self.path("mail"))
