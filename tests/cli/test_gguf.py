#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GGUF files as models: with the weights, the configuration and the tokenizer of a checkpoint folder they give what the
folder gives, bit for bit; what is not read is refused by name. The files are written here, from the
format's description."""

import os
import struct

from cli_testing import *
from gguf_testing import *

Q8_0, IQ2_XXS = 8, 16
GOLDEN = os.path.join(ROOT, "tests", "golden", "models")
PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


# ---- a checkpoint folder as keys and tensors


def gguf_name(name):
    if name in WHOLE:
        return WHOLE[name]
    layer, rest = name[len("model.layers.") :].split(".", 1)
    part, ending = rest.rsplit(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{ending}"


def tensors_of(folder, config):
    out = {}
    for name, (dtype, shape, data) in read_safetensors(os.path.join(folder, "model.safetensors")).items():
        if ".q_proj." in name:
            data = interleave(data, shape[0], config["num_attention_heads"])
        if ".k_proj." in name:
            data = interleave(data, shape[0], config["num_key_value_heads"])
        out[gguf_name(name)] = (TYPES[dtype], shape, data)
    return out


def keys_of(folder, config):
    tokenizer = json.loads(read(os.path.join(folder, "tokenizer.json")))
    vocab = tokenizer["model"]["vocab"]
    tokens = [None] * (max(vocab.values()) + 1)
    for token, i in vocab.items():
        tokens[i] = token
    tokens += [f"[PAD{i}]" for i in range(len(tokens), config["vocab_size"])]
    special = {t["id"] for t in tokenizer["added_tokens"]}
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    entries = [
        ("general.architecture", STRING, "llama"),
        ("llama.block_count", U32, config["num_hidden_layers"]),
        ("llama.context_length", U32, config["max_position_embeddings"]),
        ("llama.embedding_length", U32, config["hidden_size"]),
        ("llama.feed_forward_length", U32, config["intermediate_size"]),
        ("llama.attention.head_count", U32, config["num_attention_heads"]),
        ("llama.attention.head_count_kv", U32, config["num_key_value_heads"]),
        ("llama.attention.key_length", U32, config["head_dim"]),
        ("llama.attention.value_length", U32, config["head_dim"]),
        ("llama.attention.layer_norm_rms_epsilon", F32, config["rms_norm_eps"]),
        ("llama.rope.freq_base", F32, config["rope_parameters"]["rope_theta"]),
        ("llama.rope.dimension_count", U32, config["head_dim"]),
        ("llama.vocab_size", U32, config["vocab_size"]),
        ("llama.expert_count", U32, 0),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "gpt-2"),
        ("tokenizer.ggml.bos_token_id", U32, config["bos_token_id"]),
        ("tokenizer.ggml.eos_token_id", U32, config["eos_token_id"]),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
    ]
    keys = {name: key(name, kind, v) for name, kind, v in entries}
    for name, kind, v in (
        ("tokenizer.ggml.tokens", STRING, tokens),
        ("tokenizer.ggml.token_type", I32, [3 if i in special else 1 for i in range(len(tokens))]),
        ("tokenizer.ggml.merges", STRING, merges),
    ):
        keys[name] = array(name, kind, v)
    return keys


def logits(model, *more):
    p = run("logits", "-m", model, "--ids", "5 7 300 12 40 41 42 2 9", "-o", "-", "-q", "-t", "1", *more)
    ok(p.returncode == 0 and len(p.stdout) > 0, f"logits of {os.path.basename(model)}", p.stderr.decode())
    return p.stdout


# ---- what a folder gives


def same_as_folder(name):
    folder = os.path.join(GOLDEN, name)
    config = json.loads(read(os.path.join(folder, "config.json")))
    keys, tensors = keys_of(folder, config), tensors_of(folder, config)
    file = write_gguf(name + ".gguf", keys, tensors)
    want = logits(folder)
    ok(logits(file) == want, f"{name}: logits are those of the folder, bit for bit")
    for sample in ("Once upon a time, 1234!", "<s> Zürich\n\n  it's  </s> \U0001f600\t"):
        equal(
            run("tokenize", "-m", file, stdin=sample.encode()).stdout,
            run("tokenize", "-m", folder, stdin=sample.encode()).stdout,
            f"{name}: ids of {sample!r}",
        )
    equal(
        run("run", "-m", file, "-p", "Once", "-n", "6", "-q", "--temp", "0").stdout,
        run("run", "-m", folder, "-p", "Once", "-n", "6", "-q", "--temp", "0").stdout,
        f"{name}: a text",
    )
    compressed = [tmp(name + suffix) for suffix in ("-file.ellm", "-folder.ellm")]
    for source, out in zip((file, folder), compressed):
        p = run("compress", "--bits", "8", source, "-o", out, "-q")
        ok(p.returncode == 0, f"compress {os.path.basename(source)}", p.stderr.decode())
    ok(logits(compressed[0]) == logits(compressed[1]), f"{name}: compressed, too")
    p = run("verify", compressed[0], "--against", file)
    ok(p.returncode == 0, f"{name}: verify --against the GGUF file", p.stderr.decode())
    in_set(name, keys, tensors, want)
    return folder, config, keys, tensors


def in_set(name, keys, tensors, want):
    """The same in three files, the first one with the metadata alone."""
    names, half = list(tensors), len(tensors) // 2
    for no, chosen in enumerate(([], names[:half], names[half:])):
        mine = dict(keys) if no == 0 else {}
        mine.update({"no": key("split.no", U32, no), "count": key("split.count", U32, 3)})
        mine["tensors"] = key("split.tensors.count", I32, len(tensors))
        write_gguf(f"{name}-{no + 1:05}-of-00003.gguf", mine, {n: tensors[n] for n in chosen})
    first = tmp(f"{name}-00001-of-00003.gguf")
    ok(logits(first) == want, f"{name}: a set of three files")
    os.remove(tmp(f"{name}-00003-of-00003.gguf"))
    refused(first, "file 3 of the set of 3 is missing")


# ---- quantized


def quantized(tensors, config):
    """Matrices with whole blocks as Q8_0; and as the F32 of what that stands for."""
    blocks, floats = {}, {}
    for name, (kind, shape, data) in tensors.items():
        widened = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        values = struct.unpack(f"<{len(data) // 2}f", widened)
        if len(shape) != 2 or shape[1] % 32 != 0:
            blocks[name] = floats[name] = (TYPES["F32"], shape, struct.pack(f"<{len(values)}f", *values))
            continue
        coded, decoded = [], []
        for i in range(0, len(values), 32):
            block = values[i : i + 32]
            scale = struct.pack("<e", max(map(abs, block)) / 127)
            d = struct.unpack("<e", scale)[0]
            codes = [max(-127, min(127, round(v / d))) if d else 0 for v in block]
            coded.append(scale + struct.pack("<32b", *codes))
            decoded += [d * c for c in codes]
        blocks[name] = (Q8_0, shape, b"".join(coded))
        floats[name] = (TYPES["F32"], shape, struct.pack(f"<{len(decoded)}f", *decoded))
    return blocks, floats


def test_quantized(config, keys, tensors):
    blocks, floats = quantized(tensors, config)
    file = write_gguf("q8.gguf", keys, blocks)
    ok(logits(file) == logits(write_gguf("q8-floats.gguf", keys, floats)), "Q8_0 is what its floats are")
    for path, wanted in ((file, 1), (write_gguf("plain.gguf", keys, tensors), 0)):
        report = run_json("compress", "--bits", "8", path, "--dry-run")
        said = [w for w in report["warnings"] if "were quantized before (Q8_0)" in w] if report else None
        equal(said and len(said) or 0, wanted, f"compress {os.path.basename(path)} says whether it was quantized")
    kind, shape, data = blocks["blk.1.attn_q.weight"]
    blocks["blk.1.attn_q.weight"] = (kind, shape, data[:340] + b"\0\x7e" + data[342:])
    p = run("compress", "--bits", "8", write_gguf("nan.gguf", keys, blocks), "-o", tmp("nan.ellm"), "-q")
    said = p.stderr.decode()
    named = "model.layers.1.self_attn.q_proj.weight" in said and "nan" in said.lower()
    ok(p.returncode == INPUT and named, "a NaN scale", said)


# ---- what is refused


def refused(path, *parts):
    p = run("logits", "-m", path, "--ids", "1 2", "-o", "-", "-q")
    said = p.stderr.decode("utf-8", "replace")
    named = all(part in said for part in parts)
    ok(p.returncode == INPUT and one_error_line(p) and named, f"refused: {parts[0]}", said)


def test_refused(keys, tensors):
    def with_key(part, name, entry):
        refused(write_gguf("bad.gguf", {**keys, name: entry}, tensors), part)

    def with_tensor(part, name, tensor):
        changed = {**tensors, name: tensor}
        refused(write_gguf("bad.gguf", keys, {n: t for n, t in changed.items() if t}), part)

    def plain(part, name, kind, v):
        with_key(part, name, key(name, kind, v))

    plain("general.architecture bert is not read from GGUF files; these are: llama, smollm3, qwen2, qwen3, qwen3moe, "
          "phi3, gemma2, gemma3", "general.architecture", STRING, "bert")
    plain("key llama.attention.sliding_window is not supported", "llama.attention.sliding_window", U32, 5)
    plain("key llama.expert_used_count is missing", "llama.expert_count", U32, 8)
    plain("key llama.rope.scaling.type is dynamic, none, linear or yarn", "llama.rope.scaling.type", STRING, "dynamic")
    plain("key llama.rope.scaling.factor is missing", "llama.rope.scaling.type", STRING, "yarn")
    plain("keys of 16, values of 16 and 8 rotated dimensions", "llama.rope.dimension_count", U32, 8)
    plain("key llama.vocab_size is 9, tensor token_embd.weight has 384 rows", "llama.vocab_size", U32, 9)
    plain("key llama.block_count is 0, 1 to", "llama.block_count", U32, 0)
    plain("key llama.block_count is a string, an integer is expected", "llama.block_count", STRING, "3")
    plain("blk.2.", "llama.block_count", U32, 2)
    plain("tensor blk.0.attn_q.weight has 64 rows, 8 heads of 16 are expected", "llama.attention.head_count", U32, 8)
    plain("key tokenizer.ggml.model is bert, gpt2, llama and t5 are supported", "tokenizer.ggml.model", STRING, "bert")
    plain("key tokenizer.ggml.scores is missing", "tokenizer.ggml.model", STRING, "llama")
    plain("key tokenizer.ggml.pre is falcon, gpt-2, smollm, ", "tokenizer.ggml.pre", STRING, "falcon")
    plain("key tokenizer.ggml.eos_token_id is 384, 0 to 383", "tokenizer.ggml.eos_token_id", U32, 384)
    plain("key tokenizer.ggml.bos_token_id is -1, 0 to 383", "tokenizer.ggml.bos_token_id", I32, -1)
    for part in ("attention.head_count", "attention.head_count_kv", "attention.key_length", "embedding_length",
                 "feed_forward_length", "context_length"):  # divisors and sizes
        plain(f"key llama.{part} is 0, 1 to", "llama." + part, U32, 0)
        plain(f"key llama.{part} is -1, 1 to", "llama." + part, I32, -1)
        plain(f"key llama.{part} is 4294967295, 1 to", "llama." + part, U32, 4294967295)
    plain("key llama.vocab_size is 4294967295", "llama.vocab_size", U32, 4294967295)
    name = "tokenizer.ggml.token_type"
    with_key("token_type has 2 elements, there are 384 tokens", name, array(name, I32, [1, 1]))
    name = "tokenizer.ggml.tokens"
    with_key("an element of the array is an I32, a string is expected", name, array(name, I32, [1]))
    f32 = (TYPES["F32"], [1], bytes(4))
    with_tensor("tensor rope_freqs.weight has 1 elements, half of the rotated dimensions are 8", "rope_freqs.weight", f32)
    zeros = (TYPES["F32"], [8], bytes(32))
    with_tensor("tensor rope_freqs.weight: element 0 is 0, a number from", "rope_freqs.weight", zeros)
    with_tensor("tensor rope_factors_long.weight: rotary factors are not supported for llama", "rope_factors_long.weight",
                zeros)
    with_tensor("tensor blk.00.attn_q.bias has no place", "blk.00.attn_q.bias", f32)
    with_tensor("tensor blk.0.ffn_gate_exps.weight has no place", "blk.0.ffn_gate_exps.weight", f32)
    with_tensor("tensor token_embd.weight is missing", "token_embd.weight", None)
    with_tensor("model.layers.1.mlp.up_proj.weight", "blk.1.ffn_up.weight", None)
    iq2 = (IQ2_XXS, [160, 256], bytes(160 * 66))
    with_tensor("tensor blk.1.ffn_up.weight: element type IQ2_XXS is not supported", "blk.1.ffn_up.weight", iq2)
    missing = {n: e for n, e in keys.items() if n != "llama.embedding_length"}
    refused(write_gguf("bad.gguf", missing, tensors), "key llama.embedding_length is missing")


def test_bos(keys, tensors):
    """add_bos_token, and a file without a tokenizer."""
    name = "tokenizer.ggml.add_bos_token"
    file = write_gguf("bos.gguf", {**keys, name: key(name, BOOL, True)}, tensors)
    ids = run("tokenize", "-m", file, stdin=b"Once").stdout.split()
    equal(ids[:1], [b"0"], "the beginning-of-sequence token comes first")
    equal(run("tokenize", "--no-bos", "-m", file, stdin=b"Once").stdout.split(), ids[1:], "and not with --no-bos")
    without = {n: e for n, e in keys.items() if not n.startswith("tokenizer.")}
    file = write_gguf("without.gguf", without, tensors)
    ok(len(logits(file)) > 0, "without a tokenizer, by ids")


folder, config, keys, tensors = same_as_folder("llama-tied-gqa")
same_as_folder("llama-odd-shapes")
test_quantized(config, keys, tensors)
test_refused(keys, tensors)
test_bos(keys, tensors)
done()
