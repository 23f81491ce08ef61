# SPDX-License-Identifier: Apache-2.0
"""Strict stand-ins for servers that outputs speak HTTP with: a search cluster's _bulk, _search, _refresh and _index_template with external versions,
Splunk's HTTP Event Collector (which is not to be had: the stub reads the protocol as its documentation has it), and a receiver of webhooks.
Each request may be spoiled: `plan` holds what becomes of the next ones, in order, and then all is well:
  "ok" · "reset" (connection reset without an answer) · "half" (reset in the middle of the answer, after the work) · "hang" · "slow" (one
  byte a second) · "garbage" · 503, 429, … · (503, {"Retry-After": "1"}), and with a third part the answer · ("late", 503): the work is done, and the answer is that status
What a client does wrong stands in `wrong`, and every test looks there."""
import base64
import gzip
import hashlib
import hmac
import json
import re
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stub:
    """A server in threads of this process. kind: "search", "splunk", "webhook"."""

    def __init__(self, kind, plan=(), port=0, tls=None, auth=None, refuse=None, limit=0, ack=None, secret=None):
        self.kind, self.plan, self.auth, self.refuse, self.limit = kind, list(plan), auth, refuse, limit
        self.ack, self.secret = ack, secret
        self.wrong, self.requests, self.bodies = [], [], []
        self.docs, self.writes = {}, []     # search: (index, id) → (version, document); every write that took
        self.templates, self.events, self.items, self.acks = {}, [], [], {}
        self.lock, self.stopping, self.connections = threading.Lock(), threading.Event(), []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def setup(self):
                super().setup()
                stub.connections.append(self.connection)

            def log_message(self, *_):
                pass

            def do_any(self):
                stub.serve(self)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_any

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        for c in self.connections:  # those that are kept alive, too
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- one request ----

    def serve(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length", 0)))
        with self.lock:
            self.requests.append((h.command, h.path, dict(h.headers.items())))
            fate = self.plan.pop(0) if self.plan else "ok"
        if h.headers.get("Transfer-Encoding") or h.headers.get("Expect"):
            self.wrong.append(f"{h.command} {h.path}: {dict(h.headers)}")
        if h.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if fate == "reset":
            return self.reset(h)
        if fate == "hang":
            self.stopping.wait(60)
            return self.reset(h)
        if isinstance(fate, int):
            fate = (fate, {})
        if isinstance(fate, tuple) and isinstance(fate[0], int):
            return self.say(h, fate[0], fate[2] if len(fate) > 2 else {"error": "made to fail"}, fate[1])
        status, answer = self.answer(h, body)
        if isinstance(fate, tuple):
            return self.say(h, fate[1], {"error": "too late"})
        if fate == "garbage":
            return self.say(h, 200, b"<html>\xff\x00 it works!")
        if fate == "half":
            h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"took\":")
            h.wfile.flush()
            return self.reset(h)
        if fate == "slow":
            return self.slow(h)
        return self.say(h, status, answer)

    @staticmethod
    def reset(h):
        h.close_connection = True
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        h.connection.close()

    def slow(self, h):
        h.close_connection = True
        try:
            h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            for _ in range(60):
                h.wfile.write(b" ")
                h.wfile.flush()
                if self.stopping.wait(1):
                    return
        except OSError:
            pass

    @staticmethod
    def say(h, status, answer, headers=None):
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        h.send_response(status)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            h.send_header(name, value)
        h.end_headers()
        h.wfile.write(data)

    def answer(self, h, body):
        if self.auth and h.headers.get("Authorization") != self.auth:
            return 401, {"error": "who are you?", "code": 3, "text": "Invalid authorization"}
        if self.limit and len(body) > self.limit:
            return 413, {"error": "too large"}
        with self.lock:
            self.bodies.append(body)
            return getattr(self, self.kind)(h, body)

    # ---- a search cluster ----

    def search(self, h, body):
        path = h.path.split("?")[0]
        if path == "/_bulk":
            return self.bulk(h, body)
        m = re.fullmatch(r"/_index_template/([a-z0-9_.-]+)", path)
        if m and h.command == "PUT":
            self.templates[m[1]] = json.loads(body)
            return 200, {"acknowledged": True}
        if m:
            t = self.templates.get(m[1])
            return (200, {"index_templates": [{"name": m[1], "index_template": t}]}) if t else (404, {"error": "no"})
        m = re.fullmatch(r"/([a-z0-9_.-]+)/_(refresh|search)", path)
        if not m:
            self.wrong.append(f"{h.command} {h.path}")
            return 404, {}
        if m[2] == "refresh":
            return 200, {}
        uid, below = (json.loads(body)["query"]["bool"]["filter"][i] for i in (0, 1))
        hits = [{"_id": i, "_version": v} for (x, i), (v, doc) in self.docs.items()
                if x == m[1] and doc["report_uid"] == uid["match"]["report_uid"] and doc["revision"] < below["range"]["revision"]["lt"]]
        return 200, {"hits": {"hits": hits[:1000]}} if hits else {}

    def bulk(self, h, body):
        if h.headers.get("Content-Type") != "application/x-ndjson" or not body.endswith(b"\n"):
            self.wrong.append("a bulk request of another type, or without its last line end")
        lines = body.decode("utf-8").split("\n")[:-1]
        out, errors, i = [], False, 0
        while i < len(lines):
            ((op, where),) = json.loads(lines[i]).items()
            key = (where["_index"], where["_id"])
            if where["_index"] != where["_index"].lower() or len(where["_id"]) > 512:
                self.wrong.append(f"{where}")
            there = self.docs.get(key, (0, None))[0]
            if op == "delete":
                i += 1
                if where["version_type"] == "external_gte" and where["version"] >= there:
                    self.docs.pop(key, None)
                out.append({"delete": {"status": 200}})
                continue
            doc = json.loads(lines[i + 1])
            i += 2
            if where["version_type"] != "external":
                self.wrong.append(f"{where}")
            status = self.refuse(doc) if self.refuse else 0
            if status:
                errors = True
                error = {"type": "mapper_parsing_exception", "reason": "failed to parse", "caused_by": {"reason": "made to fail"}}
                out.append({"index": {"status": status, "error": error}})
            elif where["version"] <= there:
                errors = True
                out.append({"index": {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "is there"}}})
            else:
                self.docs[key] = (where["version"], doc)
                self.writes.append((key, where["version"]))
                out.append({"index": {"status": 201}})
        return 200, {"errors": errors, "items": out}

    # ---- Splunk's collector ----

    def splunk(self, h, body):
        path = h.path.split("?")[0]
        channel = h.headers.get("X-Splunk-Request-Channel")
        if self.ack is not None and not channel:
            return 400, {"text": "Data channel is missing", "code": 10}
        if path == "/services/collector/ack":
            asked = json.loads(body)["acks"]
            for a in asked:
                self.acks[a] = self.acks.get(a, 0) + 1
            return 200, {"acks": {str(a): 0 <= self.ack < self.acks[a] for a in asked}}
        if path != "/services/collector/event/1.0":
            self.wrong.append(path)
            return 404, {}
        found, at, text, decoder = [], 0, body.decode("utf-8"), json.JSONDecoder()
        while at < len(text):
            event, at = decoder.raw_decode(text, at)
            while at < len(text) and text[at].isspace():
                at += 1
            if set(event) - {"time", "host", "source", "sourcetype", "index", "event"} or not event.get("event"):
                self.wrong.append(str(event)[:300])
            if self.refuse and self.refuse(event["event"]):
                return 400, {"text": "Invalid data format", "code": 6, "invalid-event-number": len(found)}
            found.append(event)
        self.events += found
        return 200, {"text": "Success", "code": 0, **({"ackId": len(self.bodies)} if self.ack is not None else {})}

    # ---- a receiver of webhooks ----

    def webhook(self, h, body):
        if h.headers.get("Idempotency-Key") != hashlib.sha256(body).hexdigest() or h.headers.get("Content-Type") != "application/json":
            self.wrong.append(f"{dict(h.headers)}")
        if self.secret:
            stamp = h.headers.get("X-Dmarctap-Timestamp", "")
            want = hmac.new(self.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
            if h.headers.get("X-Dmarctap-Signature") != f"sha256={want}" or abs(int(stamp) - time.time()) > 300:
                self.wrong.append("the signature is not right")
        found = json.loads(body)
        found = found if isinstance(found, list) else [found]
        for item in found:
            status = self.refuse(item) if self.refuse else 0
            if status:
                return status, {"error": "refused"}
        self.items += found
        return 200, {}


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
