# SPDX-License-Identifier: Apache-2.0
"""A real rsyslog in a private directory on loopback: UDP, TCP with octet counting, TLS, a local socket. It writes each message, as its own
parser understood it, as one JSON object a line."""
import json
import signal
import subprocess

from .base import Server, answers, free_port

FIELDS = {"in": "inputname", "pri": "pri", "ver": "protocol-version", "host": "hostname", "app": "app-name", "procid": "procid",
          "msgid": "msgid", "sd": "structured-data", "msg": "msg"}


class Rsyslog(Server):
    def __init__(self, directory):
        super().__init__(directory)
        self.udp, self.tcp, self.tls = (free_port() for _ in range(3))
        self.local = self.path("log.sock")
        self.folder("work")

        def ssl(*args):
            subprocess.run(["openssl", *args], check=True, stderr=subprocess.DEVNULL, cwd=self.dir)
        for ca in ("ca", "other-ca"):
            ssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
        ssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
        self.write("names", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        ssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "names",
            "-out", "server.pem")
        properties = "".join(f'property(outname="{k}" name="{v}" format="jsonf")\n' for k, v in FIELDS.items())
        self.write("rsyslog.conf", f"""global(workDirectory="{self.path("work")}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
defaultNetstreamDriverCAFile="{self.path("ca.pem")}" defaultNetstreamDriverCertFile="{self.path("server.pem")}"
defaultNetstreamDriverKeyFile="{self.path("server.key")}")
module(load="imudp")
module(load="imptcp")
module(load="imuxsock" SysSock.Use="off")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="j" type="list" option.jsonf="on") {{
{properties}property(outname="ts" name="timereported" dateFormat="rfc3339" format="jsonf")
}}
ruleset(name="r") {{ action(type="omfile" file="{self.path("out.jsonl")}" template="j" asyncWriting="off" flushOnTXEnd="on") }}
input(type="imudp" address="127.0.0.1" port="{self.udp}" ruleset="r" name="udp" rcvbufSize="8m")
input(type="imptcp" address="127.0.0.1" port="{self.tcp}" ruleset="r" name="tcp" supportOctetCountedFraming="on")
input(type="imtcp" address="127.0.0.1" port="{self.tls}" ruleset="r" name="tls" supportOctetCountedFraming="on")
input(type="imuxsock" socket="{self.local}" ruleset="r" useSpecialParser="off" ignoreTimestamp="off")
""")

    def start(self):
        self.run_foreground(["rsyslogd", "-n", "-C", "-f", self.path("rsyslog.conf"), "-i", self.path("rsyslogd.pid")],
                            lambda: answers(("127.0.0.1", self.tls)) and answers(("127.0.0.1", self.tcp)))

    def kill(self):
        self.stop(signal.SIGKILL)

    def messages(self):
        return [json.loads(line) for line in self.read("out.jsonl").split("\n")[:-1]]
