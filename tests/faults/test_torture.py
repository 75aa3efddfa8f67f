#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Some of torture.py: random faults of some operations. tools/torture.sh runs all of them."""

import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torture  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(ROOT, "build"))), "tests", "entrollm-faults")

driver = torture.sampled(PROGRAM, faults=80)
try:
    driver.run()
finally:
    shutil.rmtree(driver.work, ignore_errors=True)
runs = sum(driver.counts.values())
groups = {group for _, group, _ in driver.counts}
print(f"{'not ok' if driver.findings else 'ok'} 1 - {runs} faults, seed {driver.options.seed}")
print(f"{'ok' if runs >= 60 else 'not ok'} 2 - as many as were wanted")
print(f"{'ok' if len(groups) >= 4 else 'not ok'} 3 - of several kinds: {' '.join(sorted(groups))}")
print("1..3")
sys.exit(1 if driver.findings else 0)
