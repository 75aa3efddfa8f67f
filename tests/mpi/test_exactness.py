#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm-mpi against one process, bit by bit: logits, evaluations (batches), texts with a prompt cache.

The check takes a sample. MPI_EXACTNESS=all, or names of families, takes those of tests/golden/models, whole and coded,
1, 2, 3, 4, 5 and 8 ranks of 1 and of 2 threads, activations of 16 and of 8 bits, and teams in which half of the ranks
compute by the scalar kernels: about ten minutes."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from cli_testing import *

TOGETHER = os.path.join(BUILD, "entrollm-mpi")
if not os.path.exists(TOGETHER) or not shutil.which("mpirun"):
    skip("exactness of several processes", "there is no entrollm-mpi, or no mpirun (openmpi-bin, libopenmpi-dev)")
    done()

ASKED = os.environ.get("MPI_EXACTNESS", "")  # families with commas between them
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
MPIRUN = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader"]
GOLDEN = os.path.join(ROOT, "tests", "golden", "models")
FAMILIES = sorted(n for n in os.listdir(GOLDEN) if os.path.exists(os.path.join(GOLDEN, n, "config.json")))
if ASKED not in ("", "all"):
    FAMILIES = ASKED.split(",")
RANKS = (1, 2, 3, 4, 5, 8)
IDS = ",".join(str((i * 31 + 7) % 96) for i in range(24))


def team(n, scalar, arguments):
    """Of the ranks, the first `scalar` compute by the scalar kernels."""
    words = ["-n", str(scalar), "-x", "ENTROLLM_ISA=scalar", TOGETHER, *arguments, ":"] if scalar else []
    words += ["-n", str(n - scalar), TOGETHER, *arguments]
    p = subprocess.run(MPIRUN + words, capture_output=True, stdin=subprocess.DEVNULL, env=ENVIRONMENT, timeout=120)
    return p.returncode, p.stdout.rstrip(b"\n"), p.stderr


def compare(model, activations, n, threads, scalar, what):
    alone, several, cache = tmp("alone"), tmp("several"), tmp("cache")
    words = ["logits", "-m", model, "--ids", IDS, "--activations", activations]
    run(*words, "-o", alone)
    status, _, error = team(n, scalar, [*words, "-o", several, "-t", str(threads)])
    good = status == 0 and read(several) == read(alone)
    words = ["run", "-m", model, "--prompt-ids", IDS, "-n", "6", "--temp", "0.8", "--seed", "5", "--print-ids", "-q",
             "--ignore-eos", "--activations", activations, "--prompt-cache"]
    text = run(*words, alone + ".cache").stdout.rstrip(b"\n")
    for _ in range(2): # made, then used
        status, ids, more = team(n, scalar, [*words, cache, "-t", str(threads)])
        error += more
        good = good and status == 0 and ids == text and read(cache) == read(alone + ".cache")
    for path in (alone, several, cache, alone + ".cache"):
        if os.path.exists(path):
            os.remove(path)
    ok(good, what, error)


def cases():
    if not ASKED:
        yield from (("qwen3moe-mixed", True, "i8", 3, 2, 1), ("gemma3-windows", True, "i16", 5, 1, 0),
                    ("phi3-longrope", False, "auto", 2, 1, 0))
        return
    for family in FAMILIES:
        for n in RANKS:
            for threads in (1, 2):
                for activations in ("i16", "i8"):
                    yield family, True, activations, n, threads, n // 2 if threads == 1 else 0
                if threads == 1:
                    yield family, False, "auto", n, threads, 0


coded = {}
for family, is_coded, activations, n, threads, scalar in cases():
    model = os.path.join(GOLDEN, family)
    if is_coded and family not in coded:
        coded[family] = tmp(family + ".ellm")
        run("compress", model, "-o", coded[family], "--bits", "5", "-q")
    compare(coded[family] if is_coded else model, activations, n, threads, scalar,
            f"{family} {'coded' if is_coded else 'as it is'}, {activations}: {n} ranks of {threads} threads, {scalar} scalar")

# Batches: evaluations compute several texts at once.
text = tmp("text.txt")
with open(text, "w") as f:
    f.write("Once upon a time there was a little dog. The dog had a red ball and a big house.\n" * 12)
stories = tmp("stories.ellm")
run("compress", MODEL, "-o", stories, "--bits", "4", "-q")
words = ["eval", "perplexity", "-m", stories, "-f", text, "--ctx", "32", "-q"]
alone = run(*words).stdout.rstrip(b"\n")
for n in RANKS if ASKED else (3,):
    for threads in (1, 2) if ASKED else (1,):
        status, out, error = team(n, 0, [*words, "-t", str(threads)])
        ok(status == 0 and out == alone and alone, f"perplexity by {n} ranks of {threads} threads", error)
done()
