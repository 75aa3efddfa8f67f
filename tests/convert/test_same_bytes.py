#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Same input, same bytes, for every number of threads and instruction set: the file, and what is decoded from it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *

NAMES = ("model.safetensors", "config.json", "tokenizer.json")


def isas():
    """The instruction sets of this machine, as the program names them."""
    return [name for name in ("scalar", "avx2", "avxvnni", "avx512", "neon")
            if run("inspect", tmp("plain.ellm"), env={"ENTROLLM_ISA": name}).returncode == 0]


def compress(source, name, *options, **more):
    p = run("compress", "--bits", "8", source, "-o", tmp(name), "--force", "-q", *options, **more)
    return read(tmp(name)) if p.returncode == 0 else p.stderr


def decompress(name, folder, *options, **more):
    p = run("decompress", tmp(name), "-o", tmp(folder), "--force", "-q", *options, **more)
    return [read(os.path.join(tmp(folder), n)) for n in NAMES] if p.returncode == 0 else p.stderr


compress(MODEL, "plain.ellm")
sets = isas()
ok("scalar" in sets, "instruction sets: " + ", ".join(sets))
for options in ((), ("--bits", "4"), ("--bits", "4", "--prefer", "size"), ("--bits", "6", "--keep", "*embed*")):
    name = " ".join(options) or "8 bits"
    first = compress(MODEL, "first.ellm", *options, "-t", "1")
    ok(isinstance(first, bytes) and first[:4] == b"\x89ELL", f"{name}: compress")
    others = [compress(MODEL, "other.ellm", *options, "-t", str(t)) for t in (2, 5)]
    others += [compress(MODEL, "other.ellm", *options, env={"ENTROLLM_ISA": isa}) for isa in sets]
    ok(all(o == first for o in others), f"{name}: same file for all threads and instruction sets")
    weights = decompress("first.ellm", "back", "-t", "1")
    others = [decompress("first.ellm", "other", "-t", "3", env={"ENTROLLM_ISA": isa}) for isa in sets]
    ok(isinstance(weights, list) and all(o == weights for o in others), f"{name}: same weights from it", weights)
    ok(weights[1:] == [read(os.path.join(MODEL, n)) for n in NAMES[1:]], f"{name}: other files as they were")
    verify = ("verify", tmp("first.ellm"), "--against", MODEL)
    checked = [run(*verify, env={"ENTROLLM_ISA": isa}).returncode for isa in sets]
    ok(not any(checked), f"{name}: verified by all instruction sets", checked)
done()
