# SPDX-License-Identifier: Apache-2.0
"""Writing GGUF files, from the format's description."""

import struct

from cli_testing import tmp

U8, U32, I32, F32, BOOL, STRING, ARRAY = 0, 4, 5, 6, 7, 8, 9
TYPES = {"F32": 0, "F16": 1, "BF16": 30}


def text(s):
    data = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({U8: "<B", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def key(name, kind, v):
    return text(name) + struct.pack("<I", kind) + value(kind, v)


def array(name, kind, values):
    return text(name) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(value(kind, v) for v in values)


def write_gguf(name, keys, tensors):
    """keys: name -> bytes of the whole entry; tensors: name -> (type, shape, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys.values())
    at, body = 0, []
    for tensor, (kind, shape, data) in tensors.items():
        head += text(tensor) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += struct.pack("<IQ", kind, at)
        data += bytes(-len(data) % 32)
        body.append(data)
        at += len(data)
    with open(tmp(name), "wb") as f:
        f.write(head + bytes(-len(head) % 32) + b"".join(body))
    return tmp(name)


def interleave(data, rows, heads):
    """Rows of each head: those of the two halves alternate."""
    size, in_head = len(data) // rows, rows // heads
    row = [data[i * size : (i + 1) * size] for i in range(rows)]
    out = []
    for head in range(heads):
        for pair in range(in_head // 2):
            out += [row[head * in_head + pair], row[head * in_head + in_head // 2 + pair]]
    return b"".join(out)


def tokenizer_file(name, entries, n_tokens):
    """A file of one tiny layer with this tokenizer."""
    n = 16
    numbers = {
        "block_count": 1, "context_length": 64, "embedding_length": n, "feed_forward_length": n, "attention.head_count": 1,
        "attention.head_count_kv": 1,
    }
    keys = {"general.architecture": key("general.architecture", STRING, "llama")}
    keys.update({part: key("llama." + part, U32, v) for part, v in numbers.items()})
    keys["eps"] = key("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)
    for part, entry in entries.items():
        full = "tokenizer.ggml." + part
        keys[full] = array(full, *entry) if isinstance(entry[1], list) else key(full, *entry)
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes = {f"blk.0.{part}.weight": [n, n] for part in parts}
    shapes.update({"token_embd.weight": [n_tokens, n], "output_norm.weight": [n]})
    shapes.update({f"blk.0.{part}.weight": [n] for part in ("attn_norm", "ffn_norm")})
    weights = struct.pack(f"<{n}f", *(i / n - 0.4 for i in range(n)))
    tensors = {name: (TYPES["F32"], shape, weights * (shape[0] if len(shape) > 1 else 1)) for name, shape in shapes.items()}
    return write_gguf(name, keys, tensors)
