#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The codes that compressing gives, against golden ones: checkpoints by the SHA-256 of their codes,
420 tiny tensors code by code, and what is refused. Also the coding loss that the project promises."""

import hashlib
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *

OWN, LARGER = (os.path.join(folder, "quant") for folder, _ in GOLDEN_SETS)
OWN_FOLDERS = {"embedded": MODEL, "llama-odd-shapes": os.path.join(OWN, "..", "models", "llama-odd-shapes")}
LARGER_FOLDERS = {
    name: os.path.join(SHARED, "models", name) for name in ("stories15m-body", "tiny1m", "tinystories-656k")
}


def compressed(folder, *options):
    """(path, what inspect says), or None after a failure, which is shown."""
    file = tmp("golden.ellm")
    p = run("compress", "--bits", "8", folder, "-o", file, "--force", "-q", *options)
    if p.returncode != 0:
        print("# " + p.stderr.decode(errors="replace")[:300])
        return None
    return file, json.loads(run("inspect", file).stdout)


def codes_of(file, name):
    run("inspect", file, "--tensor", name, "--codes", tmp("codes"))
    return read(tmp("codes"))


def f32_hex(value):
    return struct.pack("<f", value).hex()


def difference(file, want, have):
    """The first thing that differs between a golden row and a tensor of inspect; None: nothing."""
    if have is None or have["kept"]:
        return "not quantized"
    n = want["shape"][0] * want["shape"][1]
    facts = (want["shape"], want["scheme"], want["step_f32_hex"], want["zero"], want["huffman_bits"])
    huffman_bits = round(have["huffman_bits_per_weight"] * n)
    got = (have["shape"], have["scheme"], f32_hex(have["step"]), have["zero"], huffman_bits)
    if facts != got:
        return f"want {facts}, got {got}"
    if abs(have["entropy"] - want["entropy"]) > 1e-5:
        return f"entropy {have['entropy']}, want {want['entropy']}"
    if hashlib.sha256(codes_of(file, want["tensor"])).hexdigest() != want["codes_sha256"]:
        return "other codes"
    return None


def check_model(golden, name, folder):
    with open(os.path.join(golden, name + ".json")) as f:
        sets = json.load(f)["sets"]
    for golden in sets:
        made = compressed(folder, "--bits", str(golden["bits"]))
        if not ok(made is not None, f"{name} compresses to {golden['bits']} bits"):
            continue
        file, facts = made
        tensors = {t["name"]: t for t in facts["tensors"]}
        wrong = [(row["tensor"], difference(file, row, tensors.get(row["tensor"]))) for row in golden["tensors"]]
        wrong = [f"{tensor}: {what}" for tensor, what in wrong if what]
        what = f"{name}, {golden['bits']} bits"
        ok(not wrong, f"{what}: {len(golden['tensors'])} tensors as they should be", "\n".join(wrong))
        totals, same = facts["totals"], lambda a, b: abs(a - b) <= 1e-5
        ok(
            totals["weights"] == golden["weights"] and same(totals["entropy"], golden["entropy"])
            and sum(not t["kept"] for t in facts["tensors"]) == len(golden["tensors"]),
            f"{what}: totals", totals)


def check_loss(folder):
    """Everything counted: within 2.5 % of the Huffman optimum at 8 bits, within 4 % of the entropy at 4."""
    for bits, figure, limit in ((8, "huffman_bits_per_weight", 1.025), (4, "entropy", 1.04)):
        made = compressed(folder, "--bits", str(bits), "--prefer", "size")
        totals = made[1]["totals"] if made else None
        if totals and figure not in totals:
            weights = [t for t in made[1]["tensors"] if not t["kept"]]
            elements = [t["shape"][0] * t["shape"][1] for t in weights]
            totals[figure] = sum(t[figure] * n for t, n in zip(weights, elements)) / sum(elements)
        ok(totals and totals["coded_bits_per_weight"] <= limit * totals[figure],
           f"stories15m-body, {bits} bits, --prefer size: at most {limit} x {figure}", totals)


def check_edges(cases):
    """All tiny tensors of one width and scheme as one checkpoint."""
    for bits in range(2, 9):
        for scheme in ("mixed", "symmetric", "asymmetric"):
            rows = [c for c in cases if c["bits"] == bits and c["scheme"] == scheme]
            folder, back, wrong = tmp(f"edges{bits}{scheme}"), tmp(f"back{bits}{scheme}"), []
            os.makedirs(folder)
            data = [bytes.fromhex(c["weights_f32_hex"]) for c in rows]
            write_safetensors(os.path.join(folder, "model.safetensors"),
                              {f"t{i:02}": ("F32", [1, len(d) // 4], d) for i, d in enumerate(data)})
            made = compressed(folder, "--bits", str(bits), "--scheme", scheme)
            done = made is not None and run("decompress", made[0], "-o", back, "-q").returncode == 0
            weights = read_safetensors(os.path.join(back, "model.safetensors")) if done else {}
            tensors = {t["name"]: t for t in made[1]["tensors"]} if made else {}
            for i, case in enumerate(rows):
                name, t = f"t{i:02}", tensors.get(f"t{i:02}")
                same = name in weights and not t["kept"] and (
                    (t["scheme"], f32_hex(t["step"]), t["zero"], list(codes_of(made[0], name)), weights[name][2].hex())
                    == (case["used"], case["step_f32_hex"], case["zero"], case["codes"], case["dequantized_f32_hex"]))
                if not same:
                    wrong.append(f"{case} {t}")
            ok(rows and not wrong, f"{len(rows)} edge cases, {bits} bits, {scheme}", "\n".join(wrong))


def check_refused(values):
    for value in values:
        folder = tmp("refused" + str(value))
        os.makedirs(folder)
        write_safetensors(os.path.join(folder, "model.safetensors"),
                          {"w.weight": ("F32", [2, 2], struct.pack("<4f", 1, 2, float(value), 3))})
        p = run("compress", "--bits", "8", folder, "-o", tmp("refused.ellm"), "-q")
        named = b"w.weight" in p.stderr and b"element 2 " in p.stderr
        ok(p.returncode == INPUT and named and not os.path.exists(tmp("refused.ellm")),
           f"{value} is refused, tensor and index named", p.stderr.decode())


for name, folder in OWN_FOLDERS.items():
    check_model(OWN, name, folder)
with open(os.path.join(OWN, "edges.json")) as f:
    edges = json.load(f)
check_edges(edges["cases"])
check_refused(edges["refused"])
if os.path.isdir(LARGER):
    for name, folder in LARGER_FOLDERS.items():
        check_model(LARGER, name, folder)
    check_loss(LARGER_FOLDERS["stories15m-body"])
else:
    skip("more golden codes", "../shared is not there")
done()
