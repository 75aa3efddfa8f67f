#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compress to a size, of small models: each preference, models without start token, weights that give no moments, zeros,
a full disk, and the same bytes once more."""

import json
import os
import resource
import shutil
import struct

from cli_testing import *

GOLDEN = os.path.join(GOLDEN_SETS[0][0], "models", "llama-tied-gqa")
OUT = tmp("sized.ellm")


def changed(name, change=None, config=None, leave_out=()):
    """A copy of the model; change: name and rows of BF16 patterns to other rows, or to None."""
    folder = tmp(name)
    shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("*.f32", "golden.json", *leave_out))
    path = os.path.join(folder, "model.safetensors")
    tensors = read_safetensors(path)
    for key, (dtype, shape, data) in tensors.items() if change else ():
        if len(shape) != 2:
            continue
        rows = [list(struct.unpack_from(f"<{shape[1]}H", data, 2 * r * shape[1])) for r in range(shape[0])]
        rows = change(key, rows)
        if rows is not None:
            tensors[key] = (dtype, shape, b"".join(struct.pack(f"<{shape[1]}H", *row) for row in rows))
    if change:
        write_safetensors(path, tensors)
    if config:
        path = os.path.join(folder, "config.json")
        with open(path) as f:
            values = json.load(f)
        values.update(config)
        with open(path, "w") as f:
            json.dump(values, f)
    return folder


def compress(model, *arguments, **more):
    return run("compress", model, "-o", OUT, "--force", *arguments, **more)


def bits():
    return json.loads(run("inspect", OUT, "--json").stdout)["totals"]["coded_bits_per_weight"]


# A size holds with every preference, though codes for speed have sizes that jump.
for prefer in (["size"], ["balanced"], ["speed"], ["speed", "--for", "avx512"], ["speed", "--for", "neon"]):
    for target in (4, 4.7) if prefer[0] == "speed" else (4.7,):
        p = compress(GOLDEN, "--calibrate", "none", "--target-bpw", str(target), "--prefer", *prefer)
        found = bits() if p.returncode == 0 else p.stderr.decode()
        ok(p.returncode == 0 and 0.995 * target <= found <= target, f"{target} bits, --prefer {prefer[-1]}", str(found))
p = compress(os.path.join(ROOT, "models", "stories-4m"), "--calibrate", "none", "--target-size", "1.7MB", "--prefer", "speed")
size = os.path.getsize(OUT)
ok(p.returncode == 0 and 0.995 * 1700000 <= size <= 1700000, "a size in bytes, for speed", f"{size} {p.stderr}")

# The same bytes once more, of a file that was calibrated.
p = compress(GOLDEN, "--target-bpw", "5", "--effort", "quick")
ok(p.returncode == 0, "a calibrated file", p.stderr.decode())
ok(b"with --effort full " in p.stdout, "quick effort says what full effort would gain", p.stdout.decode())
p = run("verify", OUT, "--against", GOLDEN, "--requantize")
ok(p.returncode == 0, "is the same once more", p.stdout.decode() + p.stderr.decode())

# Without a tokenizer the model still writes ids, from its start token; without one of these it cannot.
p = compress(changed("wordless", leave_out=("tokenizer*",)), "--target-bpw", "5", "--effort", "quick", "--json")
ok(p.returncode == 0 and json.loads(p.stdout)["quality"]["calibration"] == "self", "no tokenizer", p.stderr.decode())
silent = changed("silent", config={"bos_token_id": None}, leave_out=("tokenizer*", "generation_config.json"))
p = compress(silent, "--target-bpw", "5", "--json")
ok(p.returncode == 0 and json.loads(p.stdout)["quality"]["calibration"] == "none", "no start token", p.stderr.decode())
ok(b"no token that a text begins with" in p.stderr, "that is noted", p.stderr.decode())
for arguments in (["--calibrate", "self"], ["--effort", "quick"], ["--effort", "full"], ["--max-kl", "0.1"]):
    p = compress(silent, *arguments)
    ok(p.returncode == INPUT and one_error_line(p) and b"calibrated with a text of yours" in p.stderr,
       f"{' '.join(arguments)}: an error that says what to give", p.stderr.decode())


# Weights that are finite, with activations that are not.
def huge(key, rows):
    if "mlp" not in key or "layers.1" not in key:
        return None
    return [[x & 0x807F | 0x7200 - (0x80 if c % 2 else 0) for c, x in enumerate(row)] for row in rows]


burst = changed("burst", huge)
p = compress(burst, "--target-bpw", "5")
ok(p.returncode == 0 and b"without calibration" in p.stderr, "activations that are not finite", p.stderr.decode())
for arguments in (["--effort", "quick"], ["--effort", "full"], ["--max-kl", "0.1"]):
    p = compress(burst, "--target-bpw", "5", *arguments) if arguments[0] != "--max-kl" else compress(burst, *arguments)
    ok(p.returncode == INPUT and one_error_line(p) and os.path.exists(OUT), f"{' '.join(arguments)} is refused",
       p.stderr.decode())
text = tmp("text.txt")
with open(text, "w") as f:
    f.write("a b c d e f g h i j k l m n o p q r s t u v w x y z\n" * 400)
for effort in ("quick", "full"):
    p = compress(burst, "--target-bpw", "5", "--effort", effort, "--calibrate", text)
    ok(p.returncode == INPUT and one_error_line(p), f"nor is a text of help ({effort})", p.stderr.decode())


# Rows, columns and whole matrices of zeros; an input that is always zero.
def empty(key, rows):
    if "layers.0.self_attn.v_proj" in key or "layers.1.mlp.up_proj" in key or "layers.2.self_attn.q_proj" in key:
        return [[0] * len(row) for row in rows]
    return [[0 if r % 5 == 0 or c % 7 == 0 else x for c, x in enumerate(row)] for r, row in enumerate(rows)]


zeros = changed("zeros", empty)
for effort in ("quick", "full"):
    p = compress(zeros, "--target-bpw", "4.5", "--effort", effort)
    found = bits() if p.returncode == 0 else p.stderr.decode()
    ok(p.returncode == 0 and 0.995 * 4.5 <= found <= 4.5, f"zeros, {effort}", str(found))
    ok(run("verify", OUT, "--against", zeros).returncode == 0, "and such a file is whole")


# A full disk, at any moment: nothing half-written, unless it can be resumed.
def limit(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


os.remove(OUT)
left = set(os.listdir(TMP))
for size in (10000, 70000, 110000):
    p = compress(GOLDEN, "--target-bpw", "6", "--effort", "full", "--plan", tmp("kept.plan"), preexec_fn=limit(size))
    if os.path.exists(tmp("kept.plan")):
        os.remove(tmp("kept.plan"))
    ok(p.returncode == IO and one_error_line(p), f"no room for more than {size} bytes", f"{p.returncode} {p.stderr}")
    ok(set(os.listdir(TMP)) == left, "nothing is left", str(set(os.listdir(TMP)) - left))

done()
