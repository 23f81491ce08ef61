# SPDX-License-Identifier: Apache-2.0
"""The mail server's side of the milter protocol, for what miltertest cannot do: exact bytes, any split, any version, many at once."""
import hashlib
import socket
import struct

FATES = ["report", "not a report", "broken", "unreadable", "too large", "no space", "inner failure", "feedback", "rejected"]
NR = {b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"R": 0x8000, b"T": 0x10000, b"L": 0x80, b"N": 0x40000, b"B": 0x80000}
NO = {b"C": 0x1, b"H": 0x2, b"M": 0x4, b"R": 0x8, b"B": 0x10, b"L": 0x20, b"N": 0x40, b"T": 0x200}
ALL_STEPS, ALL_ACTIONS, SKIP, NODATA, LEADSPC, DELRCPT = 0x1FFFFF, 0x1FF, 0x400, 0x200, 0x100000, 0x08


class Mta:
    """One connection. Answers are the letters of the protocol: c continue, a accept, d discard, t tempfail, s skip, y a reply text."""

    def __init__(self, path, version=6, actions=ALL_ACTIONS, steps=ALL_STEPS, timeout=60):
        self.s = socket.socket(socket.AF_UNIX if isinstance(path, str) else socket.AF_INET6 if ":" in path[0] else socket.AF_INET)
        self.s.settimeout(timeout)
        self.s.connect(path)
        self.offered = steps
        self.send(b"O", struct.pack("!III", version, actions, steps))
        cmd, data = self.read()
        assert cmd == b"O", cmd
        self.version, self.actions, self.steps = struct.unpack("!III", data[:12])
        # Stage (connect 0, HELO 1, MAIL 2, RCPT 3, DATA 4, end of message 5, end of headers 6) and the macros that are wanted there.
        self.wanted, rest = {}, data[12:]
        while rest:
            names, _, after = rest[4:].partition(b"\0")
            self.wanted[struct.unpack("!I", rest[:4])[0]], rest = names.decode().split(), after
        assert self.actions & ~actions == 0 and self.steps & ~steps == 0, "asked for what was not offered"
        self.changes = []
        self.text = ""

    def send(self, cmd, data=b""):
        self.s.sendall(struct.pack("!I", len(data) + 1) + cmd + data)

    def read_exactly(self, n):
        out = b""
        while len(out) < n:
            got = self.s.recv(n - len(out))
            if not got:
                raise EOFError("the milter closed the connection")
            out += got
        return out

    def read(self):
        packet = self.read_exactly(struct.unpack("!I", self.read_exactly(4))[0])
        return packet[:1], packet[1:]

    def event(self, cmd, data=b""):
        """Sends an event unless the milter asked not to be told; its answer's letter, "" where it gives none."""
        if self.steps & NO.get(cmd, 0):
            return ""
        self.send(cmd, data)
        if self.steps & NR.get(cmd, 0):
            return ""
        while True:
            letter, data = self.read()
            if letter in (b"h", b"i", b"m", b"-", b"+"):
                self.changes.append((letter.decode(), data))
                continue
            if letter == b"p":
                continue
            if letter == b"y":
                self.text = data.rstrip(b"\0").decode()
            return letter.decode()

    def connect(self, address="192.0.2.25", port=4025, name="mx.receiver.example"):
        return self.event(b"C", name.encode() + b"\0" + b"4" + struct.pack("!H", port) + address.encode() + b"\0")

    def macros(self, cmd, **values):
        self.send(b"D", cmd + b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in values.items()))

    def envelope(self, to, sender="<reporter@receiver.example>"):
        """MAIL, RCPT, DATA. The answers to RCPT and DATA, together."""
        self.changes, self.text = [], ""
        self.event(b"M", sender.encode() + b"\0")
        answers = "".join(self.event(b"R", t.encode() + b"\0") for t in ([to] if isinstance(to, str) else to))
        self.macros(b"T", i="4QUEUE1")
        if self.offered & NODATA:
            answers += self.event(b"T")
        return answers

    def headers(self, head):
        """The header block as bytes with CRLF. Folds go with LF alone, as mail servers send them."""
        answer = ""
        lines = head.replace(b"\r\n ", b"\n ").replace(b"\r\n\t", b"\n\t").split(b"\r\n")
        for line in lines:
            name, value = line.split(b":", 1)
            if not self.steps & LEADSPC:
                value = value[1:] if value[:1] == b" " else value
            answer = self.event(b"L", name + b"\0" + value + b"\0")
            if answer not in ("", "c"):
                return answer
        return answer

    def content(self, message, chunk=60000):
        """Headers to the end of the message; the letter of the last answer."""
        head, body = message.split(b"\r\n\r\n", 1)
        answer = self.headers(head)
        if answer in ("", "c"):
            answer = self.event(b"N")
        self.body_answers = ""
        for at in range(0, len(body), chunk):
            if answer not in ("", "c"):
                break
            answer = self.event(b"B", body[at:at + chunk])
            self.body_answers += answer
        if answer not in ("", "c", "s"):
            return answer
        self.macros(b"E", i="4QUEUE1")
        return self.event(b"E")

    def deliver(self, to, message, **kw):
        answers = self.envelope(to)
        return answers[-1:] if answers.endswith("a") else self.content(message, **kw)

    def deleted(self):
        return [d.rstrip(b"\0").decode() for letter, d in self.changes if letter == "-"]

    def added(self):
        return [tuple(d.rstrip(b"\0").decode().split("\0")) for letter, d in self.changes if letter == "h"]

    def removed_headers(self):
        return [(struct.unpack("!I", d[:4])[0], d[4:].split(b"\0")[0].decode()) for letter, d in self.changes
                if letter == "m" and d[4:].split(b"\0")[1] == b""]

    def close(self):
        try:
            self.send(b"Q")
        except OSError:
            pass
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SpoolFile:
    """Reads a spool file by docs/formats.md alone, and holds it to every word of it."""
    TEXTS = {5: "sender", 6: "client", 7: "client_name", 8: "helo", 9: "queue_id", 10: "auth", 11: "reason"}

    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        magic, version, size, flags, moff, mlen, eoff, elen, self.arrival, zero = struct.unpack("<8sHHIQQQQqQ", data[:64])
        assert (magic, version, size, moff, eoff, zero) == (b"DMARCTAP", 1, 96, 96, 96 + mlen, 0)
        assert eoff + elen == len(data) and flags in (0, 1)
        self.passed_on = bool(flags)
        self.message = data[moff:moff + mlen]
        assert hashlib.sha256(data[96:] + data[:64]).digest() == data[64:96]
        self.recipients, at = [], eoff
        self.sender = self.client = self.client_name = self.helo = self.queue_id = self.auth = self.reason = None
        while at < len(data):
            tag, n = struct.unpack("<BI", data[at:at + 5])
            value, at = data[at + 5:at + 5 + n], at + 5 + n
            if tag == 1:
                self.door = "milter lmtp pipe imap import".split()[value[0]]
            elif tag == 2:
                self.fate = FATES[value[0]]
            elif tag == 3:
                assert value == hashlib.sha256(self.message).digest()
            elif tag == 4:
                self.recipients.append(value.decode())
            else:
                setattr(self, self.TEXTS[tag], value.decode())
