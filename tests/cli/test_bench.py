#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm bench: the shape of what it prints; no figure is judged."""

import os

from cli_testing import MODEL, USAGE, done, equal, ok, run, run_json, tmp

F = tmp("4.ellm")
run("compress", MODEL, "-o", F, "--bits", "4", "-q")

about = run_json("bench", "model", "-m", F, "-p", "64", "-n", "8", "-d", "0,16", "-t", "1,2")
rows = about["rows"]
equal(
    [(r["test"], r["tokens"], r["depth"], r["threads"]) for r in rows],
    [(test, n, d, t) for t in (1, 2) for d in (0, 16) for test, n in (("prompt", 64), ("generate", 8))],
    "bench model: a row for each test, depth and number of threads",
)
ok(0 < about["bytes_a_token"] <= os.path.getsize(F), "bytes that a token reads", about)
for r in rows:
    speed = r["tokens_per_s"]
    ok(0 < speed["min"] <= speed["median"] <= speed["max"], "least, median and most in order", r)
    ok(0.1 < r["products_share"] <= 1, "share of the time in products", r)
    ok(r["file_bytes"] == os.path.getsize(F) and r["peak_rss_bytes"] > 1 << 20, "bytes of file and memory", r)
    if r["test"] == "generate":
        ok(r["coded_gbytes_per_s"] > 0 and r["share_of_read_bandwidth"] > 0, "share of bandwidth", r)
    else:
        ok(r["coded_gbytes_per_s"] is None and r["share_of_read_bandwidth"] is None, "none for prompts", r)

rows = run_json("bench", "model", "-m", F, "-p", "8", "-n", "4", "-d", "20", "--sequences", "1,3", "-t", "2")["rows"]
equal(
    [(r["test"], r["tokens"], r["depth"], r["sequences"]) for r in rows],
    [("prompt", 8, 20, 1), ("generate", 4, 20, 1), ("generate", 4, 20, 3)],
    "bench model --sequences: a row for each number of sequences generated together",
)
equal(run("bench", "model", "-m", F, "--sequences", "0").returncode, USAGE, "no sequence is none")
p = run("bench", "model", "-m", F, "-p", "0", "-n", "4", "--csv", "-q")
lines = p.stdout.decode().splitlines()
ok(len(lines) == 2 and lines[0].count(",") == lines[1].count(",") == 14, "--csv", p.stdout)
p = run("bench", "model", "-m", F, "-p", "0", "-n", "4", "--md", "-q")
lines = p.stdout.decode().splitlines()
ok(len(lines) == 3 and len({line.count("|") for line in lines}) == 1, "--md", p.stdout)

done()
