#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a Hugging Face checkpoint with random weights for a config.json: full-size shapes without the real weights.

make_checkpoint.py CONFIG --seed S OUT [--layers N] [--outliers N] [--tokenizer DIR] [--shard-size MB] [--jobs N]

CONFIG is a config.json, or a folder with one, of an architecture that entrollm runs: Llama, Mistral, Mixtral, Phi3,
Qwen2, Qwen3, Qwen3Moe, SmolLM3, Gemma2, Gemma3 (ForCausalLM), Gemma3ForConditionalGeneration (its text). OUT must not
exist or be empty. The weights are BF16, in shards of 2 GB. The same seed gives the same bytes everywhere, with any
number of jobs; a tensor depends on the seed, its name and its shape only.

Weights follow Student's t with 5 degrees of freedom, clipped at 13 times its scale; the scale is 1 / sqrt(columns).
Quantized per tensor they have about the entropies of trained models: 5.6 bits of 8 and 1.7 of 4. (--clip 14.5 gives
5.5 and 1.5.) Norms are near 1, biases near 0. --outliers N makes N columns of each matrix that reads the hidden state
10 times as large, as some trained models have them.

Needs the standard library only: 60 ns a weight and job. Where numpy is installed it takes 10 ns.
"""

import argparse
import array
import collections
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import signal
import struct
import sys

try:
    import numpy
except ImportError:
    numpy = None  # the same bytes, slower

OUTLIER_FACTOR = 10
CHUNK = 1 << 21  # weights made at a time
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "generation_config.json", "chat_template.jinja", "chat_template.json", "vocab.json", "merges.txt")

Tensor = collections.namedtuple("Tensor", "name shape offset scale outliers")  # elements are offset + scale * t


class Mistake(Exception):
    """Something that the user can mend."""


# --------------------------------------------------------------------------- what a model of a config consists of

def size(config, field, default=None):
    """A field that is a positive integer; null and missing are the default."""
    value = config.get(field)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1 << 24:
        raise Mistake(f"{field} is {value!r}, an integer from 1 to 2^24 is expected")
    return value


# What configuration classes take where a field is missing; None: as many as heads, hidden_size / heads.
DEFAULTS = {
    "Llama": {}, "Phi3": {}, "SmolLM3": {"num_key_value_heads": 4, "tie_word_embeddings": True},
    "Mistral": {"num_key_value_heads": 8}, "Mixtral": {"num_key_value_heads": 8},
    "Qwen2": {"num_key_value_heads": 32}, "Qwen3": {"num_key_value_heads": 32, "head_dim": 128},
    "Qwen3Moe": {"num_key_value_heads": 4}}
GEMMA = {"hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
         "num_key_value_heads": 4, "head_dim": 256, "tie_word_embeddings": True}
DEFAULTS["Gemma2"] = {"vocab_size": 256000, **GEMMA}
DEFAULTS["Gemma3"] = DEFAULTS["Gemma3ForConditionalGeneration"] = {"vocab_size": 262208, **GEMMA}


def experts_of(config, arch, layer):
    """Experts of a layer, the rows of one's gate, and what they are called: router, experts, gate, up, down. 0: none."""
    if arch == "Mixtral":
        return (size(config, "num_local_experts", 8), size(config, "intermediate_size"),
                ("block_sparse_moe.gate", "block_sparse_moe.experts", "w1", "w3", "w2"))
    if arch != "Qwen3Moe" or layer in (config.get("mlp_only_layers") or []):
        return 0, 0, ()
    if (layer + 1) % size(config, "decoder_sparse_step", 1) != 0:
        return 0, 0, ()
    return (size(config, "num_experts", config.get("num_local_experts", 128)), size(config, "moe_intermediate_size", 768),
            ("mlp.gate", "mlp.experts", "gate_proj", "up_proj", "down_proj"))


def tensors_of(config, outliers):
    """The tensors in the order in which Transformers writes them."""
    name = (config.get("architectures") or ["?"])[0]
    arch = name[:-len("ForCausalLM")] if name.endswith("ForCausalLM") else name
    if arch not in DEFAULTS or (arch == name) != (arch == "Gemma3ForConditionalGeneration"):
        raise Mistake(f"architecture {name} is not supported")
    beginning = "model."
    if arch == "Gemma3ForConditionalGeneration":  # the text alone
        config, beginning = config.get("text_config") or {}, "language_model.model."
    gemma = arch.startswith("Gemma")
    # a missing field and null differ, as in Transformers
    config = {**DEFAULTS[arch], **config}
    hidden, inner, vocab = size(config, "hidden_size"), size(config, "intermediate_size"), size(config, "vocab_size")
    heads = size(config, "num_attention_heads")
    kv_heads = size(config, "num_key_value_heads", heads)
    dim = size(config, "head_dim", hidden // heads)
    q, kv = heads * dim, kv_heads * dim
    attention_bias = (gemma or arch in ("Llama", "Qwen3", "Qwen3Moe", "SmolLM3")) and config.get("attention_bias", False)
    qkv_bias = attention_bias or arch == "Qwen2"
    mlp_bias = arch in ("Llama", "SmolLM3") and config.get("mlp_bias", False)
    tensors = []

    def matrix(name, rows, columns, bias=False):
        scale = 1 / math.sqrt(columns)
        tensors.append(Tensor(name + ".weight", (rows, columns), 0.0, scale, outliers if columns == hidden else 0))
        if bias:
            tensors.append(Tensor(name + ".bias", (rows,), 0.0, 0.05, 0))

    def norm(name, n):
        tensors.append(Tensor(name + ".weight", (n,), 0.0 if gemma else 1.0, 0.03, 0))

    def network(layer, i):
        n_experts, rows, names = experts_of(config, arch, i)
        if n_experts > 0:
            router, experts, gate, up, down = names
            matrix(layer + router, n_experts, hidden)
            for e in range(n_experts):
                matrix(layer + f"{experts}.{e}.{gate}", rows, hidden)
                matrix(layer + f"{experts}.{e}.{up}", rows, hidden)
                matrix(layer + f"{experts}.{e}.{down}", hidden, rows)
            return
        if arch == "Phi3":
            matrix(layer + "mlp.gate_up_proj", 2 * inner, hidden)
        else:
            matrix(layer + "mlp.gate_proj", inner, hidden, mlp_bias)
            matrix(layer + "mlp.up_proj", inner, hidden, mlp_bias)
        matrix(layer + "mlp.down_proj", hidden, inner, mlp_bias)

    matrix(beginning + "embed_tokens", vocab, hidden)
    for i in range(size(config, "num_hidden_layers")):
        layer = f"{beginning}layers.{i}."
        norm(layer + "input_layernorm", hidden)
        if arch == "Phi3":
            matrix(layer + "self_attn.qkv_proj", q + 2 * kv, hidden)
        else:
            for part, rows in (("q", q), ("k", kv), ("v", kv)):
                matrix(layer + f"self_attn.{part}_proj", rows, hidden, qkv_bias)
        matrix(layer + "self_attn.o_proj", hidden, q, attention_bias)
        if arch.startswith(("Qwen3", "Gemma3")):
            norm(layer + "self_attn.q_norm", dim)
            norm(layer + "self_attn.k_norm", dim)
        norm(layer + "post_attention_layernorm", hidden)
        if gemma:
            norm(layer + "pre_feedforward_layernorm", hidden)
            norm(layer + "post_feedforward_layernorm", hidden)
        network(layer, i)
    norm(beginning + "norm", hidden)
    if not config.get("tie_word_embeddings", False):
        matrix("lm_head", vocab, hidden)
    return tensors


# --------------------------------------------------------------------------------------------------------- weights

def t5_quantiles(clip):
    """Student's t with 5 degrees of freedom at the probabilities (i + 1/2) / 65536, clipped."""
    upper, t = [], 0.0
    for i in range(32768):
        p = (i + 0.5) / 65536  # beyond the median
        for _ in range(50):  # Newton, from the quantile before; F is concave here: no overshoot from below
            angle = math.atan(t / math.sqrt(5))
            c, s = math.cos(angle), math.sin(angle)
            f = (angle + s * c * (1 + c * c * 2 / 3)) / math.pi - p
            step = f / (8 / (3 * math.pi * math.sqrt(5)) * c ** 6)
            t -= step
            if abs(step) <= 1e-13 * (1 + t):
                break
        upper.append(min(t, clip))
    return [-t for t in reversed(upper)] + upper


def bf16_bits(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


_quantiles = None
_tables = {}


def set_up(clip):
    global _quantiles
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us
    _quantiles = t5_quantiles(clip)


def table(offset, scale):
    """65,536 BF16 patterns, equally likely."""
    if (offset, scale) not in _tables:
        if len(_tables) >= 64:
            _tables.clear()
        _tables[offset, scale] = array.array("H", [bf16_bits(offset + scale * t) for t in _quantiles])
    return _tables[offset, scale]


def look_up(values, draws):
    if numpy is None:
        return array.array("H", map(values.__getitem__, draws))
    return array.array("H", numpy.frombuffer(values, numpy.uint16)[numpy.frombuffer(draws, numpy.uint16)].tobytes())


def outlier_columns(n, columns):
    """The same ones in each matrix of that many columns, as in trained models."""
    digest = hashlib.shake_128(f"outliers {columns}".encode()).digest(8 * n)
    return sorted({int.from_bytes(digest[8 * i:8 * i + 8], "little") % columns for i in range(n)})


def make_rows(task):
    """Rows first to last of a tensor as little-endian BF16."""
    seed, tensor, first, last = task
    columns = tensor.shape[-1] if len(tensor.shape) > 1 else 1
    source = f"{seed} {tensor.name} {tensor.shape} {first}"
    random = hashlib.shake_128(source.encode()).digest(2 * (last - first) * columns)
    draws = array.array("H", random)
    if sys.byteorder == "big":
        draws.byteswap()
    weights = look_up(table(tensor.offset, tensor.scale), draws)
    for column in outlier_columns(tensor.outliers, columns) if tensor.outliers else ():
        large = table(tensor.offset, tensor.scale * OUTLIER_FACTOR)
        weights[column::columns] = look_up(large, draws[column::columns])
    if sys.byteorder == "big":
        weights.byteswap()
    return weights.tobytes()


def tasks_of(seed, tensors):
    for tensor in tensors:
        columns = tensor.shape[-1] if len(tensor.shape) > 1 else 1
        rows = max(1, CHUNK // columns)
        for first in range(0, tensor.shape[0], rows):
            yield seed, tensor, first, min(first + rows, tensor.shape[0])


def in_order(pool, jobs, tasks):
    """make_rows of all tasks, a bounded number of them ahead."""
    waiting = collections.deque()
    for task in tasks:
        waiting.append(pool.apply_async(make_rows, (task,)))
        if len(waiting) > jobs + 2:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()


# ------------------------------------------------------------------------------------------------------------ files

def n_bytes(tensor):
    return 2 * math.prod(tensor.shape)


def split(tensors, limit):
    """Shards of at most `limit` bytes, if no tensor alone is larger."""
    shards, filled = [[]], 0
    for tensor in tensors:
        if shards[-1] and filled + n_bytes(tensor) > limit:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += n_bytes(tensor)
    return shards


def header(tensors):
    entries, at = {"__metadata__": {"format": "pt"}}, 0
    for tensor in tensors:
        end = at + n_bytes(tensor)
        entries[tensor.name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2) + "\n")


def write_weights(out, tensors, options):
    shards = split(tensors, options.shard_size * 1_000_000)
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        names = ["model.safetensors"]
    total, written = sum(map(n_bytes, tensors)), 0
    show = sys.stderr.isatty()
    with multiprocessing.Pool(options.jobs, set_up, (options.clip,)) as pool:
        for name, shard in zip(names, shards):
            with open(os.path.join(out, name), "wb") as file:
                file.write(header(shard))
                for data in in_order(pool, options.jobs, tasks_of(options.seed, shard)):
                    file.write(data)
                    written += len(data)
                    if show:
                        print(f"\r{name}: {written / 1e9:.2f} of {total / 1e9:.2f} GB", end="", file=sys.stderr)
    if show:
        print(file=sys.stderr)
    if len(shards) > 1:  # last: only a whole folder has one
        weight_map = {tensor.name: name for name, shard in zip(names, shards) for tensor in shard}
        write_json(out, "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def read_config(path, layers):
    path = os.path.join(path, "config.json") if os.path.isdir(path) else path
    with open(path, encoding="utf-8") as file:
        try:
            config = json.load(file)
        except ValueError as error:
            raise Mistake(f"{path}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise Mistake(f"{path}: not a JSON object")
    if layers is not None:
        inner = config["text_config"] if isinstance(config.get("text_config"), dict) else config
        inner["num_hidden_layers"] = layers
        for field in ("layer_types", "no_rope_layers"):
            if isinstance(inner.get(field), list):
                inner[field] = inner[field][:layers]
    config.pop("dtype", None)
    config["torch_dtype"] = "bfloat16"
    return config


def at_least(least):
    def parse(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value
    return parse


def main():
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("config", metavar="CONFIG")
    usage.add_argument("out", metavar="OUT")
    usage.add_argument("--seed", type=int, required=True)
    usage.add_argument("--layers", type=at_least(1), help="that many layers instead of the config's")
    usage.add_argument("--outliers", type=at_least(0), default=0, metavar="N", help="large columns a matrix")
    usage.add_argument("--clip", type=float, default=13.0, help="in scales of the distribution (default 13)")
    usage.add_argument("--tokenizer", metavar="DIR", help="copy the tokenizer's files from there")
    usage.add_argument("--shard-size", type=at_least(1), default=2000, metavar="MB", help="default 2000")
    usage.add_argument("--jobs", type=at_least(1), default=len(os.sched_getaffinity(0)), help="default: all CPUs")
    options = usage.parse_args()
    try:
        if not 1 <= options.clip <= 1000:
            raise Mistake(f"--clip {options.clip}: 1 to 1000 is expected")
        config = read_config(options.config, options.layers)
        tensors = tensors_of(config, options.outliers)
        if options.tokenizer and not os.path.isfile(os.path.join(options.tokenizer, "tokenizer.json")):
            raise Mistake(f"{options.tokenizer}: no tokenizer.json there")
        os.makedirs(options.out, exist_ok=True)
        if os.listdir(options.out):
            raise Mistake(f"{options.out}: is not empty")
        write_json(options.out, "config.json", config)
        for name in TOKENIZER_FILES if options.tokenizer else ():
            if os.path.isfile(os.path.join(options.tokenizer, name)):
                shutil.copyfile(os.path.join(options.tokenizer, name), os.path.join(options.out, name))
        write_weights(options.out, tensors, options)
    except (Mistake, OSError) as error:
        sys.exit(f"make_checkpoint.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
