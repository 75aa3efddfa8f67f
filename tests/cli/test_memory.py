#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Running from a compressed file takes the file, the KV cache and little more: weights are never expanded."""

import json
import os
import subprocess
import sys

from cli_testing import PROGRAM, ROOT, done, ok, run, tmp

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8192, "hidden_size": 512,
    "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4,
    "max_position_embeddings": 512, "hidden_act": "silu", "tie_word_embeddings": True,
}  # fmt: skip
N = 24  # tokens: a prompt of 16, then 8 one by one
SLACK = 14 << 20  # program, libraries, scratch memory of two threads and of a batch, tables of the model

with open(tmp("config.json"), "w") as f:
    json.dump(CONFIG, f)
TOOL = os.path.join(ROOT, "tools", "make_checkpoint.py")
subprocess.run(
    [sys.executable, TOOL, tmp("config.json"), "--seed", "3", tmp("model")],
    check=True,
    stdout=subprocess.DEVNULL,
)
folder_bytes = sum(os.path.getsize(os.path.join(tmp("model"), name)) for name in os.listdir(tmp("model")))
floats = 2 * folder_bytes  # BF16 expanded to F32


def peak(*arguments):
    """Bytes of resident memory at most, mapped pages of the file included."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(PROGRAM, [PROGRAM, *arguments], os.environ, file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    ok(os.waitstatus_to_exitcode(status) == 0, " ".join(a for a in arguments if "/" not in a))
    return usage.ru_maxrss * 1024


for bits in ("8", "4"):
    file = tmp(bits + ".ellm")
    run("compress", tmp("model"), "-o", file, "--bits", bits, "-q")
    size = os.path.getsize(file)
    for activations in ("f32", "i16", "i8"):
        element = 4 if activations == "f32" else 2
        cache = 2 * N * element * CONFIG["num_hidden_layers"] * CONFIG["num_key_value_heads"] * 64
        got = peak(
            "run", "-m", file, "--prompt-ids", " ".join(map(str, range(1, 17))), "--print-ids", "--ignore-eos",
            "-n", "8", "-t", "2", "--activations", activations, "-q",
        )  # fmt: skip
        limit = size + cache + SLACK
        ok(got <= limit, f"{bits} bits, {activations}: {got >> 20} of {limit >> 20} MiB", f"{got} above {limit}")
        ok(limit < floats, "the limit is below what expanded weights would take", f"{limit}, {floats}")

done()
