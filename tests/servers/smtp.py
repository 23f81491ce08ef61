# SPDX-License-Identifier: Apache-2.0
"""A strict SMTP server: it notes everything that a client may not do, knows STARTTLS, TLS and AUTH, and follows a plan, one fate a connection:
ok · reset, garbage, hang, slow (at the greeting) · cut (in the middle of the mail) · late (the mail is taken, and the answer is lost) ·
("mail", "550 …") a reply of its own in place of the answer to greet, ehlo, starttls, auth, mail, rcpt, data or end."""
import base64
import re
import socket
import socketserver
import ssl
import struct
import threading


class Refused(Exception):
    pass


class Smtp:
    def __init__(self, plan=(), port=0, tls=None, mode="starttls", login=None, size=0, mechanisms=("PLAIN", "LOGIN"), refuse=None):
        """tls: (certificate, key). mode: starttls, tls or none. login: (user, password) that is asked for. refuse: address → reply or None."""
        self.plan, self.mode, self.login, self.size, self.mechanisms, self.refuse = list(plan), mode, login, size, mechanisms, refuse
        self.wrong, self.mails, self.connections, self.sockets = [], [], 0, []     # mails: (from, [to], bytes, secured)
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        stub = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with stub.lock:
                    stub.connections += 1
                    stub.sockets.append(self.request)
                    fate = stub.plan.pop(0) if stub.plan else "ok"
                try:
                    Session(stub, self.request, fate).run()
                except (OSError, EOFError, Refused):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    def __init__(self, stub, sock, fate):
        self.stub, self.sock, self.fate = stub, sock, fate
        self.file, self.secured, self.known = None, False, not stub.login
        self.sock.settimeout(60)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise EOFError

    def say(self, line, step=None):
        own = isinstance(self.fate, tuple) and self.fate[0] == step
        self.sock.sendall(((self.fate[1] if own else line) + "\r\n").encode())
        return not own

    def line(self):
        raw = self.file.readline(4096)
        if not raw:
            raise EOFError
        if not raw.endswith(b"\r\n") or len(raw) > 512:
            self.stub.wrong.append(f"a line: {raw[:100]!r}")
        return raw.rstrip(b"\r\n").decode("ascii", "replace")

    def secure(self):
        self.sock = self.stub.context.wrap_socket(self.sock, server_side=True)
        self.file, self.secured = self.sock.makefile("rb"), True

    def run(self):
        stub = self.stub
        if self.fate == "reset":
            self.reset()
        if stub.mode == "tls":
            self.secure()
        self.file = self.sock.makefile("rb")
        if self.fate == "hang":
            stub.stopping.wait(60)
            return
        if self.fate == "garbage":
            self.sock.sendall(b"HTTP/1.1 200 \xff\x00 it works\r\n\r\n")
            return
        if self.fate == "slow":
            for c in b"220-" + b"x" * 60:
                self.sock.sendall(bytes([c]))
                if stub.stopping.wait(1):
                    return
            return
        if not self.say("220 stub.test ESMTP", "greet"):
            return
        while self.command(self.line()):
            pass

    def command(self, line):
        stub, verb = self.stub, line.upper().split(" ")[0]
        if verb == "QUIT":
            self.say("221 bye")
            return False
        if verb == "EHLO":
            if not re.fullmatch(r"EHLO [A-Za-z0-9.\[\]:_-]+", line):
                stub.wrong.append(line)
            self.ehlo()
        elif verb == "STARTTLS":
            if self.say("220 go on", "starttls"):
                self.secure()
        elif verb == "AUTH":
            self.auth(line)
        elif verb == "MAIL":
            self.mail(line)
        else:
            stub.wrong.append(line)
            self.say("500 what?")
        return True

    def ehlo(self):
        words = ["stub.test"]
        if self.stub.mode == "starttls" and not self.secured:
            words.append("STARTTLS")
        if self.stub.login and (self.secured or self.stub.mode == "none"):
            words.append("AUTH " + " ".join(self.stub.mechanisms))
        if self.stub.size:
            words.append(f"SIZE {self.stub.size}")
        if not isinstance(self.fate, tuple) or self.fate[0] != "ehlo":
            for w in words[:-1]:
                self.say(f"250-{w}")
        self.say(f"250 {words[-1]}", "ehlo")

    def auth(self, line):
        kind, first = (line.split(" ") + ["", ""])[1:3]
        decode = base64.b64decode
        if kind == "PLAIN":
            if not first:
                self.say("334 ")
                first = self.line()
            pair = tuple(decode(first).decode().split("\0")[1:])
        else:
            if not first:
                self.say("334 VXNlcm5hbWU6")
                first = self.line()
            self.say("334 UGFzc3dvcmQ6")
            pair = (decode(first).decode(), decode(self.line()).decode())
        if kind not in self.stub.mechanisms:
            self.stub.wrong.append(line)
        self.known = pair == self.stub.login
        self.say("235 welcome" if self.known else "535 5.7.8 who are you?", "auth")

    def mail(self, line):
        stub = self.stub
        m = re.fullmatch(r"MAIL FROM:<([^<> ]*)>( SIZE=(\d+))?", line)
        if not m or (stub.context and not self.secured):
            stub.wrong.append(line)
        if not self.known:
            self.say("530 5.7.0 log in first")
            return
        if stub.size and m and m[3] and int(m[3]) > stub.size:
            self.say("552 5.3.4 too large")
            return
        if not self.say("250 ok", "mail"):
            return
        to, refused = [], False
        while True:
            line = self.line()
            r = re.fullmatch(r"RCPT TO:<([^<> ]+)>", line)
            if not r:
                break
            no = stub.refuse(r[1]) if stub.refuse else None
            refused = not self.say(no or "250 ok", "rcpt") or bool(no) or refused
            to.append(r[1])
        if line != "DATA":
            if line != "QUIT" and line != "RSET":
                stub.wrong.append(line)
            raise EOFError
        if refused:
            stub.wrong.append("DATA though a recipient was refused")
        if not to or not self.say("354 go on", "data"):
            return
        self.data(m[1] if m else "", to)

    def data(self, sender, to):
        stub, lines = self.stub, []
        while True:
            raw = self.file.readline(4096)
            if not raw:
                raise EOFError
            if self.fate == "cut" and len(lines) == 20:
                self.reset()
            if raw == b".\r\n":
                break
            if not raw.endswith(b"\r\n") or len(raw) > 80 or b"\r" in raw[:-2] or any(c > 126 or (c < 32 and c != 9) for c in raw[:-2]):
                stub.wrong.append(f"a line of the mail: {raw[:100]!r}")
            lines.append(raw[1:] if raw.startswith(b".") else raw)
        raw = b"".join(lines)
        if stub.size and len(raw) > stub.size:
            self.say("552 5.3.4 too large")
            return
        own = isinstance(self.fate, tuple) and self.fate[0] == "end"
        if not own:
            with stub.lock:
                stub.mails.append((sender, to, raw, self.secured))
        if self.fate == "late":
            self.reset()
        self.say("250 kept", "end")
