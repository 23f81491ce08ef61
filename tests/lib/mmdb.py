#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small MMDB files (MaxMind DB format 2.0) for tests.

Usage: mmdb.py OUT < SPEC.json, where SPEC is
  {"networks": {"192.0.2.0/24": {"country_code": "GB"}, …}, "type": "Test", "ip_version": 6, "record_size": 24, "build_epoch": 1800000000}
Only networks has to be there. A number becomes a uint32, {"uint16": 5}, {"uint64": 5}, {"int32": -5} and {"bytes": "ff00"} what they say.
From Python: write(path, networks, **rest)."""
import ipaddress
import json
import os
import struct
import sys
import time

MARKER = b"\xab\xcd\xefMaxMind.com"
SIZED = {"uint16": (5, 2), "uint32": (6, 4), "uint64": (9, 8)}


def control(kind, size):
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, bytes([size - 29])
    else:
        low, more = 30, struct.pack("!H", size - 285)
    if kind > 7:
        return bytes([low, kind - 7]) + more
    return bytes([kind << 5 | low]) + more


def encode(v):
    if isinstance(v, dict) and len(v) == 1 and next(iter(v)) in (*SIZED, "int32", "bytes"):
        (kind, n), = v.items()
        if kind == "bytes":  # a string of these bytes, UTF-8 or not
            raw = bytes.fromhex(n)
            return control(2, len(raw)) + raw
        if kind == "int32":
            return control(8, 4) + struct.pack("!i", n)
        number, width = SIZED[kind]
        raw = n.to_bytes(width, "big").lstrip(b"\0")
        return control(number, len(raw)) + raw
    if isinstance(v, dict):
        return control(7, len(v)) + b"".join(encode(k) + encode(x) for k, x in v.items())
    if isinstance(v, list):
        return control(11, len(v)) + b"".join(encode(x) for x in v)
    if isinstance(v, bool):
        return control(14, int(v))
    if isinstance(v, str):
        return control(2, len(v.encode())) + v.encode()
    return encode({"uint32": v})


def build(networks, type="Test", ip_version=6, record_size=24, build_epoch=None):
    nodes, data, places = [[None, None]], b"", {}
    for text, value in networks.items():
        net = ipaddress.ip_network(text)
        bits = int(net.network_address)
        length, depth = net.prefixlen, net.max_prefixlen
        if ip_version == 6 and net.version == 4:
            length, depth = length + 96, 128
        raw = encode(value)
        if raw not in places:
            places[raw] = len(data)
            data += raw
        at = 0
        for i in range(length):
            bit = bits >> (depth - 1 - i) & 1
            if i == length - 1:
                nodes[at][bit] = ("data", places[raw])
            else:
                if not isinstance(nodes[at][bit], int):  # a network inside another one takes its place in both halves
                    nodes.append([nodes[at][bit], nodes[at][bit]])
                    nodes[at][bit] = len(nodes) - 1
                at = nodes[at][bit]
    n, tree = len(nodes), b""
    for pair in nodes:
        a, b = (n if r is None else r if isinstance(r, int) else n + 16 + r[1] for r in pair)
        if record_size == 28:
            tree += struct.pack("!I", a)[1:] + bytes([(a >> 24) << 4 | b >> 24]) + struct.pack("!I", b)[1:]
        else:
            tree += b"".join(struct.pack("!I", r)[4 - record_size // 8:] for r in (a, b))
    meta = {"node_count": n, "record_size": {"uint16": record_size}, "ip_version": {"uint16": ip_version}, "database_type": type,
            "languages": ["en"], "binary_format_major_version": {"uint16": 2}, "binary_format_minor_version": {"uint16": 0},
            "build_epoch": {"uint64": int(time.time()) if build_epoch is None else build_epoch}, "description": {"en": "made for tests"}}
    return tree + b"\0" * 16 + data + MARKER + encode(meta)


def write(path, networks, **rest):
    """In one step, as whoever replaces a database has to."""
    with open(path + ".new", "wb") as f:
        f.write(build(networks, **rest))
    os.replace(path + ".new", path)


if __name__ == "__main__":
    spec = json.load(sys.stdin)
    write(sys.argv[1], spec.pop("networks"), **spec)
