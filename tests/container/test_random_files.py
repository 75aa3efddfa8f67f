#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/read_ellm.py, written from docs/FORMAT.md alone, on random valid files of every kind of book: the weights are
those that were written. build/tests/container_random_files makes the files, and reads them by the library and the
decoders of all sets of instructions. RANDOM_FILES=2000 is the whole; RANDOM_FIRST is the first seed (default 1)."""

import collections
import os
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), os.path.join(HERE, "..", "..", "tools")]
from cli_testing import *
import read_ellm

COUNT = int(os.environ.get("RANDOM_FILES", "20"))
FIRST = int(os.environ.get("RANDOM_FIRST", "1"))
MAKER = os.path.join(os.environ["BUILD_DIR"], "tests", "container_random_files")
folder = tmp("random")
os.makedirs(folder)
wrong, kinds, tensors, patched = [], collections.Counter(), 0, 0
for first in range(FIRST, FIRST + COUNT, 100):
    n = min(100, FIRST + COUNT - first)
    made = subprocess.run([MAKER, folder, str(first), str(n)], capture_output=True)
    if made.returncode != 0:
        wrong.append(f"after {made.stdout.decode().splitlines()[-1:]}: {made.stderr.decode()}")
    for line in made.stdout.decode().splitlines():
        seed, letters = line.split()
        kinds.update(letters)
        with open(os.path.join(folder, seed + ".weights"), "rb") as f:
            want = f.read()
        try:
            file = read_ellm.File(os.path.join(folder, seed + ".ellm"))
            coded = [r for r in file.records if r.type == read_ellm.CODED]
            patched += sum(r.granularity >> 2 & 1 for r in coded)
            tensors += len(coded)
            have = b"".join(read_ellm.tensor_weights(file, r) for r in coded)
            if have != want:
                wrong.append(f"file {seed} ({letters}): other weights")
        except (read_ellm.Bad, struct.error, IndexError, StopIteration, UnicodeDecodeError) as error:
            wrong.append(f"file {seed} ({letters}): {error!r}")
        os.remove(os.path.join(folder, seed + ".ellm"))
        os.remove(os.path.join(folder, seed + ".weights"))
shutil.rmtree(folder)
ok(not wrong, f"{COUNT} random files from seed {FIRST} on, {tensors} matrices, {patched} of them with patches",
   "\n".join(wrong[:20]))
names = dict(P="plain", H="trees", T="trees of pairs", L="levels", M="levels of pairs", F="fields", E="exact")
ok(set(names) <= set(kinds), "of every kind: " + ", ".join(f"{kinds[k]} {v}" for k, v in names.items()))
done()
