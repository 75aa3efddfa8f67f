# SPDX-License-Identifier: Apache-2.0
"""A model of some thousand weights with a tokenizer of bytes: small enough to be compressed thousands of times."""

import json
import os
import random
import struct

WIDTH, HIDDEN, HEADS, LAYERS = 32, 48, 2, 1


def byte_letters():
    """The letter that byte-level vocabularies write for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, n = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + n)
            n += 1
    return letters


def tokenizer():
    vocabulary = {letter: byte for byte, letter in byte_letters().items()}
    vocabulary["<|end|>"] = 256
    vocabulary["th"] = 257
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": 256, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary,
                  "merges": ["t h"]},
    }


def weights(seed=1):
    """name -> (dtype, shape, bytes)"""
    chance = random.Random(seed)
    shapes = {"model.embed_tokens.weight": [264, WIDTH], "model.norm.weight": [WIDTH]}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": [WIDTH], p + "post_attention_layernorm.weight": [WIDTH]}
        shapes |= {p + f"self_attn.{k}_proj.weight": [WIDTH, WIDTH] for k in ("q", "k", "v", "o")}
        shapes |= {p + f"mlp.{k}_proj.weight": [HIDDEN, WIDTH] for k in ("gate", "up")}
        shapes[p + "mlp.down_proj.weight"] = [WIDTH, HIDDEN]
    tensors = {}
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [1.0] * n if len(shape) == 1 else [chance.gauss(0, 0.3) for _ in range(n)]
        data = struct.pack(f"<{n}f", *values)
        tensors[name] = ("BF16", shape, b"".join(data[i + 2 : i + 4] for i in range(0, 4 * n, 4)))
    return tensors


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            f.write(data)


def write_folder(path):
    os.makedirs(path)
    write_safetensors(os.path.join(path, "model.safetensors"), weights())
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "vocab_size": 264,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "eos_token_id": 256, "bos_token_id": 256,
    }
    parts = {"config.json": config, "tokenizer.json": tokenizer(),
             "tokenizer_config.json": {"eos_token": "<|end|>", "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}}
    for name, value in parts.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as f:
            json.dump(value, f)


def write_gguf(path):
    """The same weights and tokens as a GGUF file, F32."""
    strings = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()  # noqa: E731
    letters = byte_letters()
    tokens = [letters[i] for i in range(256)] + ["<|end|>", "th"] + [f"<unused{i}>" for i in range(6)]
    kinds = [1] * 256 + [3, 1] + [5] * 6
    keys = [strings("general.architecture") + struct.pack("<I", 8) + strings("llama")]
    numbers = {"block_count": LAYERS, "context_length": 128, "embedding_length": WIDTH, "feed_forward_length": HIDDEN,
               "attention.head_count": HEADS, "attention.head_count_kv": HEADS}
    keys += [strings("llama." + name) + struct.pack("<II", 4, v) for name, v in numbers.items()]
    keys.append(strings("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5))
    for name, text in {"model": "gpt2", "pre": "gpt-2"}.items():
        keys.append(strings("tokenizer.ggml." + name) + struct.pack("<I", 8) + strings(text))
    array = lambda name, kind, items: strings("tokenizer.ggml." + name) + struct.pack("<IIQ", 9, kind, len(items))  # noqa: E731
    keys.append(array("tokens", 8, tokens) + b"".join(map(strings, tokens)))
    keys.append(array("token_type", 5, kinds) + struct.pack(f"<{len(kinds)}i", *kinds))
    keys.append(array("merges", 8, ["t h"]) + strings("t h"))
    keys.append(strings("tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 256))
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    for i in range(LAYERS):
        p, q = f"model.layers.{i}.", f"blk.{i}."
        names |= {p + "input_layernorm": q + "attn_norm", p + "post_attention_layernorm": q + "ffn_norm"}
        names |= {p + f"self_attn.{k}_proj": q + f"attn_{k}" for k in ("q", "k", "v")}
        names |= {p + "self_attn.o_proj": q + "attn_output"}
        names |= {p + f"mlp.{k}_proj": q + f"ffn_{k}" for k in ("gate", "up", "down")}
    head, body, at = b"", b"", 0
    for name, (_, shape, data) in weights().items():
        floats = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        head += strings(names[name[: -len(".weight")]] + ".weight") + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", 0, at)
        floats += bytes(-len(floats) % 32)
        body += floats
        at += len(floats)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(weights()), len(keys)) + b"".join(keys) + head
    with open(path, "wb") as f:
        f.write(start + bytes(-len(start) % 32) + body)
