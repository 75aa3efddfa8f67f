#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`compress --lossless`: the folder's own logits and text, every bit back, and what it excludes. An independent reader
gives the same elements; NaN and infinity are stored and refused only when they are multiplied."""

import random

from cli_testing import *

sys.path.insert(0, os.path.join(ROOT, "tools"))
import read_ellm

WEIGHTS = os.path.join(MODEL, "model.safetensors")
file = tmp("lossless.ellm")
report = run_json("compress", MODEL, "-o", file, "--lossless", "-q")
ok(report["lossless"] and report["bits"] is None, "the report says that nothing was quantized", report)
ok(report["ratio_to_source"] <= 0.675, "the embedded model takes at most 0.675 of its bytes", report["ratio_to_source"])
ok(os.path.getsize(file) == report["totals"]["file_bytes"], "the size is that of the file")

# The logits and the text of the folder, on any number of threads, with any kernels, and expanded.
ids = " ".join(str(3 + i * 37 % 2000) for i in range(70))


def logits(model, *more, env=None):
    p = run("logits", "-m", model, "--ids", ids, "-o", "-", *more, env=env)
    return p.stdout if p.returncode == 0 else p.stderr


want = logits(MODEL)
ok(len(want) % 4 == 0 and len(want) > 100000, "the folder's logits", len(want))
for what, more, env in (("", (), None), (" on one thread", ("-t", "1"), None), (", scalar", (), {"ENTROLLM_ISA": "scalar"}),
                        (", expanded", ("--expand",), None), (", all checked first", ("--check",), None)):
    ok(logits(file, *more, env=env) == want, "the same logits, bit for bit" + what)
texts = [run("run", "-m", model, "-p", "Once upon a time", "-n", "30", "--temp", "0").stdout for model in (MODEL, file)]
ok(texts[0] == texts[1] and len(texts[0]) > 50, "the same text", texts)
for kind in ("i8", "i16"):
    p = run("run", "-m", file, "-p", "Once", "-n", "3", "--activations", kind)
    ok(p.returncode == USAGE and one_error_line(p) and b"f32 activations only" in p.stderr, f"--activations {kind} is refused",
       p.stderr)

# What it is, that it is whole, that it is the folder's.
described = run_json("inspect", file)
matrices = [t for t in described["tensors"] if not t["kept"]]
ok(len(matrices) > 20 and all(t["exact"] and t["scheme"] is None for t in matrices), "inspect tells exact tensors", matrices[:1])
ok(b"coded without loss" in run("inspect", file, "--table").stdout, "inspect --table says so")
equal(run("verify", file, "-q").returncode, 0, "verify")
equal(run("verify", file, "--against", MODEL, "-q").returncode, 0, "verify --against the folder")
p = run("decompress", file, "-o", tmp("back"), "-q")
source = read_safetensors(WEIGHTS)
ok(p.returncode == 0 and read_safetensors(os.path.join(tmp("back"), "model.safetensors")) == source,
   "decompress gives back all tensors", p.stderr)
for name in ("config.json", "tokenizer.json"):
    ok(read(os.path.join(tmp("back"), name)) == read(os.path.join(MODEL, name)), f"and {name}")

# The independent reader, on small matrices of each type.
random.seed(3)
folder = tmp("types")
os.makedirs(folder)
with open(os.path.join(folder, "config.json"), "w") as f:
    f.write("{}\n")


def element(dtype, odd):
    if odd:
        bits = random.choice((0x7FC00001, 0xFF800000, 0x80000000, 0x00010000, 0xFFFFFFFF))
        return struct.pack("<I", bits) if dtype == "F32" else struct.pack("<H", bits >> 16)
    value = random.gauss(0, 0.05)
    return {"F32": lambda: struct.pack("<f", value), "F16": lambda: struct.pack("<e", value),
            "BF16": lambda: struct.pack("<f", value)[2:]}[dtype]()


made = {}
for dtype in ("F32", "F16", "BF16"):
    for rows, columns in ((112, 60), (5, 1100), (161, 47)):
        data = b"".join(element(dtype, i % 50 == 3) for i in range(rows * columns))
        made[f"{dtype}.{rows}"] = (dtype, [rows, columns], data)
made["widened"] = ("F32", [47, 40], b"".join(b"\0\0" + struct.pack("<f", random.gauss(0, 1))[2:] for _ in range(1880)))
write_safetensors(os.path.join(folder, "model.safetensors"), made)
small = tmp("types.ellm")
p = run("compress", folder, "-o", small, "--lossless", "-q")
equal(p.returncode, 0, "NaN and infinity are no errors")
opened = read_ellm.File(small)
kept = [name for name in made if opened.tensor(name).type != read_ellm.CODED]
equal(kept, [], "all of them become smaller")
wrong = [name for name in made if read_ellm.tensor_weights(opened, opened.tensor(name)) != made[name][2]]
ok(not wrong and opened.tensor("widened").zero == 2, "read_ellm.py gives the elements of every type", wrong)
golden = os.path.join(ROOT, "tests", "golden", "container", "exact.ellm")
opened = read_ellm.File(golden)
run("decompress", golden, "-o", tmp("golden"), "-q")
tensors = read_safetensors(os.path.join(tmp("golden"), "model.safetensors"))
wrong = [name for name in tensors if read_ellm.tensor_weights(opened, opened.tensor(name)) != tensors[name][2]]
ok(len(tensors) == 4 and not wrong, "and of exact.ellm", wrong)

# A weight that is no number is named when it is multiplied, as of a folder.
broken = copy_model("broken")
name = "model.layers.1.mlp.up_proj.weight"
dtype, shape, data = source[name]
at = 100 * shape[1] + 7
source[name] = dtype, shape, data[: 2 * at] + b"\xc0\x7f" + data[2 * at + 2 :]
write_safetensors(os.path.join(broken, "model.safetensors"), source)
p = run("compress", broken, "-o", tmp("broken.ellm"), "--lossless", "-q")
equal(p.returncode, 0, "it is stored")
for model in (broken, tmp("broken.ellm")):
    p = run("logits", "-m", model, "--ids", "3 4", "-o", "-")
    ok(p.returncode == INPUT and f"element {at} is".encode() in p.stderr and name.encode() in p.stderr,
       f"{os.path.basename(model)}: named when it is used", p.stderr)

# What does not go together.
for more in (("--bits", "4"), ("--prefer", "size"), ("--code", "none"), ("--scheme", "mixed"), ("--for", "avx2"), ("--target-bpw", "4"),
             ("--quality", "fine"), ("--calibrate", "none"), ("--target-size", "5MB")):
    p = run("compress", MODEL, "-o", tmp("none.ellm"), "--lossless", *more)
    ok(p.returncode == USAGE and one_error_line(p) and more[0].encode() in p.stderr, f"{more[0]} is excluded", p.stderr)
p = run("compress", MODEL, "-o", tmp("kept.ellm"), "--lossless", "--keep", "*embed*", "--json")
kept = [t["name"] for t in json.loads(p.stdout)["tensors"] if t["kept"]]
ok("model.embed_tokens.weight" in kept, "--keep keeps", kept)
done()
