#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/make_checkpoint.py: what it writes opens as a checkpoint, has the promised shapes and statistics, and depends
on nothing but its arguments."""

import hashlib
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *

TOOL = os.path.join(ROOT, "tools", "make_checkpoint.py")
TINY = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "hidden_act": "silu"}


def make(*arguments):
    command = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)


def config(name, arch, **more):
    path = tmp(name + ".json")
    with open(path, "w") as f:
        json.dump({"architectures": [arch + "ForCausalLM"], "model_type": arch.lower(), **TINY, **more}, f)
    return path


def made(name, config_path, *arguments):
    """The folder, or None after a failure, which is shown."""
    folder = tmp(name)
    p = make(config_path, "--seed", 7, folder, *arguments)
    return folder if ok(p.returncode == 0, f"{name} is written", p.stderr.decode()) else None


def shapes(tensors):
    return {name: shape for name, (_, shape, _) in tensors.items()}


def floats(data):
    return [struct.unpack("<f", b"\0\0" + data[i : i + 2])[0] for i in range(0, len(data), 2)]


def folder_hash(folder):
    digest = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        digest.update(name.encode() + read(os.path.join(folder, name)))
    return digest.hexdigest()


def entropy(folder, bits):
    """As the program reports it, and the tensors it quantized."""
    p = run("compress", folder, "-o", tmp("out.ellm"), "--force", "-q", "--bits", str(bits))
    if not ok(p.returncode == 0, f"{os.path.basename(folder)} compresses to {bits} bits", p.stderr.decode()):
        return 0, []
    facts = json.loads(run("inspect", tmp("out.ellm")).stdout)
    return facts["totals"]["entropy"], [t["name"] for t in facts["tensors"] if not t["kept"]]


# What each architecture has beside what all have: names in a layer, with their shapes.
ATTENTION = {
    "self_attn.q_proj.weight": [64, 64],
    "self_attn.k_proj.weight": [32, 64],
    "self_attn.v_proj.weight": [32, 64],
}
QKV_BIAS = {"self_attn.q_proj.bias": [64], "self_attn.k_proj.bias": [32], "self_attn.v_proj.bias": [32]}
O_PROJ = {"self_attn.o_proj.weight": [64, 64]}
MLP = {"mlp.gate_proj.weight": [96, 64], "mlp.up_proj.weight": [96, 64]}
ALL = {"input_layernorm.weight": [64], "post_attention_layernorm.weight": [64], "mlp.down_proj.weight": [64, 96]}
CASES = [
    ("llama", "Llama", {}, {**ATTENTION, **O_PROJ, **MLP}),
    ("llama-tied", "Llama", {"tie_word_embeddings": True}, {**ATTENTION, **O_PROJ, **MLP}),
    ("llama-biases", "Llama", {"attention_bias": True, "mlp_bias": True},
     {**ATTENTION, **O_PROJ, **MLP, **QKV_BIAS, "self_attn.o_proj.bias": [64], "mlp.gate_proj.bias": [96],
      "mlp.up_proj.bias": [96], "mlp.down_proj.bias": [64]}),
    ("mistral", "Mistral", {"head_dim": 32},
     {"self_attn.q_proj.weight": [128, 64], "self_attn.k_proj.weight": [64, 64], "self_attn.v_proj.weight": [64, 64],
      "self_attn.o_proj.weight": [64, 128], **MLP}),
    ("phi3", "Phi3", {}, {"self_attn.qkv_proj.weight": [128, 64], **O_PROJ, "mlp.gate_up_proj.weight": [192, 64]}),
    ("qwen2", "Qwen2", {}, {**ATTENTION, **QKV_BIAS, **O_PROJ, **MLP}),
    ("qwen3", "Qwen3", {"head_dim": 16},
     {**ATTENTION, **O_PROJ, **MLP, "self_attn.q_norm.weight": [16], "self_attn.k_norm.weight": [16]}),
]


def check_architectures():
    for name, arch, more, layer in CASES:
        folder = made(name, config(name, arch, **more))
        if folder is None:
            continue
        tensors = read_safetensors(os.path.join(folder, "model.safetensors"))
        want = {"model.embed_tokens.weight": [300, 64], "model.norm.weight": [64]}
        if not more.get("tie_word_embeddings"):
            want["lm_head.weight"] = [300, 64]
        for i in range(2):
            want.update({f"model.layers.{i}.{key}": shape for key, shape in {**ALL, **layer}.items()})
        equal(shapes(tensors), want, f"{name}: names and shapes")
        ok(all(dtype == "BF16" for dtype, _, _ in tensors.values()), f"{name}: all BF16")
        matrices = sorted(key for key, shape in want.items() if len(shape) == 2)
        equal(sorted(entropy(folder, 8)[1]), matrices, f"{name}: every matrix is quantized")


def check_families():
    """The program finds every tensor that it wants in these, and uses all that there are."""
    experts = {"num_experts": 5, "num_local_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
    gemma = {"head_dim": 16, "sliding_window": 32}
    text = {**TINY, **gemma, "model_type": "gemma3_text"}
    for arch, kind, more in (
        ("Gemma2", "gemma2", gemma), ("Gemma3", "gemma3_text", gemma), ("SmolLM3", "smollm3", {"mlp_bias": True}),
        ("Mixtral", "mixtral", experts), ("Qwen3Moe", "qwen3_moe", {**experts, "mlp_only_layers": [0]}),
        ("Gemma3ForConditionalGeneration", "gemma3", {"text_config": text})):
        name = arch if "text_config" in more else arch + "ForCausalLM"
        path = config(arch, arch, architectures=[name], model_type=kind, **more)
        folder = made(arch, path)
        if folder is not None:
            p = run("logits", "-m", folder, "--ids", "5 6 7", "-o", "-")
            ok(p.returncode == 0 and b"not used" not in p.stderr, f"{arch}: logits", p.stderr.decode())


def check_statistics():
    wide = config("wide", "Llama", vocab_size=4096, hidden_size=256, num_hidden_layers=1, tie_word_embeddings=True)
    folder = made("wide", wide)
    if folder is None:
        return
    data = read_safetensors(os.path.join(folder, "model.safetensors"))["model.embed_tokens.weight"][2]
    values = [16 * v for v in floats(data)]  # in scales
    n = len(values)
    ok(abs(sum(values) / n) < 0.01, "mean 0", sum(values) / n)
    deviation = math.sqrt(sum(v * v for v in values) / n)
    ok(1.27 < deviation < 1.31, "standard deviation of Student's t, 5 degrees: 1.29", deviation)
    ok(max(values) == 13 and min(values) == -13, "clipped at 13", (min(values), max(values)))
    tail = sum(abs(v) > 4.032 for v in values) / n
    ok(abs(tail - 0.01) < 0.002, "1 % lie beyond 4.032", tail)
    for bits, low, high in ((8, 5.5, 5.7), (4, 1.4, 1.8)):
        bits_a_weight, _ = entropy(folder, bits)
        ok(low < bits_a_weight < high, f"entropy at {bits} bits", bits_a_weight)
    norm = floats(read_safetensors(os.path.join(folder, "model.safetensors"))["model.norm.weight"][2])
    ok(0.98 < sum(norm) / len(norm) < 1.02 and min(norm) > 0.5 and len(set(norm)) > 20, "norms near 1", norm[:8])


def check_arguments():
    path = config("sharded", "Llama")
    first, again = made("first", path, "--jobs", 1), made("again", path, "--jobs", 3)
    if first and again:
        equal(folder_hash(again), folder_hash(first), "the same bytes with other jobs")
    other = tmp("other")
    make(path, "--seed", 8, other)
    ok(os.path.isdir(other) and folder_hash(other) != folder_hash(first), "another seed, other bytes")

    big = config("big", "Llama", vocab_size=4000, num_hidden_layers=30)  # 2.6 MB
    shards = made("shards", big, "--shard-size", 1)
    if shards:
        names = sorted(n for n in os.listdir(shards) if n.endswith(".safetensors"))
        equal(names, [f"model-{i:05}-of-00003.safetensors" for i in (1, 2, 3)], "shards of at most 1 MB")
        parts = [read_safetensors(os.path.join(shards, n)) for n in names]
        with open(os.path.join(shards, "model.safetensors.index.json")) as f:
            index = json.load(f)
        places = {t: n for n, part in zip(names, parts) for t in part}
        equal(index["weight_map"], places, "the index says where each tensor is")
        equal(index["metadata"]["total_size"], sum(len(t[2]) for part in parts for t in part.values()), "total_size")
        ok(all(sum(len(t[2]) for t in part.values()) <= 10**6 for part in parts), "no shard is larger")
        entropy(shards, 8)
        whole = made("whole", big, "--layers", 1)
        if whole:
            tensors = read_safetensors(os.path.join(whole, "model.safetensors"))
            ok(not any(".layers.1." in t for t in tensors), "--layers 1")
            ok(all(t in index["weight_map"] for t in tensors), "its index knows them all")
            with open(os.path.join(whole, "config.json")) as f:
                equal(json.load(f)["num_hidden_layers"], 1, "--layers changes the config")
            ok(all(read_safetensors(os.path.join(shards, index["weight_map"][t]))[t] == v for t, v in tensors.items()),
               "a tensor is the same in any number of layers and shards")

    plain = floats(read_safetensors(os.path.join(first, "model.safetensors"))["lm_head.weight"][2])
    outliers = made("outliers", path, "--outliers", 2)
    if outliers:
        large = floats(read_safetensors(os.path.join(outliers, "model.safetensors"))["lm_head.weight"][2])
        columns = {i % 64 for i, (a, b) in enumerate(zip(plain, large)) if a != b}
        ok(1 <= len(columns) <= 2, "--outliers 2 changes two columns", columns)
        sizes = [(a, b) for i, (a, b) in enumerate(zip(plain, large)) if i % 64 in columns]
        ok(all(abs(b - 10 * a) <= 0.05 * abs(b) for a, b in sizes), "they are 10 times as large", sizes[:4])

    os.makedirs(tmp("tokenizer"))
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        with open(os.path.join(tmp("tokenizer"), name), "w") as f:
            f.write('{"of": "the tokenizer"}')
    folder = made("with-tokenizer", path, "--tokenizer", tmp("tokenizer"))
    if folder:
        files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        equal(sorted(os.listdir(folder)), files, "--tokenizer")
        ok(b"LlamaForCausalLM" in read(os.path.join(folder, "config.json")), "the config stays the model's")


def check_refused():
    def refused(part, *arguments):
        p = make(*arguments)
        text = p.stderr.decode()
        ok(p.returncode != 0 and part in text and "Traceback" not in text, f"refused: {part}", text)

    good = config("good", "Llama")
    refused("GPT2LMHeadModel", config_of({"architectures": ["GPT2LMHeadModel"]}), "--seed", 1, tmp("x"))
    refused("hidden_size is None", config_of({"architectures": ["LlamaForCausalLM"]}), "--seed", 1, tmp("x"))
    refused("hidden_size is -64", config("negative", "Llama", hidden_size=-64), "--seed", 1, tmp("x"))
    refused("nowhere.json", tmp("nowhere.json"), "--seed", 1, tmp("x"))
    refused("is not empty", good, "--seed", 1, TMP)
    refused("no tokenizer.json", good, "--seed", 1, tmp("x"), "--tokenizer", "/")
    refused("--seed", good, tmp("x"))
    ok(not os.path.exists(tmp("x")), "nothing is left behind")


def config_of(value):
    path = tmp("bad.json")
    with open(path, "w") as f:
        json.dump(value, f)
    return path


check_architectures()
check_families()
check_statistics()
check_arguments()
check_refused()
done()
