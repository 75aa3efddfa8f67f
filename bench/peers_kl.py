#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed at equal quality: ours beside llama.cpp's types, on a real model, each of our files made so large that its
divergence from the full-precision model is that of the type.

    bench/peers.sh FOLDER --equal-kl --text wiki.test.raw [--model smollm2|gemma3] [--types Q5_K_M,Q4_K_M,Q4_0]
                   [--prefer balanced,speed,size,expanded] [--isa native,avx2] [--threads 1,2] [--rounds 5]

FOLDER is one that bench/quality.py has filled: the divergence of the types (without importance matrix) and our curve of
it over bits are taken from there, and so are the plans of compressing. The files that are measured stay in FOLDER/speed.
Divergence is that of `eval divergence` on WikiText-2, with 16-bit activations for ours and on dequantized weights for
llama.cpp's. "Expanded" is the balanced file, decoded once when it is opened. With "avx2" in --isa ours runs by its AVX2
kernels and llama.cpp is one that is built for AVX2 and FMA, in an environment of its own: on a machine that has AVX-512
that says what either is without it.
"""

import argparse
import importlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys

import quality
from peers_measure import HERE, PROGRAM, in_turns, measure_llama, measure_ours, spread

SERIES = "llama.cpp"  # of the points: types without importance matrix
DEARER = {"size": 1.0, "balanced": 1.045, "speed": 1.2}  # bits of a preference by those of size, a first guess
NEAR = 0.03  # how far the divergence may lie from the type's, as a share


def file_of(prefer, isa, args):
    """What is compressed for a preference: an expanded file is a balanced one, one for speed is for a class."""
    if prefer == "speed":
        return f"speed-{'avx2' if isa == 'avx2' else args.native}"
    return "balanced" if prefer == "expanded" else prefer


def native_class():
    """What --for calls this processor."""
    if platform.machine() == "aarch64":
        return "neon"
    with open("/proc/cpuinfo") as f:
        return "avx512" if "avx512_vbmi2" in f.read() else "avx2"


def isas(args):
    return args.isa.split(",")


class Files:
    """Our files at the divergence of a type; bits and divergence of those that are made are kept in FOLDER/speed."""

    def __init__(self, args, points, model):
        self.args, self.points, self.model = args, points, model
        self.folder = os.path.join(args.folder, "speed")
        os.makedirs(self.folder, exist_ok=True)
        self.path = os.path.join(self.folder, "files.json")
        self.known = {}
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.known = json.load(f)

    def compress(self, path, preference, bits):
        kind, _, processor = preference.partition("-")
        command = [PROGRAM, "compress", self.model, "-o", path, "--force", "-q", "--target-bpw", f"{bits:.3f}"]
        command += ["--effort", self.args.effort, "--plan", os.path.join(self.args.folder, f"{self.args.effort}.plan")]
        command += ["--prefer", kind] + (["--for", processor] if processor else [])
        subprocess.check_call(command)
        about = json.loads(subprocess.check_output([PROGRAM, "inspect", path, "--json"]))
        kl = self.points.divergence(["-m", path, "--reference", self.points.reference])["kl"]
        return about["totals"]["coded_bits_per_weight"], kl

    def at(self, preference, name, kl):
        """Path, bits, divergence: by secants of log KL over bits, which is nearly straight."""
        path = os.path.join(self.folder, f"{name}-{preference}.ellm")
        key = os.path.basename(path)
        if key in self.known and os.path.exists(path):
            return path, *self.known[key]
        bits = quality.bits_at(self.points, self.args.effort, kl)
        if bits is None:
            sys.exit(f"{self.args.effort} has no points around KL {kl:.4f}: bench/quality.py --bits ... makes more")
        bits *= DEARER[preference.partition("-")[0]]
        tried = []
        for _ in range(4):
            tried.append(self.compress(path, preference, bits))
            print(f"{key}: {tried[-1][0]:.3f} bits, KL {tried[-1][1]:.4f} for {kl:.4f}", file=sys.stderr, flush=True)
            if abs(tried[-1][1] / kl - 1) < NEAR:
                break
            slope = -1.45  # of log KL by bits, until there are two points
            if len(tried) > 1 and tried[-1][0] != tried[-2][0]:
                slope = math.log(tried[-1][1] / tried[-2][1]) / (tried[-1][0] - tried[-2][0])
            bits = tried[-1][0] + (math.log(kl) - math.log(tried[-1][1])) / min(slope, -0.5)
        self.known[key] = tried[-1]
        with open(self.path, "w") as f:
            json.dump(self.known, f, indent=1)
        return path, *tried[-1]


def python_for_avx2(folder):
    """An environment whose llama.cpp knows nothing above AVX2 and FMA."""
    python = os.path.join(folder, "venv-avx2", "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", os.path.join(folder, "venv-avx2")])
        flags = " ".join(f"-DGGML_{name}" for name in ("NATIVE=OFF", "AVX=ON", "AVX2=ON", "FMA=ON", "F16C=ON"))
        packages = ["--no-binary", "llama-cpp-python", "--no-cache-dir", "llama-cpp-python", "numpy"]
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", *packages], env=dict(os.environ, CMAKE_ARGS=flags))
    return python


def contestants_of(args, points, package, model):
    files, found = Files(args, points, model), []
    source = os.path.join(args.folder, "f32-None.gguf")
    if not os.path.exists(source):
        args.module.write_source(model, package, source + ".part", None)
        os.rename(source + ".part", source)
    for name in args.types.split(","):
        known = [p for p in points.all if p["series"] == SERIES and p["name"] == name]
        if not known:
            sys.exit(f"{name} has no divergence in {points.path}: bench/quality.py measures it")
        kl, theirs = known[0]["kl"], os.path.join(files.folder, name + ".gguf")
        if not os.path.exists(theirs) and not quality.quantize(source, theirs, quality.TYPES[name], 2):
            sys.exit(f"llama.cpp could not quantize {theirs}")
        made = {}
        for isa in isas(args):
            group = (name, isa)
            found.append({"group": group, "name": f"llama.cpp {name}", "path": theirs, "kl": kl, "ours": False})
            for prefer in args.prefer.split(","):
                file = file_of(prefer, isa, args)
                made[file] = made.get(file) or files.at(file, name, kl)
                path, _, reached = made[file]
                label = "balanced, expanded" if prefer == "expanded" else file.replace("-", " for ")
                found.append({"group": group, "name": f"ours, {label}", "path": path, "kl": reached, "ours": True,
                              "expand": prefer == "expanded"})
    return found


def report(contestants, threads, args):
    """One table a thread count; the ratio is that of medians, against llama.cpp's type of the same group."""
    print(f"\n{args.model}, {threads} thread{'s' if threads > 1 else ''}, {args.rounds} rounds in turns\n")
    print(f"| instruction set | file | MB | KL | generated tokens/s | ratio | behind {args.depth} tokens | ratio "
          f"| prompt of {args.prompt}, tokens/s | ratio |")
    print("|---|---|" + "---:|" * 8)
    for c in contestants:
        base = next(o for o in contestants if o["group"] == c["group"] and not o["ours"])
        cells = []
        for key in ("generate", "deep", "prompt"):
            ratio = statistics.median(c[key]) / statistics.median(base[key])
            cells.append(f"{spread(c[key])} | {ratio:.2f}")
        print(f"| {args.native if c['group'][1] == 'native' else 'avx2'} | {c['name']} | {os.path.getsize(c['path']) / 1e6:.1f} "
              f"| {c['kl']:.4f} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--equal-kl", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--model", choices=("smollm2", "gemma3"), default="smollm2")
    parser.add_argument("--text", required=True, help="wiki.test.raw of WikiText-2")
    parser.add_argument("--chunks", type=int, default=20, help="of 512 tokens, as bench/quality.py had them")
    parser.add_argument("--types", default="Q5_K_M,Q4_K_M,Q4_0")
    parser.add_argument("--prefer", default="balanced,speed,size,expanded")
    parser.add_argument("--effort", choices=("quick", "full"), default="full")
    parser.add_argument("--isa", default="native", help="native,avx2")
    parser.add_argument("--threads", default=",".join(str(t + 1) for t in range(len(os.sched_getaffinity(0)))))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--depth", type=int, default=1600)
    parser.add_argument("--prepare", action="store_true", help="make the files, measure nothing")
    args = parser.parse_args()
    args.folder = os.path.abspath(args.folder)
    args.program = PROGRAM
    args.module = importlib.import_module(args.model)
    args.native = native_class()
    args.threads, counts = len(os.sched_getaffinity(0)), [int(t) for t in args.threads.split(",")]
    package, model = args.module.fetch(args.folder)
    contestants = contestants_of(args, quality.Points(args, model), package, model)
    pythons = {"native": sys.executable, "avx2": python_for_avx2(args.folder) if "avx2" in isas(args) else None}
    if args.prepare:
        return
    for threads in counts:
        job = {"prompt": args.prompt, "generate": args.generate, "depth": args.depth, "threads": threads}

        def measure(c):
            isa = c["group"][1]
            if not c["ours"]:
                return measure_llama(c["path"], job, pythons[isa])
            return measure_ours(c["path"], job, expand=c["expand"], isa=None if isa == "native" else isa)

        table = [dict(c) for c in contestants]
        in_turns(table, args.rounds, measure)
        report(table, threads, args)


if __name__ == "__main__":
    sys.path.insert(0, HERE)
    main()
