#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A private DNS server on loopback for tests: a zone file, delay, loss, and answers as no honest server gives them.

As a program: dnsserver.py ZONE [--delay MS] [--loss PART] [--seed N] [--bind ADDRESS] [--silent]; prints its port, ends with its
standard input. From Python: with DnsServer(directory, zone) as dns: dns.address, dns.queries().

A line of the zone: NAME TYPE TTL DATA (PTR, CNAME, NS: a name; A, AAAA; MX: "10 name"; TXT: the rest of the line; in names \\ddd is a
byte). Or NAME TYPE !QUIRK [N]: what happens to that question; quirks that forge send the true answer behind the forged one:
  servfail refused formerr notimp      that code, no more
  drop [N]                             no answer (to the first N)
  wrongid wrongquestion wrongtype wrongsource noquery loop short trailing   a forged answer first; N: how many
  loopback                             nothing but a compression loop
  junk                                 nothing but junk behind a right header
  noedns                               FORMERR to questions with EDNS
  truncated                            TC over UDP, whatever its size
  notcp                                TC over UDP, and TCP that hangs up
  many                                 N names, as many as 64 KiB hold
  aliasloop                            CNAME to itself
  nosoa                                NXDOMAIN without SOA
  lame                                 a referral
Names that are not in the zone: NXDOMAIN, with an SOA of the line "soa SOA TTL MINIMUM" (default 900 300). A name of another type:
no data. With the line "generate PTR TTL": every other address has the name host-A.generated.test, which leads back to it.
The question count.control TXT tells how many questions came before; not counted itself, neither delayed nor lost."""
import argparse
import collections
import ipaddress
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
FORGED = "forged.attacker.test"
CODES = {"formerr": 1, "servfail": 2, "notimp": 4, "refused": 5}


def wire(name):
    """A name as bytes; \\ddd is one byte."""
    out = b""
    for label in re.findall(r"(?:\\\d{3}|[^.\\])+", name):
        raw = re.sub(rb"\\(\d{3})", lambda m: bytes([int(m.group(1))]), label.encode("latin-1"))
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def data(kind, text):
    if kind in ("PTR", "CNAME", "NS"):
        return wire(text)
    if kind == "A" or kind == "AAAA":
        return ipaddress.ip_address(text).packed
    if kind == "MX":
        preference, name = text.split()
        return struct.pack("!H", int(preference)) + wire(name)
    if kind == "TXT":
        raw = re.sub(rb"\\(\d{3})", lambda m: bytes([int(m.group(1))]), text.encode("latin-1"))
        return b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255] for i in range(0, max(1, len(raw)), 255))
    raise ValueError(kind)


class Zone:
    def __init__(self, text):
        self.records, self.quirks, self.names = {}, {}, set()
        self.soa, self.generate = (900, 300), None
        for line in text.split("\n"):
            if not line.strip() or line.startswith("#"):
                continue
            f = line.split(None, 3)
            if f[0] == "soa":
                self.soa = (int(f[2]), int(f[3]))
            elif f[0] == "generate":
                self.generate = int(f[2])
            elif f[2].startswith("!"):
                key = (wire(f[0].lower()), TYPES[f[1]])
                self.names.add(key[0])
                self.quirks.setdefault(key, []).append([f[2][1:], int(f[3]) if len(f) > 3 else 0])
            else:
                key = (wire(f[0].lower()), TYPES[f[1]])
                self.names.add(key[0])
                self.records.setdefault(key, []).append((int(f[2]), data(f[1], f[3])))

    def generated(self, name, kind):
        """Answers for hosts of no line: 4.3.2.1.in-addr.arpa and host-1-2-3-4.generated.test lead to each other."""
        if kind == 12 and name.endswith(b"\x07in-addr\x04arpa\0"):
            octets, pos = [], 0
            while name[pos] and name[pos + 1:pos + 1 + name[pos]].isdigit():
                octets.append(name[pos + 1:pos + 1 + name[pos]])
                pos += 1 + name[pos]
            host = b"host-" + b"-".join(reversed(octets))
            return [(self.generate, bytes([len(host)]) + host + b"\x09generated\x04test\0")]
        if name.endswith(b"\x09generated\x04test\0"):
            parts = name[1:1 + name[0]].split(b"-")[1:]
            return [(self.generate, bytes(int(p) for p in parts))] if kind == 1 and len(parts) == 4 else []
        return None


class Answerer:
    """Questions in, datagrams out: [(bytes, from the other socket)]."""

    def __init__(self, zone):
        self.zone, self.count, self.seen = zone, 0, collections.Counter()

    def answer(self, msg, tcp):
        if len(msg) < 17:
            return []
        end = 12
        while msg[end]:
            end += 1 + msg[end]
            if end >= len(msg):
                return []
        end += 1
        name, kind = msg[12:end].lower(), struct.unpack_from("!H", msg, end)[0]
        question, edns = msg[12:end + 4], msg[11] > 0
        if name == b"\x05count\x07control\0":
            text = str(self.count).encode()
            return [(self.message(msg, question, 0, [(name, 16, 0, bytes([len(text)]) + text)]), False)]
        self.count += 1
        self.seen[(name, kind)] += 1
        answers, code, authority = self.look(name, kind)
        true = self.message(msg, question, code, answers, authority)
        out = [(true, False)]
        for quirk in self.zone.quirks.get((name, kind), ()):
            out = self.quirk(quirk, msg, question, name, kind, edns, tcp, out)
        limit = 65535 if tcp else (1232 if edns else 512)
        return [(self.message(msg, question, 0, [], flags=0x8380) if len(m) > limit else m, other) for m, other in out]

    def look(self, name, kind):
        answers, zone, at = [], self.zone, name
        for _ in range(20):
            found = zone.records.get((at, kind))
            if found is None and zone.generate is not None and at not in zone.names:
                found = zone.generated(at, kind)
                if found == []:
                    return answers, 0, self.soa()
            if found:
                return answers + [(at, kind, ttl, d) for ttl, d in found], 0, []
            alias = zone.records.get((at, 5)) if kind != 5 else None
            if not alias:
                break
            answers.append((at, 5, alias[0][0], alias[0][1]))
            at = alias[0][1].lower()
            if at.endswith(b"\x09elsewhere\0"):  # the target is left to another question
                return answers, 0, []
        return answers, 0 if at in zone.names else 3, self.soa()

    def soa(self):
        ttl, minimum = self.zone.soa
        return [(b"\x04test\0", 6, ttl, wire("ns.test") + wire("post.test") + struct.pack("!5I", 1, 2, 3, 4, minimum))]

    def message(self, msg, question, code, answers, authority=(), flags=0x8180):
        body = b"".join(n + struct.pack("!HHIH", t, 1, ttl, len(d)) + d for n, t, ttl, d in [*answers, *authority])
        return msg[:2] + struct.pack("!5H", flags | code, 1, len(answers), len(authority), 0) + question + body

    def quirk(self, quirk, msg, question, name, kind, edns, tcp, out):
        what, n = quirk
        forged = [(name, kind, 3600, wire(FORGED))]
        if what in CODES:
            return [(self.message(msg, question, CODES[what], []), False)]
        if what == "drop":
            return [] if n == 0 or self.seen[(name, kind)] <= n else out
        if what == "noedns":
            return [(self.message(msg, question, 1, []), False)] if edns else out
        if what in ("truncated", "notcp"):
            return ([] if what == "notcp" else out) if tcp else [(self.message(msg, question, 0, [], flags=0x8380), False)]
        if what == "many":
            names = [wire("%05d.many.test" % i) for i in range(n)]
            room = (65535 - 12 - len(question)) // (12 + len(names[0]))
            body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 60, len(d)) + d for d in reversed(names[:room]))
            head = msg[:2] + struct.pack("!5H", 0x8180, 1, len(names[:room]), 0, 0) + question
            return [(head + body, False)]
        if what == "aliasloop":
            return [(self.message(msg, question, 0, [(name, 5, 60, name)]), False)]
        if what == "nosoa":
            return [(self.message(msg, question, 3, []), False)]
        if what == "lame":
            return [(self.message(msg, question, 0, [], [(b"\x04test\0", 2, 60, wire("a.root.test"))], flags=0x8100), False)]
        if what == "loopback":
            pos = 12 + len(question)
            head = msg[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + question
            return [(head + struct.pack("!HHHIH", 0xc000 | pos, 12, 1, 60, 2) + struct.pack("!H", 0xc000 | pos + 12), False)]
        if what == "junk":
            # bytes that no one could take for the end of a name: each is the length of a label that leaves the record
            return [(self.message(msg, question, 0, forged)[:-3] + b"\x3f" * 200, False)]
        lies = {
            "wrongid": lambda: (bytes([msg[0] ^ 1, msg[1]]) + self.message(msg, question, 0, forged)[2:], False),
            "wrongquestion": lambda: (self.message(msg, wire("other.test") + question[-4:], 0, forged), False),
            "wrongtype": lambda: (self.message(msg, question[:-4] + b"\0\x10\0\1", 0, forged), False),
            "wrongsource": lambda: (self.message(msg, question, 0, forged), True),
            "noquery": lambda: (self.message(msg, question, 0, forged, flags=0x0180), False),
            "short": lambda: (self.message(msg, question, 0, forged)[:-4], False),
            "loop": lambda: self.quirk(["loopback", 0], msg, question, name, kind, edns, tcp, [])[0],
        }
        return [lies[what]()] * max(1, n) + out


def serve_tcp(listener, answerer):
    def one(sock):
        with sock:
            sock.settimeout(10)
            try:
                head = sock.recv(2, socket.MSG_WAITALL)
                msg = sock.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL) if len(head) == 2 else b""
                for m, _ in answerer.answer(msg, True):
                    sock.sendall(struct.pack("!H", len(m)) + m)
            except OSError:
                pass
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=one, args=(sock,), daemon=True).start()


def both(bind):
    """A port that is free for UDP and TCP."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    for _ in range(100):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.bind((bind, 0))
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind((bind, tcp.getsockname()[1]))
            tcp.listen(64)
            return udp, tcp
        except OSError:
            tcp.close()
            udp.close()
    raise OSError("no port")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("zone")
    p.add_argument("--delay", type=float, default=0)
    p.add_argument("--loss", type=float, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--bind", default="127.0.0.1")
    p.add_argument("--silent", action="store_true")
    o = p.parse_args()
    with open(o.zone, encoding="latin-1") as f:
        answerer = Answerer(Zone(f.read()))
    udp, tcp = both(o.bind)
    other = socket.socket(udp.family, socket.SOCK_DGRAM)
    other.bind((o.bind, 0))
    udp.setblocking(False)
    for what in (33, socket.SO_RCVBUF):  # 33: SO_RCVBUFFORCE
        try:
            udp.setsockopt(socket.SOL_SOCKET, what, 8 << 20)
            break
        except OSError:
            pass
    if not o.silent:
        threading.Thread(target=serve_tcp, args=(tcp, answerer), daemon=True).start()
    print(udp.getsockname()[1], flush=True)
    dice, later, wait = random.Random(o.seed), collections.deque(), select.poll()
    wait.register(udp, select.POLLIN)
    wait.register(0, select.POLLIN | select.POLLHUP)
    while True:
        timeout = None if not later else max(0, (later[0][0] - time.monotonic()) * 1000)
        for fd, _ in wait.poll(timeout):
            if fd == 0 and not os.read(0, 100):
                return
        now = time.monotonic()
        for _ in range(100):
            try:
                msg, peer = udp.recvfrom(4096)
            except OSError:
                break
            control = b"\x07control" in msg
            if o.silent or (o.loss and not control and dice.random() < o.loss):
                continue
            for m, elsewhere in answerer.answer(msg, False):
                later.append((now if control else now + o.delay / 1000, m, peer, elsewhere))
        while later and later[0][0] <= now:
            _, m, peer, elsewhere = later.popleft()
            try:
                (other if elsewhere else udp).sendto(m, peer)
            except OSError:
                pass


class DnsServer:
    """The program, for a test: a process of its own, so that it does not share the interpreter's lock."""

    def __init__(self, directory, zone, *options):
        self.path = os.path.join(str(directory), "zone")
        with open(self.path, "w", encoding="latin-1") as f:
            f.write(zone)
        self.options, self.process, self.port = options, None, 0

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), self.path, *map(str, self.options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def queries(self):
        """How many questions came so far, retransmissions and lost ones' repeats included; lost ones are not counted."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\x05count\x07control\0" + b"\0\x10\0\1", ("127.0.0.1", self.port))
            answer = s.recv(512)
            return int(answer[12 + 15 + 4 + 15 + 10 + 1:])


if __name__ == "__main__":
    main()
