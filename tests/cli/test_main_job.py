#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, end to end, on the model that comes with the project."""

import fcntl
import hashlib
import json
import math
import os
import pty
import re
import struct
import subprocess
import termios

from cli_testing import *


def floats(dtype, data):
    """BF16 or F32 bytes to Python floats."""
    if dtype == "F32":
        return struct.unpack(f"<{len(data) // 4}f", data)
    words = struct.unpack(f"<{len(data) // 2}H", data)
    return struct.unpack(f"<{len(words)}f", b"".join(struct.pack("<I", w << 16) for w in words))


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


source = read_safetensors(os.path.join(MODEL, "model.safetensors"))
parameters = sum(math.prod(shape) for _, shape, _ in source.values())
matrices = {name for name, (_, shape, _) in source.items() if len(shape) >= 2}

for bits in (8, 4):
    file = tmp(f"m{bits}.ellm")
    report = run_json("compress", MODEL, "-o", file, "--bits", str(bits))
    if not ok(report is not None and os.path.exists(file), f"compress to {bits} bits"):
        continue
    ok(not os.path.exists(file + ".partial"), "no partial file is left")
    totals = report["totals"]
    equal(totals["file_bytes"], os.path.getsize(file), "the reported size is the file's")
    ok({t["name"] for t in report["tensors"] if not t["kept"]} == matrices, "all matrices are quantized, nothing else")

    facts = json.loads(run("inspect", file).stdout)
    equal({t["name"] for t in facts["tensors"]}, set(source), "inspect lists every tensor")
    t = facts["totals"]
    equal(t["parameters"], parameters, "parameters")
    equal(t["weights"], sum(math.prod(source[n][1]) for n in matrices), "weights")
    equal(t["file_bytes"], os.path.getsize(file), "file_bytes")
    ok(0 < t["entropy"] <= t["coded_bits_per_weight"] < bits, "entropy <= coded bits < plain", t)
    for tensor in facts["tensors"]:
        dtype, shape, _ = source[tensor["name"]]
        good = tensor["shape"] == shape and tensor["dtype"] == dtype
        if not tensor["kept"]:
            good = (
                good
                and tensor["bits"] == bits
                and tensor["scheme"] in ("symmetric", "asymmetric")
                and 0 <= tensor["zero"] < 1 << bits
            )
            good = (
                good
                and tensor["entropy"] <= tensor["huffman_bits_per_weight"] + 1e-9
                and tensor["step"] == f32(tensor["step"])
            )
        if not good:
            break
    ok(good, "the fields of every tensor", tensor)

    name = "model.layers.0.self_attn.k_proj.weight"
    codes_file = tmp("codes")
    p = run("inspect", file, "--tensor", name, "--codes", codes_file)
    equal((p.returncode, p.stdout), (0, b""), "inspect --codes")
    codes = read(codes_file)
    about = next(x for x in facts["tensors"] if x["name"] == name)
    weights = floats(source[name][0], source[name][2])
    ok(len(codes) == len(weights), "one code a weight")
    worst = max(abs(w - f32((c - about["zero"]) * about["step"])) for w, c in zip(weights, codes))
    ok(worst <= 0.5001 * abs(about["step"]), "codes are the nearest ones", f"{worst} {about['step']}")
    counts = [codes.count(bytes([q])) for q in range(256)]
    entropy = -sum(c / len(codes) * math.log2(c / len(codes)) for c in counts if c)
    ok(abs(entropy - about["entropy"]) < 1e-6, "entropy of the codes", f"{entropy} {about['entropy']}")

    verified = run_json("verify", file)
    ok(
        verified
        and verified["ok"]
        and verified["problems"] == []
        and verified["checked_bytes"] == os.path.getsize(file),
        "verify checks every byte",
        verified,
    )
    verified = run_json("verify", file, "--against", MODEL)
    ok(verified and verified["ok"], "verify --against the source", verified)

    folder = tmp(f"d{bits}")
    p = run("decompress", file, "-o", folder, "-q")
    equal((p.returncode, p.stdout, p.stderr), (0, b"", b""), "decompress -q")
    for other in os.listdir(MODEL):
        if other.endswith(".json"):
            equal(
                read(os.path.join(folder, other)), read(os.path.join(MODEL, other)), f"{other} comes back byte for byte"
            )
    back = read_safetensors(os.path.join(folder, "model.safetensors"))
    ok(set(back) == set(source) and all(back[n][:2] == source[n][:2] for n in source), "same tensors, types and shapes")
    ok(all(back[n][2] == source[n][2] for n in source if n not in matrices), "kept tensors are unchanged")
    p = run("decompress", file, "-o", tmp(f"f{bits}"), "--dtype", "f32", "-q")
    exact = read_safetensors(os.path.join(tmp(f"f{bits}"), "model.safetensors"))
    want = struct.pack(f"<{len(codes)}f", *(f32((c - about["zero"]) * about["step"]) for c in codes))
    equal(
        hashlib.sha256(exact[name][2]).hexdigest(),
        hashlib.sha256(want).hexdigest(),
        "decompress --dtype f32 gives (q - zero) * step",
    )

    # The compressed file and its dequantized folder are the same model.
    ids = "0 449 453 261 409 14 402 288"
    for model, out in ((file, "la"), (tmp(f"f{bits}"), "lb")):
        p = run("logits", "-m", model, "--ids", ids, "-o", tmp(out), "--activations", "f32")
        ok(p.returncode == 0 and os.path.getsize(tmp(out)) == 8 * 4096 * 4, "logits: positions x vocabulary", p.stderr)
    equal(read(tmp("la")), read(tmp("lb")), "logits of the file equal those of its dequantized folder, bit by bit")
    first = None
    for threads in ("1", "2", "3"):
        run("logits", "-m", file, "--ids", ids, "-o", tmp("lt"), "-t", threads)
        first = first or read(tmp("lt"))
        equal(read(tmp("lt")), first, f"logits with {threads} threads")
    for option in (["--check"], ["--kv-cache", "f16"], ["--load"]):
        run("logits", "-m", file, "--ids", ids, "-o", tmp("lt"), *option)
        equal(read(tmp("lt")), first, f"logits with {' '.join(option)}")
    for isa in ("scalar", "avx2", "avxvnni", "avx512", "neon"):
        p = run("logits", "-m", file, "--ids", ids, "-o", tmp("lt"), env={"ENTROLLM_ISA": isa})
        if p.returncode == USAGE:
            skip(f"logits on {isa}", "this machine cannot run it")
        else:
            equal(read(tmp("lt")), first, f"logits on {isa}")
    for threads in ("1", "3"):
        again = tmp(f"again{bits}-{threads}.ellm")
        run("compress", MODEL, "-o", again, "--bits", str(bits), "-t", threads, "-q")
        equal(read(again), read(file), f"the same bytes of the file with {threads} threads")

    # Text.
    prompt = ["run", "-m", file, "-p", "Once upon a time", "-n", "40"]
    one = run(*prompt, "--seed", "3", "-q")
    ok(one.returncode == 0 and len(one.stdout) > 40 and one.stderr == b"", "run tells something", one.stderr)
    equal(
        run(*prompt, "--seed", "3", "-q", "-t", "1").stdout,
        one.stdout,
        "the same seed, the same text, with one thread too",
    )
    ok(run(*prompt, "--seed", "4", "-q").stdout != one.stdout, "another seed, another text")
    greedy = run(*prompt, "--temp", "0", "-q").stdout
    equal(run(*prompt, "--temp", "0", "--seed", "9", "-q").stdout, greedy, "greedy does not depend on the seed")
    one.stdout.decode("utf-8")

# On a terminal, one of 80 columns: bytes, speed, the tensor at hand (its name's end), and nothing of it stays.
large = large_checkpoint("large", 64)
ours, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
process = subprocess.Popen(
    [PROGRAM, "compress", "--bits", "8", large, "-o", tmp("large.ellm"), "-t", "1"],
    stdout=subprocess.DEVNULL,
    stderr=terminal,
    env={**os.environ, "TERM": "xterm"},
)
os.close(terminal)
shown = b""
try:
    while piece := os.read(ours, 65536):
        shown += piece
except OSError:  # how Linux says that the other end is closed
    pass
equal(process.wait(), 0, "compress on a terminal")
lines = shown.decode().replace("\r", "").split("\x1b[K")
bars = [line for line in lines if "B of 67.1 MB" in line and " MB/s" in line]
ok(len(bars) > 1 and all(len(line) < 80 for line in bars), "progress with bytes and speed", lines[:4])
ok(bars[0].endswith("large.weight"), "and the tensor", bars[:1])
ok("MB/s" not in lines[-1], "and nothing of it is left", lines[-1])

file = tmp("m8.ellm")
p = run("compress", "--bits", "8", MODEL, "-o", tmp("dry.ellm"), "--dry-run", "--json")
dry = json.loads(p.stdout)
ok(p.returncode == 0 and not os.path.exists(tmp("dry.ellm")), "--dry-run writes nothing")
ok(
    abs(dry["totals"]["file_bytes"] / os.path.getsize(file) - 1) < 0.02,
    "and foresees the size within 2 %",
    dry["totals"],
)
p = run("compress", "--bits", "8", MODEL, "-o", file)
ok(p.returncode == USAGE and b"already exists (use --force to replace it)" in p.stderr, "an existing file is not replaced", p.stderr)
equal(run("compress", "--bits", "8", MODEL, "-o", file, "--dry-run").returncode, USAGE, "and a dry run says so")
p = run("compress", "--bits", "8", MODEL, "-o", file, "--force")
ok(
    p.returncode == 0 and b"kept" in p.stdout and b"effective bits" in p.stdout and p.stderr.count(b"\n") == 1
    and b"3 files of the folder left out" in p.stderr,
    "--force replaces it; the table",
    p.stdout,
)
p = run("compress", "--bits", "8", MODEL, "-o", tmp("k.ellm"), "--keep", "*embed*", "--keep=model.layers.0.*", "-q")
kept = {t["name"] for t in json.loads(run("inspect", tmp("k.ellm")).stdout)["tensors"] if t["kept"]}
ok(
    "model.embed_tokens.weight" in kept
    and "model.layers.0.mlp.up_proj.weight" in kept
    and "model.layers.1.mlp.up_proj.weight" not in kept,
    "--keep, twice",
    kept,
)
for prefer in ("size", "balanced", "speed"):
    ok(
        run("compress", MODEL, "-o", tmp(prefer), "--prefer", prefer, "--bits", "4", "-q").returncode == 0,
        f"--prefer {prefer}",
    )
ok(os.path.getsize(tmp("size")) <= os.path.getsize(tmp("balanced")), "size is not larger than balanced")
layouts = {kind: {t["layout"] for t in json.loads(run("inspect", tmp(kind)).stdout)["tensors"] if not t["kept"]}
           for kind in ("balanced", "speed")}
ok("fields" in layouts["speed"] and "fields" not in layouts["balanced"], "fields are chosen for speed", layouts)
for machine in ("avx512", "neon"):
    p = run("compress", "--bits", "8", MODEL, "-o", tmp("for"), "--prefer", "speed", "--for", machine, "-q", "--force")
    equal((p.returncode, run("verify", tmp("for"), "--against", MODEL, "-q").returncode), (0, 0), f"--for {machine}")
ok(
    run("compress", MODEL, "-o", tmp("none"), "--code", "none", "-q").returncode == 0
    and os.path.getsize(tmp("none")) > os.path.getsize(file),
    "--code none is larger",
)
p = run("inspect", file, "--histogram", tmp("h.svg"))
svg = read(tmp("h.svg")).decode()
ok(p.returncode == 0 and svg.startswith("<svg") and svg.count("<rect") > 50, "--histogram")
import xml.dom.minidom

xml.dom.minidom.parseString(svg)

# Options of run.
base = ["run", "-m", file, "--temp", "0", "-q", "-p", "Once upon a time"]
ids = run(*base, "-n", "24", "--print-ids", "--ignore-eos").stdout.split()
equal(len(ids), 24, "--print-ids -n 24 --ignore-eos")
prompt = run("tokenize", "-m", file, stdin=b"Once upon a time").stdout.decode().strip()
equal(
    run(
        "run", "-m", file, "--temp", "0", "-q", "--prompt-ids", prompt, "-n", "24", "--print-ids", "--ignore-eos"
    ).stdout.split(),
    ids,
    "--prompt-ids is the same prompt",
)
text = run(*base, "-n", "24").stdout.decode()
word = text.split()[3]
cut = run(*base, "-n", "24", "--stop", "zzzz", f"--stop={word}").stdout.decode()
equal(cut, text[: text.index(word)], "--stop ends before the stop string")
equal(run(*base, "-n", "0").stdout, b"", "-n 0")
answer = json.loads(run(*base, "-n", "24", "--json").stdout)
ok(answer["text"] == text and answer["tokens"] == 24 and answer["end"] == "length", "run --json", answer)
largest = run_json(*base, "-n", "1", "--seed", str(2**64 - 1))
equal((answer["seed"], largest and largest["seed"]), (0, str(2**64 - 1)), "seeds beyond 2^63 - 1 are strings")
p = run("run", "-m", file, "-p", "word " * 400, "--ignore-eos", "-n", "500", "-q")
ok(p.returncode == 0 and b"context" in p.stderr, "a full context is said", p.stderr)
p = run("run", "-m", file, "-p", "Once upon", "-n", "5")
ok(re.search(rb"tokens/s", p.stderr) and p.stderr.count(b"\n") == 1, "one line of statistics", p.stderr)

# Perplexity.
text_file = os.path.join(MODEL, "unseen.txt")
full = run_json("perplexity", "-m", MODEL, "-f", text_file, "--chunks", "4")
eight = run_json("eval", "perplexity", "-m", file, "-f", text_file, "--chunks", "4", "-t", "1")
four = run_json("perplexity", "-m", tmp("m4.ellm"), "-f", text_file, "--chunks", "4")
ok(
    full and full["protocol"] == "a" and len(full["chunks"]) == 4 and full["tokens"] == 4 * 255,
    "perplexity --json",
    full,
)
ok(
    full and abs(math.exp(sum(full["chunks"]) / 4) / full["perplexity"] - 1) < 1e-9,
    "it is exp of the mean of the chunks",
)
ok(
    full and abs(eight["perplexity"] / full["perplexity"] - 1) < 0.05,
    "8 bits are close to full precision",
    f"{full} {eight}",
)
ok(full and four["perplexity"] > full["perplexity"], "4 bits are worse")
equal(
    run_json("perplexity", "-m", file, "-f", text_file, "--chunks", "4", "-t", "3")["perplexity"],
    eight["perplexity"],
    "perplexity does not depend on threads",
)

# Tokens.
for data in (b"Hello, world!\n", b"a\0b\n\n", b"", "naïve 東京 🙂\r\n".encode()):
    p = run("tokenize", "-m", file, "--no-bos", stdin=data)
    equal(run("detokenize", "-m", MODEL, stdin=p.stdout).stdout, data, f"tokenize and back: {data!r}")
equal(
    json.loads(run("tokenize", "--json", "-m", MODEL, stdin=b"Hi").stdout)["ids"],
    [int(x) for x in run("tokenize", "-m", MODEL, stdin=b"Hi").stdout.split()],
    "tokenize --json",
)
a = run("tokenize", "-m", MODEL, "--no-bos", stdin=b"<|im_end|>").stdout.split()
b = run("tokenize", "-m", MODEL, "--no-bos", "--special-as-text", stdin=b"<|im_end|>").stdout.split()
ok(a == [b"2"] and len(b) > 1, "--special-as-text", f"{a} {b}")
equal(run("detokenize", "-m", MODEL, "--skip-special", stdin=b"0 2").stdout, b"", "--skip-special")

p = run("run", "-p", "Once upon a time", "-n", "3", "-q")
if p.returncode == USAGE and os.path.dirname(BUILD) != ROOT:
    skip("the embedded model is the default", "the build folder lies outside the source tree")
else:
    ok(p.returncode == 0 and p.stdout, "the embedded model is the default", p.stderr)
done()
