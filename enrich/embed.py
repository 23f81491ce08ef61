#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes files of etc/ as C texts (enrich/table.h).

Usage: embed.py OUT.c NAME=FILE…
"""
import os
import sys


def main():
    out, *pairs = sys.argv[1:]
    text = ["/* Made by enrich/embed.py. */", '#include "enrich/table.h"', ""]
    for pair in pairs:
        name, path = pair.split("=", 1)
        with open(path, "rb") as f:
            data = f.read()
        if b"\0" in data or not data.isascii():
            sys.exit(f"embed.py: {path}: plain ASCII text expected")
        text.append(f"static const char text_{name}[] = {{")
        for at in range(0, len(data), 24):
            text.append("".join(f"{b}," for b in data[at:at + 24]))
        text += ["0};", f"const struct tap_embedded tap_embedded_{name} = {{text_{name}, sizeof text_{name} - 1}};", ""]
    with open(out + ".tmp", "w", encoding="ascii") as f:
        f.write("\n".join(text))
    os.replace(out + ".tmp", out)


if __name__ == "__main__":
    main()
