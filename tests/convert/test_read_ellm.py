#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/read_ellm.py, written from docs/FORMAT.md alone, against the library: every width, scheme, preference and
kind of code, on shapes that cut panels, tiles, pairs and blocks in every way; and what a damaged file gives."""

import json
import os
import random
import re
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), os.path.join(HERE, "..", "..", "tools")]
from cli_testing import *
import read_ellm

TOOL = os.path.join(ROOT, "tools", "read_ellm.py")
# name: rows, columns, element type, spread, offset
SHAPES = {
    "one.row": (1, 37, "F32", 1, 0),
    "one.element": (1, 1, "F32", 1, 0),
    "three.columns": (70, 3, "F32", 1, 0),
    "odd": (17, 5, "F32", 1, 0),
    "even": (32, 32, "F32", 1, 0),
    "odd.tiles": (48, 36, "BF16", 0.02, 0),
    "ranges": (17, 2100, "BF16", 0.02, 0),
    "low.wide": (2, 3000, "BF16", 0.5, 0),
    "many.blocks": (600, 60, "BF16", 0.02, 0),
    "positive": (20, 24, "F32", 0.3, 9),
    "negative": (19, 24, "BF16", 0.3, -9),
    "zeros": (16, 8, "BF16", 0, 0),
    "skewed": (64, 64, "F32", -1, 0),
}


def element(dtype, value):
    data = struct.pack("<f", value)
    return data if dtype == "F32" else data[2:]


def made(rows, columns, dtype, spread, offset):
    if spread >= 0:
        values = [random.gauss(offset, spread) for _ in range(rows * columns)]
    else:  # most codes equal, a few far away: deep trees, escapes
        values = [random.choice((1, -1)) * random.random() ** 40 for _ in range(rows * columns)]
    return dtype, [rows, columns], b"".join(element(dtype, v) for v in values)


random.seed(1)
folder = tmp("shapes")
os.makedirs(folder)
source = {name: made(*shape) for name, shape in SHAPES.items()}
source["a.norm"] = ("F32", [7], struct.pack("<7f", *range(7)))
source["nothing"] = ("F32", [0, 4], b"")
write_safetensors(os.path.join(folder, "model.safetensors"), source)
with open(os.path.join(folder, "config.json"), "w") as f:
    f.write("{}\n")
file = tmp("shapes.ellm")
layouts = set()


def check(bits, scheme, prefer, code):
    wrong = []
    p = run("compress", folder, "-o", file, "--force", "-q", "--bits", str(bits), "--scheme", scheme,
            "--prefer", prefer, "--code", code)
    if p.returncode != 0:
        return [p.stderr.decode()]
    facts = {t["name"]: t for t in json.loads(run("inspect", file).stdout)["tensors"]}
    opened = read_ellm.File(file)
    for name in SHAPES:
        run("inspect", file, "--tensor", name, "--codes", tmp("library"))
        try:
            record = opened.tensor(name)
            layouts.add(read_ellm.Book(opened.head(record)).kind)
            if read_ellm.tensor_codes(opened, record) != read(tmp("library")):
                wrong.append(name + ": other codes")
            if (record.bits, record.step, record.zero) != (bits, facts[name]["step"], facts[name]["zero"]):
                wrong.append(f"{name}: {record.bits} {record.step} {record.zero} instead of {facts[name]}")
        except (read_ellm.Bad, struct.error, IndexError, StopIteration) as error:
            wrong.append(f"{name}: {error!r}")
    kept = opened.tensor("a.norm")
    if opened.head(kept) != source["a.norm"][2]:
        wrong.append("a.norm: other bytes")
    return wrong


for bits in range(2, 9):
    wrong = []
    for scheme in ("mixed", "symmetric", "asymmetric"):
        for prefer in ("balanced", "size", "speed"):
            wrong += [f"{scheme} {prefer}: {w}" for w in check(bits, scheme, prefer, "huffman")]
        wrong += [f"{scheme} none: {w}" for w in check(bits, scheme, "balanced", "none")]
        wrong += [f"{scheme} fields: {w}" for w in check(bits, scheme, "speed", "fields")]
    ok(not wrong, f"{bits} bits: {len(SHAPES)} matrices, all schemes and codes", "\n".join(wrong))
equal(layouts, {read_ellm.PLAIN, read_ellm.HUFFMAN, read_ellm.TUPLES, read_ellm.FIELDS}, "all kinds of code book were met")

# The program itself.
def tool(*arguments):
    return subprocess.run([sys.executable, TOOL, file, *arguments], capture_output=True)


p = tool("--tensor", "ranges", "--codes", tmp("tool"))
run("inspect", file, "--tensor", "ranges", "--codes", tmp("library"))
same = p.returncode == 0 and p.stdout == b"" and read(tmp("tool")) == read(tmp("library"))
ok(same, "read_ellm.py --tensor --codes", p.stderr.decode())
p = tool("--list")
names = [json.loads(line)["name"] for line in p.stdout.splitlines()]
ok(p.returncode == 0 and set(source) | {"config.json"} <= set(names), "read_ellm.py --list", names)
for name in ("absent", "a.norm"):
    p = tool("--tensor", name, "--codes", tmp("tool"))
    one_line = p.returncode == 1 and p.stderr.count(b"\n") == 1
    ok(one_line, f"read_ellm.py, tensor {name}: one line of error", p.stderr.decode())

# The examples of docs/FORMAT.md: the bytes there are files, and what they are said to hold is what is read from them.
document = read(os.path.join(ROOT, "docs", "FORMAT.md")).decode()
section = document[document.index("## Example"):document.index("## Identities")]
examples = []
for block in re.findall(r"^```\n(.*?)^```", section, re.M | re.S):
    lines = re.findall(r"^([0-9a-f]{3})((?: {1,2}[0-9a-f]{2}(?= |$))+)", block, re.M)
    equal([int(at, 16) for at, _ in lines], list(range(0, 16 * len(lines), 16)), "offsets of an example")
    examples.append(bytes.fromhex("".join(line for _, line in lines)))
equal([len(e) for e in examples], [392, 568], "the examples of docs/FORMAT.md have the bytes that are said")
with open(tmp("example.ellm"), "wb") as f:
    f.write(examples[0])
opened = read_ellm.File(tmp("example.ellm"))
p = run("inspect", tmp("example.ellm"), "--tensor", "w", "--codes", tmp("library"))
want = bytes([4, 3, 5, 4, 2, 7, 5, 4, 3, 4, 4, 0])
equal((read_ellm.tensor_codes(opened, opened.tensor("w")), read(tmp("library"))), (want, want), "the first example")
example = os.path.join(ROOT, "tests", "golden", "container", "example.ellm")
equal(examples[1].hex(" "), read(example).hex(" "), "the second example is the file that the container's tests write")
opened = read_ellm.File(example)
run("decompress", example, "-o", tmp("example"), "--dtype", "f32", "-q")
tensors = read_safetensors(os.path.join(tmp("example"), "model.safetensors"))
for name, said in re.findall(r"^    ([qk]): ([-0-9. /]+)$", section, re.M):
    if "zero" in said:
        continue
    want = struct.pack(f"<{len(said.replace('/', ' ').split())}f", *map(float, said.replace("/", " ").split()))
    equal((read_ellm.tensor_weights(opened, opened.tensor(name)), tensors[name][2]), (want, want), f"its weights {name}")

# Scales of rows and columns, and codes beyond their width: a file that the tests of the container write, and the same
# weights from this reader, from the library as a folder, and for some of them by the rule itself.
scaled = os.path.join(ROOT, "tests", "golden", "container", "scaled.ellm")
opened = read_ellm.File(scaled)
run("decompress", scaled, "-o", tmp("weights"), "--dtype", "f32", "-q")
tensors = read_safetensors(os.path.join(tmp("weights"), "model.safetensors"))
for name in ("q.weight", "k.weight", "o.weight"):
    weights = read_ellm.tensor_weights(opened, opened.tensor(name))
    ok(weights == tensors[name][2], f"{name}: weights as decompress gives them")
record = opened.tensor("q.weight")
codes, patches, (rows, columns) = read_ellm.decode_tensor(opened, record)
ok(record.granularity == 7 and len(patches) > 0, "q.weight has scales of rows and columns and outliers")
largest = max(patches, key=lambda i: abs(patches[i]))
whole = codes[largest] + patches[largest] - record.zero
want = whole * record.step * rows[largest // 300] * columns[largest % 300]
have = struct.unpack_from("<f", read_ellm.tensor_weights(opened, record), 4 * largest)[0]
ok(abs(whole) > 511 and abs(have - want) <= 1e-6 * abs(want), "the farthest code is a weight", (whole, have, want))
p = run("verify", scaled, "--json")
equal((p.returncode, json.loads(p.stdout)["ok"]), (0, True), "verify takes it")

# Fields with codes beyond them: the same codes from both readers.
fields = os.path.join(ROOT, "tests", "golden", "container", "fields.ellm")
opened, wrong = read_ellm.File(fields), []
for name in ("two", "three", "four", "five", "six"):
    run("inspect", fields, "--tensor", name, "--codes", tmp("library"))
    if read_ellm.tensor_codes(opened, opened.tensor(name)) != read(tmp("library")):
        wrong.append(name)
equal(wrong, [], "fields of every width, with patches")

# Damage: a byte here and there, and files cut short.
missed = []
for i in range(120):
    data = read(file if i < 60 else scaled)
    damaged = bytearray(data)
    ends = (random.randrange(64), len(data) - 1 - random.randrange(3000))
    at = random.randrange(len(data)) if i % 2 else random.choice(ends)
    damaged[at] ^= 1 << random.randrange(8)
    with open(tmp("damaged.ellm"), "wb") as f:
        f.write(damaged if i % 60 < 50 else data[: random.randrange(len(data))])
    try:
        opened = read_ellm.File(tmp("damaged.ellm"))
        for record in opened.records:
            if record.type == read_ellm.CODED:
                read_ellm.tensor_codes(opened, record)
            else:
                opened.head(record)
        missed.append(at)
    except (read_ellm.Bad, UnicodeDecodeError, struct.error, IndexError, StopIteration):
        pass
ok(not missed, "damage is found", missed)
done()
