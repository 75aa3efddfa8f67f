#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tensors under other names, more tensors than a model has, weights that are no numbers, and FP8 with its scales."""

import json
import math
import os
import struct

from cli_testing import *


TENSORS = read_safetensors(os.path.join(MODEL, "model.safetensors"))
SMALL = ("model.safetensors", "unseen.txt", "SOURCES.tsv", "TRAINING.md", "ATTRIBUTION_ccby.tsv", "README.md")


def folder(name, tensors, **config):
    path = copy_model(name, leave_out=SMALL)
    write_safetensors(os.path.join(path, "model.safetensors"), tensors)
    target = os.path.join(path, "config.json")
    with open(target) as f:
        values = json.load(f)
    values.update(config)
    with open(target, "w") as f:
        json.dump(values, f)
    return path


def renamed(change):
    return {change(name): tensor for name, tensor in TENSORS.items()}


def logits(path):
    p = run("logits", "-m", path, "--ids", "0 449 453", "-o", tmp("logits.f32"))
    return (p, read(tmp("logits.f32")) if p.returncode == 0 else b"")


_, WANT = logits(MODEL)
run("compress", "--bits", "8", MODEL, "-o", tmp("plain.ellm"), "-q")
_, WANT_FILE = logits(tmp("plain.ellm"))


def runs(name, tensors, note, want=WANT, want_file=WANT_FILE, **config):
    """The folder and the file made from it run with the same result, and say what is unusual."""
    path = folder(name, tensors, **config)
    p, got = logits(path)
    ok(p.returncode == 0 and got == want and note in p.stderr.decode(), f"{name}: folder", p.stderr)
    p = run("compress", "--bits", "8", path, "-o", tmp(name + ".ellm"))
    ok(p.returncode == 0 and note in p.stderr.decode(), f"{name}: compress", p.stderr)
    p, got = logits(tmp(name + ".ellm"))
    ok(p.returncode == 0 and (want_file is None or got == want_file), f"{name}: file", p.stderr)
    p = run("verify", tmp(name + ".ellm"), "--against", path)
    ok(p.returncode == 0, f"{name}: verify", p.stdout)
    return path


def refused(name, tensors, part, compress_too=True, **config):
    path = folder(name, tensors, **config)
    p, _ = logits(path)
    ok(p.returncode == INPUT and one_error_line(p) and part in p.stderr.decode(), f"{name}: folder", p.stderr)
    if compress_too:
        p = run("compress", "--bits", "8", path, "-o", tmp(name + ".ellm"))
        ok(p.returncode == INPUT and part in p.stderr.decode(), f"{name}: compress", p.stderr)
    return path


for prefix in ("_orig_mod.", "module.", "base_model.model.", "language_model."):
    runs(prefix.strip("."), renamed(lambda n: prefix + n), f'names of tensors begin with "{prefix}model.", not with')
runs(
    "inner",
    renamed(lambda n: n.replace("model.", "model.language_model.", 1)),
    'begin with "model.language_model.", not with "model."',
)
runs("none", renamed(lambda n: n.replace("model.", "", 1)), 'names of tensors lack the beginning "model."')
refused(
    "twice",
    {**renamed(lambda n: "a." + n), **renamed(lambda n: "b." + n)},
    "both end so",
    compress_too=False,
)

VALUE = ("BF16", [4, 2], struct.pack("<8H", *[0x7FC0] * 8))
extra = {**TENSORS, "v_head.summary.weight": VALUE, "v_head.summary.bias": ("F32", [1], struct.pack("<f", math.inf))}
path = runs("extra", extra, "2 tensors are not part of LlamaForCausalLM")
for t in run_json("inspect", tmp("extra.ellm"))["tensors"]:
    if t["name"].startswith("v_head"):
        ok(t["kept"], "a tensor that is not used is stored as it is", t)
runs("buffer", {**TENSORS, "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", [1], bytes(4))}, "")


def spoiled(name, index, pattern):
    dtype, shape, data = TENSORS[name]
    data = bytearray(data)
    data[2 * index : 2 * index + 2] = struct.pack("<H", pattern)
    return {**TENSORS, name: (dtype, shape, bytes(data))}


refused("nan", spoiled("model.norm.weight", 3, 0x7FC0), "tensor model.norm.weight: element 3 is nan")
refused(
    "infinite",
    spoiled("model.layers.1.input_layernorm.weight", 255, 0xFF80),
    "tensor model.layers.1.input_layernorm.weight: element 255 is -inf",
)
MATRIX = "model.layers.0.mlp.up_proj.weight"
path = refused("nan-matrix", spoiled(MATRIX, 5, 0x7FC0), "", compress_too=False)
for keep in ([], ["--keep", MATRIX]):
    p = run("compress", "--bits", "8", path, "-o", tmp("nan-matrix.ellm"), *keep)
    ok(p.returncode == INPUT and f"tensor {MATRIX}: element 5 is nan".encode() in p.stderr, f"compress {keep}", p.stderr)


def e4m3(bits):
    exponent, fraction = bits >> 3 & 15, bits & 7
    value = fraction * 2.0**-9 if exponent == 0 else (8 + fraction) * 2.0 ** (exponent - 10)
    return -value if bits & 0x80 else value


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


NAME = "model.layers.0.self_attn.q_proj.weight"
ROWS, COLUMNS = TENSORS[NAME][1]
CODES = bytes((i * 37 + i // 256 * 11) % 127 | (i & 1) << 7 for i in range(ROWS * COLUMNS))


def fp8(scales, shape, block_rows, block_columns, ending, dtype="F32"):
    """The model with one FP8 matrix, and with the floats that it stands for."""
    packed = struct.pack(f"<{len(scales)}f", *scales)
    if dtype == "BF16":
        packed = b"".join(packed[4 * i + 2 : 4 * i + 4] for i in range(len(scales)))
    a_row = -(-COLUMNS // block_columns)
    values = [
        f32(e4m3(CODES[i]) * scales[i // COLUMNS // block_rows * a_row + i % COLUMNS // block_columns])
        for i in range(ROWS * COLUMNS)
    ]
    coded = {**TENSORS, NAME: ("F8_E4M3", [ROWS, COLUMNS], CODES), NAME + ending: (dtype, shape, packed)}
    plain = {**TENSORS, NAME: ("F32", [ROWS, COLUMNS], struct.pack(f"<{len(values)}f", *values))}
    return coded, plain


def scale(i):
    return (3 + i % 5) * 2.0**-12


QUANTIZATION = {"quant_method": "fp8", "weight_block_size": [96, 128]}
CASES = {
    "fp8-blocks": (fp8([scale(i) for i in range(4)], [2, 2], 128, 128, "_scale_inv"), {}),
    "fp8-block-size": (
        fp8([scale(i) for i in range(6)], [3, 2], 96, 128, "_scale_inv", "BF16"),
        {"quantization_config": QUANTIZATION},
    ),
    "fp8-tensor": (fp8([scale(0)], [], ROWS, COLUMNS, "_scale"), {"quantization_config": {"quant_method": "fp8"}}),
    "fp8-rows": (fp8([scale(i) for i in range(ROWS)], [ROWS, 1], 1, COLUMNS, "_scale"), {}),
}
for name, ((coded, plain), config) in CASES.items():
    same = folder(name + "-floats", plain)
    _, want = logits(same)
    run("compress", "--bits", "8", same, "-o", same + ".ellm", "-q")
    _, want_file = logits(same + ".ellm")
    runs(name, coded, "", want, want_file, **config)
coded, _ = fp8([scale(i) for i in range(6)], [3, 2], 96, 128, "_scale_inv")
refused("fp8-wrong-scale", coded, "of type F8_E4M3 without a scale that fits it", compress_too=False)
del coded[NAME + "_scale_inv"]
refused("fp8-no-scale", coded, "of type F8_E4M3 without a scale that fits it", compress_too=False)
refused(
    "bitsandbytes", TENSORS, "a checkpoint quantized elsewhere", compress_too=False,
    quantization_config={"quant_method": "bitsandbytes"}
)


def noted(name, file, data, part):
    """Compressed with a note that says what will not work, and refused with --strict."""
    path = folder(name, TENSORS)
    with open(os.path.join(path, file), "wb") as f:
        f.write(data)
    p = run("compress", "--bits", "8", path, "-o", tmp(name + ".ellm"), "--strict")
    ok(p.returncode == INPUT and one_error_line(p), f"{name}: --strict", p.stderr)
    ok(not os.path.exists(tmp(name + ".ellm")), f"{name}: before anything is written")
    answer = run_json("compress", "--bits", "8", path, "--dry-run", "-q")
    ok(any(part in note for note in answer["warnings"]), f"{name}: a note of a dry run", answer["warnings"])
    p = run("compress", "--bits", "8", path, "-o", tmp(name + ".ellm"))
    ok(p.returncode == 0 and part in p.stderr.decode(), f"{name}: a note", p.stderr)


noted("bad-tokenizer", "tokenizer.json", b"{}", "text cannot be run with it, only ids: ")
noted("bad-template", "chat_template.jinja", b"{% if %}", "chat is not possible with this template: ")
noted("bad-config", "config.json", b'{"architectures": ["FluxForCausalLM"]}', "this model cannot be run")
case = os.path.join(SHARED, "cases", "silent-unigram-tokenizer", "in")
if os.path.isdir(case):
    p = run("compress", "--bits", "8", case, "-o", tmp("unigram.ellm"))
    p = run("run", "-m", tmp("unigram.ellm"), "-p", "hello", "-n", "3", "-q")
    q = run("compress", "--bits", "8", case, "-o", tmp("unigram.ellm"), "--force")
    ok((p.returncode == 0) != (b"text cannot be run with it" in q.stderr), "silent-unigram-tokenizer", q.stderr)
else:
    skip("silent-unigram-tokenizer", "no ../shared/cases")
done()
