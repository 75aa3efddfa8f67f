#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden tokenizer rows through the program (the tokenizer's own tests go through all of them)."""

import json
import os
import time

from cli_testing import *

ROWS = 12  # of each tokenizer: every start reads tokenizer.json anew


def check_file(path, inputs):
    """The golden rows of one tokenizer."""
    with open(path) as f:
        golden = json.load(f)
    folder = os.path.join(inputs, golden["tokenizer"])
    rows = golden["rows"]
    step = max(1, len(rows) // ROWS)
    wrong = []
    checked = 0
    for row in rows[::step]:
        data = bytes.fromhex(row["bytes"]) if "bytes" in row else row["text"].encode()
        for options, key in (
            ([], "ids"),
            (["--no-bos"], "ids_without_added"),
            (["--no-bos", "--special-as-text"], "ids_special_as_text"),
        ):
            if key not in row:
                continue
            p = run("tokenize", "-m", folder, "--json", *options, stdin=data)
            got = json.loads(p.stdout)["ids"] if p.returncode == 0 else p.stderr
            checked += 1
            if got != row[key]:
                wrong.append((data[:40], key, got, row[key]))
        for options, key in (([], "decoded"), (["--skip-special"], "decoded_skipping_special")):
            if key not in row:
                continue
            p = run("detokenize", "-m", folder, *options, stdin=" ".join(map(str, row["ids"])).encode())
            checked += 1
            if p.stdout != row[key].encode():
                wrong.append((data[:40], key, p.stdout[:80], row[key][:80]))
    ok(not wrong, f"{os.path.basename(path)}: {checked} answers", "\n".join(map(repr, wrong[:4])))


own = set(os.listdir(os.path.join(GOLDEN_SETS[0][0], "tokenizers")))
for folder, inputs in GOLDEN_SETS:
    folder = os.path.join(folder, "tokenizers")
    if not os.path.isdir(folder):
        skip("more golden tokenizers", "../shared is absent")
        done()
    for name in sorted(os.listdir(folder)):
        if inputs == ROOT or name not in own:
            check_file(os.path.join(folder, name), inputs)

folder = os.path.join(SHARED, "tokenizers", "smollm")
best = 9.0
for _ in range(5):
    begin = time.time()
    run("tokenize", "-m", folder, stdin=b"Hello")
    best = min(best, time.time() - begin)
print(f"# start-up with {folder.split('/')[-1]}'s 49,152 entries: {best * 1000:.0f} ms")
ok(best < 1.0, "start-up with 49,152 entries is quick", best)  # the limit of 100 ms is for an idle machine: bench
done()
