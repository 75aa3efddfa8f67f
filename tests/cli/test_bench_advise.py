#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm bench advise: fields and rows for a file, a folder, a shape and a machine that is not at hand; refusals. No
time is judged."""

import json
import os

from cli_testing import MODEL, USAGE, done, equal, ok, run, run_json, tmp

AWAY = ("--bandwidth", "25", "--cores", "4", "--isa", "neon")
CODES = ["size", "balanced", "speed", "plain"]


def check(name, advice, threads):
    rows = advice["rows"]
    equal([r["threads"] for r in advice["read"]], threads, f"{name}: threads")
    ok(all(r["gbytes_per_s"] > 0 for r in advice["read"]), f"{name}: what memory gives", advice["read"])
    ok(all([s["threads"] for s in r["speeds"]] == threads for r in rows), f"{name}: threads of rows")
    ok(all(s["tokens_per_s"] > 0 and s["memory_tokens_per_s"] > 0 and s["decoding_tokens_per_s"] > 0
           and s["bound"] in ("memory", "decoding") for r in rows for s in r["speeds"]), f"{name}: rates", rows)
    ok(all(r["bits_a_weight"] >= r["entropy"] > 0 and r["file_bytes"] > 0 and r["gweights_per_s_and_thread"] > 0
           for r in rows), f"{name}: sizes", rows)
    ok(all((r["faster_than_plain_below_gbytes_per_s"] is None) or r["code"] != "plain" for r in rows),
       f"{name}: break-evens are of codes")
    for bits in dict.fromkeys(r["bits"] for r in rows):
        of_width = [r for r in rows if r["bits"] == bits]
        best = max(s["tokens_per_s"] for r in of_width for s in r["speeds"])
        fastest = next(f for f in advice["fastest"] if f["bits"] == bits)
        smallest = next(f for f in advice["smallest"] if f["bits"] == bits)
        equal(fastest["tokens_per_s"], best, f"{name}: the fastest of {bits} bits")
        equal(smallest["bits_a_weight"], min(r["bits_a_weight"] for r in of_width), f"{name}: the smallest")
        ok(fastest["flags"] and smallest["flags"], f"{name}: what to type", fastest)


# ------------------------------------------------------- a machine not at hand
advice = run_json("bench", "advise", *AWAY)
check("modelled", advice, [1, 2, 4])
ok(not advice["measured"] and advice["isa"] == "neon" and advice["ghz"] == 2, "modelled", advice["isa"])
equal(advice["model"], "smollm-1.7b", "the shape where none is named")
equal([(r["bits"], r["code"]) for r in advice["rows"]],
      [(b, c) for b in (4, 5, 6, 8) for c in CODES], "widths and codes")
ok(all(0 < r["weight_error"] < 1 for r in advice["rows"]), "errors of weights")
equal(advice, run_json("bench", "advise", *AWAY), "a model is the same every time")
twice = run_json("bench", "advise", "--bandwidth", "50", "--cores", "4", "--isa", "neon", "--ghz", "4")
ok(all(abs(b["decoding_tokens_per_s"] / a["decoding_tokens_per_s"] - 2) < 1e-9
       and abs(b["memory_tokens_per_s"] / a["memory_tokens_per_s"] - 2) < 1e-9
       for x, y in zip(advice["rows"], twice["rows"]) for a, b in zip(x["speeds"], y["speeds"])),
   "twice the clock and the memory, twice the speed")
fast = [f for f in advice["fastest"] if f["bits"] == 4][0]
ok("--for neon" in fast["flags"] or "--code none" in fast["flags"], "flags are for the class", fast)
moe = run_json("bench", "advise", "--shape", "qwen3-30b-a3b", "--bits", "5", *AWAY)
check("experts", moe, [1, 2, 4])
equal([r["code"] for r in moe["rows"]], CODES, "one width")
ok(moe["weights"] > 9 * moe["weights_a_token"], "a token reads some experts", moe["weights_a_token"])
text = run("bench", "advise", *AWAY).stdout.decode()
ok("modelled, not measured" in text and "--prefer" in text and "is the limit" in text, "as text", text)

# ------------------------------------------------------------ this machine
F = tmp("5.ellm")
run("compress", MODEL, "-o", F, "--bits", "5", "-q")
advice = run_json("bench", "advise", "-m", F, "-t", "2", "-q")
check("a file", advice, [1, 2])
equal([r["code"] for r in advice["rows"]], ["file"] + CODES, "a file as it is, and its codes in all ways")
ok(advice["measured"] and advice["read_loop"] and advice["pages"] in ("huge", "4 KiB"), "measured", advice)
equal(advice["rows"][0]["file_bytes"], os.path.getsize(F), "its size")
by_code = {r["code"]: r["bits_a_weight"] for r in advice["rows"]}
ok(abs(by_code["file"] / by_code["balanced"] - 1) < 0.03, "it was coded for balance", by_code)
ok(advice["quality"] is None, "the paper's method says nothing of quality")
advice = run_json("bench", "advise", "-m", MODEL, "-t", "1", "--bits", "4", "--activations", "i8", "-q")
check("a folder", advice, [1])
equal([r["code"] for r in advice["rows"]], CODES, "codes of a folder")
S = tmp("sized.ellm")
run("compress", MODEL, "-o", S, "--target-bpw", "4", "--calibrate", "none", "-q")
advice = run_json("bench", "advise", "-m", S, *AWAY)
check("a sized file", advice, [1, 2, 4])
equal(advice["quality"]["calibration"], "none", "what a file says of its quality")
ok(b"calibration" in run("bench", "advise", "-m", S, *AWAY).stdout, "as text, too")

# -------------------------------------------------------------------- refusals
for what, *wrong in (("no such class", "--bandwidth", "25", "--cores", "4", "--isa", "riscv"),
                     ("no cores", "--bandwidth", "25", "--isa", "neon"),
                     ("no bandwidth", "--cores", "4", "--isa", "neon"),
                     ("no class", "--bandwidth", "25", "--cores", "4"),
                     ("a bandwidth of 0", "--bandwidth", "0", "--cores", "4", "--isa", "neon"),
                     ("no cores at all", "--bandwidth", "25", "--cores", "0", "--isa", "neon"),
                     ("a clock of this machine", "--ghz", "3"),
                     ("threads of another machine", "-t", "2", *AWAY),
                     ("no such shape", "--shape", "gpt-9"),
                     ("a shape and a model", "--shape", "gemma-3-4b", "-m", F),
                     ("floats", "--activations", "f32"),
                     ("9 bits", "--bits", "9")):
    equal(run("bench", "advise", *wrong).returncode, USAGE, what)
L = tmp("lossless.ellm")
run("compress", MODEL, "-o", L, "--lossless", "-q")
equal(run("bench", "advise", "-m", L, *AWAY).returncode, USAGE, "a file without quantized weights")
equal(run("bench", "advise", "-m", tmp("none.ellm")).returncode, 4, "no such file")
config = tmp("config.json")
with open(config, "w") as f:
    json.dump({"model_type": "llama"}, f)
equal(run("bench", "advise", "--shape", config, *AWAY).returncode, 3, "a configuration of nothing")
done()
