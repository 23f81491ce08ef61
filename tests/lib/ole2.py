# SPDX-License-Identifier: Apache-2.0
"""Writes compound files (OLE2, [MS-CFB] version 3) and Outlook messages ([MS-OXMSG]) for tests.

A storage is a dict: name -> bytes (a stream) or dict (a storage)."""
import struct

SECTOR, MINI, CUTOFF, ENTRY = 512, 64, 4096, 128
END, FREE, FAT, NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF


class Node:
    def __init__(self, name, kind, data=b""):
        self.name, self.kind, self.data, self.children = name, kind, data, []
        self.left = self.right = self.child = NONE
        self.start, self.size = END, 0


def _order(node):
    return (len(node.name), node.name.upper())


def _flatten(tree, name="Root Entry", kind=5):
    """All nodes, the root first; ids are places in this list."""
    root, out = Node(name, kind), []

    def add(node, storage):
        node.id = len(out)
        out.append(node)
        for key, value in storage.items():
            child = Node(key, 1 if isinstance(value, dict) else 2, b"" if isinstance(value, dict) else value)
            node.children.append(child)
            add(child, value if isinstance(value, dict) else {})

    add(root, tree)

    def balance(nodes):
        if not nodes:
            return NONE
        mid = len(nodes) // 2
        nodes[mid].left, nodes[mid].right = balance(nodes[:mid]), balance(nodes[mid + 1:])
        return nodes[mid].id

    for node in out:
        node.child = balance(sorted(node.children, key=_order))
    return out


def _pad(data, n):
    return data + b"\0" * (-len(data) % n)


def compound(tree):
    nodes = _flatten(tree)
    sectors, chain, mini, mini_chain = [], [], b"", []

    def put(data):
        if not data:
            return END
        data, first = _pad(data, SECTOR), len(sectors)
        for i in range(0, len(data), SECTOR):
            sectors.append(data[i:i + SECTOR])
            chain.append(len(sectors))
        chain[-1] = END
        return first

    for node in nodes[1:]:
        node.size = len(node.data)
        if node.kind != 2 or not node.data:
            continue
        if node.size >= CUTOFF:
            node.start = put(node.data)
            continue
        data, node.start = _pad(node.data, MINI), len(mini_chain)
        for _ in range(0, len(data), MINI):
            mini_chain.append(len(mini_chain) + 1)
        mini_chain[-1] = END
        mini += data
    nodes[0].start, nodes[0].size = put(mini), len(mini)
    mini_fat = put(_pad(b"".join(struct.pack("<I", c) for c in mini_chain), SECTOR))
    n_mini_fat = -(-len(mini_chain) * 4 // SECTOR)
    entries = b""
    for node in nodes:
        name = (node.name + "\0").encode("utf-16-le")
        entries += name.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ", len(name), node.kind, 1, node.left, node.right, node.child, b"", 0, 0, 0,
            node.start if node.kind != 1 else 0, node.size)
    directory = put(entries + b"".join(b"\0" * 68 + struct.pack("<III", NONE, NONE, NONE) + b"\0" * 48
                                       for _ in range(-len(nodes) % 4)))
    n_fat = 1
    while n_fat * (SECTOR // 4) < len(sectors) + n_fat:
        n_fat += 1
    assert n_fat <= 109
    first_fat = len(sectors)
    fat = b"".join(struct.pack("<I", c) for c in chain + [FAT] * n_fat).ljust(n_fat * SECTOR, b"\xff")
    difat = list(range(first_fat, first_fat + n_fat))
    header = struct.pack("<8s16sHHHHH6sIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0,
                         n_fat, directory, 0, CUTOFF, mini_fat, n_mini_fat, END, 0, difat[0])
    header += b"".join(struct.pack("<I", d) for d in difat[1:]).ljust(SECTOR - len(header), b"\xff")
    return header + b"".join(sectors) + fat


def text(value):
    return value.encode("utf-16-le")


def attachment(name, data, mime=None):
    out = {"__properties_version1.0": b"\0" * 8, "__substg1.0_3707001F": text(name), "__substg1.0_37010102": data}
    if mime:
        out["__substg1.0_370E001F"] = text(mime)
    return out


def attached_message(message):
    return {"__properties_version1.0": b"\0" * 8, "__substg1.0_3701000D": message}


def message(headers=None, body=None, html=None, attachments=(), subject=None, sender=None, root=True):
    out = {"__properties_version1.0": b"\0" * (32 if root else 24)}
    if headers is not None:
        out["__substg1.0_007D001F"] = text(headers)
    if subject is not None:
        out["__substg1.0_0037001F"] = text(subject)
    if sender is not None:
        out["__substg1.0_5D01001F"] = text(sender)
    if body is not None:
        out["__substg1.0_1000001F"] = text(body)
    if html is not None:
        out["__substg1.0_10130102"] = html
    for i, one in enumerate(attachments):
        out["__attach_version1.0_#%08X" % i] = one
    if root:
        out["__nameid_version1.0"] = {"__substg1.0_00020102": b"", "__substg1.0_00030102": b"", "__substg1.0_00040102": b""}
    return out
