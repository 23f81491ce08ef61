# SPDX-License-Identifier: Apache-2.0
"""The output gelf against a strict receiver of GELF 1.1: UDP with its chunks, TCP, TLS, and what becomes of a cut."""
import json
import os
import pwd
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

import pytest
import spoolfile
from taplib import Site, report_mail, tls_mail, wait_for

NOBODY = pwd.getpwnam("nobody")
OWNER = (NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None


class Receiver:
    """Takes messages apart by the letter of the format; what breaks it is kept in bad."""

    def __init__(self, transport, directory, port=0, cut_after=None):
        self.transport, self.dir, self.cut_after = transport, directory, cut_after
        self.got, self.bad, self.parts, self.stop = [], [], {}, False
        self.sock = socket.socket(type=socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # One that is to be cut holds little: what it has taken and not read is lost with it, which nobody can know of.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20 if cut_after is None else 1 << 14)
        self.sock.bind(("127.0.0.1", port))
        self.port = self.sock.getsockname()[1]
        self.sock.settimeout(0.1)
        if transport != "udp":
            self.sock.listen(10)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        self.sock.close()

    def message(self, data):
        d = json.loads(data)
        known = {"version", "host", "short_message", "full_message", "timestamp", "level"}
        if d.get("version") != "1.1" or not d.get("host") or not d.get("short_message") or not isinstance(d["timestamp"], (int, float)):
            self.bad.append(data)
        if any(not k.startswith("_") and k not in known or k == "_id" for k in d) or any(not isinstance(v, (str, int, float)) or v is True
                                                                                        or v is False for v in d.values()):
            self.bad.append(data)
        self.got.append(d)

    def datagram(self, data):
        if data[:2] != b"\x1e\x0f":
            self.message(data)
            return
        number, count = struct.unpack("BB", data[10:12])
        if not 1 < count <= 128 or number >= count or len(data) > 1420:
            self.bad.append(data)
        parts = self.parts.setdefault(data[2:10], {})
        parts[number] = data[12:]
        if len(parts) == count:
            self.message(b"".join(parts[i] for i in range(count)))

    def stream(self, c):
        rest = b""
        c.settimeout(0.1)
        while not self.stop:
            try:
                data = c.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            *whole, rest = (rest + data).split(b"\0")
            for m in whole:
                self.message(m)
            if self.cut_after is not None and len(self.got) >= self.cut_after:
                self.cut_after = None
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return

    def run(self):
        context = None
        if self.transport == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{self.dir}/server.pem", f"{self.dir}/server.key")
        while not self.stop:
            try:
                if self.transport == "udp":
                    self.datagram(self.sock.recv(65536))
                    continue
                c = self.sock.accept()[0]
                with context.wrap_socket(c, server_side=True) if context else c as s:
                    self.stream(s)
            except (TimeoutError, ssl.SSLError, ConnectionError):
                pass


@pytest.fixture(scope="module")
def certificate():
    directory = tempfile.mkdtemp(prefix="dmarctap-gelf-")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{directory}/server.key",
                    "-out", f"{directory}/server.pem"], check=True, stderr=subprocess.DEVNULL)
    os.chmod(directory, 0o755)
    yield directory
    shutil.rmtree(directory)


def sink(port, transport, directory):
    more = f'ca = "{directory}/server.pem";' if transport == "tls" else ""
    return f'{{ type = "gelf"; name = "log"; transport = "{transport}"; server = "127.0.0.1:{port}"; hostname = "mx.example"; {more} }}'


def deliver(site, *mails):
    for raw in mails:
        spoolfile.put(site.spool, raw, owner=OWNER)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_every_message_is_whole(certificate, transport):
    with Receiver(transport, certificate) as r, Site(outputs=sink(r.port, transport, certificate)) as site:
        site.start("dmarctapd")
        # Long enough for chunks.
        long = report_mail("r1", records=3, org="Ünï\"cödé " + "x" * 150)
        deliver(site, long, tls_mail("t1"))
        wait_for(lambda: len(r.got) == 5)
        assert r.bad == []
        for m in r.got:
            whole = json.loads(m["full_message"])
            assert m["host"] == "mx.example" and m["_kind"] == whole["kind"] and m["_report_uid"] == whole["report_uid"]
            assert m["_record_index"] == whole["record_index"] and m["short_message"] == f"dmarctap {m['_kind']} report"
            assert m["_org_name"] == whole["org_name"]
            if m["_kind"] == "aggregate":
                assert m["timestamp"] == 1780358400
                assert (m["_source_ip_address"], m["_message_count"]) == (whole["source"]["ip_address"], whole["count"])
                assert (m["_passed_dmarc"], m["_spf_aligned"]) == ("true", "false")
        if transport == "udp":
            assert r.parts, "nothing came in chunks"


def test_wrong_certificate_is_refused(certificate):
    with Receiver("tls", certificate) as r:
        with Site(outputs=sink(r.port, "tls", certificate).replace(f'ca = "{certificate}/server.pem";', "")) as site:
            site.start("dmarctapd")
            deliver(site, report_mail("r"))
            wait_for(lambda: "certificate" in site.log("dmarctapd"), 20)
        assert r.got == []


def test_after_a_cut_all_comes_again(certificate):
    with Receiver("tcp", certificate, cut_after=20) as r, Site(outputs=sink(r.port, "tcp", certificate)) as site:
        site.start("dmarctapd")
        deliver(site, report_mail("r1", records=400))
        wait_for(lambda: len({m["_record_index"] for m in r.got}) == 400, 20)
        assert r.bad == [] and r.cut_after is None and len(r.got) >= 420
