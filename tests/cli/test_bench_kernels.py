#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm bench kernels: rows and fields, the choice of them, refusals; no figure is judged."""

import os

from cli_testing import MODEL, USAGE, INPUT, done, equal, ok, run, run_json, tmp

QUICK = ("--megabytes", "1", "--repeats", "1", "-t", "2", "-q")
F = tmp("4.ellm")
run("compress", MODEL, "-o", F, "--bits", "4", "-q")


def ordered(speed):
    return 0 < speed["min"] <= speed["median"] <= speed["max"]


about = run_json("bench", "kernels", "--op", "dot", "--layout", "plain4", *QUICK)
isas = {r["isa"] for r in about["rows"]}
ok("scalar" in isas and about["isa"] in isas, "every usable instruction set", isas)
BEST = {"ENTROLLM_ISA": about["isa"]}
rows = run_json("bench", "kernels", *QUICK, env=BEST)["rows"]
equal({r["op"] for r in rows}, {"read", "decode", "dot"}, "what is measured")
reads = [r for r in rows if r["op"] == "read"]
ok(all(r["loop"] and r["pages"] in ("4 KiB", "huge") for r in reads), "reading says by which loop", reads)
for where in {(r["threads"], r["source"]) for r in reads}:
    found = [r["gbytes_per_s"]["median"] for r in reads if (r["threads"], r["source"]) == where]
    ok(max(found) - min(found) < 1e-6 * max(found), f"one ceiling for all layouts: {where}", found)
equal({r["threads"] for r in rows}, {1, 2}, "one thread and all")
equal({r["source"] for r in rows}, {"ram", "cache"}, "from memory and from cache")
ok({"huffman", "levels", "plain4", "plain8"} <= {r["layout"] for r in rows}, "layouts", {r["layout"] for r in rows})
equal(sorted({int(r["coded_bits"]) for r in rows if r["layout"] == "fields"}), [2, 3, 4, 5, 6], "widths of fields")
for layout in ("huffman", "levels"):
    found = sorted({round(r["entropy"], 1) for r in rows if r["layout"] == layout})
    equal(found, [1.4, 2.2, 3.0, 4.0, 5.5], f"entropies of {layout}")
ok(all(ordered(r["gweights_per_s"]) and ordered(r["gbytes_per_s"]) for r in rows), "least, median and most in order")
ok(all(r["coded_bits"] >= r["entropy"] for r in rows), "no code is smaller than its entropy")
ok(all(abs(r["gbytes_per_s"]["median"] - r["gweights_per_s"]["median"] * r["coded_bits"] / 8)
       < 1e-6 * r["gbytes_per_s"]["median"] for r in rows), "bytes follow from weights")
ok(all((r["activations"] == "i16") == (r["op"] == "dot") for r in rows), "activations of products only")

rows = run_json("bench", "kernels", "-m", F, "--op", "dot", *QUICK, env={"ENTROLLM_ISA": "scalar"})["rows"]
ok(rows and all(r["tensor"] and r["isa"] == "scalar" and r["prefer"] is None for r in rows), "tensors of a file", rows)
rows = run_json("bench", "kernels", "--op", "multiply", "--tokens", "24", "--layout", "plain4", "--activations", "i8",
                *QUICK)["rows"]
ok(rows and all(r["tokens"] == 24 and r["activations"] == "i8" and ordered(r["gproducts_per_s"]) for r in rows),
   "products with many tokens", rows)

table, notes = (run("bench", "kernels", "--op", "read", "--layout", "plain8", *QUICK).stdout.decode().strip()
                .split("\n\n"))
lines = table.splitlines()
equal(len(notes.splitlines()), 4, "the loop of each ceiling is named")
ok(len(lines) > 4 and len({len(line) for line in lines}) == 1, "a table", lines)

equal(run("bench", "kernels", "--activations", "f32").returncode, USAGE, "no integer product with f32")
equal(run("bench", "kernels", "--op", "add").returncode, USAGE, "unknown op")
equal(run("bench", "kernels", "-m", tmp("none.ellm")).returncode, 4, "no such file")
equal(run("bench", "kernels", "-m", os.path.join(MODEL, "config.json")).returncode, INPUT, "not a .ellm file")
done()
