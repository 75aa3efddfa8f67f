#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders and files that are not what was looked for: the message names the cause and says what to do."""

import json
import os

from cli_testing import *

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 8401234\n"
HTML = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"


def folder(name, weights=None, **files):
    """A copy of the model whose model.safetensors has another name (None: is left out), with further files."""
    path = copy_model(name)
    single = os.path.join(path, "model.safetensors")
    if weights is None:
        os.remove(single)
    elif weights != "model.safetensors":
        os.rename(single, os.path.join(path, weights))
    for file, data in files.items():
        with open(os.path.join(path, file.replace("__", ".")), "wb") as f:
            f.write(data)
    return path


def refused(path, *parts):
    """run and compress say the same, in one line."""
    for arguments in (["run", "-m", path, "-p", "hi"], ["compress", "--bits", "8", path, "-o", tmp("out.ellm")]):
        p = run(*arguments)
        text = p.stderr.decode("utf-8", "replace")
        ok(
            p.returncode == INPUT and one_error_line(p) and all(part in text for part in parts),
            f"{arguments[0]} {os.path.basename(path)}",
            text,
        )


def write(name, data):
    with open(tmp(name), "wb") as f:
        f.write(data)
    return tmp(name)


refused(folder("lfs", None, model__safetensors=LFS), "lfs/model.safetensors: a git-lfs pointer", "git lfs pull")
refused(folder("page", None, model__safetensors=HTML), "page/model.safetensors: an HTML page")
refused(folder("lfs-tokenizer", "model.safetensors", tokenizer__json=LFS), "tokenizer.json: a git-lfs pointer")
refused(folder("torch", "pytorch_model.bin"),
        "there are no safetensors; pytorch_model.bin is not supported", "save_pretrained")
refused(
    folder("adapter", "adapter_model.safetensors", adapter_config__json=b'{"base_model_name_or_path": "org/base"}'),
    "a LoRA adapter",
    "(org/base)",
    "merge_and_unload",
)
refused(folder("mistral", "consolidated.safetensors"), "consolidated.safetensors is Mistral's own format")
refused(folder("renamed", "model-bf16.safetensors"), "but model-bf16.safetensors", "rename it to model.safetensors")
refused(folder("half", "model-00001-of-00002.safetensors"), "no model.safetensors.index.json, and not all shards")
refused(folder("gguf-folder", "m.gguf"), "m.gguf is a GGUF file", "name the file itself as the model")
refused(write("m.gguf", b"GGUF" + bytes(80)), "m.gguf: GGUF version 0 is not supported")
refused(write("page.ellm", HTML), "page.ellm: an HTML page")
refused(os.path.join(MODEL, "model.safetensors"), "a safetensors file: name its folder instead")

want = run("run", "-m", MODEL, "-p", "Once", "-n", "4", "-q").stdout
one = folder("one-shard", "model-00001-of-00001.safetensors")
equal(run("run", "-m", one, "-p", "Once", "-n", "4", "-q").stdout, want, "one shard without an index is taken")

cache = tmp("models--org--name")
os.makedirs(os.path.join(cache, "snapshots"))
os.rename(copy_model("snapshot"), os.path.join(cache, "snapshots", "0123abcd"))
p = run("logits", "-m", cache, "--ids", "1 2", "-o", tmp("cache.f32"))
ok(p.returncode == 0, "the only snapshot of a cache folder is used", p.stderr)
equal(run("tokenize", "-m", cache, stdin=b"Once").stdout, run("tokenize", "-m", MODEL, stdin=b"Once").stdout,
      "also for its tokenizer")
messages = b'[{"role": "user", "content": "Hi"}]'
equal(run("render", "-m", cache, "--messages", "-", stdin=messages).stdout,
      run("render", "-m", MODEL, "--messages", "-", stdin=messages).stdout, "and for its chat template")
p = run("compress", "--bits", "8", cache, "-o", tmp("cache.ellm"), "-q")
ok(p.returncode == 0 and read(tmp("cache.ellm")), "and compressed", p.stderr)
os.makedirs(os.path.join(cache, "snapshots", "4567cdef"))
refused(cache, "with 2 snapshots; name one of them", "snapshots/{0123abcd, 4567cdef}")
ok(not os.path.exists(tmp("out.ellm")), "nothing was written")

CASES = os.path.join(SHARED, "cases")
for name, part in {
    "message-lfs-pointer": "git lfs pull",
    "message-pytorch-bin": "there are no safetensors; pytorch_model.bin is not supported",
    "message-consolidated": "Mistral's own format",
    "message-other-name": "model-bf16.safetensors",
}.items():
    if os.path.isdir(os.path.join(CASES, name)):
        refused(os.path.join(CASES, name, "in"), part)
    else:
        skip(name, "no ../shared/cases")
done()
