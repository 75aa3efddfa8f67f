#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speeds of one file, ours or llama.cpp's, by the same steps: for bench/peers.py and bench/peers_kl.py.

A measurement is one process, so that nothing of another one is in memory or in its peak. Run as a program, this is
the one of llama.cpp: peers_measure.py GGUF JOB (JSON), by the Python whose llama-cpp-python is meant.
"""

import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.path.dirname(HERE), "build", "entrollm")


def llama(path, job):
    """Rates of llama.cpp in this process, and its peak of memory."""
    import llama_cpp

    prompt, generated, depth, threads = (job[k] for k in ("prompt", "generate", "depth", "threads"))
    model = llama_cpp.Llama(
        path,
        n_ctx=max(prompt, depth) + generated + 40,
        n_batch=512,
        n_ubatch=512,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )
    vocab = model.n_vocab()
    ids = [(i * 2654435761 + 17) % vocab for i in range(max(prompt, depth) + generated + 1)]

    def rate_of_generating(behind):
        model.reset()
        for i in range(0, behind, 512):
            model.eval(ids[i : min(i + 512, behind)])
        start = time.monotonic()
        for i in ids[behind : behind + generated]:
            model.eval([i])
        return generated / (time.monotonic() - start)

    model.eval(ids[:32])  # to warm up
    model.reset()
    start = time.monotonic()
    model.eval(ids[:prompt])
    rates = {"prompt": prompt / (time.monotonic() - start), "generate": rate_of_generating(1)}
    if depth:
        rates["deep"] = rate_of_generating(depth)
    with open("/proc/self/status") as f:  # getrusage would count what the parent had before this program was loaded
        rates["peak"] = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))
    return rates


def measure_llama(path, job, python=sys.executable):
    command = [python, os.path.abspath(__file__), path, json.dumps(job)]
    return json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL).splitlines()[-1])


def measure_ours(path, job, activations="auto", expand=False, isa=None):
    command = [PROGRAM, "bench", "model", "-m", path, "-p", str(job["prompt"]), "-n", str(job["generate"])]
    command += ["-d", f"0,{job['depth']}"] if job["depth"] else []
    command += ["-t", str(job["threads"]), "--repeats", "1", "--activations", activations, "--json", "-q"]
    command += ["--expand"] if expand else []
    environment = dict(os.environ, ENTROLLM_ISA=isa) if isa else None
    rows = json.loads(subprocess.check_output(command, env=environment))["rows"]
    at = {(r["test"], r["depth"]): r["tokens_per_s"]["median"] for r in rows}
    rates = {"prompt": at["prompt", 0], "generate": at["generate", 0]}
    if job["depth"]:
        rates["deep"] = at["generate", job["depth"]]
    rates["peak"] = max(r["peak_rss_bytes"] for r in rows)
    return rates


def in_turns(contestants, rounds, measure):
    """Each contestant (a dict with a name) measured once a round; rates are collected in lists within it."""
    for r in range(rounds):
        for c in contestants:
            print(f"\rround {r + 1} of {rounds}: {c['name']:48}", end="", file=sys.stderr, flush=True)
            for key, value in measure(c).items():
                c.setdefault(key, []).append(value)
    print(file=sys.stderr)


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} - {max(values):.1f})"


if __name__ == "__main__":
    print(json.dumps(llama(sys.argv[1], json.loads(sys.argv[2]))))
