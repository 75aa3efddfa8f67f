#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`inspect` of GGUF files and checkpoint folders: what they are, as JSON and as a table."""

import os

from cli_testing import *
from gguf_testing import *

TOKENS = ["<unk>", "<s>", "</s>", "a", "b", "ab"]
ENTRIES = {
    "model": (STRING, "llama"),
    "pre": (STRING, "default"),
    "tokens": (STRING, TOKENS),
    "scores": (F32, [0.0] * 6),
    "token_type": (I32, [2, 3, 3, 1, 1, 1]),
}


def test_gguf():
    file = tokenizer_file("inspected.gguf", ENTRIES, len(TOKENS))
    said = run_json("inspect", file)
    wanted = {
        "format": "GGUF", "files": 1, "architecture": "LlamaForCausalLM", "gguf_architecture": "llama", "layers": 1,
        "hidden_size": 16, "feed_forward": 16, "heads": 1, "kv_heads": 1, "vocabulary": 6, "context": 64,
        "chat_template": False, "tokenizer": {"model": "llama", "pre": "default", "tokens": 6},
    }
    equal({name: said.get(name) for name in wanted}, wanted, "a GGUF file: what it is")
    elements = 7 * 256 + 6 * 16 + 3 * 16
    types = [{"type": "F32", "tensors": 11, "elements": elements, "bytes": 4 * elements, "bits_per_weight": 32.0}]
    equal(said["types"], types, "its types of tensors")
    equal((said["parameters"], said["tensor_bytes"], said["bits_per_weight"]), (elements, 4 * elements, 32.0), "its size")
    equal(len(said["tensors"]), 11, "its tensors")
    p = run("inspect", file, "--table")
    table = p.stdout.decode()
    lines = (
        "format         GGUF", "LlamaForCausalLM (llama)", "1 layers, hidden 16, feed-forward 16, 1 heads, 1 for keys",
        "vocabulary 6", "context        64", "tokenizer      llama (default), 6 tokens", "chat template  no",
        f"F32            11 {elements:16}", "model.layers.0.mlp.up_proj.weight",
    )
    missing = [line for line in lines if line not in table]
    ok(p.returncode == 0 and not missing, "as a table", f"{missing}\n{table}{p.stderr.decode()}")
    name = "model.norm.weight"
    one = run_json("inspect", file, "--tensor", name)
    equal([t["name"] for t in one["tensors"]], [name], "one tensor")
    for options, part in (
        (["--tensor", "nope"], "there is no tensor 'nope'"),
        (["--tensor", name, "--codes", tmp("codes")], "is not compressed and has no codes"),
        (["--histogram", tmp("h.svg")], "is not compressed and has no codes"),
    ):
        p = run("inspect", file, *options)
        ok(p.returncode == INPUT and one_error_line(p) and part in p.stderr.decode(), "refused: " + part, p.stderr.decode())


def test_folder():
    folder = os.path.join(ROOT, "tests", "golden", "models", "qwen3-qknorm")
    said = run_json("inspect", folder)
    config = json.loads(read(os.path.join(folder, "config.json")))
    wanted = ("safetensors", "Qwen3ForCausalLM", config["num_hidden_layers"], config["vocab_size"])
    equal(tuple(said.get(n) for n in ("format", "architecture", "layers", "vocabulary")), wanted, "a folder: what it is")
    equal([t["type"] for t in said["types"]], ["BF16"], "its types")
    equal(sum(t["tensors"] for t in said["types"]), len(said["tensors"]), "its tensors")
    ok(run("inspect", folder, "--table").returncode == 0, "as a table")


def test_broken():
    path = tmp("broken.gguf")
    with open(path, "wb") as f:
        f.write(b"GGUF\3\0\0\0" + b"\xff" * 16)
    p = run("inspect", path)
    ok(p.returncode == INPUT and one_error_line(p) and "broken.gguf" in p.stderr.decode(), "a broken file", p.stderr.decode())


test_gguf()
test_folder()
test_broken()
done()
