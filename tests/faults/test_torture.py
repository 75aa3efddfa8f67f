#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Some of torture.py: random faults of some operations, and all of the kinds that were not answered well once.
tools/torture.sh runs all of them."""

import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import operations  # noqa: E402
import torture  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(ROOT, "build"))), "tests", "entrollm-faults")
FOUND = [
    ("compress-bits", "stat", "EACCES"),   # a small file was left out without a word
    ("compress-bits", "open", "EMFILE"),   # a folder that could not be opened had no weights
    ("compress-bits", "sync", "EINTR"),
    ("decompress", "name", "ENOSPC"),      # the marker stayed
    ("decompress", "sync", "EIO"),
    ("inspect", "open", "EACCES"),         # ids were left out
    ("serve-restore", "read", "EIO"),      # a folder that could not be read to its end had fewer prompt caches
]


def ok(number, good, name):
    print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)


cache = os.path.join(os.path.dirname(os.path.dirname(PROGRAM)), "CMakeCache.txt")
with open(cache, encoding="utf-8") as f:
    slow = any(line.startswith("ENTROLLM_SANITIZE:") and not line.endswith("=\n") for line in f)
driver = torture.sampled(PROGRAM, faults=40 if slow else 80)
try:
    driver.run()
    runs, groups = sum(driver.counts.values()), {group for _, group, _ in driver.counts}
    ok(1, not driver.findings, f"{runs} faults, seed {driver.options.seed}")
    ok(2, runs >= (30 if slow else 60), "as many as were wanted")
    ok(3, len(groups) >= 4, f"of several kinds: {' '.join(sorted(groups))}")
    driver.findings.clear()
    known = {operation.name: operation for operation in operations.operations()}
    for name, group, way in FOUND[: 2 if slow else None]:
        if name not in driver.expected:
            driver.undisturbed(known[name])
        driver.all_of(known[name], group, way)
    if "run" not in driver.expected:
        driver.undisturbed(known["run"])
    for n in range(35, 40 if slow else 60):  # a character of the configuration was lost
        driver.once(known["run"], "memory", n, "ENOMEM")
    if not slow:
        driver.undisturbed(known["serve-save"])
        calls = driver.expected["serve-save"]["calls"]["memory"]
        for n in range(calls - 70, calls - 30):  # a character of the prompt was lost
            driver.once(known["serve-save"], "memory", n, "ENOMEM")
    ok(4, not driver.findings, "faults that once were not answered well")
    print("1..4")
finally:
    shutil.rmtree(driver.work, ignore_errors=True)
