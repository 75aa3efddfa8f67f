#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follows a page of docs/howto to the letter, in a copy of the sources.

try_howto.py PAGE FOLDER [--run]

Blocks of a page that say "file=PATH" are new files. Blocks of "diff" change files: after "--- PATH" each part that "@@"
begins has lines that stand there, one time, with those to take away (-) and to add (+). With --run the blocks of "sh" are
run in FOLDER, one after the other; the first that fails ends it. FOLDER is changed: it should be a copy.
"""
import os
import re
import subprocess
import sys

BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Mistake(Exception):
    """The page does not fit the sources."""


def hunks(text):
    """(path, lines that are there, lines that will be) of a block of "diff"."""
    path, old, new = None, [], []
    for line in text.splitlines() + ["@@"]:
        if line.startswith("--- ") or line == "@@":
            if old or new:
                yield path, old, new
            old, new = [], []
            path = line[4:] if line[0] == "-" else path
            continue
        mark, rest = line[:1], line[1:]
        if mark not in (" ", "-", "+", ""):
            raise Mistake(f"a line of a diff begins with {mark!r}: {line}")
        if mark != "+":
            old.append(rest)
        if mark != "-":
            new.append(rest)


def changed(path, before, old, new):
    lines, n = before.split("\n"), len(old)
    places = [i for i in range(len(lines) - n + 1) if lines[i:i + n] == old]
    if len(places) != 1:
        raise Mistake(f"{path}: these lines stand there {len(places)} times:\n" + "\n".join(old))
    return "\n".join(lines[:places[0]] + new + lines[places[0] + n:])


def steps(page):
    """What a page asks for, in order: ("file", path, text), ("change", path, (old, new)), ("run", None, commands)."""
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for kind, path, body in BLOCK.findall(text):
        if path:
            yield "file", path, body
        elif kind == "diff":
            for where, old, new in hunks(body):
                yield "change", where, (old, new)
        elif kind == "sh":
            yield "run", None, body


def sources_after(page, folder):
    """The texts of the files that a page makes or changes, by path; nothing is written."""
    texts = {}
    for kind, path, what in steps(page):
        full = os.path.join(folder, path or "")
        if kind == "file":
            if path in texts or os.path.exists(full):
                raise Mistake(f"{path} is there already")
            texts[path] = what
        elif kind == "change":
            if path not in texts:
                with open(full, encoding="utf-8") as f:
                    texts[path] = f.read()
            texts[path] = changed(path, texts[path], *what)
    return texts


def main():
    if len(sys.argv) not in (3, 4) or (len(sys.argv) == 4 and sys.argv[3] != "--run"):
        sys.exit(__doc__)
    page, folder = sys.argv[1:3]
    try:
        texts = sources_after(page, folder)
    except Mistake as mistake:
        sys.exit(f"{page}: {mistake}")
    for path, text in texts.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
    for kind, _, commands in steps(page) if len(sys.argv) == 4 else ():
        if kind == "run":
            subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, check=True)


if __name__ == "__main__":
    main()
