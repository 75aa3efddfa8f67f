#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders that other programs quantized: GPTQ, AWQ, compressed-tensors, MXFP4. Each is made here from integers
that are known, packed as the formats are defined, beside a folder of the floats that they stand for: the same logits,
bit for bit, the same codes when compressed, and a note of what the source was. Then what is missing, misshapen, out of
range, or of a kind that is not read."""

import random

from cli_testing import *

HIDDEN, INNER, VOCABULARY, LAYERS = 64, 128, 96, 2
SHAPES = {
    "self_attn.q_proj": (64, HIDDEN), "self_attn.k_proj": (32, HIDDEN), "self_attn.v_proj": (32, HIDDEN),
    "self_attn.o_proj": (HIDDEN, 64), "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
    "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": VOCABULARY,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
}
random.seed(7)


def f32(values):
    return struct.pack(f"<{len(values)}f", *values)


def f16(values):
    return struct.pack(f"<{len(values)}e", *values)


def words(values):
    return struct.pack(f"<{len(values)}I", *[v & 0xFFFFFFFF for v in values])


def rounded(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def half(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


def plain_tensors():
    tensors = {}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = ("F32", [VOCABULARY, HIDDEN], f32([random.gauss(0, 0.1) for _ in range(VOCABULARY * HIDDEN)]))
    norms = ["model.norm"] + [f"model.layers.{i}.{n}" for i in range(LAYERS)
                              for n in ("input_layernorm", "post_attention_layernorm")]
    for name in norms:
        tensors[name + ".weight"] = ("F32", [HIDDEN], f32([1 + random.gauss(0, 0.1) for _ in range(HIDDEN)]))
    return tensors


PLAIN = plain_tensors()


def folder(name, tensors, config):
    path = tmp(name)
    os.makedirs(path, exist_ok=True)
    write_safetensors(os.path.join(path, "model.safetensors"), tensors)
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump({**CONFIG, **config}, f)
    return path


# ------------------------------------------------------------------- packing

def along(rows, bits):
    """Each list of values into words, the first value in the lowest bits."""
    out = []
    for row in rows:
        line = sum(value << bits * i for i, value in enumerate(row))
        n = -(-len(row) * bits // 32)
        out.append([line >> 32 * i & 0xFFFFFFFF for i in range(n)])
    return out


def down(rows, bits):
    """The same along columns: [words, columns]."""
    return [list(line) for line in zip(*along(list(zip(*rows)), bits))]


def flat(rows):
    return [value for row in rows for value in row]


def matrix(dtype, pack, rows):
    return dtype, [len(rows), len(rows[0])], pack(flat(rows))


def transposed(rows):
    return [list(line) for line in zip(*rows)]


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which value stands in nibble i of a word


def awq_words(rows):
    return [[sum(row[8 * k + AWQ_ORDER[i]] << 4 * i for i in range(8)) for k in range(len(row) // 8)] for row in rows]


# Integers, zeros and scales of a matrix: codes[row][column], zeros[row][group], scales[row][group], group_of[column].
class Made:
    def __init__(self, rows, columns, bits, group, order=False, symmetric=False):
        top = (1 << bits) - 1
        groups = -(-columns // group)
        self.codes = [[random.randint(0, top) for _ in range(columns)] for _ in range(rows)]
        middle = 1 << bits - 1
        self.zeros = [[middle if symmetric else random.randint(0, top) for _ in range(groups)] for _ in range(rows)]
        self.scales = [[half((0.5 + random.random()) * 0.2 / (1 << bits)) for _ in range(groups)] for _ in range(rows)]
        self.group_of = [c // group for c in range(columns)]
        if order:
            random.shuffle(self.group_of)

    def floats(self):
        return [[rounded((code - zeros[g]) * scales[g]) for code, g in zip(row, self.group_of)]
                for row, zeros, scales in zip(self.codes, self.zeros, self.scales)]


def gptq(name, m, bits, less_one, indices):
    zeros = transposed([[(z - 1) & (1 << bits) - 1 if less_one else z for z in row] for row in m.zeros])
    tensors = {
        name + ".qweight": matrix("I32", words, down(transposed(m.codes), bits)),
        name + ".qzeros": matrix("I32", words, along(zeros, bits)),
        name + ".scales": matrix("F16", f16, transposed(m.scales)),
    }
    if indices:
        tensors[name + ".g_idx"] = ("I32", [len(m.group_of)], words(m.group_of))
    return tensors


def awq(name, m):
    return {
        name + ".qweight": matrix("I32", words, awq_words(transposed(m.codes))),
        name + ".qzeros": matrix("I32", words, awq_words(transposed(m.zeros))),
        name + ".scales": matrix("F16", f16, transposed(m.scales)),
    }


def packed(name, m, bits, zeros, indices, scale="F16"):
    tensors = {
        name + ".weight_packed": matrix("I32", words, along(m.codes, bits)),
        name + ".weight_scale": matrix(scale, f16 if scale == "F16" else f32, m.scales),
        name + ".weight_shape": ("I64", [2], struct.pack("<2Q", len(m.codes), len(m.codes[0]))),
    }
    if zeros == "words":
        tensors[name + ".weight_zero_point"] = matrix("I32", words, down(m.zeros, bits))
    if zeros == "bytes":
        signed = [[z - (1 << bits - 1) for z in row] for row in m.zeros]
        tensors[name + ".weight_zero_point"] = matrix("I8", lambda v: struct.pack(f"<{len(v)}b", *v), signed)
    if indices:
        tensors[name + ".weight_g_idx"] = ("I32", [len(m.group_of)], words(m.group_of))
    return tensors


def bytes_of(name, m, zeros):
    signed = [[code - 128 for code in row] for row in m.codes]
    tensors = {
        name + ".weight": matrix("I8", lambda v: struct.pack(f"<{len(v)}b", *v), signed),
        name + ".weight_scale": matrix("F32", f32, m.scales),
    }
    if zeros:
        signed = [[z - 128 for z in row] for row in m.zeros]
        tensors[name + ".weight_zero_point"] = matrix("I8", lambda v: struct.pack(f"<{len(v)}b", *v), signed)
    return tensors


FP4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
FP4 += [-x for x in FP4]


class Mxfp4:
    def __init__(self, rows, columns):
        self.codes = [[random.randrange(16) for _ in range(columns)] for _ in range(rows)]
        self.scales = [[random.randint(118, 124) for _ in range(columns // 32)] for _ in range(rows)]

    def floats(self):
        return [[FP4[code] * 2.0 ** (scales[c // 32] - 127) for c, code in enumerate(row)]
                for row, scales in zip(self.codes, self.scales)]

    def pairs(self):
        return [[row[i] | row[i + 1] << 4 for i in range(0, len(row), 2)] for row in self.codes]


def mxfp4(name, m):
    return {name + ".weight_packed": matrix("U8", bytes, m.pairs()), name + ".weight_scale": matrix("U8", bytes, m.scales)}


def quantized(make, tensors_of):
    """The tensors of a model whose matrices are made, and the floats that they stand for."""
    coded, floats = dict(PLAIN), dict(PLAIN)
    for i in range(LAYERS):
        for part, (rows, columns) in SHAPES.items():
            name = f"model.layers.{i}.{part}"
            made = make(rows, columns)
            coded.update(tensors_of(name, made))
            floats[name + ".weight"] = matrix("F32", f32, made.floats())
    return coded, floats


def gptq_config(bits, group, **more):
    return {"quantization_config": {"quant_method": "gptq", "bits": bits, "group_size": group, **more}}


def compressed(fmt, bits, group, kind="int", **more):
    weights = {"num_bits": bits, "type": kind, "strategy": "group" if group else "channel", "group_size": group}
    return {"quantization_config": {"quant_method": "compressed-tensors", "format": fmt, "quantization_status": "compressed",
                                    "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, **more}}}}


AWQ = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}}
CASES = {
    "gptq-4": (lambda r, c: Made(r, c, 4, 32), lambda n, m: gptq(n, m, 4, True, True), gptq_config(4, 32), "GPTQ, 4 bits"),
    "gptq-4-order": (lambda r, c: Made(r, c, 4, 32, order=True), lambda n, m: gptq(n, m, 4, True, True),
                     gptq_config(4, 32, desc_act=True, checkpoint_format="gptq"), "GPTQ, 4 bits"),
    "gptq-4-no-index": (lambda r, c: Made(r, c, 4, 32), lambda n, m: gptq(n, m, 4, True, False), gptq_config(4, 32),
                        "GPTQ, 4 bits"),
    "gptq-4-v2": (lambda r, c: Made(r, c, 4, 32), lambda n, m: gptq(n, m, 4, False, True),
                  gptq_config(4, 32, checkpoint_format="gptq_v2"), "GPTQ, 4 bits"),
    "gptq-8-rows": (lambda r, c: Made(r, c, 8, c), lambda n, m: gptq(n, m, 8, True, False), gptq_config(8, -1),
                    "GPTQ, 8 bits"),
    "gptq-3": (lambda r, c: Made(r, c, 3, 64), lambda n, m: gptq(n, m, 3, True, True), gptq_config(3, 64), "GPTQ, 3 bits"),
    "gptq-2": (lambda r, c: Made(r, c, 2, 16), lambda n, m: gptq(n, m, 2, True, True), gptq_config(2, 16), "GPTQ, 2 bits"),
    "awq": (lambda r, c: Made(r, c, 4, 32), awq, AWQ, "AWQ, 4 bits"),
    "packed-4": (lambda r, c: Made(r, c, 4, 32, symmetric=True), lambda n, m: packed(n, m, 4, None, False),
                 compressed("pack-quantized", 4, 32), "compressed-tensors, 4 bits"),
    "packed-4-zeros": (lambda r, c: Made(r, c, 4, 32, order=True), lambda n, m: packed(n, m, 4, "words", True),
                       compressed("pack-quantized", 4, 32), "compressed-tensors, 4 bits"),
    "packed-8-rows": (lambda r, c: Made(r, c, 8, c), lambda n, m: packed(n, m, 8, "bytes", False, "F32"),
                      compressed("pack-quantized", 8, None), "compressed-tensors, 8 bits"),
    "bytes": (lambda r, c: Made(r, c, 8, c, symmetric=True), lambda n, m: bytes_of(n, m, False),
              compressed("int-quantized", 8, None), "compressed-tensors, INT8"),
    "bytes-groups": (lambda r, c: Made(r, c, 8, 32), lambda n, m: bytes_of(n, m, True),
                     compressed("naive-quantized", 8, 32), "compressed-tensors, INT8"),
    "mxfp4": (Mxfp4, mxfp4, compressed("mxfp4-pack-quantized", 4, 32, "float"), "MXFP4"),
}
IDS = "1 5 17 40 63 90 2 8"


def logits(path):
    p = run("logits", "-m", path, "--ids", IDS, "-o", "-")
    return p.stdout if p.returncode == 0 else p.stderr


for name, (make, tensors_of, config, what) in CASES.items():
    coded, floats = quantized(make, tensors_of)
    path, same = folder(name, coded, config), folder(name + "-floats", floats, {})
    want = logits(same)
    ok(len(want) == 8 * VOCABULARY * 4 and logits(path) == want, f"{name}: the logits of the floats", logits(path)[:200])
    p = run("compress", path, "-o", tmp("q.ellm"), "--force", "--bits", "8")
    noted = f"the weights were quantized before ({what}): a full-precision source gives a better file"
    ok(p.returncode == 0 and noted.encode() in p.stderr, f"{name}: compress says what they were", p.stderr)
    run("compress", same, "-o", tmp("f.ellm"), "--force", "--bits", "8", "-q")
    codes = []
    for file in (tmp("q.ellm"), tmp("f.ellm")):
        facts = sorted((t["name"], t.get("step"), t.get("payload_bytes")) for t in run_json("inspect", file)["tensors"])
        run("inspect", file, "--tensor", "model.layers.1.mlp.up_proj.weight", "--codes", tmp("codes"))
        codes.append((facts, read(tmp("codes"))))
    ok(codes[0] == codes[1], f"{name}: the same codes", [c[0][:3] for c in codes])
p = run("verify", tmp("q.ellm"), "--against", tmp("mxfp4"))
equal(p.returncode, 0, "verify --against a quantized folder")
run("compress", tmp("gptq-3"), "-o", tmp("exact.ellm"), "--lossless", "-q")
ok(logits(tmp("exact.ellm")) == logits(tmp("gptq-3")), "--lossless of one: the same logits")

# An older folder: quantize_config.json says what config.json does not.
coded, floats = quantized(lambda r, c: Made(r, c, 4, 32), lambda n, m: gptq(n, m, 4, True, True))
old = folder("old", coded, {})
with open(os.path.join(old, "quantize_config.json"), "w") as f:
    json.dump({"bits": 4, "group_size": 32, "desc_act": False, "sym": True}, f)
ok(logits(old) == logits(folder("old-floats", floats, {})), "quantize_config.json of a GPTQ folder")

# Experts in MXFP4: three dimensions, as Transformers has them, stored as they are.
blocks = [Mxfp4(6, 64) for _ in range(2)]
pairs = b"".join(bytes(flat(m.pairs())) for m in blocks)
scales = b"".join(bytes(flat(m.scales)) for m in blocks)
experts = folder("experts", {"a.gate_up_proj_blocks": ("U8", [2, 6, 2, 16], pairs),
                             "a.gate_up_proj_scales": ("U8", [2, 6, 2], scales)},
                 {"quantization_config": {"quant_method": "mxfp4"}})
p = run("compress", "--bits", "8", experts, "-o", tmp("experts.ellm"), "-q")
run("decompress", tmp("experts.ellm"), "-o", tmp("experts-back"), "-q")
back = read_safetensors(os.path.join(tmp("experts-back"), "model.safetensors"))
want = b"".join(f32(flat(transposed(m.floats()))) for m in blocks)
ok(back == {"a.gate_up_proj": ("F32", [2, 64, 6], want)}, "experts in MXFP4", (p.stderr, list(back)))

# ---------------------------------------------------------------- what is wrong

LAYER = "model.layers.1.mlp.up_proj"


def refused(name, case, change, *parts, config=None):
    make, tensors_of, good, _ = CASES[case]
    random.seed(11)
    coded, _ = quantized(make, tensors_of)
    change(coded)
    path = folder("bad-" + name, coded, config or good)
    for arguments in (("logits", "-m", path, "--ids", "1", "-o", "-"), ("compress", "--bits", "8", path, "-o", tmp("none.ellm"))):
        p = run(*arguments)
        ok(p.returncode == INPUT and one_error_line(p) and all(part.encode() in p.stderr for part in parts),
           f"{name}: {arguments[0]}", p.stderr)
    ok(not os.path.exists(tmp("none.ellm")), f"{name}: nothing is written")


def without(ending):
    return lambda tensors: tensors.pop(LAYER + ending)


def with_part(ending, dtype, shape, data):
    return lambda tensors: tensors.update({LAYER + ending: (dtype, shape, data)})


def nothing(tensors):
    pass


refused("no-scales", "gptq-4", without(".scales"), LAYER + ".scales is missing")
refused("no-zeros", "gptq-4", without(".qzeros"), LAYER + ".qzeros is missing")
refused("scales-shape", "gptq-4", with_part(".scales", "F16", [2, 127], f16([1] * 254)), LAYER + ".scales is F16 2 x 127")
refused("scales-type", "gptq-4", with_part(".scales", "I32", [2, 128], words([1] * 256)), "scales are floats")
refused("zeros-shape", "gptq-4", with_part(".qzeros", "I32", [2, 15], words([1] * 30)), LAYER + ".qzeros is I32 2 x 15")
refused("index-short", "gptq-4", with_part(".g_idx", "I32", [63], words([0] * 63)), LAYER + ".g_idx is I32 63")
refused("index-high", "gptq-4", with_part(".g_idx", "I32", [64], words([0] * 60 + [2, 0, 0, 0])),
        LAYER + ".g_idx: column 60 is of group 2, there are 2")
refused("index-negative", "gptq-4", with_part(".g_idx", "I32", [64], words([-1] * 64)), "column 0 is of group -1")
refused("codes-type", "gptq-4", with_part(".qweight", "F32", [8, 128], f32([0] * 1024)), LAYER + ".qweight is F32 8 x 128")
refused("groups", "gptq-4-no-index", nothing, "group_size", config=gptq_config(4, 16))
refused("scale-nan", "gptq-4", with_part(".scales", "F16", [2, 128], f16([0.01] * 130 + [float("nan")] + [0.01] * 125)),
        LAYER + ".scales: element 130 is", "scales must be finite")
refused("bits", "gptq-4", nothing, "gptq with bits 5 is not supported, 2, 3, 4, 8 are", config=gptq_config(5, 32))
refused("no-bits", "gptq-4", nothing, "gptq with bits 0", config={"quantization_config": {"quant_method": "gptq"}})
refused("no-config", "gptq-4", nothing, "there is no quantization_config", config={"x": 1})
refused("method", "gptq-4", nothing, "quant_method hqq is not supported",
        config={"quantization_config": {"quant_method": "hqq"}})
refused("form", "gptq-4", nothing, "checkpoint_format marlin", config=gptq_config(4, 32, checkpoint_format="marlin"))
refused("awq-version", "awq", nothing, "awq of version gemv",
        config={"quantization_config": {**AWQ["quantization_config"], "version": "gemv"}})
refused("awq-scales", "awq", without(".scales"), LAYER + ".scales is missing")
refused("awq-zeros", "awq", with_part(".qzeros", "I32", [2, 15], words([1] * 30)), LAYER + ".qzeros is I32 2 x 15")
refused("awq-as-gptq", "awq", nothing, "does not fit", config=gptq_config(4, 32))
refused("no-shape", "packed-4", without(".weight_shape"), LAYER + ".weight_shape is missing")
refused("shape", "packed-4", with_part(".weight_shape", "I64", [2], struct.pack("<2Q", 128, 1 << 40)), "weight_shape says so")
refused("shape-rows", "packed-4", with_part(".weight_shape", "I64", [2], struct.pack("<2Q", 127, 64)), "weight_shape says so")
refused("packed-width", "packed-4", nothing, "num_bits and weight_shape", config=compressed("pack-quantized", 8, 32))
refused("packed-scale", "packed-4", without(".weight_scale"), LAYER + ".weight_scale is missing")
refused("packed-zeros", "packed-4-zeros", with_part(".weight_zero_point", "I32", [4, 2], words([0] * 8)),
        LAYER + ".weight_zero_point is I32 4 x 2")
refused("packed-form", "packed-4", nothing, "compressed-tensors of format marlin-24 is not supported",
        config=compressed("marlin-24", 4, 32))
refused("bytes-scale", "bytes", without(".weight_scale"), LAYER + ".weight_scale is missing")
refused("mxfp4-scale", "mxfp4", without(".weight_scale"), LAYER + ".weight_scale is missing")
refused("mxfp4-shape", "mxfp4", with_part(".weight_scale", "U8", [128, 3], bytes(384)), "do not fit")
refused("mxfp4-nan", "mxfp4", with_part(".weight_scale", "U8", [128, 2], bytes([120] * 7 + [255] + [120] * 248)),
        LAYER + ".weight_scale: element 7 is 255")
refused("twice", "gptq-4", with_part(".weight", "F32", [128, 64], bytes(4 * 128 * 64)), LAYER + ".weight is there, and quantized")
done()
