#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the results table of README.md and write it between its markers.

    bench/readme_table.py [--build DIR] [--text WIKI.TEST.RAW] [--models DIR] [--chunks N] [--print]

Each model is compressed to 8 and 4 bits; sizes and effective bits come from `inspect`, perplexity from
`perplexity` (protocol a over the whole text). Standard library only.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def cpu_name():
    try:
        with open("/proc/cpuinfo") as f:
            for line in f:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def main():
    shared = os.path.join(ROOT, "..", "shared")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--text", default=os.path.join(shared, "eval", "wikitext2", "wiki.test.raw"))
    parser.add_argument(
        "--models", default=os.path.join(shared, "models"), help="folder with tinystories-656k and tiny1m"
    )
    parser.add_argument("--chunks", type=int, help="the first N chunks only (default: the whole text)")
    parser.add_argument("--print", action="store_true", help="print the table, leave README.md alone")
    options = parser.parse_args()
    program = os.path.join(options.build, "entrollm")

    def run(*arguments):
        return json.loads(subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE).stdout)

    def perplexity(model):
        limit = ["--chunks", str(options.chunks)] if options.chunks else []
        answer = run("perplexity", "-m", model, "-f", options.text, "--json", "-q", *limit)
        return answer, f"{answer['perplexity']:.2f} ± {answer['stderr']:.2f}"

    rows = []
    models = [
        ("tinystories-656k", os.path.join(options.models, "tinystories-656k")),
        ("tiny1m", os.path.join(options.models, "tiny1m")),
        ("stories-4m (embedded)", os.path.join(ROOT, "models", "stories-4m")),
    ]
    with tempfile.TemporaryDirectory() as tmp:
        for name, path in models:
            answer, text = perplexity(path)
            full = os.path.getsize(os.path.join(path, "model.safetensors"))
            rows.append((f"{name}, {answer['ctx']} tokens a chunk", "full precision", full, None, None, None, text))
            for bits in (8, 4):
                file = os.path.join(tmp, f"{bits}.ellm")
                run("compress", path, "-o", file, "--bits", str(bits), "--force", "--json", "-q")
                totals = run("inspect", file)["totals"]
                rows.append(
                    (
                        "",
                        f"{bits} bits",
                        totals["file_bytes"],
                        totals["entropy"],
                        totals["huffman_bits_per_weight"],
                        totals["coded_bits_per_weight"],
                        perplexity(file)[1],
                    )
                )
                print(f"{name}: {bits} bits done", flush=True)

    lines = [
        "| model | weights | file | entropy | Huffman optimum | effective bits | WikiText-2 perplexity |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, what, size, entropy, optimum, coded, text in rows:
        figures = [f"{x:.3f}" if x is not None else "" for x in (entropy, optimum, coded)]
        lines.append(f"| {name} | {what} | {size / 1e6:.2f} MB | " + " | ".join(figures) + f" | {text} |")
    whole = f"the first {options.chunks} chunks" if options.chunks else "the whole test text"
    lines += [
        "",
        f"Measured by `bench/readme_table.py` over {whole} on {cpu_name()}, {len(os.sched_getaffinity(0))} cores.",
    ]
    table = "\n".join(lines)
    print(table)
    if not options.print:
        readme = os.path.join(ROOT, "README.md")
        with open(readme) as f:
            text = f.read()
        head, rest = text.split(BEGIN, 1)
        tail = rest.split(END, 1)[1]
        with open(readme, "w") as f:
            f.write(head + BEGIN + "\n" + table + "\n" + END + tail)


if __name__ == "__main__":
    main()
