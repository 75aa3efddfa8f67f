#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compress to a size: the options, the size that comes out, what the file says of itself, and what is refused."""

import json
import os

from cli_testing import *

MODEL = os.path.join(ROOT, "models", "stories-4m")
OUT = tmp("sized.ellm")


def compress(*arguments):
    return run("compress", MODEL, "-o", OUT, "--force", *arguments)


def totals():
    return json.loads(run("inspect", OUT, "--json").stdout)["totals"]


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
ok(b"divergence from source" in run("inspect", OUT, "--table").stdout, "inspect --table says it in words")

for arguments, words in (
    (["--target-bpw", "3", "--quality", "small"], "exclude each other"),
    (["--target-bpw", "3", "--bits", "4"], "--bits is of the paper's method"),
    (["--target-size", "large"], "is no size"),
    (["--effort", "full"], "go with"),
    (["--target-bpw", "3", "--memory", "few"], "is no size"),
    (["--target-bpw", "3", "--calibrate", "none", "--effort", "full"], "of no use without calibration"),
):
    p = compress(*arguments)
    ok(p.returncode == USAGE and words in p.stderr.decode(), " ".join(arguments), p.stderr.decode())
p = compress("--target-size", "10kB", "--calibrate", "none")
ok(p.returncode == INPUT and "impossible" in p.stderr.decode(), "a size that cannot be", p.stderr.decode())
p = compress("--target-bpw", "0.5", "--calibrate", "none")
ok(p.returncode == INPUT and "at the least" in p.stderr.decode(), "bits that cannot be", p.stderr.decode())

done()
