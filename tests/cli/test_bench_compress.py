#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm bench compress: files of the shape of a model, from weights that lie nowhere."""

import json
import os

from cli_testing import ROOT, USAGE, done, equal, ok, run, run_json, tmp

CONFIG = os.path.join(ROOT, "tests", "golden", "models", "qwen3moe-plain", "config.json")
F = tmp("shape.ellm")

about = run_json("bench", "compress", "--shape", CONFIG, "-o", F, "--bits", "4", "--layers", "3", "--seed", "5")
equal((about["file"], about["seed"], about["bits"]), (F, 5, 4), "bench compress --json")
equal(about["file_bytes"], os.path.getsize(F), "bytes of the file")
ok(about["source_bytes"] == 2 * about["totals"]["parameters"] and about["mb_per_s"] > 0, "BF16 source", about)
ok(1.5 < about["totals"]["entropy"] < 3.2, "an entropy far below 4 bits, though matrices are tiny", about["totals"])

model = run_json("inspect", F)
ok(any(t["name"] == "model.layers.2.mlp.experts.0.up_proj.weight" for t in model["tensors"]), "tensors of layer 2")
ok(not any(t["name"].startswith("model.layers.3.") for t in model["tensors"]), "and no layer 3")
equal(run_json("verify", F)["ok"], True, "it verifies")
rows = run_json("bench", "model", "-m", F, "-p", "8", "-n", "4", "--repeats", "1")["rows"]
ok(len(rows) == 2 and rows[1]["tokens_per_s"]["median"] > 0, "it runs", rows)

p = run("bench", "compress", "--shape", CONFIG, "-o", F, "--layers", "1")
equal(p.returncode, USAGE, "a file that exists is not replaced")
p = run("bench", "compress", "--shape", CONFIG, "-o", F, "--layers", "1", "--force")
ok(p.returncode == 0 and b"random weights (seed 1)" in p.stdout, "--force replaces it", p.stdout + p.stderr)
p = run("bench", "compress", "--shape", "qwen3-31b", "-o", tmp("none.ellm"))
ok(p.returncode == USAGE and b"qwen3-30b-a3b" in p.stderr, "an unknown shape, and those that are known", p.stderr)
equal(run("bench", "compress", "-o", F).returncode, USAGE, "--shape is missing")
equal(run("bench", "compress", "--shape", "gemma-3-4b").returncode, USAGE, "-o is missing")
with open(tmp("config.json"), "w", encoding="utf-8") as f:
    json.dump({"architectures": ["NoSuchModel"]}, f)
p = run("bench", "compress", "--shape", tmp("config.json"), "-o", tmp("none.ellm"))
ok(p.returncode == 3 and b"NoSuchModel" in p.stderr and not os.path.exists(tmp("none.ellm")), "a config of no model",
   p.stderr)

done()
