#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm-mpi: several processes give the bytes of one; when one of them fails, all end and one line says why."""

import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from cli_testing import *

TOGETHER = os.path.join(BUILD, "entrollm-mpi")
if not os.path.exists(TOGETHER) or not shutil.which("mpirun"):
    skip("several processes", "there is no entrollm-mpi, or no mpirun (openmpi-bin, libopenmpi-dev)")
    done()

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
# on this machine alone: no network is looked for
MPIRUN = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader"]
PROMPT = ["-p", "Once upon a time there was a little dog", "-n", "12", "--temp", "0.8", "--seed", "5", "-q"]


def ranks(*groups, stdin=b"", timeout=60):
    """groups: (number of processes, what is set for them, arguments...)."""
    words = []
    for n, variables, *arguments in groups:
        words += [":"] if words else []
        words += ["-n", str(n)]
        for name, value in variables.items():
            words += ["-x", f"{name}={value}"]
        words += [TOGETHER, *arguments]
    return subprocess.run(MPIRUN + words, input=stdin, capture_output=True, env=ENVIRONMENT, timeout=timeout)


def together(n, *arguments, **more):
    return ranks((n, {}, *arguments), **more)


def refused(what, cases):
    """cases: (groups of ranks, what is said of them). Ranks that fail wait for each other, so three cases run at once."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for p, why in list(zip(pool.map(lambda case: ranks(*case[0]), cases), (why for _, why in cases))):
            ok(p.returncode != 0 and why.encode() in p.stderr, what + why, p.stderr)


coded, mixed = tmp("coded.ellm"), tmp("mixed.ellm")
run("compress", MODEL, "-o", coded, "--bits", "4", "-q")
run("compress", os.path.join(ROOT, "tests", "golden", "models", "qwen3moe-mixed"), "-o", mixed, "--bits", "8", "-q")

# The bytes of all logits.
IDS = ",".join(str((i * 31 + 7) % 96) for i in range(24))
for model, more in ((coded, []), (MODEL, []), (mixed, ["--activations", "i8"])):
    alone, several = tmp("alone"), tmp("several")
    words = ["logits", "-m", model, "--ids", IDS, "-t", "1", *more]
    run(*words, "-o", alone)
    for n, shares in ((2, []), (3, ["--shares", "1:3:2"])) if model != mixed else ((5, []),):
        p = together(n, *shares, *words, "-o", several)
        ok(p.returncode == 0 and read(several) == read(alone), f"logits of {n} processes {shares} {more}", p.stderr)
p = ranks((1, {"ENTROLLM_ISA": "scalar"}, *words, "-o", several), (1, {}, *words, "-o", several))
ok(p.returncode == 0 and read(several) == read(alone), "of two instruction sets", p.stderr)

# From parts: the shares are theirs, the bits those of the whole.
for n, shares in ((2, "3:1"), (4, None)):
    parts = tmp(f"parts-{n}")
    run("split", coded, "-n", str(n), "-o", parts, "-q", *(["--shares", shares] if shares else []))
    words = ["logits", "--ids", IDS, "-t", "1"]
    run(*words, "-m", coded, "-o", alone)
    p = together(n, *words, "-m", parts, "-o", several)
    ok(p.returncode == 0 and read(several) == read(alone), f"logits from {n} parts {shares}", p.stderr)
alike = tmp("parts-alike")
run("split", coded, "-n", "2", "-o", alike, "-q")
run("split", mixed, "-n", "2", "-o", tmp("parts-mixed"), "-q")
part = os.path.join(parts, "part-1-of-4.ellm")
words = ["run", "-p", "Once", "-n", "4", "-q"]
refused("parts: ", [
    ([(3, {}, *words, "-m", parts)], "there is no part-1-of-3.ellm, the part of rank 0 of 3, but part-1-of-4.ellm"),
    ([(2, {}, *words, "-m", part)], "this is part 1 of 4 of model "),
    ([(1, {}, *words, "-m", alike), (1, {}, *words, "-m", tmp("parts-2"))], "rank 1 computes with shares 3:1, rank 0 with 1:1"),
    ([(1, {}, *words, "-m", alike), (1, {}, *words, "-m", tmp("parts-mixed"))], "rank 1 has another model"),
    ([(2, {}, "--shares", "2:1", *words, "-m", alike)], "was made for other shares"),
])
p = ranks((1, {}, *words, "-m", coded), (1, {}, *words, "-m", alike))
equal((p.returncode, p.stdout.rstrip(b"\n")), (0, run(*words, "-m", coded).stdout.rstrip(b"\n")), "a whole file beside a part")

# Texts, what is read from standard input, what is drawn at random, the time of day: one for all.
text = run("run", "-m", coded, *PROMPT).stdout
equal(together(3, "run", "-m", coded, *PROMPT).stdout.rstrip(b"\n"), text, "a text")
words = ["run", "-m", coded, "-f", "-", "-n", "8", "--temp", "0", "-q"]
equal(together(2, *words, stdin=b"The little dog").stdout.rstrip(b"\n"), run(*words, stdin=b"The little dog").stdout,
      "a prompt from standard input")
p = together(3, "run", "-m", coded, "-p", "Once", "-n", "8", "--temp", "1", "--seed", "-1", "--json", "-q")
result = json.loads(p.stdout) if p.returncode == 0 else {"seed": 0, "ids": None}
equal(run_json("run", "-m", coded, "-p", "Once", "-n", "8", "--temp", "1", "--seed", str(result["seed"]), "-q")["ids"],
      result["ids"], "a seed that was drawn")
cache, of_one = tmp("several.cache"), tmp("one.cache")
run("run", "-m", coded, *PROMPT, "--prompt-cache", of_one)
for when in ("made", "used"):
    p = together(2, "run", "-m", coded, *PROMPT, "--prompt-cache", cache)
    ok(p.stdout.rstrip(b"\n") == text and read(cache) == read(of_one), f"a prompt cache, {when}", p.stderr)
p = together(2, "bench", "model", "-m", coded, "-p", "0", "-n", "4", "-t", "1", "--repeats", "1", "--json", "-q")
row = json.loads(p.stdout)["rows"][0] if p.returncode == 0 else {"sent_bytes_a_token": 0, "gathering_share": 0}
with open(os.path.join(MODEL, "config.json")) as f:
    c = json.load(f)
# half of what attention mixes, of the inside of the network, twice of the stream, and of the logits
sent = 4 * (c["num_hidden_layers"] * (3 * c["hidden_size"] + c["intermediate_size"]) + c["vocab_size"]) / 2
ok(abs(row["sent_bytes_a_token"] / sent - 1) < 0.05 and 0 < row["gathering_share"] < 1,
   "bench model tells what was sent", f"{row}, {sent} expected")

# Failing.
refused("", [([(2, {}, *words)], why) for words, why in (
    (["--shares", "1:2:3", "run"], "3 shares for 2 ranks"),
    (["--shares", "1:0", "run"], "whole numbers from 1"),
    (["--shares"], "takes a value"),
    (["serve"], "serve: does not run with several processes"),
    (["bench"], "only bench model"),
)])
arguments = ["-p", "Once", "-n", "4", "-q"]
p = ranks((1, {}, "run", "-m", coded, *arguments), (1, {}, "run", "-m", mixed, *arguments))
ok(p.returncode != 0 and b"rank 1: entrollm: " in p.stderr and b"rank 1 has another model" in p.stderr,
   "a rank with another file", p.stderr)
damaged = tmp("damaged.ellm")
data = bytearray(read(coded))
for at in range(len(data) // 2, len(data) // 2 + 200000, 64): # blocks of one rank's share among them
    data[at] ^= 1
with open(damaged, "wb") as f:
    f.write(data)
started = time.monotonic()
p = together(2, "run", "-m", damaged, *arguments)
ok(p.returncode != 0 and b"checksum" in p.stderr and time.monotonic() - started < 10, "a damaged file", p.stderr)


def children(name):
    """Processes of ours, by rank: mpirun starts them in order."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().split(b"\0")[:1] == [TOGETHER.encode()] and name in open(f"/proc/{pid}/cmdline").read():
                    found.append(int(pid))
        except OSError:
            pass
    return sorted(found)


# Compressing: the bytes of one process.
golden = os.path.join(ROOT, "tests", "golden", "models")
for source, n, more in ((MODEL, 2, ["--bits", "4"]), (MODEL, 3, ["--bits", "5", "--prefer", "speed", "--keep", "*embed*"]),
                        (os.path.join(golden, "qwen3moe-mixed"), 5, ["--bits", "8"]),
                        (os.path.join(golden, "phi3-longrope"), 2, ["--lossless"])):
    made, joined = tmp("made.ellm"), tmp("joined.ellm")
    run("compress", source, "-o", made, "-t", "1", "-q", "--force", *more)
    p = together(n, *(["--shares", "1:5:2"] if n == 3 else []), "compress", source, "-o", joined, "-t", "1", "-q", "--force", *more)
    ok(p.returncode == 0 and read(joined) == read(made), f"{n} processes compress {os.path.basename(source)} {more}", p.stderr)
left = [name for name in os.listdir(TMP) if name.startswith("joined") and name != "joined.ellm"]
equal(left, [], "nothing is left beside the file")
other = copy_model("other")
with open(os.path.join(other, "model.safetensors"), "r+b") as f:
    f.seek(-3, 2)
    f.write(b"\x11")
fewer = copy_model("fewer") # the last layer's matrices are not used, so they are not dealt out
with open(os.path.join(fewer, "config.json")) as f:
    c = json.load(f)
with open(os.path.join(fewer, "config.json"), "w") as f:
    json.dump(dict(c, num_hidden_layers=c["num_hidden_layers"] - 1), f)
words = ["-o", joined, "-t", "1", "-q", "--force"]
plain = copy_model("plain", ["generation_config.json"])
refused("compress: ", [([(1, {}, "compress", MODEL, "--bits", "4", *words), (1, {}, "compress", fewer, "--bits", "4", *words)],
                     "rank 1 compresses another source"),
                    ([(1, {}, "compress", MODEL, "--bits", "4", *words), (1, {}, "compress", other, "--bits", "4", *words)],
                     "rank 1 compresses another source"),
                    ([(1, {}, "compress", MODEL, "--quality", "tiny", *words),
                      (1, {}, "compress", plain, "--quality", "tiny", *words)], "rank 1 compresses another source"),
                    ([(2, {}, "compress", MODEL, "--bits", "4", *words[:-1])], "already exists")])
equal(read(joined), read(made), "what was there is as it was")

# To a size: what is measured together is what one process measures.
tied = os.path.join(golden, "llama-tied-gqa")
for n, effort in (2, "quick"), (3, "full"): # a thread each: two cores would spend their time waiting for each other
    plans = [tmp(f"{effort}.{i}.plan") for i in (1, n)]
    words = ["compress", tied, "--target-bpw", "4.5", "--effort", effort, "-q", "--force"]
    run(*words, "-o", made, "-t", "1", "--plan", plans[0])
    for more in (["--plan", plans[1]], []) if n == 2 else (["--plan", plans[1]],):
        p = together(n, *words, "-o", joined, "-t", "1", *more, timeout=120)
        ok(p.returncode == 0 and read(joined) == read(made), f"{n} processes compress to a size, {effort} {more[:1]}", p.stderr)
    equal(read(plans[1]), read(plans[0]), "by the same plan")
left = [name for name in os.listdir(TMP) if name.startswith("joined") and name != "joined.ellm"]
equal(left, [], "no plan is left beside the file")

def kill_one_when(come, output, *words):
    """Starts two ranks, kills the last one as soon as `come` says so; the error."""
    p = subprocess.Popen([*MPIRUN, "-n", "2", TOGETHER, *words, "-o", output], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    for _ in range(1000):
        if come() or p.poll() is not None:
            break
        time.sleep(0.02)
    for pid in children(output)[-1:]:
        os.kill(pid, signal.SIGKILL)
    error = p.communicate(timeout=30)[1]
    ok(p.returncode != 0 and not os.path.exists(output) and b"rank 1 is gone" in error,
       "a rank is killed while it compresses", error)


def left_of(output):
    name = os.path.basename(output)
    return [n for n in os.listdir(TMP) if n.startswith(name) and n != name]


# A rank that is killed while all measure, and going on together with what was measured.
killed = tmp("measured.ellm")
words = ["compress", tied, "--target-bpw", "4.5", "--effort", "full", "-q", "-t", "1", "--resume"]
kept = killed + ".plan.partial.partial"
run(*words, "-o", made, "--force")
kill_one_when(lambda: os.path.exists(kept), killed, *words)
ok(os.path.exists(kept), "what was measured is kept")
before = os.path.getsize(kept) if os.path.exists(kept) else 0
p = together(2, *words, "-o", killed, "--dry-run", "--plan", kept)
ok(p.returncode == 0 and os.path.getsize(kept) > before > 0, "measuring goes on with it", p.stderr)
p = together(2, *words, "-o", killed)
ok(p.returncode == 0 and read(killed) == read(made), "--resume makes the file of one process", p.stderr)
equal(left_of(killed), [], "and leaves nothing beside it")
data = bytearray(read(tmp("quick.1.plan"))) # of another effort; and damaged: begun anew, as by one process
for what, place in ("another effort", None), ("damage", len(data) // 2):
    if place is not None:
        data[place] ^= 1
    with open(kept, "wb") as f:
        f.write(data)
    os.remove(killed)
    p = together(2, *words, "-o", killed)
    ok(p.returncode == 0 and read(killed) == read(made), f"--resume with what was kept of {what}", p.stderr)

# A rank that is killed at work, and going on with what all have done.
large, killed, again = tmp("large"), tmp("killed.ellm"), tmp("again.ellm")
os.makedirs(large)
data = max((t[2] for t in read_safetensors(os.path.join(MODEL, "model.safetensors")).values()), key=len)
data = (data * 2)[:1 << 21]
write_safetensors(os.path.join(large, "model.safetensors"),
                  {f"matrix.{i}": ("BF16", [1024, 1024], data[i * 2:] + data[:i * 2]) for i in range(24)})
words = ["compress", large, "--bits", "4", "-t", "1", "-q", "--resume"]
run(*words, "-o", again)
journal = killed + ".2-of-2.journal.partial.partial"
kill_one_when(lambda: os.path.exists(journal) and os.path.getsize(journal) > 300, killed, *words)
ok(os.path.exists(journal) and os.path.getsize(journal) > 300, "what was coded is kept")
p = together(2, *words, "-o", killed)
ok(p.returncode == 0 and read(killed) == read(again), "--resume goes on and gives the same bytes", p.stderr)
equal(left_of(killed), [], "and nothing is left")

def endless(victim, number, why):
    """Two ranks generate without end, in a process beside others; the rank `victim` is sent a signal."""
    name = f"endless-{victim}-{number}"
    p = subprocess.Popen([*MPIRUN, "-n", "2", TOGETHER, "run", "-m", coded, "-p", name, "-n", "100000", "--ignore-eos",
                          "-q"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=ENVIRONMENT)
    p.stdout.read(1)
    started = time.monotonic()
    pids = children(name)
    if len(pids) == 2:
        os.kill(pids[victim], number)
    try:
        error = p.communicate(timeout=30)[1]
    except subprocess.TimeoutExpired:
        p.kill()
        error = b"it goes on"
    while children(name) and time.monotonic() - started < 15:
        time.sleep(0.1)
    took = time.monotonic() - started
    lines = [line for line in error.split(b"\n") if b"rank" in line]
    good = p.returncode not in (0, None) and len(lines) == 1 and f"rank {victim} {why}".encode() in lines[0] and took < 10
    return good, f"rank {victim} is sent {number.name}", f"{took:.1f} s, status {p.returncode}: {error!r}, left: {children(name)}"


# They wait most of the time: two at once.
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    cases = [pool.submit(endless, victim, number, why) for number, why in ((signal.SIGSTOP, "has been silent for"),
                                                                          (signal.SIGKILL, "is gone")) for victim in (0, 1)]
    for case in cases:
        ok(*case.result())
done()
