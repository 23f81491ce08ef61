#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the files of the built page as a C table (dashboard/assets.h).

Usage: embed.py DIST OUT.c
"""
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def rows(dist):
    for folder, _, names in os.walk(dist):
        for name in names:
            full = os.path.join(folder, name)
            path = "/" + os.path.relpath(full, dist).replace(os.sep, "/")
            yield ("/" if path == "/index.html" else path), full


def main():
    dist, out = sys.argv[1:]
    text = ["/* Made by dashboard/embed.py. */", '#include "dashboard/assets.h"', ""]
    table = []
    for n, (path, full) in enumerate(sorted(rows(dist))):
        with open(full, "rb") as f:
            data = f.read()
        text.append(f"static const unsigned char bytes_{n}[] = {{")
        for at in range(0, len(data), 24):
            text.append("".join(f"{b}," for b in data[at:at + 24]))
        text.append("};")
        kind = TYPES[os.path.splitext(full)[1]]
        etag = hashlib.sha256(data).hexdigest()[:24]
        table.append(f'    {{"{path}", "{kind}", "\\"{etag}\\"", bytes_{n}, sizeof(bytes_{n})}},')
    if not table:
        sys.exit(f"embed.py: nothing in {dist}")
    text += ["", "const struct tap_asset tap_assets[] = {", *table, "    {0},", "};", ""]
    with open(out + ".tmp", "w", encoding="ascii") as f:
        f.write("\n".join(text))
    os.replace(out + ".tmp", out)


if __name__ == "__main__":
    main()
