#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that do not fit their configuration are refused by name, from the folder and from a file made of it."""

import json
import os
import struct

from cli_testing import *

NORM, K0 = "model.norm.weight", "model.layers.0.self_attn.k_proj.weight"


def changed(name, tensors=None, config=None):
    """A copy of the embedded model; tensors(dict) and config(dict) change it."""
    folder = copy_model(name)
    path = os.path.join(folder, "model.safetensors")
    if tensors:
        held = read_safetensors(path)
        tensors(held)
        write_safetensors(path, held)
    if config:
        path = os.path.join(folder, "config.json")
        with open(path) as f:
            values = json.load(f)
        config(values)
        with open(path, "w") as f:
            json.dump(values, f)
    return folder


def drop(name):
    return lambda held: held.pop(name)


def put(name, shape, dtype="BF16", size=2):
    def change(held):
        count = 1
        for n in shape:
            count *= n
        held[name] = (dtype, shape, bytes(count * size))

    return change


def transpose(held):
    dtype, shape, data = held[K0]
    held[K0] = (dtype, shape[::-1], data)


def settings(**more):
    return lambda values: values.update(more)


CASES = [
    ("no-norm", drop(NORM), None, NORM),
    ("no-key", drop(K0), None, K0),
    ("no-embedding", drop("model.embed_tokens.weight"), None, "model.embed_tokens.weight"),
    ("no-bias", None, settings(attention_bias=True), "model.layers.0.self_attn.q_proj.bias"),
    ("more-layers", None, settings(num_hidden_layers=5), "model.layers.4."),
    ("many-layers", None, settings(num_hidden_layers=60000), "60000"),
    ("transposed", transpose, None, "256 x 128"),
    ("one-dimension", put(K0, [128 * 256]), None, K0),
    ("integers", put(K0, [128, 256], "I8", 1), None, "I8"),
    ("wider", None, settings(intermediate_size=1024), "1024 x 256"),
    ("untied", None, settings(tie_word_embeddings=False), "lm_head.weight"),
    ("vocabulary", None, settings(vocab_size=5000), "5000 x 256"),
    ("mrope", None, settings(rope_parameters={"rope_type": "mrope", "rope_theta": 1e4}), "rope_type mrope"),
    ("strange", None, settings(architectures=["GPT2LMHeadModel"], model_type="gpt2"), "GPT2LMHeadModel"),
    ("gelu", None, settings(hidden_act="gelu"), "gelu"),
]
for name, tensors, config, text in CASES:
    folder = changed(name, tensors, config)
    file = tmp(name + ".ellm")
    p = run("compress", "--bits", "8", folder, "-o", file, "--strict")
    message = p.stderr.decode("utf-8", "replace")
    ok(
        p.returncode == INPUT and one_error_line(p) and text in message and not os.path.exists(file),
        f"{name}, compress --strict",
        message,
    )
    made = run("compress", folder, "-o", file, "--bits", "4", "--json")
    notes = json.loads(made.stdout)["warnings"]
    ok(
        any(text in note and "cannot be run, only compressed and verified" in note for note in notes),
        f"{name}, a note of compress",
        notes,
    )
    for model in [folder] + ([file] if made.returncode == 0 else []):
        p = run("logits", "-m", model, "--ids", "1 2", "-o", tmp("out"))
        message = p.stderr.decode("utf-8", "replace")
        ok(
            p.returncode == INPUT and one_error_line(p) and text in message and not os.path.exists(tmp("out")),
            f"{name}, {'folder' if model == folder else 'file'}",
            f"status {p.returncode}: {message}",
        )

# Tensors that are not part of the model are left alone, as Transformers does, and named.
OTHERS = [
    ("bias", put("model.layers.1.self_attn.q_proj.bias", [256]), None, "model.layers.1.self_attn.q_proj.bias"),
    ("stranger", put("model.vision.weight", [4, 4]), None, "model.vision.weight"),
    ("fewer-layers", None, settings(num_hidden_layers=3), "9 tensors are not part of LlamaForCausalLM"),
]
for name, tensors, config, text in OTHERS:
    folder = changed(name, tensors, config)
    file = tmp(name + ".ellm")
    made = run("compress", "--bits", "8", folder, "-o", file, "--strict")
    ok(made.returncode == 0 and text in made.stderr.decode(), f"{name}, compress", made.stderr)
    for model in (folder, file):
        p = run("logits", "-m", model, "--ids", "1 2", "-o", tmp("out"))
        ok(
            p.returncode == 0 and text in p.stderr.decode(),
            f"{name}, {'folder' if model == folder else 'file'}",
            p.stderr,
        )
        os.remove(tmp("out"))

# A weight that is no number is named when it is first used.
GATE, EMBEDDING = "model.layers.1.mlp.gate_proj.weight", "model.embed_tokens.weight"


def spoil(tensor, element, value):
    def change(held):
        dtype, shape, data = held[tensor]
        data = bytearray(data)
        bits = struct.pack("<f", value)
        size = len(bits) if dtype == "F32" else 2
        data[element * size : (element + 1) * size] = bits[4 - size :]
        held[tensor] = (dtype, shape, bytes(data))

    return change


for tensor, element, value in ((GATE, 70001, float("nan")), (K0, 5, float("-inf")), (EMBEDDING, 2 * 256, float("inf"))):
    p = run("logits", "-m", changed(f"spoilt-{element}", spoil(tensor, element, value)), "--ids", "1 2", "-o", tmp("out"))
    message = p.stderr.decode("utf-8", "replace")
    ok(
        p.returncode == INPUT and one_error_line(p) and f"tensor {tensor}: element {element} is" in message,
        f"{value} in {tensor} of a folder",
        f"status {p.returncode}: {message}",
    )

# What Transformers leaves unread is left unread here.
folder = changed("buffers", put("model.layers.0.self_attn.rotary_emb.inv_freq", [16], "F32", 4))
p = run("logits", "-m", folder, "--ids", "1 2", "-o", tmp("a"))
equal(p.returncode, 0, "buffers of old versions are no error")
run("logits", "-m", MODEL, "--ids", "1 2", "-o", tmp("b"))
equal(read(tmp("a")), read(tmp("b")), "nor do they change anything")


# A head beside a tied embedding: Transformers ties them only if they are equal.
def add_head(change):
    def add(held):
        dtype, shape, data = held["model.embed_tokens.weight"]
        held["lm_head.weight"] = (dtype, shape, change(data))

    return add


swapped = lambda data: data[len(data) // 2 :] + data[: len(data) // 2]
for name, head, config, other in (
    ("same-head", lambda data: data, None, "b"),
    ("untied-head", swapped, settings(tie_word_embeddings=False), None),
    ("other-head", swapped, None, "untied-head"),
):
    p = run("logits", "-m", changed(name, add_head(head), config), "--ids", "1 2", "-o", tmp(name + ".f32"))
    equal(p.returncode, 0, f"{name} runs")
    if other:
        equal(read(tmp(name + ".f32")), read(tmp("b" if other == "b" else other + ".f32")), f"{name}: the logits")
ok(read(tmp("other-head.f32")) != read(tmp("b")), "a head that differs is used")

# One damaged block, found while running: an error that names it, whatever was first.
file = tmp("damaged.ellm")
run("compress", MODEL, "-o", file, "--bits", "8", "-q")
with open(file, "r+b") as f:
    f.seek(os.path.getsize(file) // 2)
    byte = f.read(1)
    f.seek(-1, os.SEEK_CUR)
    f.write(bytes([byte[0] ^ 1]))
for option in ([], ["--check"]):
    p = run("logits", "-m", file, "--ids", "1 2", "-o", tmp("c"), *option)
    message = p.stderr.decode()
    ok(
        p.returncode == INPUT and one_error_line(p) and "tensor model." in message and "checksum" in message,
        f"a damaged block is named {' '.join(option)}",
        f"status {p.returncode}: {message}",
    )

done()
