#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compress to a size: the options, the size that comes out, what the file says of itself, and what is refused."""

import json
import os
import struct

from cli_testing import *

MODEL = os.path.join(ROOT, "models", "stories-4m")
OUT = tmp("sized.ellm")


def compress(*arguments):
    return run("compress", MODEL, "-o", OUT, "--force", *arguments)


def totals():
    return json.loads(run("inspect", OUT, "--json").stdout)["totals"]


# Without any option: quality standard, here without the text, which takes too long for a test.
p = compress("--calibrate", "none", "-q")
coded = totals()["coded_bits_per_weight"]
ok(p.returncode == 0 and 0.995 * 4.25 <= coded <= 4.25, "without options: 4.25 bits", f"{coded}\n{p.stderr.decode()}")

for option, bits in (("--target-bpw=3.4", 3.4), ("--quality=tiny", 2.75)):
    p = compress(option, "--calibrate", "none", "-q")
    coded = totals()["coded_bits_per_weight"]
    ok(p.returncode == 0 and 0.995 * bits <= coded <= bits, f"{option}: {bits} bits", f"{coded}\n{p.stderr.decode()}")
p = compress("--target-size", "2 MB", "--calibrate", "none", "-q")
size = os.path.getsize(OUT)
ok(p.returncode == 0 and 1990000 <= size <= 2000000, "--target-size: the size of the file", str(size))
ok(run("verify", OUT, "--against", MODEL).returncode == 0, "verify takes such a file")
ok(json.loads(run("inspect", OUT, "--json").stdout)["quality"] == {"calibration": "none", "effort": "none"}, "inspect: none")

text = tmp("text.txt")
with open(text, "w") as f:
    f.write("Once upon a time there was a little dog. He liked to play in the garden with his friends. " * 400)
p = compress("--target-bpw", "4", "--calibrate", text, "--effort", "quick", "--json")
report = json.loads(p.stdout) if p.returncode == 0 else {}
quality = report.get("quality", {})
ok(quality.get("calibration") == "text" and quality.get("effort") == "quick", "a given text", p.stderr.decode())
ok(0 < quality.get("divergence_i16", 0) < 0.2 and quality.get("equal_top_i16", 0) > 0.7, "its quality", str(quality))
ok(json.loads(run("inspect", OUT, "--json").stdout)["quality"] == quality, "the file says the same")
added, own = quality.get("divergence_i8_from_i16", -1), quality.get("divergence_i16", 1)
default = "i8" if 0 <= added <= 0.05 * own else "i16"
ok(0 < added < own, "what i8 adds", str(quality))
p = run("eval", "perplexity", "-m", OUT, "-f", text, "--limit", "1", "--json")
ok(json.loads(p.stdout or b"{}").get("activations") == default, "which decides about the default", p.stderr.decode())
ok(("activations, default     %s, as i8 adds" % default).encode() in run("inspect", OUT, "--table").stdout, "and is said")
ok(b"divergence from source" in run("inspect", OUT, "--table").stdout, "inspect --table says it in words")

for arguments, words in (
    (["--target-bpw", "3", "--quality", "small"], "cannot be used together"),
    (["--target-bpw", "3", "--bits", "4"], "--bits belongs to the paper's method"),
    (["--target-size", "large"], "is not a size"),
    (["--bits", "4", "--effort", "full"], "have no effect with"),
    (["--bits", "4", "--plan", "p"], "have no effect with"),
    (["--target-bpw", "3", "--max-kl", "0.1"], "cannot be used together"),
    (["--max-kl", "0.1", "--calibrate", "none"], "no divergence can be measured"),
    (["--target-bpw", "3", "--memory", "few"], "is not a size"),
    (["--target-bpw", "3", "--calibrate", "none", "--effort", "full"], "an effort needs a calibration"),
):
    p = compress(*arguments)
    ok(p.returncode == USAGE and words in p.stderr.decode(), " ".join(arguments), p.stderr.decode())
# A plan: made by a dry run, which writes nothing else; another size takes it.
plan, dry = tmp("model.plan"), tmp("dry.ellm")
p = run("compress", MODEL, "-o", dry, "--dry-run", "--calibrate", text, "--effort", "quick", "--plan", plan, "--json")
expected = json.loads(p.stdout)["plan"] if p.returncode == 0 else {}
ok(len(expected.get("tensors", [])) == 29 and not os.path.exists(dry), "a dry run plans", p.stderr.decode())
ok(b"measuring will take about" in p.stderr, "and says first how long it takes", p.stderr.decode())
ok(all(t["step"] > 0 and t["bits"] > 0 and t["damage"] > 0 for t in expected["tensors"]), "step, bits, damage of each")
curve = [(c["bits_per_weight"], c["divergence"]) for c in expected["curve"]]
ok(len(curve) > 10 and curve == sorted(curve, key=lambda c: (c[0], -c[1])) and curve[0][1] > 10 * curve[-1][1],
   "the curve of other sizes", str(curve))
ok(expected["memory_bytes"] > expected["file_bytes"] > 2e6 and expected["divergence"] > 0, "size, memory, divergence")
p = run("compress", MODEL, "-o", dry, "--dry-run", "--calibrate", text, "--effort", "quick", "--plan", plan)
ok(p.returncode == 0 and b"expected divergence" in p.stdout, "in words", p.stdout.decode())
p = compress("--max-kl", "0.1", "--calibrate", text, "--effort", "quick", "--plan", plan, "--json")
quality = json.loads(p.stdout)["quality"] if p.returncode == 0 else {}
ok(0.07 < quality.get("divergence_i16", 0) <= 0.1, "--max-kl: met and used up", f"{quality}\n{p.stderr.decode()}")
p = compress("--target-bpw", "3", "--plan", plan)
ok(p.returncode == INPUT and "model.plan: this plan is of another --calibrate" in p.stderr.decode(), "a plan of other "
   "options", p.stderr.decode())

# Verify: the error of each matrix, and the same bytes once more.
p = compress("--target-bpw", "3.5", "--calibrate", "none", "--include", "TRAINING*", "--keep", "*.0.self_attn.k_proj*", "-q")
p = run("verify", OUT, "--against", MODEL, "--requantize")
ok(p.returncode == 0, "verify --requantize: the same bytes", p.stdout.decode() + p.stderr.decode())
ok(not [f for f in os.listdir(TMP) if ".again" in f], "nothing is left")
other = copy_model("other", ["model.safetensors"])
tensors = read_safetensors(os.path.join(MODEL, "model.safetensors"))
name = "model.layers.1.mlp.up_proj.weight"
dtype, shape, data = tensors[name]
tensors[name] = (dtype, shape, data[:1001] + bytes([data[1001] ^ 1]) + data[1002:])
write_safetensors(os.path.join(other, "model.safetensors"), tensors)
p = run("verify", OUT, "--against", other)
ok(p.returncode == DIFFERENCE and "identity" in p.stdout.decode(), "another source", p.stdout.decode())
ok(run("verify", OUT, "--requantize").returncode == USAGE, "--requantize without a source")

# Models that cannot be run are compressed without calibration; what was asked for by name is refused.
large = large_checkpoint("large", 1)
p = run("compress", large, "-o", OUT, "--force")
ok(p.returncode == 0 and b"without calibration" in p.stderr, "a model that cannot be run", p.stderr.decode())
ok(0.995 * 4.25 <= totals()["coded_bits_per_weight"] <= 4.25, "has the size all the same", str(totals()))
ok(run("verify", OUT, "--against", large, "--requantize").returncode == 0, "and is the same again")
p = run("compress", large, "-o", OUT, "--force", "--effort", "quick")
ok(p.returncode == INPUT and one_error_line(p), "but not with --effort", p.stderr.decode())

# Bad texts.
for name, content, words in (("empty", b"", "too few"), ("short", b"One sentence.", "too few"),
                             ("latin", b"caf\xe9 " * 9000, "UTF-8")):
    with open(tmp(name), "wb") as f:
        f.write(content)
    p = compress("--calibrate", tmp(name))
    ok(p.returncode == INPUT and words in p.stderr.decode() and name in p.stderr.decode(), f"calibration text: {name}",
       p.stderr.decode())

# Rows, columns and matrices of zeros; a size beyond the finest steps, and a file below the least.
zeros = {"a": ("F32", [64, 64], bytes(64 * 64 * 4))}
rows = [[((7 * r + 13 * c) % 31 - 15) / 64 if r % 4 and c % 4 else 0.0 for c in range(64)] for r in range(64)]
zeros["b"] = ("F32", [64, 64], b"".join(struct.pack("<64f", *row) for row in rows))
os.makedirs(tmp("zeros"))
write_safetensors(os.path.join(tmp("zeros"), "model.safetensors"), zeros)
p = run("compress", tmp("zeros"), "-o", OUT, "--force", "--target-bpw", "4")
ok(p.returncode == 0 and b"more than is useful" in p.stderr, "zeros: fewer bits are enough", p.stderr.decode())
ok(run("verify", OUT, "--against", tmp("zeros")).returncode == 0, "and such a file is whole")
p = compress("--target-bpw", "15", "--calibrate", "none")
ok(p.returncode == INPUT and "at the most" in p.stderr.decode(), "more bits than are of use", p.stderr.decode())
p = compress("--target-size", "700kB", "--calibrate", "none")
ok(p.returncode == INPUT and "at the least" in p.stderr.decode(), "the least size is named", p.stderr.decode())
p = compress("--target-size", "10kB", "--calibrate", "none")
ok(p.returncode == INPUT and "impossible" in p.stderr.decode(), "a size that cannot be", p.stderr.decode())
p = compress("--target-bpw", "0.5", "--calibrate", "none")
ok(p.returncode == INPUT and "at the least" in p.stderr.decode(), "bits that cannot be", p.stderr.decode())

done()
