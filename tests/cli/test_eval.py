#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm eval: JSON and text of every evaluation, limits, threads, state files, saved logits."""

import json
import math
import os
import signal
import subprocess
import time

from cli_testing import *

text = os.path.join(MODEL, "unseen.txt")
model = tmp("m8.ellm")
four = tmp("m4.ellm")
ok(run("compress", "--bits", "8", MODEL, "-o", model, "-q").returncode == 0, "compress to 8 bits")
ok(run("compress", MODEL, "-o", four, "--bits", "4", "-q").returncode == 0, "compress to 4 bits")


def without_time(result):
    return {k: v for k, v in (result or {}).items() if k != "seconds"}


def has_interval(result, name):
    low, high = result[name + "_interval"]
    return low <= result[name] <= high


# Perplexity: four protocols
short = tmp("short.txt")
with open(text, "rb") as source, open(short, "wb") as out:
    out.write(source.read(12000))
for protocol in "abcd":
    r = run_json("eval", "perplexity", "-m", model, "-f", short, "--protocol", protocol, "--ctx", "128", "--limit", "3")
    ok(
        r and r["protocol"] == protocol and len(r["chunks"]) <= 3 and has_interval(r, "perplexity") and r["stderr"] > 0,
        f"protocol {protocol}: JSON with an interval",
        r,
    )
    settings = ["--protocol", protocol, "--ctx", "128", "--limit", "3"]
    one = run_json("eval", "perplexity", "-m", model, "-f", short, *settings, "-t", "1")
    equal(without_time(one), without_time(r), f"protocol {protocol}: the same with one thread")
p = run("eval", "perplexity", "-m", model, "-f", short, "--protocol", "b", "--ctx", "128", "--limit", "2")
ok(b"GPTQ" in p.stdout and b"95 %" in p.stdout, "the protocol's name and the interval are printed", p.stdout)
f32 = run_json("eval", "perplexity", "-m", model, "-f", short, "--ctx", "128", "--activations", "f32")
i16 = run_json("eval", "perplexity", "-m", model, "-f", short, "--ctx", "128")
i8 = run_json("eval", "perplexity", "-m", model, "-f", short, "--ctx", "128", "--activations", "i8")
ok(
    f32 and i16 and i8 and [f32["activations"], i16["activations"], i8["activations"]] == ["f32", "i16", "i8"],
    "activations are named",
)
ok(0 < abs(i16["perplexity"] / f32["perplexity"] - 1) < 1e-3, "i16 is close to floats", (i16, f32))

q8 = run_json("eval", "perplexity", "-m", model, "-f", short, "--ctx", "128", "--kv-cache", "q8")
ok(q8 and [i16["kv_cache"], q8["kv_cache"]] == ["f16", "q8"], "types of the cache are named", q8)
ok(0 < abs(q8["perplexity"] / i16["perplexity"] - 1) < 3e-3, "a cache of 8 bits is close to halves", (q8, i16))

# State: interrupted, gone on, equal to a run without interruption
state = tmp("state")
command = [PROGRAM, "eval", "perplexity", "-m", model, "-f", text, "--ctx", "64", "--json", "--activations", "f32"]
for _ in range(20):  # a busy machine may let it finish before the signal: then again
    child = subprocess.Popen(
        command + ["--state", state, "-t", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.time() + 60
    while time.time() < deadline and not (os.path.exists(state) and read(state).count(b"\n") > 5):
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate()
    if child.returncode != 0:
        break
    os.remove(state)
done_before = read(state).count(b"\n") - 2
equal(child.returncode, INTERRUPTED, "interrupted")
ok(out == b"" and b"continues" in error, "an interruption says how to go on", error)
p = subprocess.run(command + ["--state", state], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
ok(b"came from" in p.stderr, "the state was used", p.stderr)
whole = run_json(*command[1:-3], "--json", "--activations", "f32")
equal(without_time(json.loads(p.stdout)), without_time(whole), f"the result after {done_before} chunks of the state")
p = run("eval", "perplexity", "-m", four, "-f", text, "--ctx", "64", "--activations", "f32", "--state", state)
ok(p.returncode == USAGE and b"model" in p.stderr, "the state of another model is refused", p.stderr)

# Divergence: live and saved
FIGURES = "kl kl_median kl_90 kl_99 same_top perplexity reference_perplexity perplexity_ratio".split()
live = run_json("eval", "divergence", "-m", four, "--reference", MODEL, "-f", short, "--ctx", "128", "--limit", "4")
ok(
    live
    and all(has_interval(live, k) for k in FIGURES)
    and 0 < live["kl_median"] < live["kl_90"] < live["kl_99"] <= live["kl_max"],
    "divergence: figures and their order",
    live,
)
saved = tmp("reference.logits")
p = run("eval", "divergence", "--reference", MODEL, "-f", short, "--ctx", "128", "--limit", "4", "--save", saved)
ok(p.returncode == 0 and os.path.getsize(saved) > 1000, "reference logits are saved", p.stderr)
again = run_json("eval", "divergence", "-m", four, "--reference", saved, "-f", short)
ok(
    again and live and abs(again["kl"] / live["kl"] - 1) < 1e-4 and again["perplexity"] == live["perplexity"],
    "saved logits give the same divergence",
    (again, live),
)
itself = run_json("eval", "divergence", "-m", MODEL, "--reference", MODEL, "-f", short, "--ctx", "128", "--limit", "2")
ok(itself and itself["kl"] == 0 and itself["same_top"] == 1, "a model does not diverge from itself", itself)
floats = tmp("floats.logits")
run("eval", "divergence", "--reference", four, "-f", short, "--limit", "4", "--activations", "f32", "--save", floats)
kl = [
    run_json("eval", "divergence", "-m", four, "--reference", floats, "-f", short, "--activations", mode)["kl"]
    for mode in ("f32", "i16", "i8")
]
ok(kl[0] < kl[1] < 1e-5 < kl[2] < 1e-2, "saved with float activations: the error of the kernels alone", kl)
p = run("eval", "divergence", "--reference", MODEL, "-f", short, "--save", saved)
equal(p.returncode, USAGE, "saved logits are not overwritten unasked")
with open(saved, "r+b") as f:
    f.seek(5000)
    f.write(b"\xff")
p = run("eval", "divergence", "-m", four, "--reference", saved, "-f", short)
ok(p.returncode == INPUT and b"damaged" in p.stderr, "damaged logits are refused", p.stderr)

# Multiple choice
items = tmp("items.jsonl")
with open(items, "w") as f:
    for i in range(6):
        item = {"query": "Once upon a", "choices": ["time there was a cat", "zq xx"], "label": i % 2}
        f.write(json.dumps(item) + "\n")
r = run_json("eval", "choice", items, "-m", model, "--items")
ok(
    r and r["acc"] == 0.5 and len(r["items"]) == 6 and r["items"][0]["scores"][0] > r["items"][0]["scores"][1],
    "choice: the likely one wins",
    r,
)
ok(r and has_interval(r, "acc") and has_interval(r, "acc_norm"), "choice: intervals", r)
nothing = tmp("nothing.jsonl")
with open(nothing, "w") as f:
    f.write(json.dumps({"query": "Once upon a", "choices": ["time", "day"], "label": 0}) + "\n")
    f.write(json.dumps({"query": "Once upon a tim", "delimiter": "", "choices": ["e", "xx yy"], "label": 0}) + "\n")
p = run("eval", "choice", nothing, "-m", model)
ok(
    p.returncode == INPUT and one_error_line(p) and b"item 2: choice 0" in p.stderr,
    "choice: what adds no token to its query has no score",
    p.stderr,
)
r = run_json("eval", "choice", items, "-m", model, "--limit", "3")
ok(r and r["items_scored"] == 3, "choice: --limit", r)
for more in (["-f", items], ["-f", "-"], ["-"]):
    again = run_json("eval", "choice", *more, "-m", model, "--limit", "3", stdin=read(items))
    ok(again and again["acc"] == r["acc"], f"choice: {more[-1] == '-' and 'standard input' or '-f'}", again)
p = run("eval", "choice", "-m", model)
ok(p.returncode == USAGE and one_error_line(p) and b"FILE.jsonl" in p.stderr, "choice: no file", p.stderr)
unseen = os.path.join(MODEL, "unseen.txt")
short = ["--ctx", "64", "--limit", "2", "-m", model]
r = run_json("perplexity", "-f", unseen, *short)
again = run_json("perplexity", "-f", "-", *short, stdin=read(unseen))
ok(r and again and r["perplexity"] == again["perplexity"], "perplexity: -f -", again)
six = tmp("six.txt")
with open(six, "w") as f:
    f.write("Once upon a time there was a girl. she\n1\nzq xx.\nwas happy and played.\nqq.\n)(.\n" * 2)
for protocol in ("lm-eval", "llama.cpp"):
    r = run_json("eval", "hellaswag", "-m", model, "-f", six, "--protocol", protocol, "--items")
    ok(
        r and r["protocol"] == protocol and r["items_scored"] == 2 and ("acc_norm" in r) == (protocol == "lm-eval"),
        f"hellaswag by {protocol}",
        r,
    )

# GSM8K
questions = tmp("questions.jsonl")
with open(questions, "w") as f:
    for i in range(3):
        f.write(json.dumps({"question": f"A girl had {i} cats. How many?", "answer": f"#### {i}"}) + "\n")
r = run_json("eval", "gsm8k", "-m", model, "-f", questions, "--max-new", "16", "--limit", "2")
ok(r and r["questions"] == 2 and all(has_interval(r, k) for k in ("strict", "flexible", "mean_tokens")), "gsm8k", r)
ok(r and "0-shot" in r["protocol_name"], "gsm8k without examples says so", r)

p = run("eval", "--help")
ok(p.returncode == 0 and all(w in p.stdout for w in (b"divergence", b"gsm8k", b"choice")), "eval --help names them all")
done()
