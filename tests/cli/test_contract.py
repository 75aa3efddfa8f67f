#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Promises of the command line that belong to no single command, and those of decompress, tokenize and perplexity
that the test of the main job does not make."""

import json
import math
import os
import random
import shutil
import socket
import struct
import subprocess

from cli_testing import *

file = tmp("model.ellm")
equal(run("compress", MODEL, f"--output={file}", "--bits=4", "--threads=2", "-q").returncode, 0, "--name=value")
same = tmp("same.ellm")
equal(run("compress", MODEL, "--output", same, "--bits", "4", "--threads", "1", "-q").returncode, 0, "--name value")
equal(read(same), read(file), "both mean the same, and one thread writes what two write")
unseen = os.path.join(MODEL, "unseen.txt")

# --json: one object on standard output and nothing else.
some_ids = "0 449 453 261 409 12 7 300"
for command in (
    ["compress", "--bits", "8", MODEL, "-o", tmp("j.ellm")],
    ["inspect", file],
    ["verify", file],
    ["verify", file, "--against", MODEL],
    ["decompress", file, "-o", tmp("j-folder")],
    ["run", "-m", file, "-p", "Once", "-n", "4"],
    ["perplexity", "-m", file, "-f", unseen, "--chunks", "1"],
    ["eval", "perplexity", "-m", file, "-f", unseen, "--chunks", "1"],
    ["tokenize", "-m", file],
    ["logits", "-m", file, "--ids", some_ids, "-o", tmp("j.f32")],
):
    p = run(*command, "--json")
    try:
        right = isinstance(json.loads(p.stdout), dict) and p.stdout.startswith(b"{") and p.stdout.endswith(b"}\n")
    except ValueError:
        right = False
    name = " ".join(command[: 2 if command[0] == "eval" else 1])
    ok(p.returncode == 0 and right, f"{name} --json is one object", (p.stdout[:200], p.stderr))
    q = run(*command, "-q", "--force") if name in ("compress", "decompress") else run(*command, "-q")
    equal((q.returncode, q.stderr), (0, b""), f"{name} -q says nothing on standard error")

# A model is told by its content, not by its name.
folder_named_as_file, file_named_as_folder = tmp("a.ellm"), tmp("folder")
os.symlink(MODEL, folder_named_as_file)
shutil.copy(file, file_named_as_folder)
greedy = ["-p", "Once upon a time", "-n", "8", "--temp", "0", "-q"]
for odd, plain in ((file_named_as_folder, file), (folder_named_as_file, MODEL)):
    got, want = (run("run", "-m", model, *greedy).stdout for model in (odd, plain))
    equal(got, want, f"{os.path.basename(plain)} under the name {os.path.basename(odd)}")

# Without -m: the model of the source tree, or of share/entrollm beside the program's folder.
installed = tmp("installed")
os.makedirs(os.path.join(installed, "bin"))
os.makedirs(os.path.join(installed, "share", "entrollm"))
shutil.copy(PROGRAM, os.path.join(installed, "bin"))
program = os.path.join(installed, "bin", "entrollm")
p = subprocess.run([program, "run", *greedy], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
ok(p.returncode == USAGE and one_error_line(p) and b"-m" in p.stderr, "no embedded model", (p.returncode, p.stderr))
shutil.copytree(MODEL, os.path.join(installed, "share", "entrollm", "stories-4m"))
p = subprocess.run([program, "run", *greedy], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
equal(p.stdout, run("run", "-m", MODEL, *greedy).stdout, "the embedded model of an installation")

# inspect: numbers that say all there is to say.
facts = json.loads(run("inspect", file).stdout)
quantized = [t for t in facts["tensors"] if not t["kept"]]
coded_bits = sum(t["coded_bits_per_weight"] * math.prod(t["shape"]) for t in quantized)
totals = facts["totals"]
ok(
    abs(coded_bits / totals["weights"] - totals["coded_bits_per_weight"]) < 0.01,
    "the total of coded bits is that of the tensors",
    (coded_bits / totals["weights"], totals),
)
ok(all(struct.unpack("<f", struct.pack("<f", t["step"]))[0] == t["step"] for t in quantized), "steps are exact floats")
kept_bytes = sum(t["stored_bytes"] for t in facts["tensors"] if t["kept"])
small = sum(os.path.getsize(os.path.join(MODEL, f)) for f in os.listdir(MODEL) if f != "model.safetensors")
ok(
    totals["file_bytes"] - kept_bytes - small - 8192 < coded_bits / 8 < totals["file_bytes"] - kept_bytes,
    "effective bits count everything but kept tensors and assets",
    (totals, kept_bytes, small),
)

# decompress: every type; the other files byte for byte.
weights = {}
for dtype, size in (("f32", 4), ("f16", 2), ("bf16", 2), (None, 2)):
    out = tmp(f"folder-{dtype}")
    p = run("decompress", file, "-o", out, *(["--dtype", dtype] if dtype else []), "-q")
    equal(p.returncode, 0, f"decompress --dtype {dtype}")
    tensors = read_safetensors(os.path.join(out, "model.safetensors"))
    matrix = tensors["model.embed_tokens.weight"]
    equal((matrix[0], len(matrix[2])), ((dtype or "bf16").upper(), size * 4096 * 256), f"its type is {dtype}")
    weights[dtype] = matrix[2]
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        equal(read(os.path.join(out, name)), read(os.path.join(MODEL, name)), f"{name} is as it was")
p = run("decompress", file, "-o", tmp("folder-f32"), "-q")
ok(p.returncode == USAGE and b"use --force to write into it" in p.stderr, "a folder is not overwritten unasked", p.stderr)
equal(weights[None], weights["bf16"], "by default the type of the source")
embedding = next(t for t in quantized if t["name"] == "model.embed_tokens.weight")
values = set(struct.unpack(f"<{len(weights['f32']) // 4}f", weights["f32"]))
ok(2 <= len(values) <= 16 and embedding["bits"] == 4, "4 bits: at most 16 values a tensor", len(values))

# tokenize: bytes as Python's errors="replace" reads them; tokenizer.json alone decides.
only = tmp("only-tokenizer")
os.makedirs(only)
shutil.copy(os.path.join(MODEL, "tokenizer.json"), only)
invalid = rb"\xff a\x80b \xe2\x82 \xe2\x82x \xf0\x9f\x99 \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80"
for data in invalid.decode("unicode_escape").encode("latin-1").split():
    want = data.decode("utf-8", errors="replace").encode()
    got = run("tokenize", "-m", only, stdin=data).stdout
    equal(got, run("tokenize", "-m", only, stdin=want).stdout, f"invalid UTF-8 {data!r}")
    equal(run("detokenize", "-m", file, "--skip-special", stdin=got).stdout, want, f"and back {data!r}")
text = "Tom's caf\u00e9 \U0001f642\n\n".encode() + b"\0end\n"
ids = run("tokenize", "-m", file, stdin=text).stdout
ok(ids.replace(b" ", b"").strip().isdigit() and b"  " not in ids, "ids, separated by spaces", ids)
equal(run("tokenize", "-m", only, stdin=text).stdout, ids, "a folder with only a tokenizer.json")
equal(run("detokenize", "-m", file, "--skip-special", "--ids", ids.decode()).stdout, text, "detokenize --ids")
got, want = (run("detokenize", "-m", file, "--ids", ids).stdout for ids in ("300 99999 301", "300 301"))
equal(got, want, "an id that is no token is left out, as tokenizers does")

# run: whole characters. A smile takes several tokens; no prefix of the output ends inside it.
smile = run("tokenize", "-m", file, "--no-bos", stdin="\U0001f642".encode()).stdout.split()
ok(len(smile) > 1, "a character of several tokens", smile)
# A socket that keeps writes apart shows each of them, however late it is read.
ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
process = subprocess.Popen(
    [PROGRAM, "run", "-m", file, "-p", "\U0001f642 \u00e9 " * 20, "-n", "80", "--temp", "2", "--ignore-eos", "-q"],
    stdout=its,
    stderr=subprocess.DEVNULL,
)
its.close()
pieces = []
while piece := ours.recv(65536):
    pieces.append(piece)
process.wait()
broken = [p for p in pieces if p.decode("utf-8", errors="replace").encode() != p]
ok(process.returncode == 0 and not broken, "every write is whole characters", broken)
ok(len(pieces) > 20, "and the text comes as it is made", len(pieces))

# perplexity: the four protocols.
for protocol, more in (("a", []), ("b", []), ("c", ["--stride", "64"]), ("d", [])):
    options = ["-m", file, "-f", unseen, "--protocol", protocol, "--ctx", "128", *more]
    answer = run_json("perplexity", *options, "--chunks", "3")
    good = (
        answer
        and answer["protocol"] == protocol
        and answer["perplexity"] > 1
        and answer["tokens"] > 0
        and len(answer["chunks"]) >= 1
        and "stderr" in answer
    )
    ok(good, f"perplexity --protocol {protocol}", answer)
    again = run_json("eval", "perplexity", *options, "--chunks", "3", "-t", "1")
    ok(answer and again and again["perplexity"] == answer["perplexity"], "the same from eval, with one thread", again)
standard = run_json("perplexity", "-m", file, "-f", unseen, "--chunks", "2")
ctx = run_json("perplexity", "-m", file, "-f", unseen, "--chunks", "2", "--ctx", "512", "--protocol", "a")
equal(standard and standard["perplexity"], ctx and ctx["perplexity"], "by default protocol a and 512 tokens")

# What is missing is named, and only what needs it refuses.
no_embedding = tmp("no-embedding")
os.makedirs(no_embedding)
tensors = read_safetensors(os.path.join(MODEL, "model.safetensors"))
del tensors["model.embed_tokens.weight"]
write_safetensors(os.path.join(no_embedding, "model.safetensors"), tensors)
for name in ("config.json", "tokenizer.json"):
    shutil.copy(os.path.join(MODEL, name), no_embedding)
body = tmp("no-embedding.ellm")
p = run("compress", "--bits", "8", no_embedding, "-o", body)
ok(p.returncode == 0 and b"embed" in p.stderr, "without an embedding: compressed, with a warning", p.stderr)
equal(run("verify", body, "--against", no_embedding).returncode, 0, "and verified")
equal(run("inspect", body).returncode, 0, "and inspected")
for model in (body, no_embedding):
    p = run("run", "-m", model, "-p", "a")
    ok(p.returncode == INPUT and one_error_line(p) and b"embed_tokens" in p.stderr, "but not run", p.stderr)
    equal(run("tokenize", "-m", model, stdin=b"a").returncode, 0, "and its tokenizer works")

# Damage anywhere is bad input, never a crash nor an internal error.
data = read(file)
noise = random.Random(1)
damaged = tmp("damaged.ellm")
statuses = {}
for i in range(60):
    at = noise.randrange(4096) if i % 2 else noise.randrange(len(data))
    changed = bytearray(data)
    changed[at] ^= 1 << noise.randrange(8)
    with open(damaged, "wb") as f:
        f.write(changed)
    statuses.setdefault(("verify", run("verify", damaged, "-q").returncode), at)
    p = run("run", "-m", damaged, "-p", "a", "-n", "1", "--check", "-q")
    statuses.setdefault(("run", p.returncode), at)
    if p.returncode != 0 and not one_error_line(p):
        statuses[("message", p.stderr)] = at
allowed = {("verify", INPUT), ("verify", DIFFERENCE), ("run", INPUT), ("run", 0)}
ok(set(statuses) <= allowed, "60 damaged files: statuses", statuses)
for length in (0, 1, 7, 8, 63, 64, 4095, 4096, 100000, len(data) - 1):
    with open(damaged, "wb") as f:
        f.write(data[:length])
    commands = (["verify", damaged], ["inspect", damaged], ["run", "-m", damaged, "-p", "a"])
    got = [run(*command, "-q").returncode for command in commands]
    ok(got[0] in (INPUT, DIFFERENCE) and got[1:] == [INPUT, INPUT], f"the first {length} bytes", got)
with open(damaged, "wb") as f:
    f.write(data + b"\0")
ok(run("verify", damaged, "-q").returncode in (INPUT, DIFFERENCE), "a byte too many")

# Files that are no files, places that cannot be written, two runs at once.
fifo = tmp("fifo")
os.mkfifo(fifo)
for arguments in ("inspect FIFO", "verify FIFO", "run -p a -m FIFO", "tokenize -m FIFO", "compress -o out.ellm FIFO"):
    arguments = arguments.replace("FIFO", fifo).split()
    p = run(*arguments, timeout=20)
    ok(p.returncode in (INPUT, IO) and one_error_line(p), f"{arguments[0]} of a FIFO", (p.returncode, p.stderr))
for arguments in (["inspect", file], ["tokenize", "-m", MODEL], ["run", "-m", file, *greedy], ["help"], ["--version"]):
    with open("/dev/full", "wb") as full:
        p = run(*arguments, stdin=b"Hello", stdout=full)
    ok(p.returncode == IO and one_error_line(p), f"{arguments[0]} on a full disk", (p.returncode, p.stderr))
done()
