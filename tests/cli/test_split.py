#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm split: parts that together are the whole, by an independent reader; what they say of themselves; who refuses
them. What is computed from them is tested in tests/mpi and tests/model/test_team.c."""

import shutil

from cli_testing import *

sys.path.insert(0, os.path.join(ROOT, "tools"))
import read_ellm

small = os.path.join(ROOT, "tests", "golden", "models", "qwen3moe-mixed")
file, folder = tmp("small.ellm"), tmp("parts")
run("compress", small, "-o", file, "--bits", "4", "-q")
whole = run_json("inspect", file)
report = run_json("split", file, "-n", "3", "--shares", "4:2:2", "-o", folder)
names = [f"part-{i}-of-3.ellm" for i in (1, 2, 3)]
equal([p["file"] for p in report["parts"]], names, "names of the parts")
equal(sorted(os.listdir(folder)), names, "and nothing else in the folder")
equal([p["file_bytes"] for p in report["parts"]], [os.path.getsize(os.path.join(folder, n)) for n in names], "their sizes")
equal(report["whole_bytes"], os.path.getsize(file), "the size of the whole")
paths = [os.path.join(folder, n) for n in names]

# Every tensor is in the parts, bit for bit; small files and metadata, too.
opened, parts = read_ellm.File(file), [read_ellm.File(path) for path in paths]
wrong = []
for record in opened.records:
    if record.type == read_ellm.CODED:
        if read_ellm.join_parts(parts, record.name, read_ellm.tensor_codes) != read_ellm.tensor_codes(opened, record):
            wrong.append(record.name)
    elif record.type in (read_ellm.ASSET, read_ellm.METADATA, read_ellm.KEPT):
        for part in parts:
            same = [r for r in part.records if (r.type, r.name, r.value) == (record.type, record.name, record.value)]
            if len(same) != 1 or part.head(same[0]) != opened.head(record):
                wrong.append(record.name)
ok(not wrong, "the parts together are the whole", wrong)
divided = [sum(r.type == read_ellm.CODED and r.ranges is not None for r in part.records) for part in parts]
ok(min(divided) > 10, "most matrices are divided", divided)
p = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "read_ellm.py"), *paths[:2], "--tensor", "lm_head.weight",
                    "--codes", tmp("codes")], capture_output=True)
ok(p.returncode == 1 and b"not all parts" in p.stderr, "read_ellm.py wants all of them", p.stderr)

# What they say of themselves.
part = run_json("inspect", paths[1])
equal(part["part"], {"number": 2, "parts": 3, "shares": [2, 1, 1], "whole": whole["identity"],
                     "whole_bytes": report["whole_bytes"]}, "inspect says which part it is")
ok("part" not in whole and part["source_identity"] == whole["source_identity"], "the whole is no part")
some = [t for t in part["tensors"] if "stored_elements" in t]
ok(some and all(t["stored_elements"] < t["shape"][0] * t["shape"][1] for t in some), "and how much it has of a matrix", some[:1])
ok(abs(part["totals"]["coded_bits_per_weight"] / whole["totals"]["coded_bits_per_weight"] - 1) < 0.5,
   "bits a weight are of the weights that are there", part["totals"])
p = run("inspect", paths[1], "--table")
ok(p.returncode == 0 and f"part 2 of 3 (shares 2:1:1) of model {whole['identity']}".encode() in p.stdout,
   "inspect --table", p.stdout[-300:])
for path in paths:
    equal(run("verify", path, "-q").returncode, 0, "verify " + os.path.basename(path))
damaged = tmp("damaged.ellm")
shutil.copy(paths[0], damaged)
with open(damaged, "r+b") as f:
    f.seek(os.path.getsize(damaged) // 2)
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 1]))
equal(run("verify", damaged, "-q").returncode, DIFFERENCE, "verify finds damage in a part")

# Who needs a whole model refuses a part by name, and a folder of parts.
what = b"this is part 2 of 3 of model " + whole["identity"].encode()
for words in (["run", "-m", paths[1], "-p", "x"], ["logits", "-m", paths[1], "--ids", "1", "-o", "-"], ["chat", "-m", paths[1]],
              ["decompress", paths[1], "-o", tmp("back")], ["verify", paths[1], "--against", small],
              ["inspect", paths[1], "--tensor", "lm_head.weight", "--codes", "-"], ["compress", paths[1], "-o", tmp("x.ellm")],
              ["eval", "perplexity", "-m", paths[1], "-f", file], ["bench", "kernels", "-m", paths[1]],
              ["split", paths[1], "-n", "2", "-o", tmp("again")]):
    p = run(*words)
    ok(p.returncode == INPUT and what in p.stderr and one_error_line(p), " ".join(words[:1]) + " refuses a part", p.stderr)
ok(not os.path.exists(tmp("back")) and not os.path.exists(tmp("again")), "and leaves nothing behind")
p = run("run", "-m", folder, "-p", "x")
ok(p.returncode == INPUT and b"has parts of a model (part-1-of-3.ellm)" in p.stderr, "run refuses a folder of parts", p.stderr)
stories = tmp("stories.ellm")
run("compress", MODEL, "-o", stories, "--bits", "4", "-q")
run("split", stories, "-n", "2", "-o", tmp("stories"), "-q")
p = run("tokenize", "-m", os.path.join(tmp("stories"), "part-2-of-2.ellm"), stdin=b"a dog")
equal((p.returncode, p.stdout), (0, run("tokenize", stdin=b"a dog").stdout), "a part's tokenizer is whole")

# Usage, and what is there already.
for words, why in ((["-n", "3"], b"-o DIR is missing"), (["-o", folder], b"-n N is missing"),
                   (["-n", "1", "-o", folder], b"2"), (["-n", "2", "--shares", "1:2:3", "-o", folder], b"3 shares for 2 parts"),
                   (["-n", "2", "--shares", "1:0", "-o", folder], b"whole numbers from 1")):
    p = run("split", file, *words)
    ok(p.returncode == USAGE and why in p.stderr, f"split {words}", p.stderr)
before = read(paths[2])
p = run("split", file, "-n", "3", "-o", folder)
ok(p.returncode == USAGE and b"already exists" in p.stderr and b"--force" in p.stderr and read(paths[2]) == before,
   "parts are not overwritten", p.stderr)
p = run("split", file, "-n", "3", "-o", folder, "--force")
ok(p.returncode == 0 and b"in each of them" in p.stdout and read(paths[2]) != before, "but with --force", p.stderr)
inside = os.path.join(folder, "part-2-of-2.ellm")
shutil.copy(file, inside)
p = run("split", inside, "-n", "2", "-o", folder, "--force")
ok(p.returncode == USAGE and b"is the file that is split" in p.stderr and read(inside) == read(file),
   "nor is the whole by a part of it", p.stderr)
p = run("split", small, "-n", "2", "-o", tmp("of-a-folder"))
ok(p.returncode == INPUT and b"not a .ellm file" in p.stderr and not os.path.exists(tmp("of-a-folder")), "a folder is not split",
   p.stderr)
done()
