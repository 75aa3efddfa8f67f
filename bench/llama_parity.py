#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logits and token ids of a GGUF file, ours beside llama.cpp's.

    bench/llama_parity.py MODEL.gguf [FOLDER] [--texts FILE.json ...] [--no-gelu-table]

llama.cpp runs the same weights as F32, in a file that is made with the `gguf` package: its kernels for quantized types
round activations. Its KV cache is F32, too. Ours runs MODEL.gguf itself, in floats. Compared are the logits of every
position of some texts, and of one sequence of 640 tokens, which goes beyond Gemma's window. Printed are the largest
difference relative to the largest logit of the sequence, and in how many positions both have the same top token.

llama.cpp takes GELU from a table of F16 by F16, ours computes it in float32. For Gemma 3 270M a forward pass in numpy
is compared with ours in two further columns: as it is, and with such a table, which says how much that alone moves.
--no-gelu-table builds llama.cpp's kernels once more, without the table (cmake and a compiler; minutes), and compares
with those.

--texts: files of golden ids (tests/golden/tokenizers/*.json: "rows", each with a "text"), whose texts are tokenized by
both; where the ids differ the text is shown.

FOLDER (default: a temporary one, removed at the end) keeps a throw-away Python environment and the F32 file.
llama-cpp-python is built from source: 7 minutes on two idle cores. Exit status 5: ids or a top token differ, or
logits by more than 0.1 % (of Gemma, with the table, 0.2 %).
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
LONG = 640
ALLOWED, WITH_TABLE = 0.001, 0.002
TEXTS = {
    "prose": "The comet was first seen in the autumn, low above the harbour, and for eleven nights the people of the "
    "town came out after supper to look at it. Some of them said that it meant a hard winter; others, who had seen one "
    "before, said that it meant nothing at all, and went home to bed.",
    "code": "def fibonacci(n):\n    \"\"\"The n-th number.\"\"\"\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, "
    "a + b\n    return a\n\nprint([fibonacci(i) for i in range(10)])  # [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n",
    "numbers": "1. Multiply 37 by 12.5: 37 * 12.5 = 462.5\n2. Subtract 2^6 = 64: 398.5\n3. Take 15 %: 59.775\n\n| year | "
    "price |\n|---|---:|\n| 1998 | $3,450.00 |\n| 2004 | $12,099.99 |\n",
    "languages": "Der Fluß fließt durch drei Länder, bevor er das Meer erreicht. Où est la bibliothèque? 今日はとても"
    "いい天気ですね。 Я не знаю, что сказать. مرحبا بالعالم 🙂👍🏽 naïve café — “quoted”…",
}


def python_in(folder):
    python = os.path.join(folder, "venv", "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", os.path.join(folder, "venv")])
    subprocess.check_call([python, "-m", "pip", "install", "--quiet", "numpy", "gguf", "llama-cpp-python"])
    return python


def library_without_table(python, folder):
    """llama.cpp's libraries, those of its kernels made again: GELU is computed in float32, as the other branch of its
    own source does."""
    libraries = os.path.join(folder, "without-table")
    if os.path.exists(libraries):
        return libraries
    where = "import llama_cpp as l, os; print(l.__version__, os.path.join(os.path.dirname(l.__file__), 'lib'))"
    version, built = subprocess.check_output([python, "-c", where], text=True).split(maxsplit=1)
    source, build = os.path.join(folder, "llama-source"), os.path.join(folder, "llama-build")
    package = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", source]
    subprocess.check_call([*package, f"llama-cpp-python=={version}"])
    archive = next(os.path.join(source, name) for name in os.listdir(source) if name.endswith(".tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(source, filter="data")
    top = os.path.join(archive.removesuffix(".tar.gz"), "vendor", "llama.cpp")
    path = os.path.join(top, "ggml", "src", "ggml-cpu", "vec.h")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.count("#define GGML_GELU_FP16\n") != 1:
        sys.exit(f"{path}: there is no line that switches the table of GELU on")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("#define GGML_GELU_FP16\n", ""))
    off = [f"-DLLAMA_BUILD_{part}=OFF" for part in ("TESTS", "TOOLS", "EXAMPLES", "SERVER")]
    for command in (
        ["cmake", "-S", top, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", *off],
        ["cmake", "--build", build, "-j", "--target", "ggml-cpu"],
    ):
        subprocess.check_call(command, stdout=sys.stderr)
    shutil.copytree(built.strip(), libraries + ".part")
    for name in os.listdir(libraries + ".part"):
        if name.startswith("libggml-cpu."):
            shutil.copy(os.path.join(build, "bin", "libggml-cpu.so"), os.path.join(libraries + ".part", name))
    os.rename(libraries + ".part", libraries)
    return libraries


def our_ids(args, text, special):
    command = [args.program, "tokenize", "-m", args.model, "-q"] + ([] if special else ["--special-as-text"])
    return [int(i) for i in subprocess.check_output(command, input=text.encode()).split()]


def our_logits(args, ids, vocabulary):
    import numpy as np

    path = os.path.join(args.folder, "logits.f32")
    command = [args.program, "logits", "-m", args.model, "--ids", " ".join(map(str, ids)), "-o", path, "-q"]
    subprocess.check_call(command)
    logits = np.fromfile(path, np.float32).reshape(len(ids), vocabulary)
    os.remove(path)
    return logits


def load_llama(path, **options):
    import llama_cpp

    load_llama.silent = llama_cpp.llama_log_callback(lambda level, text, user: None)  # must live as long as the library
    llama_cpp.llama_log_set(load_llama.silent, ctypes.c_void_p(0))
    return llama_cpp.Llama(path, verbose=False, **options)


def compare_logits(args, llama):
    """Whether all of it is within what is allowed."""
    import gemma3
    import gguf_files
    import numpy as np

    good = True
    sequences = {name: llama.tokenize(text.encode(), add_bos=True, special=True) for name, text in TEXTS.items()}
    long = [i for ids in sequences.values() for i in ids]
    sequences[f"{LONG} tokens"] = (long * (LONG // len(long) + 1))[:LONG]
    gemma = llama.metadata["general.architecture"] == "gemma3"
    allowed = WITH_TABLE if gemma and not args.no_gelu_table else ALLOWED
    tensors = {n: x for n, x, _ in gguf_files.floats(args.model)} if gemma else None
    more = " numpy - ours | with a GELU table |" if gemma else ""
    print("| text | tokens | same ids | largest logit | largest difference | of it | same top token |" + more)
    print("|---|---:|---|---:|---:|---:|---:|" + ("---:|---:|" if gemma else ""))
    for name, ids in sequences.items():
        same_ids = name not in TEXTS or our_ids(args, TEXTS[name], True) == ids
        llama.reset()
        llama.eval(ids)
        theirs = np.array(llama.scores[: len(ids)])
        ours = our_logits(args, ids, llama.n_vocab())
        largest, off = float(np.abs(theirs).max()), float(np.abs(ours - theirs).max())
        top = int((ours.argmax(1) == theirs.argmax(1)).sum())
        good = good and same_ids and off <= allowed * largest and top == len(ids)
        more = ""
        for activation in (gemma3.gelu, gemma3.gelu_of_llama) if gemma else ():
            logits = gemma3.forward(tensors, ids, activation=activation) @ tensors[gemma3.EMBEDDING].T
            more += f" {100 * float(np.abs(logits - ours).max()) / largest:.4f} % |"
        print(
            f"| {name} | {len(ids)} | {'yes' if same_ids else 'no'} | {largest:.2f} | {off:.5f} "
            f"| {100 * off / largest:.4f} % | {top} of {len(ids)} |{more}",
            flush=True,
        )
    return good


def compare_ids(args, llama):
    """Prints how many texts of --texts both tokenize alike; special tokens count as text."""
    seen, different, size = set(), [], 0
    for path in args.texts:
        with open(path, encoding="utf-8") as f:
            rows = json.load(f)["rows"]
        for row in rows:
            text = row["text"]
            if text in seen or not text:
                continue
            seen.add(text)
            size += len(text.encode())
            if our_ids(args, text, False) != llama.tokenize(text.encode(), add_bos=True, special=False):
                different.append(text)
    print(f"\n{len(seen) - len(different)} of {len(seen)} golden texts ({size:,} bytes) have the same ids")
    for text in different:
        print(f"  not: {text[:60]!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", nargs="?", help="kept, and gone on with (default: temporary)")
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "entrollm"))
    parser.add_argument("--no-gelu-table", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # run by the environment's Python
    args = parser.parse_args()
    if not args.inside:
        folder = args.folder or tempfile.mkdtemp()
        os.makedirs(folder, exist_ok=True)
        try:
            rest = ["--threads", str(args.threads), "--program", args.program, "--texts", *args.texts]
            python, environment = python_in(folder), dict(os.environ)
            if args.no_gelu_table:
                rest.insert(0, "--no-gelu-table")
                environment["LLAMA_CPP_LIB_PATH"] = library_without_table(python, folder)
            command = [python, os.path.abspath(__file__), args.model, folder, "--inside", *rest]
            sys.exit(subprocess.call(command, env=environment))
        finally:
            if not args.folder:
                shutil.rmtree(folder)
    sys.path.insert(0, HERE)
    import gguf_files

    path = os.path.join(args.folder, os.path.basename(args.model).removesuffix(".gguf") + "-f32.gguf")
    if not os.path.exists(path):
        gguf_files.write(path + ".part", args.model, ((n, x) for n, x, _ in gguf_files.floats(args.model)))
        os.rename(path + ".part", path)
    threads = {"n_threads": args.threads, "n_threads_batch": args.threads}
    llama = load_llama(path, n_ctx=LONG, n_batch=64, n_ubatch=64, logits_all=True, type_k=0, type_v=0, **threads)
    good = compare_logits(args, llama)
    if args.texts:
        compare_ids(args, llama)
    sys.exit(0 if good else 5)


if __name__ == "__main__":
    main()
